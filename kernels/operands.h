/* The operands of every operation: which member of its parameter struct is device memory, how many bytes from there on
 * the operation may touch, and whether it reads or writes them. OPERANDS_name(O) expands O(member, bytes, access) for
 * each; `p` is the struct. A table that stands between callers and a backend (the tests' closed one) is made from this
 * list alone, so an operand that is missing here does not reach a backend. */
#ifndef SPIRITLM_KERNELS_OPERANDS_H
#define SPIRITLM_KERNELS_OPERANDS_H

#include "kernels/operations.h"

enum operand_access { OPERAND_READ = 1, OPERAND_WRITTEN = 2, OPERAND_MODIFIED = 3 };

/* Bytes of `count` elements; 0 when there are none. */
static inline size_t operand_bytes(int64_t count, enum dtype type)
{
    return count > 0 ? (size_t)count * dtype_size(type) : 0;
}

static inline size_t operand_rows_bytes(int64_t rows, int64_t columns, enum dtype type)
{
    return rows > 0 && columns > 0 ? operand_bytes(rows * columns, type) : 0;
}

/* Bytes from the first to the last element of [batch][rows][columns] with strides; 0 when a dimension is empty. */
static inline size_t operand_strided_bytes(int64_t batch, int64_t batch_stride, int64_t rows, int64_t row_stride,
                                           int64_t columns, enum dtype type)
{
    if (batch <= 0 || rows <= 0 || columns <= 0)
        return 0;
    return operand_bytes((batch - 1) * batch_stride + (rows - 1) * row_stride + columns, type);
}

static inline size_t operand_cache_bytes(const struct key_value_cache *cache, int64_t kv_heads, int64_t head_size,
                                         enum dtype type)
{
    return operand_strided_bytes(1, 0, cache->rows, cache->row_stride, cache->capacity * 2 * kv_heads * head_size,
                                 type);
}

#define OPERAND_MATRIX(O, member, rows, columns, access)                                                               \
    O(member,                                                                                                          \
      operand_strided_bytes(p->batch, p->member##_batch_stride, rows, p->member##_row_stride, columns,                 \
                            p->member##_type),                                                                         \
      access)

#define OPERANDS_matmul(O)                                                                                             \
    OPERAND_MATRIX(O, a, p->a_transposed ? p->k : p->m, p->a_transposed ? p->m : p->k, OPERAND_READ)                   \
    OPERAND_MATRIX(O, b, p->b_transposed ? p->n : p->k, p->b_transposed ? p->k : p->n, OPERAND_READ)                   \
    OPERAND_MATRIX(O, c, p->m, p->n, p->beta == 0 ? OPERAND_WRITTEN : OPERAND_MODIFIED)                                \
    O(addend, operand_strided_bytes(p->batch, p->c_batch_stride, p->m, p->c_row_stride, p->n, p->c_type),              \
      OPERAND_READ)                                                                                                    \
    O(bias, operand_bytes(p->n, p->c_type), OPERAND_READ)

#define OPERANDS_embedding_forward(O)                                                                                  \
    O(ids, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                          \
    O(table, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                          \
    O(output, operand_rows_bytes(p->tokens, p->channels, p->type), OPERAND_WRITTEN)

#define OPERANDS_embedding_backward(O)                                                                                 \
    O(ids, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                          \
    O(order, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                        \
    O(grad_output, operand_rows_bytes(p->tokens, p->channels, p->type), OPERAND_READ)                                  \
    O(grad_table, operand_rows_bytes(p->rows, p->channels, DTYPE_F32), OPERAND_MODIFIED)

#define OPERANDS_rmsnorm_forward(O)                                                                                    \
    O(x, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                              \
    O(residual, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                       \
    O(weight, operand_bytes(p->channels, p->type), OPERAND_READ)                                                       \
    O(sum, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)                                         \
    O(output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)                                      \
    O(rstd, operand_bytes(p->rows, DTYPE_F32), OPERAND_WRITTEN)

#define OPERANDS_rmsnorm_backward(O)                                                                                   \
    O(sum, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                            \
    O(weight, operand_bytes(p->channels, p->type), OPERAND_READ)                                                       \
    O(grad_output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                    \
    O(grad_residual, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                  \
    O(rstd, operand_bytes(p->rows, DTYPE_F32), OPERAND_READ)                                                           \
    O(grad_sum, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)                                    \
    O(grad_weight, operand_bytes(p->channels, DTYPE_F32), p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)

#define OPERANDS_rope(O)                                                                                               \
    O(x, operand_strided_bytes(1, 0, p->tokens, p->row_stride, p->heads * p->head_size, p->type), OPERAND_MODIFIED)    \
    O(positions, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                    \
    O(cosine, operand_rows_bytes(p->table_positions, p->head_size / 2, DTYPE_F32), OPERAND_READ)                       \
    O(sine, operand_rows_bytes(p->table_positions, p->head_size / 2, DTYPE_F32), OPERAND_READ)

#define OPERANDS_rope_append(O)                                                                                        \
    O(query, operand_strided_bytes(1, 0, p->tokens, p->query_row_stride, p->heads * p->head_size, p->type),            \
      OPERAND_MODIFIED)                                                                                                \
    O(key_value,                                                                                                       \
      operand_strided_bytes(1, 0, p->tokens, p->key_value_row_stride, 2 * p->kv_heads * p->head_size, p->type),        \
      OPERAND_READ)                                                                                                    \
    O(cache.memory, operand_cache_bytes(&p->cache, p->kv_heads, p->head_size, p->type), OPERAND_MODIFIED)              \
    O(rows, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                         \
    O(positions, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                    \
    O(cosine, operand_rows_bytes(p->table_positions, p->head_size / 2, DTYPE_F32), OPERAND_READ)                       \
    O(sine, operand_rows_bytes(p->table_positions, p->head_size / 2, DTYPE_F32), OPERAND_READ)

/* `f` is the forward's part of the struct, `m` the path to it. */
#define OPERAND_HEADS(O, f, m, member, like, length, head_count, access)                                               \
    O(m member,                                                                                                        \
      operand_strided_bytes(f batch, f like##_batch_stride, f length, f like##_row_stride, f head_count *f head_size,  \
                            f type),                                                                                   \
      access)

#define OPERANDS_attention(O, f, m, output_access)                                                                     \
    OPERAND_HEADS(O, f, m, query, query, query_length, heads, OPERAND_READ)                                            \
    OPERAND_HEADS(O, f, m, key, key, key_length, kv_heads, OPERAND_READ)                                               \
    OPERAND_HEADS(O, f, m, value, value, key_length, kv_heads, OPERAND_READ)                                           \
    OPERAND_HEADS(O, f, m, output, output, query_length, heads, output_access)                                         \
    O(m log_sum_exp, operand_bytes(f batch *f heads *f query_length, DTYPE_F32), output_access)                        \
    O(m starts, operand_bytes(f batch *f query_length, DTYPE_I32), OPERAND_READ)                                       \
    O(m key_lengths, operand_bytes(f batch, DTYPE_I32), OPERAND_READ)

#define OPERANDS_attention_forward(O) OPERANDS_attention(O, p->, , OPERAND_WRITTEN)

#define OPERANDS_attention_backward(O)                                                                                 \
    OPERANDS_attention(O, p->forward., forward., OPERAND_READ)                                                         \
        OPERAND_HEADS(O, p->forward., , grad_output, output, query_length, heads, OPERAND_READ)                        \
            OPERAND_HEADS(O, p->forward., , grad_query, query, query_length, heads, OPERAND_WRITTEN)                   \
                OPERAND_HEADS(O, p->forward., , grad_key, key, key_length, kv_heads, OPERAND_WRITTEN)                  \
                    OPERAND_HEADS(O, p->forward., , grad_value, value, key_length, kv_heads, OPERAND_WRITTEN)

#define OPERANDS_attention_decode(O)                                                                                   \
    O(query, operand_strided_bytes(1, 0, p->tokens, p->query_row_stride, p->heads * p->head_size, p->type),            \
      OPERAND_READ)                                                                                                    \
    O(output, operand_strided_bytes(1, 0, p->tokens, p->output_row_stride, p->heads * p->head_size, p->type),          \
      OPERAND_WRITTEN)                                                                                                 \
    O(cache.memory, operand_cache_bytes(&p->cache, p->kv_heads, p->head_size, p->type), OPERAND_READ)                  \
    O(rows, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                         \
    O(lengths, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)

#define OPERANDS_swiglu_forward(O)                                                                                     \
    O(gate_up, operand_rows_bytes(p->rows, 2 * p->channels, p->type), OPERAND_READ)                                    \
    O(output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)

#define OPERANDS_swiglu_backward(O)                                                                                    \
    O(gate_up, operand_rows_bytes(p->rows, 2 * p->channels, p->type), OPERAND_READ)                                    \
    O(grad_output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                    \
    O(grad_gate_up, operand_rows_bytes(p->rows, 2 * p->channels, p->type), OPERAND_WRITTEN)

#define OPERANDS_cross_entropy(O)                                                                                      \
    O(logits, operand_rows_bytes(p->rows, p->columns, p->type), p->grad ? OPERAND_MODIFIED : OPERAND_READ)             \
    O(targets, operand_bytes(p->rows, DTYPE_I32), OPERAND_READ)                                                        \
    O(losses, operand_bytes(p->rows, DTYPE_F32), OPERAND_WRITTEN)                                                      \
    O(groups, operand_bytes(p->rows, DTYPE_U8), OPERAND_READ)                                                          \
    O(group_sums, operand_bytes(p->group_count, DTYPE_F64), OPERAND_MODIFIED)                                          \
    O(grad, operand_rows_bytes(p->rows, p->columns, p->grad_type), OPERAND_WRITTEN)

#define OPERANDS_log_sum_exp(O)                                                                                        \
    O(logits, operand_rows_bytes(p->rows, p->columns, p->type), OPERAND_READ)                                          \
    O(targets, operand_bytes(p->rows, DTYPE_I32), OPERAND_READ)                                                        \
    O(sums, operand_rows_bytes(p->rows, p->block_count, DTYPE_F64), OPERAND_WRITTEN)                                   \
    O(target_logits, operand_bytes(p->rows, DTYPE_F32), OPERAND_WRITTEN)

#define OPERANDS_convert(O)                                                                                            \
    O(source, operand_bytes(p->count, p->source_type), OPERAND_READ)                                                   \
    O(destination, operand_bytes(p->count, p->destination_type), p->add ? OPERAND_MODIFIED : OPERAND_WRITTEN)

#define OPERANDS_squared_norm(O)                                                                                       \
    O(x, operand_bytes(p->count, DTYPE_F32), OPERAND_READ)                                                             \
    O(result, sizeof(double), p->accumulate ? OPERAND_MODIFIED : OPERAND_WRITTEN)                                      \
    O(nonfinite, sizeof(int32_t), OPERAND_MODIFIED)

#define OPERANDS_clip_scale(O)                                                                                         \
    O(squared_norm, sizeof(double), OPERAND_READ)                                                                      \
    O(scale, sizeof(float), OPERAND_WRITTEN)                                                                           \
    O(norm, sizeof(float), OPERAND_WRITTEN)

#define OPERANDS_adamw(O)                                                                                              \
    O(master, operand_bytes(p->count, DTYPE_F32), OPERAND_MODIFIED)                                                    \
    O(first_moment, operand_bytes(p->count, DTYPE_F32), OPERAND_MODIFIED)                                              \
    O(second_moment, operand_bytes(p->count, DTYPE_F32), OPERAND_MODIFIED)                                             \
    O(gradient, operand_bytes(p->count, DTYPE_F32), OPERAND_READ)                                                      \
    O(weights, operand_bytes(p->count, p->weights_type), OPERAND_WRITTEN)                                              \
    O(segments, (size_t)p->segment_count * sizeof(struct adamw_segment), OPERAND_READ)                                 \
    O(scale, sizeof(float), OPERAND_READ)                                                                              \
    O(skip, sizeof(int32_t), OPERAND_READ)

#define OPERANDS_sample(O)                                                                                             \
    O(logits, operand_strided_bytes(1, 0, p->rows, p->row_stride, p->columns, DTYPE_F32), OPERAND_READ)                \
    O(masks, operand_rows_bytes(p->mask_count, p->columns, DTYPE_U8), OPERAND_READ)                                    \
    O(mask_rows, operand_bytes(p->rows, DTYPE_I32), OPERAND_READ)                                                      \
    O(uniforms, p->temperature == 0 ? 0 : operand_bytes(p->rows, DTYPE_F64), OPERAND_READ)                             \
    O(ids, operand_bytes(p->rows, DTYPE_I32), OPERAND_WRITTEN)

/* ---- speech encoders; `f` is the convolution's part of the struct, `m` the path to it ---- */

#define OPERAND_CONV1D_INPUT(O, f, m, member, access)                                                                  \
    O(m member, operand_strided_bytes(f batch, f x_batch_stride, f frames, f x_row_stride, f channels, f type), access)

#define OPERAND_CONV1D_OUTPUT(O, f, m, member, access)                                                                 \
    O(m member,                                                                                                        \
      operand_strided_bytes(f batch, f output_batch_stride, f output_frames, f output_row_stride, f output_channels,   \
                            f type),                                                                                   \
      access)

static inline int64_t operand_conv1d_weights(const struct conv1d_forward *p)
{
    return p->groups > 0 ? p->output_channels * p->kernel * (p->channels / p->groups) : 0;
}

#define OPERANDS_conv1d_forward(O)                                                                                     \
    OPERAND_CONV1D_INPUT(O, p->, , x, OPERAND_READ)                                                                    \
    O(weight, operand_bytes(operand_conv1d_weights(p), p->type), OPERAND_READ)                                         \
    O(bias, operand_bytes(p->output_channels, p->type), OPERAND_READ)                                                  \
    OPERAND_CONV1D_OUTPUT(O, p->, , residual, OPERAND_READ)                                                            \
    OPERAND_CONV1D_OUTPUT(O, p->, , output, OPERAND_WRITTEN)                                                           \
    OPERAND_CONV1D_OUTPUT(O, p->, , pre_activation, OPERAND_WRITTEN)                                                   \
    O(lengths, operand_bytes(p->batch, DTYPE_I32), OPERAND_READ)

#define OPERANDS_conv1d_backward(O)                                                                                    \
    OPERAND_CONV1D_INPUT(O, p->forward., forward., x, OPERAND_READ)                                                    \
    O(forward.weight, operand_bytes(operand_conv1d_weights(&p->forward), p->forward.type), OPERAND_READ)               \
    OPERAND_CONV1D_OUTPUT(O, p->forward., forward., pre_activation, OPERAND_READ)                                      \
    O(forward.lengths, operand_bytes(p->forward.batch, DTYPE_I32), OPERAND_READ)                                       \
    OPERAND_CONV1D_OUTPUT(O, p->forward., , grad_output, OPERAND_READ)                                                 \
    OPERAND_CONV1D_INPUT(O, p->forward., , grad_x, OPERAND_WRITTEN)                                                    \
    O(grad_weight, operand_bytes(operand_conv1d_weights(&p->forward), DTYPE_F32),                                      \
      p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)                                                               \
    O(grad_bias, operand_bytes(p->forward.output_channels, DTYPE_F32),                                                 \
      p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)

#define OPERANDS_conv1d_group_norm(O)                                                                                  \
    OPERAND_CONV1D_INPUT(O, p->conv., conv., x, OPERAND_READ)                                                          \
    O(conv.weight, operand_bytes(operand_conv1d_weights(&p->conv), p->conv.type), OPERAND_READ)                        \
    O(conv.bias, operand_bytes(p->conv.output_channels, p->conv.type), OPERAND_READ)                                   \
    OPERAND_CONV1D_OUTPUT(O, p->conv., conv., output, OPERAND_WRITTEN)                                                 \
    O(conv.lengths, operand_bytes(p->conv.batch, DTYPE_I32), OPERAND_READ)                                             \
    O(norm_weight, operand_bytes(p->conv.output_channels, p->conv.type), OPERAND_READ)                                 \
    O(norm_bias, operand_bytes(p->conv.output_channels, p->conv.type), OPERAND_READ)                                   \
    O(mean, operand_rows_bytes(p->conv.batch, p->norm_groups, DTYPE_F32), OPERAND_WRITTEN)                             \
    O(rstd, operand_rows_bytes(p->conv.batch, p->norm_groups, DTYPE_F32), OPERAND_WRITTEN)

#define OPERANDS_gelu_backward(O)                                                                                      \
    O(x, operand_bytes(p->count, p->type), OPERAND_READ)                                                               \
    O(grad_output, operand_bytes(p->count, p->type), OPERAND_READ)                                                     \
    O(grad_x, operand_bytes(p->count, p->type), OPERAND_WRITTEN)

#define OPERANDS_activate(O)                                                                                           \
    O(x, operand_bytes(p->count, p->type), OPERAND_READ)                                                               \
    O(output, operand_bytes(p->count, p->type), OPERAND_WRITTEN)

#define OPERANDS_glu(O)                                                                                                \
    O(x, operand_rows_bytes(p->rows, 2 * p->channels, p->type), OPERAND_READ)                                          \
    O(output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)

#define OPERANDS_gather_repeat(O)                                                                                      \
    O(ids, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                          \
    O(ends, operand_bytes(p->tokens, DTYPE_I32), OPERAND_READ)                                                         \
    O(table, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                          \
    O(output, operand_strided_bytes(1, 0, p->frames, p->output_row_stride, p->channels, p->type), OPERAND_WRITTEN)

#define OPERANDS_conv1d_transposed(O)                                                                                  \
    OPERAND_CONV1D_INPUT(O, p->, , x, OPERAND_READ)                                                                    \
    O(weight, operand_rows_bytes(p->kernel, p->output_channels * p->channels, p->type), OPERAND_READ)                  \
    O(bias, operand_bytes(p->output_channels, p->type), OPERAND_READ)                                                  \
    OPERAND_CONV1D_OUTPUT(O, p->, , output, OPERAND_WRITTEN)                                                           \
    O(lengths, operand_bytes(p->batch, DTYPE_I32), OPERAND_READ)

#define OPERANDS_layer_norm_forward(O)                                                                                 \
    O(x, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                              \
    O(residual, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                       \
    O(weight, operand_bytes(p->channels, p->type), OPERAND_READ)                                                       \
    O(bias, operand_bytes(p->channels, p->type), OPERAND_READ)                                                         \
    O(sum, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)                                         \
    O(output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)                                      \
    O(mean, operand_bytes(p->rows, DTYPE_F32), OPERAND_WRITTEN)                                                        \
    O(rstd, operand_bytes(p->rows, DTYPE_F32), OPERAND_WRITTEN)

#define OPERANDS_layer_norm_backward(O)                                                                                \
    O(sum, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                            \
    O(weight, operand_bytes(p->channels, p->type), OPERAND_READ)                                                       \
    O(bias, operand_bytes(p->channels, p->type), OPERAND_READ)                                                         \
    O(grad_output, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                    \
    O(grad_residual, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_READ)                                  \
    O(mean, operand_bytes(p->rows, DTYPE_F32), OPERAND_READ)                                                           \
    O(rstd, operand_bytes(p->rows, DTYPE_F32), OPERAND_READ)                                                           \
    O(grad_sum, operand_rows_bytes(p->rows, p->channels, p->type), OPERAND_WRITTEN)                                    \
    O(grad_weight, operand_bytes(p->channels, DTYPE_F32), p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)           \
    O(grad_bias, operand_bytes(p->channels, DTYPE_F32), p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)

#define OPERANDS_group_norm_forward(O)                                                                                 \
    O(x, operand_rows_bytes(p->batch, p->frames * p->channels, p->type), OPERAND_READ)                                 \
    O(weight, operand_bytes(p->channels, p->type), OPERAND_READ)                                                       \
    O(bias, operand_bytes(p->channels, p->type), OPERAND_READ)                                                         \
    O(lengths, operand_bytes(p->batch, DTYPE_I32), OPERAND_READ)                                                       \
    O(output, operand_rows_bytes(p->batch, p->frames * p->channels, p->type), OPERAND_WRITTEN)                         \
    O(mean, operand_rows_bytes(p->batch, p->groups, DTYPE_F32), OPERAND_WRITTEN)                                       \
    O(rstd, operand_rows_bytes(p->batch, p->groups, DTYPE_F32), OPERAND_WRITTEN)

#define OPERANDS_group_norm_backward(O)                                                                                \
    O(x, operand_rows_bytes(p->batch, p->frames * p->channels, p->type), OPERAND_READ)                                 \
    O(weight, operand_bytes(p->channels, p->type), OPERAND_READ)                                                       \
    O(bias, operand_bytes(p->channels, p->type), OPERAND_READ)                                                         \
    O(grad_output, operand_rows_bytes(p->batch, p->frames * p->channels, p->type), OPERAND_READ)                       \
    O(lengths, operand_bytes(p->batch, DTYPE_I32), OPERAND_READ)                                                       \
    O(mean, operand_rows_bytes(p->batch, p->groups, DTYPE_F32), OPERAND_READ)                                          \
    O(rstd, operand_rows_bytes(p->batch, p->groups, DTYPE_F32), OPERAND_READ)                                          \
    O(grad_x, operand_rows_bytes(p->batch, p->frames * p->channels, p->type), OPERAND_WRITTEN)                         \
    O(grad_weight, operand_bytes(p->channels, DTYPE_F32), p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)           \
    O(grad_bias, operand_bytes(p->channels, DTYPE_F32), p->overwrite ? OPERAND_WRITTEN : OPERAND_MODIFIED)

#define OPERANDS_waveform_normalise(O)                                                                                 \
    O(x, operand_strided_bytes(1, 0, p->batch, p->x_stride, p->samples, DTYPE_F32), OPERAND_READ)                      \
    O(output, operand_strided_bytes(1, 0, p->batch, p->output_stride, p->samples, p->type), OPERAND_WRITTEN)           \
    O(lengths, operand_bytes(p->batch, DTYPE_I32), OPERAND_READ)

#define OPERANDS_log_mel_spectrum(O)                                                                                   \
    O(x, operand_strided_bytes(1, 0, p->batch, p->x_stride, p->samples, DTYPE_F32), OPERAND_READ)                      \
    O(lengths, operand_bytes(p->batch, DTYPE_I32), OPERAND_READ)                                                       \
    O(window, operand_bytes(p->window_size, DTYPE_F64), OPERAND_READ)                                                  \
    O(weights, operand_bytes(p->weight_count, DTYPE_F64), OPERAND_READ)                                                \
    O(band_first, operand_bytes(p->bands, DTYPE_I32), OPERAND_READ)                                                    \
    O(band_length, operand_bytes(p->bands, DTYPE_I32), OPERAND_READ)                                                   \
    O(band_offset, operand_bytes(p->bands, DTYPE_I32), OPERAND_READ)                                                   \
    O(output, operand_rows_bytes(p->batch, p->frames * p->bands, DTYPE_F32), OPERAND_WRITTEN)

#define OPERANDS_kmeans_assign(O)                                                                                      \
    O(x, operand_strided_bytes(1, 0, p->rows, p->x_row_stride, p->channels, DTYPE_F32), OPERAND_READ)                  \
    O(centroids, operand_rows_bytes(p->clusters, p->channels, DTYPE_F32), OPERAND_READ)                                \
    O(labels, operand_bytes(p->rows, DTYPE_I32), OPERAND_WRITTEN)                                                      \
    O(distances, operand_bytes(p->rows, DTYPE_F32), OPERAND_WRITTEN)                                                   \
    O(every, operand_rows_bytes(p->rows, p->clusters, DTYPE_F32), OPERAND_WRITTEN)

#endif
