/* What this process has used, for tests of time and memory. */
#ifndef SPIRITLM_TESTS_USAGE_H
#define SPIRITLM_TESTS_USAGE_H

#include <stdint.h>

/* Of all threads together: what else runs on the machine does not count. */
double processor_seconds(void);

/* The most memory so far; 0 under the address sanitizer, which keeps freed memory for a while. */
int64_t peak_kilobytes(void);

#endif
