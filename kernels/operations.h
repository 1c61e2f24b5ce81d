/* The operations: for each its mathematics, shapes, types and source, as one plain struct of sizes, strides and pointers
 * to device memory. KERNEL_OPERATIONS at the end lists them once; the table of a backend, its prototypes, the argument
 * checks (check.h), the operands (operands.h) and the profile are made from that list.
 *
 * Dimensions: B rows of a batch, T tokens per row, N = B*T tokens in all, C hidden size, H query heads, G key/value
 * heads (H is a multiple of G), D head size, I intermediate size, V vocabulary rows.
 * Everything is row-major; a stride counts elements. "compute type" is F32 or BF16; with BF16 sums run in f32.
 * Gradient contract: gradients of parameters (f32) are added to what is there, or written where `overwrite` says so (what
 * was there is then never read: a NaN left by a skipped step does not survive); gradients of activations are written.
 * Results are cut into tiles by shape alone: they do not depend on the number of threads, and the result of one row does
 * not depend on the other rows where an operation says "row-stable".
 * Indices that lie in device memory (ids, targets, starts, rows, lengths) are checked by the backend: one outside its
 * range is never followed, and the next synchronize reports it, as every later one does (kernels.h). */
#ifndef SPIRITLM_KERNELS_OPERATIONS_H
#define SPIRITLM_KERNELS_OPERATIONS_H

#include "core/dtype.h"
#include "kernels/speech_operations.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- products ---- */

/* C = alpha * op(A) op(B) + beta * C (+ addend) (+ bias): op(A) is m x k, op(B) is k x n, C is m x n, `batch` times.
 * Types (a, b, c): (F32, F32, F32), (BF16, BF16, BF16), (BF16, BF16, F32). beta is 0 or 1; with 0 C is not read.
 * k is never split by the number of threads. Row-stable in m when !a_transposed, among products of m <= 16; on the cpu
 * also among those of m > 16 where `describe` says "own tiles". */
struct matmul {
    int64_t m, n, k, batch; /* batch >= 1 */
    const void *a, *b;
    void *c;
    const void *addend; /* NULL, or like C with the same strides and type; added after alpha and beta */
    const void *bias;   /* NULL, or [n] of C's type, added to every row after the addend */
    enum dtype a_type, b_type, c_type;
    int64_t a_row_stride, b_row_stride, c_row_stride; /* of the matrices as stored */
    int64_t a_batch_stride, b_batch_stride, c_batch_stride;
    bool a_transposed, b_transposed; /* stored as k x m, n x k */
    float alpha, beta;
};

/* ---- embedding ---- */

/* output[n] = table[ids[n]], ids in [0, rows). */
struct embedding_forward {
    int64_t tokens, channels, rows;
    const int32_t *ids; /* [N] */
    const void *table;  /* [rows][C] */
    void *output;       /* [N][C] */
    enum dtype type;
};

/* grad_table[ids[n]] += grad_output[n], in order of n. `order` lists the tokens by id, those of one id in their own order
 * (a stable sort), so that each row of the table is added to by one worker without atomics; another order is a fault. */
struct embedding_backward {
    int64_t tokens, channels, rows;
    const int32_t *ids;      /* [N] */
    const int32_t *order;    /* [N] a permutation of 0..N-1 */
    const void *grad_output; /* [N][C] */
    float *grad_table;       /* [rows][C] */
    enum dtype type;
};

/* ---- RMSNorm ---- */

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
 * other use; NULL for none). grad_weight += ..., or = with overwrite. */
struct rmsnorm_backward {
    int64_t rows, channels;
    const void *sum, *weight, *grad_output, *grad_residual;
    const float *rstd;
    void *grad_sum;     /* may equal grad_output or grad_residual */
    float *grad_weight; /* [C] */
    bool overwrite;
    enum dtype type;
};

/* ---- rotary positions ---- */

/* Rotates pairs (i, i + D/2) of each head in place by the angle of its position: rotary embedding (Su et al. 2021) in
 * the half-split layout of Hugging Face's Llama. direction +1 forward, -1 backward (the transpose). Row-stable. */
struct rope {
    int64_t tokens, heads, head_size;
    void *x; /* [N] rows `row_stride` apart, heads at consecutive D */
    int64_t row_stride;
    const int32_t *positions;   /* [N] in [0, table_positions) */
    const float *cosine, *sine; /* [table_positions][D/2] */
    int64_t table_positions;
    int direction;
    enum dtype type;
};

/* A cache of keys and values: [rows][capacity][k|v of G heads], that is 2*G*D elements per token. */
struct key_value_cache {
    void *memory;
    int64_t rows, capacity;
    int64_t row_stride; /* elements between rows of the cache; tokens of a row follow each other */
};

/* What generation does between the products of a layer and its attention: rotates the queries in place, and writes the
 * rotated keys and the values of token n to cache row rows[n] at position positions[n]. No two tokens may have the same
 * row and position. Row-stable. */
struct rope_append {
    int64_t tokens, heads, kv_heads, head_size;
    void *query;           /* [N] rows of H*D elements, query_row_stride apart */
    const void *key_value; /* [N] rows of k|v, 2*G*D elements, key_value_row_stride apart */
    int64_t query_row_stride, key_value_row_stride;
    struct key_value_cache cache;
    const int32_t *rows;        /* [N] in [0, cache.rows) */
    const int32_t *positions;   /* [N] in [0, min(cache.capacity, table_positions)) */
    const float *cosine, *sine; /* [table_positions][D/2] */
    int64_t table_positions;
    enum dtype type;
};

/* ---- attention ---- */

/* Grouped-query attention by blocks with a running softmax; the T x T scores never exist whole.
 * Causal: query i of row b attends to keys j with start <= j <= i + (key_length - query_length), start =
 * starts[b*T + i] (in key indices; NULL = 0; non-decreasing within a row). Bidirectional: to all keys from start on.
 * Query head h uses key/value head h / (H/G). Row-stable over b.
 * key_lengths (NULL = key_length for all rows) gives each row its own number of keys; then query i of row b attends up to
 * i + key_lengths[b] - query_length (bidirectional: to all key_lengths[b]). What lies behind a row's keys is not read.
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
    const int32_t *key_lengths; /* [B] in [0, key_length], or NULL */
    bool bidirectional;         /* false: causal */
    float scale;                /* usually 1/sqrt(D) */
    enum dtype type;
};

/* query_length == key_length. grad_query, grad_key, grad_value have the strides of query, key, value. With key_lengths the
 * keys behind a row's own get gradient 0; the queries behind them are queries like others, so that an encoder whose padded
 * frames have gradient 0 (and finite values) gets the gradients of the row alone. */
struct attention_backward {
    struct attention_forward forward; /* output and log_sum_exp as the forward left them */
    const void *grad_output;          /* strides of output */
    void *grad_query, *grad_key, *grad_value;
};

/* One query per token against a cache: token n attends to keys 0..lengths[n]-1 of cache row rows[n]. Grouped heads and
 * scale as above. Work is cut by the cache's capacity alone, so a token's result does not depend on the tokens beside
 * it, and on the cpu it has the bits that attention_forward gives for the same keys. Row-stable. */
struct attention_decode {
    int64_t tokens, heads, kv_heads, head_size;
    const void *query; /* [N] rows of H*D elements */
    void *output;      /* likewise */
    int64_t query_row_stride, output_row_stride;
    struct key_value_cache cache; /* only read */
    const int32_t *rows;          /* [N] in [0, cache.rows) */
    const int32_t *lengths;       /* [N] in [0, cache.capacity] */
    float scale;
    enum dtype type;
};

/* ---- SwiGLU ---- */

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

/* ---- losses ---- */

/* loss of row r = log(sum exp(logits[r])) - logits[r][targets[r]], 0 where targets[r] < 0. With `grad`,
 * grad[r] = (softmax - onehot) * grad_scale (0 where targets[r] < 0).
 * With group_sums, each row's loss is added to the sum of its group, in double and in order of the rows. */
struct cross_entropy {
    int64_t rows, columns;
    const void *logits;     /* [R][V]; undefined afterwards when grad */
    const int32_t *targets; /* [R] in [.., V); negative: not counted */
    float *losses;          /* [R], or NULL */
    const uint8_t *groups;  /* [R] below group_count; NULL when group_sums is NULL */
    double *group_sums;     /* [group_count], added to; or NULL */
    int64_t group_count;
    void *grad; /* [R][V] of grad_type; NULL: losses alone. May equal logits when the types are equal. */
    float grad_scale;
    enum dtype type, grad_type; /* of logits; grad_type is type, or BF16 with F32 logits */
};

/* What a row of logits says of each of some blocks of the vocabulary, so that probabilities can be had later with any of
 * the blocks masked: sums[r][b] = log(sum over boundaries[b] <= c < boundaries[b + 1] of exp(logits[r][c])), minus infinity
 * for a block without columns, and target_logits[r] = logits[r][targets[r]]; both 0 where targets[r] < 0. */
enum { LOG_SUM_EXP_BLOCKS = 16 };
struct log_sum_exp {
    int64_t rows, columns;
    int64_t block_count;                        /* 1 to LOG_SUM_EXP_BLOCKS */
    int64_t boundaries[LOG_SUM_EXP_BLOCKS + 1]; /* never decreasing, from 0 to columns */
    const void *logits;                         /* [R][V] */
    const int32_t *targets;                     /* [R] in [.., V); negative: not wanted */
    double *sums;                               /* [R][block_count] */
    float *target_logits;                       /* [R] */
    enum dtype type;                            /* of logits */
};

/* ---- element by element ---- */

/* y += x, or y = x converted: count elements. */
struct convert {
    int64_t count;
    const void *source;
    void *destination;
    enum dtype source_type, destination_type;
    bool add; /* both types equal */
};

/* ---- the optimizer ---- */

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

/* Elements [begin, begin + count) of all arrays of an adamw share a weight decay. Offsets, never pointers: the table lies
 * in device memory. */
struct adamw_segment {
    int64_t begin, count;
    float weight_decay;
};

/* AdamW with decoupled decay (Loshchilov and Hutter 2019): g = grad * scale[0]; m, v, bias correction by `step` (from
 * 1); master -= learning_rate * (m^/(sqrt(v^) + epsilon) + weight_decay * master). Branches around everything when
 * skip[0] != 0. weights (NULL or the compute copy) receive the new master in their type. What no segment covers stays
 * as it is.
 * With `stochastic` a finite master goes to its bf16 copy up or down in proportion to its distance from the two, so that
 * updates smaller than half a unit in the copy's last place are not lost on average: of the f32's 32 bits as a number plus r the
 * upper 16 are kept, where r, for element i of the call, is the lower half of word n % 4 of the block of Philox4x32-10 (core/rng.h)
 * with key `seed` and counter (n / 4, step), two words each, lower first, n = first_index + i. All backends draw the same. */
struct adamw {
    int64_t count; /* elements of the arrays */
    float *master, *first_moment, *second_moment;
    const float *gradient;
    void *weights;
    enum dtype weights_type;
    const struct adamw_segment *segments; /* [segment_count], in order, disjoint, inside [0, count) */
    int64_t segment_count;
    float learning_rate, beta1, beta2, epsilon;
    int64_t step;
    const float *scale;  /* one number */
    const int32_t *skip; /* one number */
    bool stochastic;     /* only with bf16 weights */
    uint64_t seed;       /* of the random bits */
    int64_t first_index; /* of element 0 among all that share the seed, so that a slice draws what the whole would */
};

/* ---- generation ---- */

/* ids[r] = one id drawn from row r: bans, then temperature, then top-k, then top-p, in the order of Spirit LM's release
 * (which is that of transformers). Candidates are ordered by logit, equal ones by id; uniforms[r] in [0, 1) picks among
 * those that remain, weighed in double (a GPU may weigh in whole multiples of at most 2^-45 of the largest weight, so that
 * sums have no order). temperature 0 takes the first of the largest logits. -1 where an allowed logit
 * is NaN or plus infinity, or all are minus infinity. Row-stable. */
struct sample {
    int64_t rows, columns;
    const float *logits; /* [R][V], row_stride apart */
    int64_t row_stride;
    const uint8_t *masks;     /* [mask_count][V]: 1 where an id is allowed */
    const int32_t *mask_rows; /* [R]: which mask a row has, in [0, mask_count) */
    int64_t mask_count;
    const double *uniforms; /* [R]; not read when temperature is 0 */
    double temperature;     /* 0: greedy */
    int64_t top_k;          /* 0: all */
    double top_p;           /* 1: all */
    int32_t *ids;           /* [R] */
};

/* Every operation, in two parts: what language models need, and what speech encoders and vocoders need beside it. */
#define KERNEL_OPERATIONS(X)                                                                                           \
    KERNEL_OPERATIONS_LANGUAGE(X)                                                                                      \
    KERNEL_OPERATIONS_SPEECH(X)

#define KERNEL_OPERATIONS_LANGUAGE(X)                                                                                  \
    X(matmul)                                                                                                          \
    X(embedding_forward)                                                                                               \
    X(embedding_backward)                                                                                              \
    X(rmsnorm_forward)                                                                                                 \
    X(rmsnorm_backward)                                                                                                \
    X(rope)                                                                                                            \
    X(rope_append)                                                                                                     \
    X(attention_forward)                                                                                               \
    X(attention_backward)                                                                                              \
    X(attention_decode)                                                                                                \
    X(swiglu_forward)                                                                                                  \
    X(swiglu_backward)                                                                                                 \
    X(cross_entropy)                                                                                                   \
    X(log_sum_exp)                                                                                                     \
    X(convert)                                                                                                         \
    X(squared_norm)                                                                                                    \
    X(clip_scale)                                                                                                      \
    X(adamw)                                                                                                           \
    X(sample)

#endif
