/* Sums run over the inputs in four strands that do not wait for each other, and are added in a fixed order: the bits depend on the
 * layer and on x alone. */
#include "models/host_linear.h"

#include "models/parameters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STRANDS = 4 };

enum status host_linear_read(const struct named_tensors *tensors, const char *name, int64_t in, int64_t out,
                             struct sha256_stream *hash, struct host_linear *layer)
{
    enum status result = STATUS_OK;
    char weight[PARAMETER_NAME_BYTES], bias[PARAMETER_NAME_BYTES];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    const struct stored_tensor *tensor = named_tensors_find(tensors, weight);
    if (out == 0)
        out = tensor && tensor->rank == 2 ? tensor->shape[0] : 1;
    if (out < 1 || out > HOST_LINEAR_ROWS)
        FAIL(STATUS_CORRUPT, "%s: tensor %s has %" PRId64 " rows, expected 1 to %d", named_tensors_path(tensors),
             weight, out, HOST_LINEAR_ROWS);
    TRY(parameter_check(tensors, weight, 2, (int64_t[]){out, in}));
    TRY(parameter_check(tensors, bias, 1, &out));
    layer->in = in;
    layer->out = out;
    layer->weight = malloc((size_t)(out * in) * sizeof *layer->weight);
    layer->bias = malloc((size_t)out * sizeof *layer->bias);
    if (!layer->weight || !layer->bias)
        FAIL(STATUS_INTERNAL, "%s: no memory for tensor %s", named_tensors_path(tensors), weight);
    TRY(named_tensors_read(tensors, weight, 2, (int64_t[]){out, in}, layer->weight));
    TRY(named_tensors_read(tensors, bias, 1, &out, layer->bias));
    sha256_add(hash, layer->weight, (size_t)(out * in) * sizeof *layer->weight);
    sha256_add(hash, layer->bias, (size_t)out * sizeof *layer->bias);
fail:
    return result;
}

void host_linear_free(struct host_linear *layer)
{
    free(layer->weight);
    free(layer->bias);
    *layer = (struct host_linear){0};
}

void host_linear_run(const struct host_linear *layer, const double *x, double *y)
{
    for (int64_t o = 0; o < layer->out; o++) {
        const float *row = layer->weight + o * layer->in;
        double sums[STRANDS] = {0};
        int64_t i = 0;
        for (; i + STRANDS <= layer->in; i += STRANDS)
            for (int s = 0; s < STRANDS; s++)
                sums[s] += (double)row[i + s] * x[i + s];
        for (; i < layer->in; i++)
            sums[0] += (double)row[i] * x[i];
        y[o] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + (double)layer->bias[o];
    }
}
