/* Measures how much heap the program uses, whoever allocates it: our code, libsndfile, Jansson... For one test program,
 * which thereby gets its own allocator (under the address sanitizer: uses its hooks). */
#ifndef SPIRITLM_TESTS_MEMORY_METER_H
#define SPIRITLM_TESTS_MEMORY_METER_H

#include <stdint.h>

void memory_meter_start(void);
/* The most bytes that were in use at once since the start, above what was in use then. */
int64_t memory_meter_peak(void);

#endif
