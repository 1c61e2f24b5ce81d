/* cuDNN as the other engine of conv1d_forward (kernels.conv1d: cudnn): a context's handle and descriptors, and the kernels
 * around cuDNN's own. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_CUDNN_H
#define SPIRITLM_KERNELS_CUDA_CONV1D_CUDNN_H

#include "kernels/cuda/context.h"
#include "kernels/cuda/sizes/conv1d_pieces.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_cudnn;

/* STATUS_USAGE when the program was built without cuDNN, or the library is not found. */
enum status cuda_cudnn_open(cudaStream_t stream, struct cuda_cudnn **cudnn);
void cuda_cudnn_close(struct cuda_cudnn *cudnn); /* NULL is fine; the queues must be empty */
void cuda_cudnn_version(const struct cuda_cudnn *cudnn, char *text, size_t size); /* "9.19.0" */

/* conv1d_forward by cuDNN, for a batch that is not empty, in a context that has it. `done` false: cuDNN does not take the call
 * (it says so itself, or a size exceeds its 31 bits, or the weight is not aligned to 16 bytes), and nothing was enqueued
 * that another engine's result would not replace. */
enum status cuda_cudnn_forward(const struct device_context *context, const struct conv1d_forward *p, bool *done);

/* conv1d_cudnn_kernels.cu: to[b][t] = x[b][t - padding_left], dense [B][left + T + right][C], with zeros outside a row's own
 * frames. */
enum status cuda_conv1d_stage(const struct device_context *context, const struct conv1d_forward *p, void *to);
/* What follows the sums: bias, pre_activation, activation, residual, and zeros behind a row's own frames. `sums` is dense
 * [B][output_frames][O] in the activations' type, and may be the output itself. */
enum status cuda_conv1d_finish(const struct device_context *context, const struct conv1d_forward *p, const void *sums);

#ifdef __cplusplus
}
#endif
#endif
