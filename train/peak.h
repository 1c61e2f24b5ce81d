/* What this machine can do, stated by the device's maker or measured: the denominator of mfu = tokens_per_second * flops_per_token / peak. */
#ifndef SPIRITLM_TRAIN_PEAK_H
#define SPIRITLM_TRAIN_PEAK_H

#include "kernels/kernels.h"

/* FLOP/s: those of the table's peak_flops where it knows the device; else of the fastest product of two square matrices of random numbers, on a context of its own on `pool`: the best of
 * three of 768 x 768, and of twice the side, and so on to 6144 x 6144, until one takes 4 ms. 0 when nothing can be
 * measured. Takes some milliseconds. */
double peak_flops(const struct kernels *kernels, struct thread_pool *pool, enum dtype dtype);

#endif
