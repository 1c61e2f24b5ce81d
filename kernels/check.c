/* The argument checks of all operations. They read sizes and pointers, never what a pointer points to: that may lie on a
 * device. */
#include "kernels/check.h"

#define LL(x) ((long long)(x))

/* ---- products, embedding, norms ---- */

static enum status check_matmul_sizes(const struct matmul *p)
{
    CHECK(p->m >= 0 && p->n >= 0 && p->k >= 0 && p->batch >= 1, "matmul: sizes m %lld, n %lld, k %lld, batch %lld",
          LL(p->m), LL(p->n), LL(p->k), LL(p->batch));
    CHECK(p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX && p->a_row_stride <= INT32_MAX &&
              p->b_row_stride <= INT32_MAX && p->c_row_stride <= INT32_MAX,
          "matmul: a size or stride above 2^31 - 1");
    CHECK(p->a_row_stride >= (p->a_transposed ? p->m : p->k), "matmul: A's row stride is %lld", LL(p->a_row_stride));
    CHECK(p->b_row_stride >= (p->b_transposed ? p->k : p->n), "matmul: B's row stride is %lld", LL(p->b_row_stride));
    CHECK(p->c_row_stride >= p->n, "matmul: C's row stride is %lld for %lld columns", LL(p->c_row_stride), LL(p->n));
    return STATUS_OK;
}

enum status check_matmul(const struct matmul *p)
{
    enum status result = check_matmul_sizes(p);
    if (result != STATUS_OK)
        return result;
    bool f32 = p->a_type == DTYPE_F32 && p->b_type == DTYPE_F32 && p->c_type == DTYPE_F32;
    bool half = p->a_type == DTYPE_BF16 && p->b_type == DTYPE_BF16 && is_compute_type(p->c_type);
    CHECK(f32 || half, "matmul: types %d, %d, %d", (int)p->a_type, (int)p->b_type, (int)p->c_type);
    CHECK(p->beta == 0 || p->beta == 1, "matmul: beta is %g, not 0 or 1", (double)p->beta);
    CHECK(p->m == 0 || p->n == 0 || (p->c && (p->k == 0 || (p->a && p->b))), "matmul: a null array");
    return STATUS_OK;
}

enum status check_embedding_forward(const struct embedding_forward *p)
{
    CHECK(p->tokens >= 0 && p->channels > 0 && p->rows > 0, "embedding_forward: %lld tokens, %lld channels, %lld rows",
          LL(p->tokens), LL(p->channels), LL(p->rows));
    CHECK(is_compute_type(p->type), "embedding_forward: type %d", (int)p->type);
    CHECK(p->tokens == 0 || (p->ids && p->table && p->output), "embedding_forward: a null array");
    return STATUS_OK;
}

enum status check_embedding_backward(const struct embedding_backward *p)
{
    CHECK(p->tokens >= 0 && p->channels > 0 && p->rows > 0, "embedding_backward: %lld tokens, %lld channels, %lld rows",
          LL(p->tokens), LL(p->channels), LL(p->rows));
    CHECK(is_compute_type(p->type), "embedding_backward: type %d", (int)p->type);
    CHECK(p->tokens == 0 || (p->ids && p->order && p->grad_table && p->grad_output),
          "embedding_backward: a null array");
    return STATUS_OK;
}

enum status check_rmsnorm_forward(const struct rmsnorm_forward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "rmsnorm_forward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(is_compute_type(p->type), "rmsnorm_forward: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->x && p->weight && p->output), "rmsnorm_forward: a null array");
    CHECK(p->rows == 0 || !p->residual == !p->sum, "rmsnorm_forward: residual and sum go together");
    CHECK(p->epsilon >= 0, "rmsnorm_forward: epsilon %g", (double)p->epsilon);
    return STATUS_OK;
}

enum status check_rmsnorm_backward(const struct rmsnorm_backward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "rmsnorm_backward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(is_compute_type(p->type), "rmsnorm_backward: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->sum && p->weight && p->grad_output && p->rstd && p->grad_sum && p->grad_weight),
          "rmsnorm_backward: a null array");
    CHECK(!p->overwrite || p->grad_weight, "rmsnorm_backward: a null array to overwrite");
    return STATUS_OK;
}

/* ---- rotary positions ---- */

enum status check_rope(const struct rope *p)
{
    CHECK(p->tokens >= 0 && p->heads > 0 && p->head_size > 0 && p->head_size % 2 == 0,
          "rope: %lld tokens, %lld heads of %lld", LL(p->tokens), LL(p->heads), LL(p->head_size));
    CHECK(p->direction == 1 || p->direction == -1, "rope: direction %d", p->direction);
    CHECK(p->row_stride >= p->heads * p->head_size, "rope: a row stride of %lld for %lld heads of %lld",
          LL(p->row_stride), LL(p->heads), LL(p->head_size));
    CHECK(is_compute_type(p->type), "rope: type %d", (int)p->type);
    CHECK(p->tokens == 0 || (p->x && p->positions && p->cosine && p->sine), "rope: a null array");
    return STATUS_OK;
}

static enum status check_heads(int64_t heads, int64_t kv_heads, int64_t head_size, const char *operation)
{
    CHECK(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "%s: %lld heads over %lld key/value heads", operation,
          LL(heads), LL(kv_heads));
    CHECK(head_size > 0 && head_size <= MAXIMUM_HEAD_SIZE, "%s: head size %lld is not in 1..%d", operation,
          LL(head_size), (int)MAXIMUM_HEAD_SIZE);
    return STATUS_OK;
}

static enum status check_cache(const struct key_value_cache *cache, int64_t kv_heads, int64_t head_size,
                               const char *operation)
{
    CHECK(cache->rows >= 0 && cache->capacity >= 0, "%s: a cache of %lld rows of %lld", operation, LL(cache->rows),
          LL(cache->capacity));
    CHECK(cache->row_stride >= cache->capacity * 2 * kv_heads * head_size,
          "%s: the cache's rows are %lld elements apart, fewer than %lld tokens have", operation, LL(cache->row_stride),
          LL(cache->capacity));
    return STATUS_OK;
}

enum status check_rope_append(const struct rope_append *p)
{
    enum status result = check_heads(p->heads, p->kv_heads, p->head_size, "rope_append");
    if (result == STATUS_OK)
        result = check_cache(&p->cache, p->kv_heads, p->head_size, "rope_append");
    if (result != STATUS_OK)
        return result;
    CHECK(p->tokens >= 0 && p->head_size % 2 == 0, "rope_append: %lld tokens of heads of %lld", LL(p->tokens),
          LL(p->head_size));
    CHECK(p->query_row_stride >= p->heads * p->head_size && p->key_value_row_stride >= 2 * p->kv_heads * p->head_size,
          "rope_append: a row stride is smaller than the heads");
    CHECK(is_compute_type(p->type), "rope_append: type %d", (int)p->type);
    CHECK(p->tokens == 0 ||
              (p->query && p->key_value && p->cache.memory && p->rows && p->positions && p->cosine && p->sine),
          "rope_append: a null array");
    return STATUS_OK;
}

/* ---- attention ---- */

static enum status check_attention(const struct attention_forward *p, const char *operation)
{
    CHECK(p->batch >= 0 && p->query_length >= 0 && p->key_length >= 0, "%s: batch %lld, %lld queries, %lld keys",
          operation, LL(p->batch), LL(p->query_length), LL(p->key_length));
    enum status result = check_heads(p->heads, p->kv_heads, p->head_size, operation);
    if (result != STATUS_OK)
        return result;
    CHECK(is_compute_type(p->type), "%s: type %d", operation, (int)p->type);
    int64_t width = p->heads * p->head_size, kv_width = p->kv_heads * p->head_size;
    CHECK(p->query_row_stride >= width && p->output_row_stride >= width && p->key_row_stride >= kv_width &&
              p->value_row_stride >= kv_width,
          "%s: a row stride is smaller than the heads", operation);
    CHECK(p->batch == 0 || p->query_length == 0 ||
              (p->query && p->output && (p->key_length == 0 || (p->key && p->value))),
          "%s: a null array", operation);
    return STATUS_OK;
}

enum status check_attention_forward(const struct attention_forward *p)
{
    return check_attention(p, "attention_forward");
}

enum status check_attention_backward(const struct attention_backward *p)
{
    const struct attention_forward *f = &p->forward;
    enum status result = check_attention(f, "attention_backward");
    if (result != STATUS_OK || f->batch == 0 || f->query_length == 0)
        return result;
    CHECK(f->query_length == f->key_length, "attention_backward: %lld queries but %lld keys", LL(f->query_length),
          LL(f->key_length));
    CHECK(f->log_sum_exp && p->grad_output && p->grad_query && p->grad_key && p->grad_value,
          "attention_backward: a null array");
    return STATUS_OK;
}

enum status check_attention_decode(const struct attention_decode *p)
{
    enum status result = check_heads(p->heads, p->kv_heads, p->head_size, "attention_decode");
    if (result == STATUS_OK)
        result = check_cache(&p->cache, p->kv_heads, p->head_size, "attention_decode");
    if (result != STATUS_OK)
        return result;
    CHECK(p->tokens >= 0, "attention_decode: %lld tokens", LL(p->tokens));
    CHECK(p->query_row_stride >= p->heads * p->head_size && p->output_row_stride >= p->heads * p->head_size,
          "attention_decode: a row stride is smaller than the heads");
    CHECK(is_compute_type(p->type), "attention_decode: type %d", (int)p->type);
    CHECK(p->tokens == 0 || (p->query && p->output && p->cache.memory && p->rows && p->lengths),
          "attention_decode: a null array");
    return STATUS_OK;
}

/* ---- SwiGLU, losses ---- */

enum status check_swiglu_forward(const struct swiglu_forward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "swiglu_forward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(is_compute_type(p->type), "swiglu_forward: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->gate_up && p->output), "swiglu_forward: a null array");
    return STATUS_OK;
}

enum status check_swiglu_backward(const struct swiglu_backward *p)
{
    CHECK(p->rows >= 0 && p->channels > 0, "swiglu_backward: %lld rows of %lld", LL(p->rows), LL(p->channels));
    CHECK(is_compute_type(p->type), "swiglu_backward: type %d", (int)p->type);
    CHECK(p->rows == 0 || (p->gate_up && p->grad_output && p->grad_gate_up), "swiglu_backward: a null array");
    return STATUS_OK;
}

enum status check_cross_entropy(const struct cross_entropy *p)
{
    CHECK(p->rows >= 0 && p->columns > 0, "cross_entropy: %lld rows of %lld", LL(p->rows), LL(p->columns));
    CHECK(is_compute_type(p->type), "cross_entropy: type %d", (int)p->type);
    CHECK(!p->grad || p->grad_type == p->type || (p->type == DTYPE_F32 && p->grad_type == DTYPE_BF16),
          "cross_entropy: a gradient of type %d of logits of type %d", (int)p->grad_type, (int)p->type);
    CHECK(p->grad != p->logits || !p->grad || p->grad_type == p->type,
          "cross_entropy: a gradient of another type in the logits' place");
    CHECK(!p->groups == !p->group_sums, "cross_entropy: groups and group_sums go together");
    CHECK(!p->groups || (p->group_count > 0 && p->group_count <= 256), "cross_entropy: %lld groups",
          LL(p->group_count));
    CHECK(p->rows == 0 || (p->logits && p->targets && (p->losses || p->group_sums)), "cross_entropy: a null array");
    return STATUS_OK;
}

enum status check_log_sum_exp(const struct log_sum_exp *p)
{
    CHECK(p->rows >= 0 && p->columns > 0, "log_sum_exp: %lld rows of %lld", LL(p->rows), LL(p->columns));
    CHECK(is_compute_type(p->type), "log_sum_exp: type %d", (int)p->type);
    CHECK(p->block_count > 0 && p->block_count <= LOG_SUM_EXP_BLOCKS, "log_sum_exp: %lld blocks", LL(p->block_count));
    CHECK(p->boundaries[0] == 0 && p->boundaries[p->block_count] == p->columns,
          "log_sum_exp: blocks from %lld to %lld of %lld columns", LL(p->boundaries[0]),
          LL(p->boundaries[p->block_count]), LL(p->columns));
    for (int64_t b = 0; b < p->block_count; b++)
        CHECK(p->boundaries[b] <= p->boundaries[b + 1], "log_sum_exp: block %lld ends before it begins", LL(b));
    CHECK(p->rows == 0 || (p->logits && p->targets && p->sums && p->target_logits), "log_sum_exp: a null array");
    return STATUS_OK;
}

/* ---- element by element, the optimizer ---- */

enum status check_convert(const struct convert *p)
{
    CHECK(p->count >= 0, "convert: %lld elements", LL(p->count));
    CHECK(is_compute_type(p->source_type) && is_compute_type(p->destination_type), "convert: types %d, %d",
          (int)p->source_type, (int)p->destination_type);
    CHECK(!p->add || p->source_type == p->destination_type, "convert: adding needs one type");
    CHECK(p->count == 0 || (p->source && p->destination), "convert: a null array");
    return STATUS_OK;
}

enum status check_squared_norm(const struct squared_norm *p)
{
    CHECK(p->count >= 0, "squared_norm: %lld values", LL(p->count));
    CHECK((p->count == 0 || p->x) && p->result && p->nonfinite, "squared_norm: a null array");
    return STATUS_OK;
}

enum status check_clip_scale(const struct clip_scale *p)
{
    CHECK(p->squared_norm && p->scale && p->norm, "clip_scale: a null array");
    return STATUS_OK;
}

enum status check_adamw(const struct adamw *p)
{
    CHECK(p->count >= 0 && p->segment_count >= 0, "adamw: %lld elements in %lld segments", LL(p->count),
          LL(p->segment_count));
    CHECK(!p->weights || is_compute_type(p->weights_type), "adamw: type %d", (int)p->weights_type);
    CHECK(!p->stochastic || !p->weights || p->weights_type == DTYPE_BF16,
          "adamw: stochastic rounding of weights of type %d; only bf16 is rounded", (int)p->weights_type);
    CHECK(p->first_index >= 0, "adamw: first index %lld", LL(p->first_index));
    CHECK(p->scale && p->skip, "adamw: no scale or skip");
    CHECK(p->step >= 1, "adamw: step %lld; they count from 1", LL(p->step));
    CHECK(p->beta1 >= 0 && p->beta1 < 1 && p->beta2 >= 0 && p->beta2 < 1, "adamw: betas %g, %g", (double)p->beta1,
          (double)p->beta2);
    CHECK(p->count == 0 || (p->master && p->first_moment && p->second_moment && p->gradient), "adamw: a null array");
    CHECK(p->segment_count == 0 || p->segments, "adamw: a null table of segments");
    return STATUS_OK;
}

/* ---- generation ---- */

enum status check_sample(const struct sample *p)
{
    CHECK(p->rows >= 0 && p->columns > 0 && p->columns <= INT32_MAX, "sample: %lld rows of %lld", LL(p->rows),
          LL(p->columns));
    CHECK(p->row_stride >= p->columns, "sample: a row stride of %lld for %lld columns", LL(p->row_stride),
          LL(p->columns));
    CHECK(p->mask_count >= 1, "sample: %lld masks", LL(p->mask_count));
    CHECK(p->temperature >= 0 && p->top_k >= 0 && p->top_p > 0 && p->top_p <= 1,
          "sample: temperature %g, top_k %lld, top_p %g", p->temperature, LL(p->top_k), p->top_p);
    CHECK(p->rows == 0 || (p->logits && p->masks && p->mask_rows && p->ids && (p->temperature == 0 || p->uniforms)),
          "sample: a null array");
    return STATUS_OK;
}
