/* What this machine can do, measured: the denominator of mfu = tokens_per_second * flops_per_token / peak. */
#ifndef SPIRITLM_TRAIN_PEAK_H
#define SPIRITLM_TRAIN_PEAK_H

#include "kernels/kernels.h"

/* FLOP/s of the best of three products of 768 x 768 matrices; 0 when it cannot be measured. Takes some milliseconds. */
double peak_flops(const struct kernels *kernels, struct device_context *context, enum dtype dtype);

/* The process's largest resident size so far, in bytes; 0 when unknown. */
int64_t peak_memory_bytes(void);

#endif
