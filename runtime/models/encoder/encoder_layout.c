/* The list of an encoder's tensors: their shapes in a checkpoint, and where they lie in the arena. */
#include "models/encoder/encoder_internal.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static enum status add(struct encoder_layout *layout, enum encoder_part part, int64_t index, bool bias, int rank,
                       const int64_t *shape)
{
    if (layout->count == layout->capacity) {
        int64_t capacity = layout->capacity ? 2 * layout->capacity : 64;
        struct encoder_tensor *grown = realloc(layout->tensors, (size_t)capacity * sizeof *grown);
        if (!grown)
            return status_set(STATUS_INTERNAL, "no memory for a list of tensors");
        layout->tensors = grown;
        layout->capacity = capacity;
    }
    struct encoder_tensor *tensor = &layout->tensors[layout->count++];
    *tensor = (struct encoder_tensor){.part = part, .index = index, .bias = bias, .rank = rank, .count = 1};
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    for (int i = 0; i < rank; i++)
        tensor->count *= shape[i];
    if (part != ENCODER_KEY && part != ENCODER_VALUE) /* one product computes q, k and v */
        layout->elements = (layout->elements + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    tensor->offset = layout->elements;
    layout->elements += tensor->count;
    (bias ? layout->biases : layout->weights)[part * layout->indices + index] = tensor->offset;
    return STATUS_OK;
}

static enum status add_vector(struct encoder_layout *layout, enum encoder_part part, int64_t index, bool bias,
                              int64_t size)
{
    return add(layout, part, index, bias, 1, &size);
}

static enum status add_matrix(struct encoder_layout *layout, enum encoder_part part, int64_t index, int64_t rows,
                              int64_t columns)
{
    return add(layout, part, index, false, 2, (int64_t[]){rows, columns});
}

static enum status add_norm(struct encoder_layout *layout, enum encoder_part part, int64_t index, int64_t size)
{
    enum status result = add_vector(layout, part, index, false, size);
    return result == STATUS_OK ? add_vector(layout, part, index, true, size) : result;
}

static enum status add_linear(struct encoder_layout *layout, enum encoder_part part, int64_t index, int64_t rows,
                              int64_t columns)
{
    enum status result = add_matrix(layout, part, index, rows, columns);
    return result == STATUS_OK ? add_vector(layout, part, index, true, rows) : result;
}

static enum status add_features(const struct encoder_config *config, struct encoder_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t channels = 1;
    for (int64_t i = 0; i < config->convolution_count; i++) {
        const struct encoder_convolution *convolution = &config->convolutions[i];
        const int64_t shape[] = {convolution->channels, channels, convolution->kernel};
        TRY(add(layout, ENCODER_CONVOLUTION, i, false, 3, shape));
        if (config->convolution_bias)
            TRY(add_vector(layout, ENCODER_CONVOLUTION, i, true, convolution->channels));
        channels = convolution->channels;
        if (config->layer_norm_features)
            TRY(add_norm(layout, ENCODER_FEATURE_LAYER_NORM, i, channels));
        else if (i == 0)
            TRY(add_norm(layout, ENCODER_FEATURE_GROUP_NORM, 0, channels));
    }
fail:
    return result;
}

static enum status add_input(const struct encoder_config *config, struct encoder_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t features = config->convolutions[config->convolution_count - 1].channels, hidden = config->hidden_size;
    if (config->projection_norm)
        TRY(add_norm(layout, ENCODER_PROJECTION_NORM, 0, features));
    if (config->projection)
        TRY(add_linear(layout, ENCODER_PROJECTION, 0, hidden, features));
    const int64_t shape[] = {hidden, hidden / config->positional_groups, config->positional_kernel};
    TRY(add(layout, ENCODER_POSITIONAL, 0, false, 3, shape));
    TRY(add_vector(layout, ENCODER_POSITIONAL, 0, true, hidden));
fail:
    return result;
}

static enum status add_layer(const struct encoder_config *config, int64_t i, struct encoder_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t hidden = config->hidden_size, wide = config->intermediate_size;
    TRY(add_matrix(layout, ENCODER_QUERY, i, hidden, hidden));
    TRY(add_matrix(layout, ENCODER_KEY, i, hidden, hidden));
    TRY(add_matrix(layout, ENCODER_VALUE, i, hidden, hidden));
    TRY(add_vector(layout, ENCODER_QUERY, i, true, hidden));
    TRY(add_vector(layout, ENCODER_KEY, i, true, hidden));
    TRY(add_vector(layout, ENCODER_VALUE, i, true, hidden));
    TRY(add_linear(layout, ENCODER_OUTPUT, i, hidden, hidden));
    TRY(add_norm(layout, ENCODER_ATTENTION_NORM, i, hidden));
    TRY(add_linear(layout, ENCODER_EXPAND, i, wide, hidden));
    TRY(add_linear(layout, ENCODER_CONTRACT, i, hidden, wide));
    TRY(add_norm(layout, ENCODER_FINAL_NORM, i, hidden));
fail:
    return result;
}

enum status encoder_layout_create(const struct encoder_config *config, int64_t layer, struct encoder_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t layers = layer < config->layers ? layer : config->layers;
    *layout = (struct encoder_layout){.last_layer = layers > 0 ? layers : 0};
    layout->indices = layout->last_layer > config->convolution_count ? layout->last_layer : config->convolution_count;
    layout->weights = calloc((size_t)(ENCODER_PARTS * layout->indices), sizeof *layout->weights);
    layout->biases = calloc((size_t)(ENCODER_PARTS * layout->indices), sizeof *layout->biases);
    if (!layout->weights || !layout->biases)
        FAIL(STATUS_INTERNAL, "no memory for a list of tensors");
    TRY(add_features(config, layout));
    if (layer > ENCODER_FEATURES)
        TRY(add_input(config, layout));
    if (config->norm_first ? layer == ENCODER_LAST : layer >= ENCODER_INPUT)
        TRY(add_norm(layout, ENCODER_NORM, 0, config->hidden_size));
    for (int64_t i = 0; i < layout->last_layer; i++)
        TRY(add_layer(config, i, layout));
    return STATUS_OK;
fail:
    encoder_layout_free(layout);
    return result;
}

void encoder_layout_free(struct encoder_layout *layout)
{
    free(layout->tensors);
    free(layout->weights);
    free(layout->biases);
    memset(layout, 0, sizeof *layout);
}
