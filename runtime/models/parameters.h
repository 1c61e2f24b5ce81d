/* The weights of a speech model from its checkpoint to the device: a list of the tensors that a model has, each with the place that
 * it gets in one arena, then a pass that reads them on the host, where the model may still fold one thing into another, and a copy
 * of all of them. */
#ifndef SPIRITLM_MODELS_PARAMETERS_H
#define SPIRITLM_MODELS_PARAMETERS_H

#include "core/hash.h"
#include "io/weights/named_tensors.h"
#include "kernels/kernels.h"

enum { PARAMETER_NAME_BYTES = 192 };

/* How a tensor lies in the arena. */
enum parameter_order {
    PARAMETER_AS_STORED,
    PARAMETER_CONVOLUTION, /* [O][I][K] in the file, [O][K][I] for conv1d_forward */
    PARAMETER_TRANSPOSED,  /* [I][O][K] in the file, [K][O][I] for conv1d_transposed; a matrix [out][in], [in][out] */
};

struct parameter {
    char name[PARAMETER_NAME_BYTES]; /* in the file */
    enum parameter_order order;
    int rank;
    int64_t shape[3]; /* in the file */
    int64_t offset, count;
};

struct parameters {
    struct parameter *list;
    int64_t count, capacity;
    int64_t elements; /* of the arena; tensors begin at multiples of 64 */
};

/* Appends a tensor; *offset is where it lies. STATUS_INTERNAL when memory runs out; sizes must be positive, and STATUS_CORRUPT
 * when their product is that of no model. */
enum status parameters_add(struct parameters *parameters, enum parameter_order order, int rank, const int64_t *shape,
                           int64_t *offset, const char *format, ...) __attribute__((format(printf, 6, 7)));
void parameters_free(struct parameters *parameters);

/* Whether the file has a tensor of this shape, with as many numbers: one that repeats a few would take far more memory than its file.
 * STATUS_CORRUPT names it. Asked for all tensors before memory is taken for any. */
enum status parameter_check(const struct named_tensors *tensors, const char *name, int rank, const int64_t *shape);

/* All tensors into *values [elements], for the caller to free. A tensor X.weight that the file does not have may lie there as
 * direction and length (weight normalisation, Salimans and Kingma 2016): X.weight_v and X.weight_g, or
 * X.parametrizations.weight.original1 and .original0, with one length per index of its first dimension. STATUS_CORRUPT names a
 * tensor that is missing or has another shape; that is known before memory for the arena is asked for. */
enum status parameters_read(const struct parameters *parameters, const struct named_tensors *tensors, float **values);

/* A copy of the arena in device memory. */
enum status parameters_send(const struct parameters *parameters, const float *values, const struct kernels *kernels,
                            struct device_context *context, float **memory);

/* The two in one, tensor by tensor, for models whose weights the host should not hold a second time: it needs room for the largest
 * tensor twice. What each becomes goes into `hash`, in the order of the list. */
enum status parameters_load(const struct parameters *parameters, const struct named_tensors *tensors,
                            const struct kernels *kernels, struct device_context *context, struct sha256_stream *hash,
                            float **memory);

#endif
