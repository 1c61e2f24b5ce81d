/* The CUDA backend as programs and tests see it: which devices there are, which one to use, and the table. Everything else
 * goes through the table. */
#ifndef SPIRITLM_KERNELS_CUDA_KERNELS_CUDA_H
#define SPIRITLM_KERNELS_CUDA_KERNELS_CUDA_H

#include "kernels/kernels.h"

/* CUDA's table. Its contexts need no thread pool and use the device that was selected when they were opened. */
const struct kernels *kernels_cuda(void);

/* How many devices the driver shows (after CUDA_VISIBLE_DEVICES). STATUS_USAGE with the reason where it shows none: no
 * driver, one that is too old, no GPU. */
enum status kernels_cuda_devices(int *count);

/* Contexts opened from now on, by any thread, belong to device `index` of those. The first is selected at start.
 * STATUS_USAGE for a device that does not exist or is older than the kernels. */
enum status kernels_cuda_select(int index);

/* Bytes of memory of device `index`. Fails like kernels_cuda_select. */
enum status kernels_cuda_device_bytes(int index, int64_t *bytes);

#endif
