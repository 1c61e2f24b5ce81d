/* Scratch of the convolution where cuDNN computes it, of its gradients (conv1d_pieces.h says what lies in both), and of the
 * convolution with a norm. */
#include "kernels/cuda/sizes/conv1d_engine.h"
#include "kernels/cuda/sizes/conv1d_pieces.h"
#include "kernels/cuda/sizes/cuda_sizes.h"

#include <stdatomic.h>

/* Whether a shape has anything to compute, and no number in it by which nothing can be divided. */
static bool has_work(const struct conv1d_forward *p)
{
    return p->batch > 0 && p->output_frames > 0 && p->groups > 0 && p->channels >= p->groups &&
           p->output_channels >= p->groups && p->kernel > 0;
}

static atomic_int chosen = CUDA_CONV1D_OWN;

void cuda_conv1d_choose(enum cuda_conv1d_engine engine)
{
    atomic_store(&chosen, (int)engine);
}

enum cuda_conv1d_engine cuda_conv1d_engine(void)
{
    return (enum cuda_conv1d_engine)atomic_load(&chosen);
}

size_t cuda_conv1d_forward_scratch_size(const struct conv1d_forward *p)
{
    return cuda_conv1d_engine() == CUDA_CONV1D_CUDNN && has_work(p) ? conv1d_cudnn_room(p).end : 0;
}

size_t cuda_conv1d_backward_scratch_size(const struct conv1d_backward *p)
{
    return has_work(&p->forward) ? conv1d_room(p).end : 0;
}

/* f32 [B][O][blocks][2]: mean and squares about it; f32 [B][groups][2]: mean and 1 / deviation */
size_t cuda_conv1d_group_norm_scratch_size(const struct conv1d_group_norm *p)
{
    const struct conv1d_forward *conv = &p->conv;
    if (!has_work(conv) || p->norm_groups <= 0)
        return 0;
    int64_t pairs = conv->batch * (conv->output_channels * conv1d_norm_blocks(conv) + p->norm_groups);
    return (size_t)pairs * 2 * sizeof(float);
}
