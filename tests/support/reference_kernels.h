/* The operations of kernels.h written plainly in double, without blocks or vectors: what the fast ones are held to. */
#ifndef SPIRITLM_TESTS_REFERENCE_KERNELS_H
#define SPIRITLM_TESTS_REFERENCE_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* c[m][n] = sum over k of op(a) op(b); stored with row strides, as kernels.h says. */
void reference_matmul(int64_t m, int64_t n, int64_t k, const double *a, int64_t a_stride, bool a_transposed,
                      const double *b, int64_t b_stride, bool b_transposed, double *c, int64_t c_stride);

/* output = x / sqrt(mean(x^2) + epsilon) * weight; rstd may be NULL. */
void reference_rmsnorm(int64_t rows, int64_t channels, const double *x, const double *weight, double epsilon,
                       double *output, double *rstd);
/* grad_x is overwritten, grad_weight added to. */
void reference_rmsnorm_backward(int64_t rows, int64_t channels, const double *x, const double *weight, double epsilon,
                                const double *grad_output, double *grad_x, double *grad_weight);

/* x[heads][head_size] of one token at `position`, in place; angle of pair i = position * theta^(-2i/D). */
void reference_rope(int64_t heads, int64_t head_size, double *x, double position, double theta);

void reference_swiglu(int64_t rows, int64_t channels, const double *gate_up, double *output);
void reference_swiglu_backward(int64_t rows, int64_t channels, const double *gate_up, const double *grad_output,
                               double *grad_gate_up);

/* One row: the loss; gradient (softmax - onehot) when not NULL. */
double reference_cross_entropy(int64_t columns, const double *logits, int64_t target, double *gradient);

/* Dense arrays: query, output [B][Tq][H][D], key, value [B][Tk][G][D], log_sum_exp [B][H][Tq]. */
struct reference_attention {
    int64_t batch, query_length, key_length, heads, kv_heads, head_size;
    const double *query, *key, *value;
    const int32_t *starts, *key_lengths; /* may be NULL */
    bool bidirectional;
    double scale;
};
void reference_attention(const struct reference_attention *p, double *output, double *log_sum_exp);
/* All three gradients are overwritten. */
void reference_attention_backward(const struct reference_attention *p, const double *grad_output, double *grad_query,
                                  double *grad_key, double *grad_value);

#endif
