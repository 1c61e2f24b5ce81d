/* Which table of kernels a test runs on. */
#ifndef SPIRITLM_TESTS_TEST_KERNELS_H
#define SPIRITLM_TESTS_TEST_KERNELS_H

#include "kernels/cpu/cpu.h"

/* The table that SPIRITLM_TEST_BACKEND names: "cpu" (also when it is not set) or "closed" (closed_kernels.h). Another
 * name ends the program. ctest runs ROOM.SUBJECT on the first and ROOM.SUBJECT@closed on the second. */
const struct kernels *test_kernels(void);

/* Whether that is the closed table: for what only it can count or catch. */
bool test_kernels_closed(void);

/* What multiplies matrices in a context of that table (cpu_set_engine). */
void test_set_engine(const struct device_context *context, enum cpu_engine engine);

#endif
