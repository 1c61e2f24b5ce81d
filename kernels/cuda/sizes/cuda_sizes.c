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
NO_SCRATCH(embedding_backward)
NO_SCRATCH(rmsnorm_forward)
NO_SCRATCH(rope)
NO_SCRATCH(rope_append)
NO_SCRATCH(attention_forward)
NO_SCRATCH(swiglu_forward)
NO_SCRATCH(swiglu_backward)
NO_SCRATCH(convert)
NO_SCRATCH(clip_scale)
NO_SCRATCH(adamw)
#undef NO_SCRATCH

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

/* a row: u64 [power of two from V on], the candidates; f64 [V], running sums of their weights */
size_t cuda_sample_scratch_size(const struct sample *p)
{
    if (p->rows <= 0 || p->columns <= 0 || p->temperature == 0)
        return 0;
    return (size_t)p->rows * (size_t)(sort_length(p->columns) + p->columns) * sizeof(double);
}
