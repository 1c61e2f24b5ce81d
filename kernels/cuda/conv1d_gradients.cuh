/* What the parts of the convolution's backward share: the gradient of what the activation took, where it lies. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_GRADIENTS_CUH
#define SPIRITLM_KERNELS_CUDA_CONV1D_GRADIENTS_CUH

#include "kernels/cuda/conv1d.cuh"
#include "kernels/cuda/sizes/conv1d_pieces.h"

/* Frames `row_stride` apart, rows of the batch `batch_stride`; what lies behind a row's own frames is not to be read. */
struct conv1d_gradient {
    const void *values;
    int64_t row_stride, batch_stride;
};

/* The output frames and the frames of x of a row of the batch, as depth_copy asks for them. */
struct conv1d_limits {
    const struct conv1d_forward &p;
    struct cuda_fault *fault;
    __device__ struct outer_limits operator()(int64_t b) const
    {
        const int64_t length = conv1d_row_frames(p, b, fault, CUDA_conv1d_backward);
        return {conv1d_row_outputs(p, length), length};
    }
};

/* Whether 16 bytes at a time reach the gradient, and arrays of x's shape. */
static inline bool conv1d_gradient_whole(const struct conv1d_forward *p, const struct conv1d_gradient *z)
{
    return conv1d_whole_chunks(p->type, z->values, z->row_stride, z->batch_stride, p->output_channels / p->groups);
}

/* grad_x, and grad_weight, whose pieces of the frames lie in `partial` where there are several. */
enum status cuda_conv1d_backward_x(const struct device_context *context, const struct conv1d_backward *p,
                                   const struct conv1d_gradient *z);
enum status cuda_conv1d_backward_weight(const struct device_context *context, const struct conv1d_backward *p,
                                        const struct conv1d_gradient *z, float *partial);
/* to[count] = the sum of the pieces [pieces][count] in their order, added to what is there or written over it. */
enum status cuda_conv1d_add_pieces(const struct device_context *context, const float *partial, int64_t pieces,
                                   int64_t count, float *to, bool overwrite);

#endif
