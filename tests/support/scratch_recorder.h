/* A table that notes how much scratch the operations called through it need: what a plan of scratch is compared with. */
#ifndef SPIRITLM_TESTS_SCRATCH_RECORDER_H
#define SPIRITLM_TESTS_SCRATCH_RECORDER_H

#include "kernels/kernels.h"

/* test_kernels() with every operation recorded; it fails the test where one needs more scratch than its context has. */
const struct kernels *scratch_recorder(void);

/* The largest need since the last reset, in bytes. */
void scratch_recorder_reset(void);
size_t scratch_recorder_largest(void);

#endif
