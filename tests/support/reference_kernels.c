/* The operations as their formulas are written, in double and in loops over everything: slow, and hard to get wrong. What
 * has a gradient is itself held against finite differences by the tests. */
#include "support/reference_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reference_matmul(int64_t m, int64_t n, int64_t k, const double *a, int64_t a_stride, bool a_transposed,
                      const double *b, int64_t b_stride, bool b_transposed, double *c, int64_t c_stride)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++)
                sum += a[a_transposed ? p * a_stride + i : i * a_stride + p] *
                       b[b_transposed ? j * b_stride + p : p * b_stride + j];
            c[i * c_stride + j] = sum;
        }
}

static double inverse_norm(int64_t channels, const double *x, double epsilon)
{
    double squares = 0;
    for (int64_t c = 0; c < channels; c++)
        squares += x[c] * x[c];
    return 1 / sqrt(squares / (double)channels + epsilon);
}

void reference_rmsnorm(int64_t rows, int64_t channels, const double *x, const double *weight, double epsilon,
                       double *output, double *rstd)
{
    for (int64_t n = 0; n < rows; n++) {
        double inverse = inverse_norm(channels, x + n * channels, epsilon);
        for (int64_t c = 0; c < channels; c++)
            output[n * channels + c] = x[n * channels + c] * inverse * weight[c];
        if (rstd)
            rstd[n] = inverse;
    }
}

void reference_rmsnorm_backward(int64_t rows, int64_t channels, const double *x, const double *weight, double epsilon,
                                const double *grad_output, double *grad_x, double *grad_weight)
{
    for (int64_t n = 0; n < rows; n++) {
        const double *row = x + n * channels, *gradient = grad_output + n * channels;
        double inverse = inverse_norm(channels, row, epsilon), projection = 0;
        for (int64_t c = 0; c < channels; c++) {
            projection += gradient[c] * weight[c] * row[c];
            grad_weight[c] += gradient[c] * row[c] * inverse;
        }
        for (int64_t c = 0; c < channels; c++)
            grad_x[n * channels + c] = gradient[c] * weight[c] * inverse -
                                       row[c] * projection * inverse * inverse * inverse / (double)channels;
    }
}

void reference_rope(int64_t heads, int64_t head_size, double *x, double position, double theta)
{
    int64_t half = head_size / 2;
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < half; i++) {
            double angle = position * pow(theta, -2.0 * (double)i / (double)head_size);
            double *a = x + h * head_size + i, *b = a + half, kept = *a;
            *a = kept * cos(angle) - *b * sin(angle);
            *b = *b * cos(angle) + kept * sin(angle);
        }
}

void reference_swiglu(int64_t rows, int64_t channels, const double *gate_up, double *output)
{
    for (int64_t n = 0; n < rows; n++)
        for (int64_t c = 0; c < channels; c++) {
            double gate = gate_up[2 * n * channels + c], up = gate_up[(2 * n + 1) * channels + c];
            output[n * channels + c] = gate / (1 + exp(-gate)) * up;
        }
}

void reference_swiglu_backward(int64_t rows, int64_t channels, const double *gate_up, const double *grad_output,
                               double *grad_gate_up)
{
    for (int64_t n = 0; n < rows; n++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t g = 2 * n * channels + c, u = g + channels;
            double sigmoid = 1 / (1 + exp(-gate_up[g])), gradient = grad_output[n * channels + c];
            grad_gate_up[g] = gradient * gate_up[u] * (sigmoid + gate_up[g] * sigmoid * (1 - sigmoid));
            grad_gate_up[u] = gradient * gate_up[g] * sigmoid;
        }
}

double reference_cross_entropy(int64_t columns, const double *logits, int64_t target, double *gradient)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t c = 0; c < columns; c++)
        largest = fmax(largest, logits[c]);
    for (int64_t c = 0; c < columns; c++)
        sum += exp(logits[c] - largest);
    for (int64_t c = 0; gradient && c < columns; c++)
        gradient[c] = exp(logits[c] - largest) / sum - (c == target ? 1 : 0);
    return log(sum) + largest - logits[target];
}

/* The keys of one query: [*start, returned). */
static int64_t keys_of(const struct reference_attention *p, int64_t b, int64_t i, int64_t *start)
{
    *start = p->starts ? p->starts[b * p->query_length + i] : 0;
    int64_t keys = p->key_lengths ? p->key_lengths[b] : p->key_length;
    return p->bidirectional ? keys : i + keys - p->query_length + 1;
}

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Softmax of one query's scores over its keys; returns log(sum(exp)). */
static double probabilities(const struct reference_attention *p, int64_t b, int64_t i, int64_t h, double *probability)
{
    int64_t group = p->heads / p->kv_heads, start, end = keys_of(p, b, i, &start);
    const double *query = p->query + ((b * p->query_length + i) * p->heads + h) * p->head_size;
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < p->key_length; j++)
        probability[j] = 0;
    for (int64_t j = start; j < end; j++) {
        const double *key = p->key + ((b * p->key_length + j) * p->kv_heads + h / group) * p->head_size;
        probability[j] = dot(query, key, p->head_size) * p->scale;
        largest = fmax(largest, probability[j]);
    }
    for (int64_t j = start; j < end; j++)
        sum += probability[j] = exp(probability[j] - largest);
    for (int64_t j = start; j < end; j++)
        probability[j] /= sum;
    return largest + log(sum);
}

static double *allocate(int64_t count)
{
    double *memory = calloc((size_t)count + 1, sizeof *memory);
    if (!memory) {
        fprintf(stderr, "reference_kernels: no memory for %lld values\n", (long long)count);
        abort();
    }
    return memory;
}

void reference_attention(const struct reference_attention *p, double *output, double *log_sum_exp)
{
    double *probability = allocate(p->key_length);
    int64_t group = p->heads / p->kv_heads, size = p->head_size;
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t i = 0; i < p->query_length; i++)
            for (int64_t h = 0; h < p->heads; h++) {
                double *row = output + ((b * p->query_length + i) * p->heads + h) * size;
                log_sum_exp[(b * p->heads + h) * p->query_length + i] = probabilities(p, b, i, h, probability);
                for (int64_t d = 0; d < size; d++) {
                    row[d] = 0;
                    for (int64_t j = 0; j < p->key_length; j++)
                        if (probability[j] != 0)
                            row[d] += probability[j] *
                                      p->value[((b * p->key_length + j) * p->kv_heads + h / group) * size + d];
                }
            }
    free(probability);
}

void reference_attention_backward(const struct reference_attention *p, const double *grad_output, double *grad_query,
                                  double *grad_key, double *grad_value)
{
    double *probability = allocate(p->key_length), *slope = allocate(p->key_length);
    int64_t group = p->heads / p->kv_heads, size = p->head_size;
    int64_t queries = p->batch * p->query_length * p->heads * size,
            keys = p->batch * p->key_length * p->kv_heads * size;
    memset(grad_query, 0, (size_t)queries * sizeof(double));
    memset(grad_key, 0, (size_t)keys * sizeof(double));
    memset(grad_value, 0, (size_t)keys * sizeof(double));
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t i = 0; i < p->query_length; i++)
            for (int64_t h = 0; h < p->heads; h++) {
                int64_t q = ((b * p->query_length + i) * p->heads + h) * size;
                double mean = 0;
                probabilities(p, b, i, h, probability);
                for (int64_t j = 0; j < p->key_length; j++) {
                    int64_t k = ((b * p->key_length + j) * p->kv_heads + h / group) * size;
                    if (probability[j] == 0) /* a key that the query does not see, whatever lies there */
                        continue;
                    slope[j] = dot(grad_output + q, p->value + k, size);
                    mean += probability[j] * slope[j];
                }
                for (int64_t j = 0; j < p->key_length; j++) {
                    int64_t k = ((b * p->key_length + j) * p->kv_heads + h / group) * size;
                    if (probability[j] == 0)
                        continue;
                    double score = probability[j] * (slope[j] - mean) * p->scale;
                    for (int64_t d = 0; d < size; d++) {
                        grad_query[q + d] += score * p->key[k + d];
                        grad_key[k + d] += score * p->query[q + d];
                        grad_value[k + d] += probability[j] * grad_output[q + d];
                    }
                }
            }
    free(probability);
    free(slope);
}
