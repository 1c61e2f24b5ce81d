/* Ranks of one test as threads of it. */
#ifndef SPIRITLM_TESTS_RANKS_H
#define SPIRITLM_TESTS_RANKS_H

#include "comm/device_comm.h"

#include <stddef.h>

enum { MAX_TEST_RANKS = 12 };

/* Calls `work` on `count` ranks at once and waits for all. Rank r is given element r of `arguments`, elements of `size`
 * bytes; with size 0 all are given the same. A failed assertion in `work` ends the whole program. Returns the status of
 * making the ranks, so that a caller who redirected standard error can put it right before the test fails. */
enum status ranks_run(int count, void (*work)(struct comm *comm, void *argument), void *arguments, size_t size);

/* This rank's way to the device memory of the others, or of a rank alone. The caller destroys it before the context. */
struct device_comm *ranks_device_comm(struct comm *comm, const struct kernels *kernels, struct device_context *context);

#endif
