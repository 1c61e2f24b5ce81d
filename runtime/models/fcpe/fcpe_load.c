/* The list of FCPE's tensors in the order in which they are used, and how they get to the device. */
#include "models/fcpe/fcpe_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A weight in `order` and its bias of `outputs`, the weight's first dimension. */
static enum status add_pair(struct fcpe *fcpe, enum parameter_order order, int rank, const int64_t *shape,
                            const char *name, struct fcpe_pair *pair)
{
    enum status result = parameters_add(&fcpe->parameters, order, rank, shape, &pair->weight, "%s.weight", name);
    return result == STATUS_OK
               ? parameters_add(&fcpe->parameters, PARAMETER_AS_STORED, 1, shape, &pair->bias, "%s.bias", name)
               : result;
}

static enum status add_layer(struct fcpe *fcpe, int64_t index)
{
    enum status result = STATUS_OK;
    const struct fcpe_config *config = &fcpe->config;
    struct fcpe_layer *layer = &fcpe->layers[index];
    int64_t hidden = config->hidden, inner = fcpe_inner(config);
    const struct {
        const char *name;
        int rank;
        int64_t shape[3];
        struct fcpe_pair *pair;
    } tensors[] = {{"0", 1, {hidden}, &layer->norm},
                   {"2", 3, {2 * inner, hidden, 1}, &layer->expand},
                   {"4.conv", 3, {inner, 1, FCPE_KERNEL}, &layer->depthwise},
                   {"6", 3, {hidden, inner, 1}, &layer->contract}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[PARAMETER_NAME_BYTES];
        snprintf(name, sizeof name, "model.net.encoder_layers.%lld.conformer.%snet.%s", (long long)index,
                 config->dropout ? "0." : "", tensors[i].name);
        TRY(add_pair(fcpe, PARAMETER_AS_STORED, tensors[i].rank, tensors[i].shape, name, tensors[i].pair));
    }
fail:
    return result;
}

static enum status list_tensors(struct fcpe *fcpe)
{
    enum status result = STATUS_OK;
    const struct fcpe_config *config = &fcpe->config;
    int64_t hidden = config->hidden;
    for (int i = 0; i < 2; i++) {
        const int64_t shape[] = {hidden, i == 0 ? config->bands : hidden, FCPE_ENTRY_KERNEL};
        TRY(add_pair(fcpe, PARAMETER_CONVOLUTION, 3, shape, i == 0 ? "model.input_stack.0" : "model.input_stack.3",
                     &fcpe->entry[i]));
    }
    TRY(add_pair(fcpe, PARAMETER_AS_STORED, 1, &hidden, "model.input_stack.1", &fcpe->entry_norm));
    for (int64_t i = 0; i < config->layers; i++)
        TRY(add_layer(fcpe, i));
    TRY(add_pair(fcpe, PARAMETER_AS_STORED, 1, &hidden, "model.norm", &fcpe->norm));
    TRY(add_pair(fcpe, PARAMETER_AS_STORED, 2, (int64_t[]){config->steps, hidden}, "model.output_proj", &fcpe->head));
    TRY(parameters_add(&fcpe->parameters, PARAMETER_AS_STORED, 1, &config->steps, &fcpe->cents, "model.cent_table"));
fail:
    return result;
}

static struct sha256 fingerprint(const struct fcpe *fcpe, const float *values)
{
    const struct fcpe_config *config = &fcpe->config;
    struct sha256_stream *hash = sha256_start();
    char text[256];
    int length = snprintf(text, sizeof text, "fcpe 1 %lld %lld %lld %a %a %lld %lld %lld", (long long)config->window,
                          (long long)config->hop, (long long)config->bands, config->lowest, config->highest,
                          (long long)config->hidden, (long long)config->layers, (long long)config->steps);
    sha256_add(hash, text, (size_t)length);
    sha256_add(hash, values, (size_t)fcpe->parameters.elements * sizeof *values);
    return sha256_finish(hash);
}

static enum status load(struct fcpe *fcpe, const struct named_tensors *tensors)
{
    enum status result = STATUS_OK;
    float *values = NULL;
    size_t steps = (size_t)fcpe->config.steps;
    TRY(parameters_read(&fcpe->parameters, tensors, &values));
    TRY(parameters_send(&fcpe->parameters, values, fcpe->kernels, fcpe->context, &fcpe->weights));
    if (!(fcpe->cent_table = malloc(steps * sizeof *fcpe->cent_table)))
        FAIL(STATUS_INTERNAL, "no memory for a table of %zu steps", steps);
    memcpy(fcpe->cent_table, values + fcpe->cents, steps * sizeof *values);
    fcpe->fingerprint = fingerprint(fcpe, values);
fail:
    free(values);
    return result;
}

enum status fcpe_open(const char *path, const struct kernels *kernels, struct device_context *context,
                      struct fcpe **out)
{
    enum status result = STATUS_OK;
    struct named_tensors *tensors = NULL;
    struct fcpe *fcpe = calloc(1, sizeof *fcpe);
    *out = NULL;
    if (!fcpe)
        return status_set(STATUS_INTERNAL, "no memory for FCPE");
    *fcpe = (struct fcpe){.kernels = kernels, .context = context};
    TRY(named_tensors_open(path, &tensors));
    TRY(fcpe_config_read(tensors, &fcpe->config));
    TRY(list_tensors(fcpe));
    TRY(load(fcpe, tensors));
    TRY(fcpe_mel_create(&fcpe->config, kernels, context, &fcpe->mel));
    *out = fcpe;
    fcpe = NULL;
fail:
    named_tensors_close(tensors);
    fcpe_close(fcpe);
    return result;
}

void fcpe_close(struct fcpe *fcpe)
{
    if (!fcpe)
        return;
    fcpe->kernels->release(fcpe->context, fcpe->weights);
    fcpe->kernels->release(fcpe->context, fcpe->mel.memory);
    parameters_free(&fcpe->parameters);
    free(fcpe->cent_table);
    free(fcpe);
}

const struct fcpe_config *fcpe_config(const struct fcpe *fcpe)
{
    return &fcpe->config;
}

const struct sha256 *fcpe_fingerprint(const struct fcpe *fcpe)
{
    return &fcpe->fingerprint;
}
