/* The linear quantizer is three layers with leaky rectifiers between them, and the unit is the class with the highest logit (the
 * lowest of equal ones). Its widths shrink in equal steps from the encoder's to the classes'. Frames of all clips go through it
 * together, a block of rows at a time. */
#include "models/encoder/quantizer.h"

#include "models/encoder/encoder_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINEARS = 3, BLOCK_ROWS = 512, UNITS_LIMIT = 1 << 16 };
static const float SLOPE = 0.01f;

struct quantizer {
    const struct kernels *kernels;
    struct device_context *context;
    bool linear;
    int64_t widths[LINEARS + 1]; /* of a linear one: what each layer takes, and the classes */
    int64_t size;
    float *weights[LINEARS], *biases[LINEARS]; /* device; weights[0]: the centres of k-means */
    struct sha256 fingerprint;
};

/* ---- reading ---- */

/* A tensor of the file on the device. */
static enum status load(const struct quantizer *quantizer, const struct named_tensors *tensors, const char *name,
                        int rank, const int64_t *shape, struct sha256_stream *hash, float **memory)
{
    enum status result = STATUS_OK;
    void *device = NULL;
    size_t bytes = (size_t)shape[0] * (size_t)(rank > 1 ? shape[1] : 1) * sizeof(float);
    float *values = malloc(bytes);
    if (!values)
        return status_set(STATUS_INTERNAL, "no memory for a quantizer");
    TRY(named_tensors_read(tensors, name, rank, shape, values));
    sha256_add(hash, values, bytes);
    TRY(quantizer->kernels->allocate(quantizer->context, bytes, &device));
    *memory = device;
    TRY(quantizer->kernels->copy_to_device(quantizer->context, QUEUE_COMPUTE, device, values, bytes));
    TRY(quantizer->kernels->synchronize(quantizer->context));
fail:
    free(values);
    return result;
}

static enum status get_size(const char *path, const struct torch_value *config, const char *key, int64_t *size)
{
    const struct torch_value *value = torch_value_get(config, key);
    if (!value || !torch_value_integer(value, size) || *size < 1 || *size > UNITS_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: model_cfg.%s is not an integer from 1 to %d", path, key, UNITS_LIMIT);
    return STATUS_OK;
}

/* dim, dim - m/4, dim - m/2, classes, with m = upstream_dim - classes and divisions that round down, as Python's do. */
static enum status read_widths(struct quantizer *quantizer, const char *path, const struct torch_value *config,
                               int64_t width)
{
    enum status result = STATUS_OK;
    int64_t vocabulary, dim, upstream;
    TRY(get_size(path, config, "vocab_size", &vocabulary));
    TRY(get_size(path, config, "dim", &dim));
    TRY(get_size(path, config, "upstream_dim", &upstream));
    if (upstream != width)
        FAIL(STATUS_CORRUPT, "%s: it is made for frames of %" PRId64 " numbers; the encoder's have %" PRId64, path,
             upstream, width);
    int64_t classes = vocabulary + 1, margin = upstream - classes;
    quantizer->widths[0] = dim;
    quantizer->widths[1] = dim - (margin >> 2);
    quantizer->widths[2] = dim - (margin >> 1);
    quantizer->widths[3] = quantizer->size = classes;
    if (dim != width || quantizer->widths[1] < 1 || quantizer->widths[2] < 1 || classes > UNITS_LIMIT)
        FAIL(STATUS_CORRUPT,
             "%s: impossible sizes in model_cfg: vocab_size %" PRId64 ", dim %" PRId64 ", upstream_dim %" PRId64, path,
             vocabulary, dim, upstream);
fail:
    return result;
}

static enum status read_linear(struct quantizer *quantizer, const struct named_tensors *tensors, int64_t width,
                               struct sha256_stream *hash)
{
    enum status result = STATUS_OK;
    char name[64];
    TRY(read_widths(quantizer, named_tensors_path(tensors), torch_value_get(named_tensors_root(tensors), "model_cfg"),
                    width));
    for (int i = 0; i < LINEARS; i++) {
        const int64_t shape[] = {quantizer->widths[i + 1], quantizer->widths[i]};
        snprintf(name, sizeof name, "model_weight.%d.weight", 2 * i);
        TRY(load(quantizer, tensors, name, 2, shape, hash, &quantizer->weights[i]));
        snprintf(name, sizeof name, "model_weight.%d.bias", 2 * i);
        TRY(load(quantizer, tensors, name, 1, shape, hash, &quantizer->biases[i]));
    }
fail:
    return result;
}

/* The tensor called so, whatever it lies in. */
static const struct stored_tensor *find_centres(const struct named_tensors *tensors)
{
    for (int64_t i = 0; i < named_tensors_count(tensors); i++) {
        const struct stored_tensor *tensor = named_tensors_tensor(tensors, i);
        const char *dot = strrchr(tensor->name, '.'), *last = dot ? dot + 1 : tensor->name;
        if (strcmp(last, "cluster_centers") == 0 || strcmp(last, "cluster_centers_") == 0)
            return tensor;
    }
    return NULL;
}

static enum status read_kmeans(struct quantizer *quantizer, const struct named_tensors *tensors, int64_t width,
                               struct sha256_stream *hash)
{
    const char *path = named_tensors_path(tensors);
    const struct torch_value *root = named_tensors_root(tensors);
    const struct stored_tensor *centres = find_centres(tensors);
    int64_t clusters;
    if (!centres)
        return status_set(STATUS_CORRUPT,
                          "%s: expected a linear quantizer (model_cfg, model_weight) or k-means (cluster_centers)",
                          path);
    if (centres->rank != 2 || centres->shape[0] < 1 || centres->shape[0] > UNITS_LIMIT || centres->shape[1] != width)
        return status_set(STATUS_CORRUPT, "%s: tensor %s: expected centres of %" PRId64 " numbers", path, centres->name,
                          width);
    const struct torch_value *count = root ? torch_value_get(root, "n_clusters") : NULL;
    if (count && torch_value_integer(count, &clusters) && clusters != centres->shape[0])
        return status_set(STATUS_CORRUPT, "%s: n_clusters is %" PRId64 ", but there are %" PRId64 " centres", path,
                          clusters, centres->shape[0]);
    quantizer->size = centres->shape[0];
    quantizer->widths[0] = width;
    return load(quantizer, tensors, centres->name, 2, centres->shape, hash, &quantizer->weights[0]);
}

enum status quantizer_open(const char *path, int64_t width, const struct kernels *kernels,
                           struct device_context *context, struct quantizer **out)
{
    enum status result = STATUS_OK;
    struct named_tensors *tensors = NULL;
    struct sha256_stream *hash = sha256_start();
    struct quantizer *quantizer = calloc(1, sizeof *quantizer);
    *out = NULL;
    if (!quantizer)
        FAIL(STATUS_INTERNAL, "no memory for a quantizer");
    *quantizer = (struct quantizer){.kernels = kernels, .context = context};
    TRY(named_tensors_open(path, &tensors));
    const struct torch_value *root = named_tensors_root(tensors);
    const struct torch_value *config = root ? torch_value_get(root, "model_cfg") : NULL;
    quantizer->linear = config && config->kind == TORCH_DICT;
    const char *kind = quantizer->linear ? "quantizer linear 1" : "quantizer k-means 1";
    sha256_add(hash, kind, strlen(kind));
    TRY(quantizer->linear ? read_linear(quantizer, tensors, width, hash)
                          : read_kmeans(quantizer, tensors, width, hash));
    *out = quantizer;
fail:
    named_tensors_close(tensors);
    struct sha256 fingerprint = sha256_finish(hash);
    if (result == STATUS_OK)
        quantizer->fingerprint = fingerprint;
    else
        quantizer_close(quantizer);
    return result;
}

void quantizer_close(struct quantizer *quantizer)
{
    if (!quantizer)
        return;
    for (int i = 0; i < LINEARS; i++) {
        quantizer->kernels->release(quantizer->context, quantizer->weights[i]);
        quantizer->kernels->release(quantizer->context, quantizer->biases[i]);
    }
    free(quantizer);
}

int64_t quantizer_size(const struct quantizer *quantizer)
{
    return quantizer->size;
}

const struct sha256 *quantizer_fingerprint(const struct quantizer *quantizer)
{
    return &quantizer->fingerprint;
}

/* ---- computing ---- */

/* Rows on their way: what lies in device memory, and the same on the host. */
struct block {
    float *inner[2], *logits; /* device */
    int32_t *labels;          /* device */
    void *host;               /* pinned */
};

static int64_t block_rows(const struct quantizer *quantizer)
{
    return (quantizer->kernels->block_rows > BLOCK_ROWS ? quantizer->kernels->block_rows : BLOCK_ROWS) +
           ENCODER_LEAST_ROWS;
}

static void release_block(const struct quantizer *quantizer, struct device_context *context, struct block *block)
{
    quantizer->kernels->release(context, block->inner[0]);
    quantizer->kernels->release(context, block->inner[1]);
    quantizer->kernels->release(context, block->logits);
    quantizer->kernels->release(context, block->labels);
    quantizer->kernels->release_host(context, block->host);
}

static enum status allocate_block(const struct quantizer *quantizer, struct device_context *context,
                                  struct block *block)
{
    enum status result = STATUS_OK;
    size_t rows = (size_t)block_rows(quantizer);
    void *memory;
    for (int i = 0; quantizer->linear && i < 2; i++) {
        TRY(quantizer->kernels->allocate(context, rows * (size_t)quantizer->widths[i + 1] * sizeof(float), &memory));
        block->inner[i] = memory;
    }
    if (quantizer->linear) {
        TRY(quantizer->kernels->allocate(context, rows * (size_t)quantizer->size * sizeof(float), &memory));
        block->logits = memory;
    } else {
        TRY(quantizer->kernels->allocate(context, rows * sizeof(int32_t), &memory));
        block->labels = memory;
    }
    TRY(quantizer->kernels->allocate_host(context, rows * (size_t)(quantizer->linear ? quantizer->size : 1) * 4,
                                          &block->host));
fail:
    return result;
}

static enum status run_linear(const struct quantizer *quantizer, const struct compute *compute,
                              const struct block *block, const float *frames, int64_t rows)
{
    enum status result = STATUS_OK;
    const float *x = frames;
    for (int i = 0; i < LINEARS; i++) {
        float *output = i < 2 ? block->inner[i] : block->logits;
        const struct activate rectifier = {.count = rows * quantizer->widths[i + 1],
                                           .x = output,
                                           .output = output,
                                           .activation = ACTIVATION_LEAKY_RELU,
                                           .slope = SLOPE};
        TRY(linear_forward(compute, &(struct linear){.rows = rows,
                                                     .in = quantizer->widths[i],
                                                     .out = quantizer->widths[i + 1],
                                                     .x = x,
                                                     .weight = quantizer->weights[i],
                                                     .bias = quantizer->biases[i],
                                                     .output = output,
                                                     .output_type = DTYPE_F32}));
        if (i < LINEARS - 1)
            TRY(compute_run(compute, activate, &rectifier));
        x = output;
    }
fail:
    return result;
}

static enum status run_kmeans(const struct quantizer *quantizer, const struct compute *compute,
                              const struct block *block, const float *frames, int64_t rows)
{
    const struct kmeans_assign assign = {.rows = rows,
                                         .channels = quantizer->widths[0],
                                         .clusters = quantizer->size,
                                         .x = frames,
                                         .centroids = quantizer->weights[0],
                                         .x_row_stride = quantizer->widths[0],
                                         .labels = block->labels};
    return compute_run(compute, kmeans_assign, &assign);
}

static enum status run_block(const struct quantizer *quantizer, const struct compute *compute,
                             const struct block *block, const float *frames, int64_t rows)
{
    return quantizer->linear ? run_linear(quantizer, compute, block, frames, rows)
                             : run_kmeans(quantizer, compute, block, frames, rows);
}

/* The units of a block's rows, from what the device has computed. */
static enum status fetch_units(const struct quantizer *quantizer, struct device_context *context,
                               const struct block *block, int64_t rows, int32_t *units)
{
    enum status result = STATUS_OK;
    int64_t size = quantizer->size;
    const void *device = quantizer->linear ? (const void *)block->logits : block->labels;
    size_t bytes = (size_t)(rows * (quantizer->linear ? size : 1)) * sizeof(float);
    TRY(quantizer->kernels->copy_to_host(context, QUEUE_COMPUTE, block->host, device, bytes));
    TRY(quantizer->kernels->synchronize(context));
    if (!quantizer->linear)
        memcpy(units, block->host, bytes);
    for (int64_t row = 0; quantizer->linear && row < rows; row++) {
        const float *logits = (const float *)block->host + row * size;
        int64_t best = 0;
        for (int64_t i = 1; i < size; i++)
            if (logits[i] > logits[best])
                best = i;
        units[row] = (int32_t)best;
    }
fail:
    return result;
}

enum status quantizer_run(const struct quantizer *quantizer, struct device_context *context,
                          const struct encoder_output *output, int32_t *const *units)
{
    enum status result = STATUS_OK;
    size_t scratch = 0;
    struct compute compute = {
        .kernels = quantizer->kernels, .context = context, .dtype = DTYPE_F32, .measure = &scratch};
    struct block block = {0};
    int64_t all = output->clips * output->stride, most = block_rows(quantizer);
    int32_t *of_rows = malloc((size_t)(all + 1) * sizeof *of_rows);
    if (!of_rows)
        FAIL(STATUS_INTERNAL, "no memory for the units of a batch");
    TRY(allocate_block(quantizer, context, &block));
    TRY(run_block(quantizer, &compute, &block, output->values, all < most ? all : most));
    TRY(device_context_reserve(quantizer->kernels, context, scratch));
    compute.measure = NULL;
    for (int64_t first = 0, rows; first < all;
         first += rows) { /* never fewer rows than are stable, as in the encoder */
        rows = all - first;
        if (rows >= most)
            rows = most - ENCODER_LEAST_ROWS;
        TRY(run_block(quantizer, &compute, &block, output->values + first * output->width, rows));
        TRY(fetch_units(quantizer, context, &block, rows, of_rows + first));
    }
    for (int64_t i = 0; i < output->clips; i++) {
        memcpy(units[i], of_rows + i * output->stride, (size_t)output->frames[i] * sizeof *of_rows);
        if (quantizer->linear)
            quantizer_fill_blanks(units[i], output->frames[i], (int32_t)quantizer->size - 1);
    }
fail:
    release_block(quantizer, context, &block);
    free(of_rows);
    return result;
}

void quantizer_fill_blanks(int32_t *units, int64_t count, int32_t blank)
{
    int64_t last = count - 1;
    while (last >= 0 && units[last] == blank)
        last--;
    int32_t left = last >= 0 ? units[last] : blank;
    for (int64_t i = 0; i < count; i++) {
        if (units[i] == blank)
            units[i] = left;
        left = units[i];
    }
}
