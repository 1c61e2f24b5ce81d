/* How many shapes each operation was tested with. A table between a test and the table under test notes the sizes of the operands
 * (kernels/operands.h) of every call that was taken; the program prints them when it ends, a line per operation and type:
 *   shapes rmsnorm_forward bf16 34
 * scripts/kernel-shapes makes the table of docs/kernels.md from these lines. */
#ifndef SPIRITLM_TESTS_SHAPE_TALLY_H
#define SPIRITLM_TESTS_SHAPE_TALLY_H

#include "kernels/kernels.h"

/* `inner` as it is, unless SPIRITLM_TEST_SHAPES is 1: then the table that counts what it hands on to `inner`. */
const struct kernels *shape_tally(const struct kernels *inner);

#endif
