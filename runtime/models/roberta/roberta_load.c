/* The list of RoBERTa's tensors in the order in which they are used, and how they get to the device. There is one token type, so its
 * row is added to every position once and for all. */
#include "models/roberta/roberta_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the list ---- */

static enum status add_matrix(struct roberta *roberta, const char *name, int64_t in, int64_t out,
                              struct roberta_pair *pair)
{
    enum status result = parameters_add(&roberta->parameters, PARAMETER_TRANSPOSED, 2, (int64_t[]){out, in},
                                        &pair->weight, "%s.weight", name);
    return result == STATUS_OK
               ? parameters_add(&roberta->parameters, PARAMETER_AS_STORED, 1, &out, &pair->bias, "%s.bias", name)
               : result;
}

static enum status add_norm(struct roberta *roberta, const char *name, struct roberta_pair *pair)
{
    int64_t hidden = roberta->config.hidden;
    enum status result =
        parameters_add(&roberta->parameters, PARAMETER_AS_STORED, 1, &hidden, &pair->weight, "%s.weight", name);
    return result == STATUS_OK
               ? parameters_add(&roberta->parameters, PARAMETER_AS_STORED, 1, &hidden, &pair->bias, "%s.bias", name)
               : result;
}

static enum status add_layer(struct roberta *roberta, int64_t index)
{
    enum status result = STATUS_OK;
    struct roberta_layer *layer = &roberta->layers[index];
    int64_t hidden = roberta->config.hidden, wide = roberta->config.intermediate;
    const struct {
        const char *name;
        int64_t in, out; /* both 0: a layer norm */
        struct roberta_pair *pair;
    } tensors[] = {{"attention.self.query", hidden, hidden, &layer->query},
                   {"attention.self.key", hidden, hidden, &layer->key},
                   {"attention.self.value", hidden, hidden, &layer->value},
                   {"attention.output.dense", hidden, hidden, &layer->output},
                   {"attention.output.LayerNorm", 0, 0, &layer->attention_norm},
                   {"intermediate.dense", hidden, wide, &layer->expand},
                   {"output.dense", wide, hidden, &layer->contract},
                   {"output.LayerNorm", 0, 0, &layer->final_norm}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[PARAMETER_NAME_BYTES];
        snprintf(name, sizeof name, "roberta.encoder.layer.%" PRId64 ".%s", index, tensors[i].name);
        if (tensors[i].in == 0)
            TRY(add_norm(roberta, name, tensors[i].pair));
        else
            TRY(add_matrix(roberta, name, tensors[i].in, tensors[i].out, tensors[i].pair));
    }
fail:
    return result;
}

static enum status add_table(struct roberta *roberta, const char *name, int64_t rows, int64_t *offset)
{
    return parameters_add(&roberta->parameters, PARAMETER_AS_STORED, 2, (int64_t[]){rows, roberta->config.hidden},
                          offset, "roberta.embeddings.%s.weight", name);
}

static enum status list_tensors(struct roberta *roberta)
{
    enum status result = STATUS_OK;
    const struct roberta_config *config = &roberta->config;
    if (!(roberta->layers = calloc((size_t)config->layers, sizeof *roberta->layers)))
        FAIL(STATUS_INTERNAL, "no memory for the layers of RoBERTa");
    TRY(add_table(roberta, "word_embeddings", config->vocabulary, &roberta->words));
    TRY(add_table(roberta, "position_embeddings", config->positions, &roberta->positions));
    TRY(add_table(roberta, "token_type_embeddings", config->types, &roberta->types));
    TRY(add_norm(roberta, "roberta.embeddings.LayerNorm", &roberta->norm));
    for (int64_t i = 0; i < config->layers; i++)
        TRY(add_layer(roberta, i));
fail:
    return result;
}

/* ---- reading ---- */

static float *weights_at(const struct roberta *roberta, int64_t offset)
{
    return element_at(roberta->weights, DTYPE_F32, offset);
}

/* positions[p] += types[0]: the row as often as there are positions, by ids that are all 0, and one sum. */
static enum status fold_types(struct roberta *roberta)
{
    enum status result = STATUS_OK;
    const struct roberta_config *config = &roberta->config;
    const struct kernels *kernels = roberta->kernels;
    int64_t count = config->positions * config->hidden;
    size_t scratch = 0;
    void *ids = NULL, *rows = NULL;
    TRY(kernels->allocate(roberta->context, (size_t)config->positions * sizeof(int32_t), &ids)); /* zeroed */
    TRY(kernels->allocate(roberta->context, (size_t)count * sizeof(float), &rows));
    const struct embedding_forward repeat = {.tokens = config->positions,
                                             .channels = config->hidden,
                                             .rows = config->types,
                                             .ids = ids,
                                             .table = weights_at(roberta, roberta->types),
                                             .output = rows};
    const struct convert sum = {.count = count,
                                .source = rows,
                                .destination = weights_at(roberta, roberta->positions),
                                .source_type = DTYPE_F32,
                                .destination_type = DTYPE_F32,
                                .add = true};
    struct compute compute = {.kernels = kernels, .context = roberta->context, .dtype = DTYPE_F32, .measure = &scratch};
    TRY(compute_run(&compute, embedding_forward, &repeat));
    TRY(compute_run(&compute, convert, &sum));
    TRY(device_context_reserve(kernels, roberta->context, scratch));
    compute.measure = NULL;
    TRY(compute_run(&compute, embedding_forward, &repeat));
    TRY(compute_run(&compute, convert, &sum));
    TRY(kernels->synchronize(roberta->context));
fail:
    kernels->release(roberta->context, ids);
    kernels->release(roberta->context, rows);
    return result;
}

/* What decides the result beside the weights. */
static void hash_config(struct sha256_stream *hash, const struct roberta_config *config)
{
    char text[256];
    int length = snprintf(text, sizeof text,
                          "roberta 1 %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
                          " %" PRId64 " %a",
                          config->vocabulary, config->types, config->positions, config->hidden, config->intermediate,
                          config->layers, config->heads, config->pad, config->epsilon);
    sha256_add(hash, text, (size_t)length);
}

enum status roberta_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                         struct roberta **out)
{
    enum status result = STATUS_OK;
    struct named_tensors *tensors = NULL;
    struct sha256_stream *hash = sha256_start();
    struct roberta *roberta = calloc(1, sizeof *roberta);
    *out = NULL;
    if (!roberta)
        FAIL(STATUS_INTERNAL, "no memory for RoBERTa");
    *roberta = (struct roberta){.kernels = kernels, .context = context};
    TRY(roberta_config_read(folder, &roberta->config));
    TRY(named_tensors_open(folder, &tensors));
    if ((result = list_tensors(roberta)) != STATUS_OK) { /* sizes that no file has: it does not know the file */
        result = status_prefix(result, "%s", folder);
        goto fail;
    }
    hash_config(hash, &roberta->config);
    TRY(host_linear_read(tensors, "classifier.dense", roberta->config.hidden, roberta->config.hidden, hash,
                         &roberta->dense));
    TRY(host_linear_read(tensors, "classifier.out_proj", roberta->config.hidden, 0, hash, &roberta->out));
    TRY(parameters_load(&roberta->parameters, tensors, kernels, context, hash, &roberta->weights));
    TRY(fold_types(roberta));
    *out = roberta;
fail:
    named_tensors_close(tensors);
    struct sha256 fingerprint = sha256_finish(hash);
    if (result == STATUS_OK)
        roberta->fingerprint = fingerprint;
    else
        roberta_close(roberta);
    return result;
}

void roberta_close(struct roberta *roberta)
{
    if (!roberta)
        return;
    roberta->kernels->release(roberta->context, roberta->weights);
    parameters_free(&roberta->parameters);
    host_linear_free(&roberta->dense);
    host_linear_free(&roberta->out);
    free(roberta->layers);
    free(roberta);
}

const struct roberta_config *roberta_config(const struct roberta *roberta)
{
    return &roberta->config;
}

int64_t roberta_classes(const struct roberta *roberta)
{
    return roberta->out.out;
}

int64_t roberta_limit(const struct roberta *roberta)
{
    return roberta->config.positions - roberta->config.pad - 1;
}

const struct sha256 *roberta_fingerprint(const struct roberta *roberta)
{
    return &roberta->fingerprint;
}
