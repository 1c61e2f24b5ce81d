/* That no result depends on the order in which a launch's blocks, and a block's warps, run: with SPIRITLM_TEST_ORDERS=N, about one
 * call in N of an operation (chosen by the test's seed) is run again with the blocks reversed and with the blocks shuffled,
 * each time from the memory that it began with, and what it wrote must be equal to the bit. On the emulator only. */
#ifndef SPIRITLM_TESTS_BLOCK_ORDERS_H
#define SPIRITLM_TESTS_BLOCK_ORDERS_H

#include "kernels/kernels.h"

/* `inner` as it is when the variable is not set, or without the emulator. */
const struct kernels *block_orders(const struct kernels *inner);

/* Between true and false every call runs once: for who counts what a call does. */
void block_orders_pause(bool on);

#endif
