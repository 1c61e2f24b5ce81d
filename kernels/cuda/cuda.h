/* What the files of the CUDA backend share on the host's side. Not for callers: they go through struct kernels.
 *
 * One file per operation, NAME.cu, holds its kernels and cuda_NAME, which chooses grid and variant from shapes and types
 * alone, never from the number of processors, launches into the compute queue's stream, and asks cuda_launched. table.c
 * checks arguments and scratch before it calls them. Sizes of scratch are plain C (kernels/cuda/sizes/), in every build, so
 * that a plan can be made on a machine without CUDA. */
#ifndef SPIRITLM_KERNELS_CUDA_CUDA_H
#define SPIRITLM_KERNELS_CUDA_CUDA_H

#include "kernels/cuda/sizes/cuda_sizes.h"
#include "kernels/kernels.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first thing that a kernel found wrong in device memory, as a device can say it. The host turns it into the same
 * sentence as the cpu's: "embedding_forward: id 7 of 12 is 99, outside 0..31". In device memory, one for each context. */
enum cuda_fault_what {
    CUDA_FAULT_NONE,
    CUDA_FAULT_ID,
    CUDA_FAULT_TARGET,
    CUDA_FAULT_POSITION,
    CUDA_FAULT_ROW,
    CUDA_FAULT_START,
    CUDA_FAULT_LENGTH,
    CUDA_FAULT_GROUP,
    CUDA_FAULT_ORDER,
    CUDA_FAULT_UNSORTED,
    CUDA_FAULT_MASK_ROW,
    CUDA_FAULT_SEGMENT,
    CUDA_FAULT_BAND_FIRST,
    CUDA_FAULT_BAND_LENGTH,
    CUDA_FAULT_BAND_OFFSET,
    CUDA_FAULT_END
};
struct cuda_fault {
    int32_t what;      /* enum cuda_fault_what; whoever changes it from NONE by compare-and-swap writes the rest */
    int32_t operation; /* enum cuda_operation */
    /* Element `index` of `count` is `value`, outside [low, high). Three kinds say more:
     * START: query index % count of row index / count starts at key `value`, the query before it at `low`.
     * UNSORTED: token `value` at place `index` of `count` has id `high`, the one before it, token `extent`, id `low`.
     * SEGMENT: segment `index` of `count` has `extent` elements from `value` on; low..high - 1 are free. */
    int64_t index, count, value, low, high;
    int64_t extent;
};

enum cuda_operation {
#define CUDA_OPERATION_NUMBER(name) CUDA_##name,
    KERNEL_OPERATIONS(CUDA_OPERATION_NUMBER)
#undef CUDA_OPERATION_NUMBER
        CUDA_OPERATIONS
};

/* Behind context->libraries. */
struct cuda_libraries;

/* The stream of a queue, the context's fault word (device memory), and the most shared memory that a block may ask for. */
cudaStream_t cuda_stream(const struct device_context *context);
struct cuda_fault *cuda_fault_word(const struct device_context *context);
size_t cuda_shared_limit(const struct device_context *context);

/* STATUS_OK when the launch before it was taken; else "NAME: ..." with what the runtime says. */
enum status cuda_launched(const char *operation);
/* STATUS_OK for cudaSuccess; else the sentence that says what to do (no driver, driver too old, no kernel image for the
 * device, out of memory...). */
enum status cuda_checked(cudaError_t error, const char *what);

#define CUDA_OPERATION(name) enum status cuda_##name(const struct device_context *context, const struct name *p);
KERNEL_OPERATIONS(CUDA_OPERATION)
#undef CUDA_OPERATION

#ifdef __cplusplus
}
#endif
#endif
