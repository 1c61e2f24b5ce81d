/* A linear layer that is computed on the host, in double: the heads of classifiers, one product per clip or text, which are nothing
 * beside the network below them and not worth a kernel. */
#ifndef SPIRITLM_MODELS_HOST_LINEAR_H
#define SPIRITLM_MODELS_HOST_LINEAR_H

#include "core/hash.h"
#include "io/weights/named_tensors.h"

enum { HOST_LINEAR_ROWS = 1 << 16 };

struct host_linear {
    int64_t in, out;
    float *weight, *bias; /* [out][in], [out] */
};

/* Reads the tensors NAME.weight [out][in] and NAME.bias [out]; `out` 0: as many rows as the file has, 1 to HOST_LINEAR_ROWS. Weight,
 * then bias go into `hash`. STATUS_CORRUPT names a tensor that is missing or has another shape. Begins as {0} and is freed by
 * host_linear_free, after a failure too. */
enum status host_linear_read(const struct named_tensors *tensors, const char *name, int64_t in, int64_t out,
                             struct sha256_stream *hash, struct host_linear *layer);
void host_linear_free(struct host_linear *layer);

/* y[out] = W x[in] + bias */
void host_linear_run(const struct host_linear *layer, const double *x, double *y);

#endif
