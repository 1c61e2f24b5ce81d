/* Which shapes each operation was tested with. A table between a test and the table under test notes the sizes of the operands
 * (kernels/operands.h) of every call that was taken. When the program ends it appends them to a file, a line per shape with
 * operation, type and a hash of the sizes, and prints how many there are:
 *   shapes rmsnorm_forward bf16 34
 * scripts/kernel-shapes makes the table of docs/kernels.md from the files of all test programs. */
#ifndef SPIRITLM_TESTS_SHAPE_TALLY_H
#define SPIRITLM_TESTS_SHAPE_TALLY_H

#include "kernels/kernels.h"

/* `inner` as it is, unless SPIRITLM_TEST_SHAPES names a file: then the table that notes what it hands on to `inner`. */
const struct kernels *shape_tally(const struct kernels *inner);

#endif
