/* Scratch of every operation that is not a product. Sizes follow the cuts of pieces.h; what a kernel keeps there is said at
 * the kernel. */
#include "kernels/cuda/sizes/cuda_sizes.h"

#include "kernels/cuda/sizes/pieces.h"

#define NO_SCRATCH(name)                                                                                               \
    size_t cuda_##name##_scratch_size(const struct name *p)                                                            \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return 0;                                                                                                      \
    }
NO_SCRATCH(embedding_forward)
NO_SCRATCH(rmsnorm_forward)
NO_SCRATCH(rope)
NO_SCRATCH(rope_append)
NO_SCRATCH(attention_forward)
NO_SCRATCH(swiglu_forward)
NO_SCRATCH(swiglu_backward)
NO_SCRATCH(log_sum_exp)
NO_SCRATCH(convert)
NO_SCRATCH(clip_scale)
NO_SCRATCH(adamw)
NO_SCRATCH(sample)
NO_SCRATCH(gelu_backward)
NO_SCRATCH(activate)
NO_SCRATCH(glu)
NO_SCRATCH(gather_repeat)
NO_SCRATCH(conv1d_transposed)
NO_SCRATCH(layer_norm_forward)
NO_SCRATCH(log_mel_spectrum)
#undef NO_SCRATCH

/* i32 [N]: the ids in the order of the sorted tokens */
size_t cuda_embedding_backward_scratch_size(const struct embedding_backward *p)
{
    return p->tokens <= 0 ? 0 : (size_t)p->tokens * sizeof(int32_t);
}

/* f32 [pieces][C]: the weight's gradient from each piece of the rows */
size_t cuda_rmsnorm_backward_scratch_size(const struct rmsnorm_backward *p)
{
    return p->rows <= 0 || p->channels <= 0 ? 0 : (size_t)(norm_pieces(p->rows) * p->channels) * sizeof(float);
}

/* f32 [B][H][T]: sum over d of output * grad_output; in bf16, where tensor cores may take the call, beside each the scaled
 * log-sum-exp */
size_t cuda_attention_backward_scratch_size(const struct attention_backward *p)
{
    const struct attention_forward *f = &p->forward;
    if (f->batch <= 0 || f->heads <= 0 || f->query_length <= 0)
        return 0;
    return (size_t)(f->batch * f->heads * f->query_length) * sizeof(float) * (f->type == DTYPE_BF16 ? 2 : 1);
}

/* f32 [N][H][pieces][D + 2]: output not yet divided, maximum, sum */
size_t cuda_attention_decode_scratch_size(const struct attention_decode *p)
{
    if (p->tokens <= 0 || p->heads <= 0 || p->head_size <= 0 || p->cache.capacity < 0)
        return 0;
    return (size_t)(p->tokens * p->heads * decode_pieces(p->cache.capacity) * (p->head_size + 2)) * sizeof(float);
}

/* f32 [R]: the losses, when the caller has no place for them */
size_t cuda_cross_entropy_scratch_size(const struct cross_entropy *p)
{
    return p->losses || p->rows <= 0 ? 0 : (size_t)p->rows * sizeof(float);
}

/* f64 [tiles] */
size_t cuda_squared_norm_scratch_size(const struct squared_norm *p)
{
    return p->count <= 0 ? 0 : (size_t)squares_tiles(p->count) * sizeof(double);
}

/* f32 [pieces][2][C]: the gradients of weight and bias from each piece of the rows */
size_t cuda_layer_norm_backward_scratch_size(const struct layer_norm_backward *p)
{
    return p->rows <= 0 || p->channels <= 0 ? 0
                                            : (size_t)(layer_norm_pieces(p->rows) * 2 * p->channels) * sizeof(float);
}

/* Two numbers of each channel: f64 [B][2][C] over a row, f32 [B][blocks][2][C] over a block of frames; and f32 [2][B][groups] */
static size_t group_norm_bytes(int64_t batch, int64_t frames, int64_t channels, int64_t groups)
{
    if (batch <= 0 || frames <= 0 || channels <= 0 || groups <= 0)
        return 0;
    return (size_t)(batch * 2 * channels) * sizeof(double) +
           (size_t)(batch * 2 * (group_norm_blocks(frames) * channels + groups)) * sizeof(float);
}

size_t cuda_group_norm_forward_scratch_size(const struct group_norm_forward *p)
{
    return group_norm_bytes(p->batch, p->frames, p->channels, p->groups);
}

size_t cuda_group_norm_backward_scratch_size(const struct group_norm_backward *p)
{
    return group_norm_bytes(p->batch, p->frames, p->channels, p->groups);
}

/* f64 [B][tiles][3]: samples, mean, squares about it */
size_t cuda_waveform_normalise_scratch_size(const struct waveform_normalise *p)
{
    return p->batch <= 0 || p->samples <= 0 ? 0 : (size_t)(p->batch * waveform_tiles(p->samples) * 3) * sizeof(double);
}

/* f32 [1 + K]: the largest |c|^2, and all of them */
size_t cuda_kmeans_assign_scratch_size(const struct kmeans_assign *p)
{
    return p->rows <= 0 || p->clusters <= 0 ? 0 : (size_t)(1 + p->clusters) * sizeof(float);
}
