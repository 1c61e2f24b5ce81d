/* The one table of operations. A backend (cpu/, later cuda/) fills a struct kernels; models call through it and never
 * ask which. Kernels know no model, no file and no configuration.
 *
 * Dimensions: B rows of a batch, T tokens a row, N = B*T tokens in all, C hidden size, H query heads, G key/value
 * heads (H is a multiple of G), D head size, I intermediate size, V vocabulary rows.
 * Everything is row-major; a stride counts elements. "compute type" is F32 or BF16; with BF16 sums run in f32.
 * Gradient contract: gradients of parameters (f32) are ADDED to, gradients of activations are overwritten.
 * Each operation takes a context and one parameter struct; arguments are validated at this edge (STATUS_INTERNAL with
 * a text). Results are cut into tiles by shape alone: they do not depend on the number of threads, and the result of
 * one row does not depend on the other rows where an operation says "row-stable".
 * No operation returns a host scalar: what is computed stays in device memory until `synchronize`. */
#ifndef SPIRITLM_KERNELS_KERNELS_H
#define SPIRITLM_KERNELS_KERNELS_H

#include "core/dtype.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread_pool;

/* One device's queue. Operations run in order on it. */
struct device_context {
    struct thread_pool *pool; /* cpu: where tasks run; NULL runs them in the caller's thread */
    void *stream;             /* cuda: the stream */
    void *libraries;          /* backend's handles (oneDNN engine, cuBLAS) */
    void *scratch;            /* device memory for operations, as large as the largest *_scratch_size asked for */
    size_t scratch_bytes;
};

/* C = alpha * op(A) op(B) + beta * C (+ addend): op(A) is m x k, op(B) is k x n, C is m x n, `batch` times.
 * Types (a, b, c): (F32, F32, F32), (BF16, BF16, BF16), (BF16, BF16, F32). beta is 0 or 1.
 * k is never split by the number of threads. Row-stable in m when !a_transposed, among products of m <= 16; on the cpu
 * also among those of m > 16 where `describe` says "own tiles". */
struct matmul {
    int64_t m, n, k, batch; /* batch >= 1 */
    const void *a, *b;
    void *c;
    const void *addend; /* NULL, or like C with the same strides and type; added after alpha and beta */
    enum dtype a_type, b_type, c_type;
    int64_t a_row_stride, b_row_stride, c_row_stride; /* of the matrices as stored */
    int64_t a_batch_stride, b_batch_stride, c_batch_stride;
    bool a_transposed, b_transposed; /* stored as k x m, n x k */
    float alpha, beta;
};

/* output[n] = table[ids[n]]. ids in [0, rows) is the caller's promise, checked. */
struct embedding_forward {
    int64_t tokens, channels, rows;
    const int32_t *ids;
    const void *table; /* [rows][C] */
    void *output;      /* [N][C] */
    enum dtype type;
};

/* grad_table[ids[n]] += grad_output[n], in order of n. */
struct embedding_backward {
    int64_t tokens, channels, rows;
    const int32_t *ids;
    const void *grad_output; /* [N][C] */
    float *grad_table;       /* [rows][C] */
    enum dtype type;
};

/* sum = x + residual (or x alone), rstd = 1/sqrt(mean(sum^2) + eps), output = sum * rstd * weight.
 * Zhang and Sennrich 2019; the order of rounding in BF16 is Llama's (normalised value rounded, then times weight).
 * Row-stable. */
struct rmsnorm_forward {
    int64_t rows, channels;
    const void *x, *residual; /* [N][C]; residual may be NULL */
    const void *weight;       /* [C] */
    void *sum;                /* [N][C]; may equal x or residual; NULL when residual is NULL */
    void *output;             /* [N][C] */
    float *rstd;              /* [N]; NULL when no backward follows */
    float epsilon;
    enum dtype type;
};

/* grad_sum = d output / d sum applied to grad_output, plus grad_residual (the gradient that reaches `sum` by its
 * other use; NULL for none). grad_weight += ... */
struct rmsnorm_backward {
    int64_t rows, channels;
    const void *sum, *weight, *grad_output, *grad_residual;
    const float *rstd;
    void *grad_sum; /* may equal grad_output or grad_residual */
    float *grad_weight;
    enum dtype type;
};

/* Rotates pairs (i, i + D/2) of each head in place by the angle of its position: rotary embedding (Su et al. 2021) in
 * the half-split layout of Hugging Face's Llama. direction +1 forward, -1 backward (the transpose). Row-stable. */
struct rope {
    int64_t tokens, heads, head_size;
    void *x; /* [N] rows `row_stride` apart, heads at consecutive D */
    int64_t row_stride;
    const int32_t *positions;   /* [N] */
    const float *cosine, *sine; /* [table_positions][D/2] */
    int64_t table_positions;
    int direction;
    enum dtype type;
};

/* Causal grouped-query attention by blocks with a running softmax; the T x T scores never exist whole.
 * Query i of row b attends to keys j with start <= j <= i + (key_length - query_length), start = starts[b*T + i] (in
 * key indices; NULL = 0). Query head h uses key/value head h / (H/G). Row-stable over b.
 * key_lengths (NULL = key_length for all rows) gives each row its own number of keys: for batched decoding; then
 * query i of row b attends up to i + key_lengths[b] - query_length. What lies behind a row's keys is not read.
 * A query whose range is empty gets output 0 and log_sum_exp -infinity. head_size is at most 512. A NaN or infinity
 * among the values may also reach nearby queries that do not attend to it. On the cpu a query's output has the same
 * bits whatever queries are computed with it. */
struct attention_forward {
    int64_t batch, query_length, key_length, heads, kv_heads, head_size;
    const void *query, *key, *value; /* token strides below; a head is D consecutive elements */
    int64_t query_row_stride, key_row_stride, value_row_stride, output_row_stride;         /* between tokens */
    int64_t query_batch_stride, key_batch_stride, value_batch_stride, output_batch_stride; /* between rows of batch */
    void *output;
    float *log_sum_exp;         /* [B][H][query_length]; NULL when no backward follows */
    const int32_t *starts;      /* [B][query_length] or NULL */
    const int32_t *key_lengths; /* [B] or NULL */
    float scale;                /* usually 1/sqrt(D) */
    enum dtype type;
};

/* query_length == key_length. grad_query, grad_key, grad_value have the strides of query, key, value. */
struct attention_backward {
    struct attention_forward forward; /* output and log_sum_exp as the forward left them */
    const void *grad_output;          /* strides of output */
    void *grad_query, *grad_key, *grad_value;
};

/* output = silu(gate) * up, gate = x[.., 0..I), up = x[.., I..2I). Row-stable. */
struct swiglu_forward {
    int64_t rows, channels; /* I */
    const void *gate_up;    /* [N][2I] */
    void *output;           /* [N][I] */
    enum dtype type;
};
struct swiglu_backward {
    int64_t rows, channels;
    const void *gate_up, *grad_output;
    void *grad_gate_up; /* may equal gate_up */
    enum dtype type;
};

/* losses[r] = log(sum exp(logits[r])) - logits[r][targets[r]], 0 where targets[r] < 0. When grad, logits are replaced
 * by (softmax - onehot) * grad_scale (0 where targets[r] < 0), in the logits' type. */
struct cross_entropy {
    int64_t rows, columns;
    void *logits; /* [R][V] */
    const int32_t *targets;
    float *losses; /* [R] */
    bool grad;
    float grad_scale;
    enum dtype type;
};

/* y += x, or y = x converted: count elements. */
struct convert {
    int64_t count;
    const void *source;
    void *destination;
    enum dtype source_type, destination_type;
    bool add; /* both types equal */
};

/* result[0] = sum of squares of count f32 values in double, in a fixed order of tiles of 65,536; nonfinite[0] is set
 * to 1 when a value is NaN or infinite (never cleared here). `accumulate` adds to result[0]. */
struct squared_norm {
    int64_t count;
    const float *x;
    double *result;
    int32_t *nonfinite;
    bool accumulate;
};

/* scale[0] = min(1, maximum / (sqrt(squared_norm[0]) + 1e-6)); maximum <= 0 gives 1. norm[0] = sqrt(squared_norm[0]).*/
struct clip_scale {
    const double *squared_norm;
    float maximum;
    float *scale, *norm;
};

/* AdamW with decoupled decay (Loshchilov and Hutter 2019): g = grad * scale[0]; m, v, bias correction by `step` (from
 * 1); master -= learning_rate * (m^/(sqrt(v^) + epsilon) + weight_decay * master). Branches around everything when
 * skip[0] != 0. weights (NULL or the compute copy) receive the new master in their type. */
struct adamw {
    int64_t count;
    float *master, *first_moment, *second_moment;
    const float *gradient;
    void *weights;
    enum dtype weights_type;
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    int64_t step;
    const float *scale;  /* device scalar */
    const int32_t *skip; /* device scalar */
};

struct kernels {
    const char *name; /* "cpu" */

    /* Fills context->libraries from context->pool, and the reverse: device_context_create and _destroy call them. */
    enum status (*open)(struct device_context *);
    void (*close)(struct device_context *);

    enum status (*allocate)(const struct device_context *, size_t bytes, void **memory); /* zeroed, 256-byte aligned */
    void (*release)(const struct device_context *, void *memory);
    enum status (*copy_to_device)(const struct device_context *, void *device, const void *host, size_t bytes);
    enum status (*copy_to_host)(const struct device_context *, void *host, const void *device, size_t bytes);
    enum status (*copy)(const struct device_context *, void *destination, const void *source, size_t bytes);
    enum status (*fill_zero)(const struct device_context *, void *memory, size_t bytes);
    enum status (*synchronize)(const struct device_context *); /* reports errors of everything before it */

    enum status (*matmul)(const struct device_context *, const struct matmul *);
    enum status (*embedding_forward)(const struct device_context *, const struct embedding_forward *);
    enum status (*embedding_backward)(const struct device_context *, const struct embedding_backward *);
    enum status (*rmsnorm_forward)(const struct device_context *, const struct rmsnorm_forward *);
    enum status (*rmsnorm_backward)(const struct device_context *, const struct rmsnorm_backward *);
    enum status (*rope)(const struct device_context *, const struct rope *);
    enum status (*attention_forward)(const struct device_context *, const struct attention_forward *);
    enum status (*attention_backward)(const struct device_context *, const struct attention_backward *);
    enum status (*swiglu_forward)(const struct device_context *, const struct swiglu_forward *);
    enum status (*swiglu_backward)(const struct device_context *, const struct swiglu_backward *);
    enum status (*cross_entropy)(const struct device_context *, const struct cross_entropy *);
    enum status (*convert)(const struct device_context *, const struct convert *);
    enum status (*squared_norm)(const struct device_context *, const struct squared_norm *);
    enum status (*clip_scale)(const struct device_context *, const struct clip_scale *);
    enum status (*adamw)(const struct device_context *, const struct adamw *);

    /* Bytes of context scratch that a call needs; sizes alone are read from the struct. */
    size_t (*matmul_scratch_size)(const struct matmul *);
    size_t (*rmsnorm_backward_scratch_size)(const struct rmsnorm_backward *);
    size_t (*attention_forward_scratch_size)(const struct attention_forward *);
    size_t (*attention_backward_scratch_size)(const struct attention_backward *);
    size_t (*squared_norm_scratch_size)(const struct squared_norm *);

    /* "x86-64-v3 kernels, f32: own tiles, bf16: oneDNN tiles": what decides the bits; kept in run.json. */
    const char *(*describe)(const struct device_context *);
};

/* The CPU's table. Sets OpenBLAS and oneDNN to one thread a call: tasks come from the context's pool. */
const struct kernels *kernels_cpu(void);

/* A context on `pool` (borrowed) with `scratch_bytes` of scratch. */
enum status device_context_create(const struct kernels *kernels, struct thread_pool *pool, size_t scratch_bytes,
                                  struct device_context *context);
/* Makes the scratch at least this large. */
enum status device_context_reserve(const struct kernels *kernels, struct device_context *context, size_t bytes);
void device_context_destroy(const struct kernels *kernels, struct device_context *context);

#endif
