/* What models say instead of filling a parameter struct for every product and norm: one line of mathematics, one call.
 *
 * The same calls also plan: with `measure` set nothing runs, and the largest scratch that any of them would need is
 * noted. So a model finds its scratch by going through its own forward and backward, and cannot forget an operation. */
#ifndef SPIRITLM_MODELS_OPERATIONS_H
#define SPIRITLM_MODELS_OPERATIONS_H

#include "kernels/kernels.h"

/* Where and in what type a model computes. */
struct compute {
    const struct kernels *kernels;
    const struct device_context *context; /* NULL while measuring */
    enum dtype dtype;                     /* of weights and activations */
    size_t *measure;                      /* NULL: run; else raised to the scratch of each call, in bytes */
};

/* Runs an operation of the table, or measures it: compute_run(compute, rope, &(struct rope){.tokens = ...}). */
#define compute_run(compute, name, ...)                                                                                \
    ((compute)->measure ? compute_measure(compute, (compute)->kernels->name##_scratch_size(__VA_ARGS__))               \
                        : (compute)->kernels->name((compute)->context, __VA_ARGS__))
enum status compute_measure(const struct compute *compute, size_t scratch);

/* Where arrays lie while measuring: nowhere, but not at NULL, which may mean something to an operation. */
#define COMPUTE_NOWHERE ((void *)(uintptr_t)256)

/* The address of element `offset` of an array of `type`. It may be nowhere, and then the sum is one of integers: there is
 * no array in which a pointer could move. */
static inline void *element_at(const void *array, enum dtype type, int64_t offset)
{
    return (void *)((uintptr_t)array + (uintptr_t)offset * dtype_size(type));
}

/* output[rows][out] = x[rows][in] weight[out][in]^T (+ addend, laid out like output) (+ bias[out]). output_type is the
 * compute type, or F32. */
struct linear {
    int64_t rows, in, out;
    const void *x, *weight, *addend, *bias; /* the last two may be NULL */
    void *output;
    enum dtype output_type;
    int64_t output_stride; /* of output and addend; 0: out */
};
enum status linear_forward(const struct compute *compute, const struct linear *linear);

/* grad_weight[out][in] += grad_output[rows][out]^T x[rows][in] (= with overwrite) and grad_x[rows][in] = grad_output
 * weight. */
struct linear_gradient {
    int64_t rows, in, out;
    const void *x, *weight, *grad_output;
    void *grad_x;
    float *grad_weight;
    bool overwrite;
};
enum status linear_backward(const struct compute *compute, const struct linear_gradient *linear);

/* output[rows][channels] = RMSNorm(x); rstd[rows] may be NULL. */
enum status norm_forward(const struct compute *compute, int64_t rows, int64_t channels, const void *x,
                         const void *weight, float epsilon, void *output, float *rstd);

#endif
