/* The list of a vocoder's tensors: their names and shapes in a checkpoint, and where they lie in the arena. */
#include "models/hifigan/hifigan_internal.h"

#include "core/array.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static int64_t reserve(struct hifigan_layout *layout, int64_t count)
{
    int64_t offset = layout->elements;
    layout->elements += (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return offset;
}

/* One tensor; `shape` ends with 0. */
static enum status add(struct hifigan_layout *layout, enum hifigan_kind kind, const int64_t *shape, int64_t *offset,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));
static enum status add(struct hifigan_layout *layout, enum hifigan_kind kind, const int64_t *shape, int64_t *offset,
                       const char *format, ...)
{
    va_list arguments;
    enum status result = array_grow(&layout->tensors, &layout->capacity, layout->count + 1, "tensors");
    if (result != STATUS_OK)
        return result;
    struct hifigan_tensor *tensor = &layout->tensors[layout->count++];
    *tensor = (struct hifigan_tensor){.kind = kind, .count = 1};
    va_start(arguments, format);
    vsnprintf(tensor->name, sizeof tensor->name, format, arguments);
    va_end(arguments);
    for (; tensor->rank < 3 && shape[tensor->rank] > 0; tensor->rank++) {
        tensor->shape[tensor->rank] = shape[tensor->rank];
        tensor->count *= shape[tensor->rank];
    }
    *offset = tensor->offset = reserve(layout, tensor->count);
    return STATUS_OK;
}

/* Weight and bias; of a transposed convolution the outputs are the weight's second size. */
static enum status add_pair(struct hifigan_layout *layout, enum hifigan_kind kind, const int64_t *shape,
                            struct hifigan_place *place, const char *name)
{
    enum status result = add(layout, kind, shape, &place->weight, "%s.weight", name);
    const int64_t bias[] = {shape[kind == HIFIGAN_TRANSPOSED ? 1 : 0], 0, 0};
    return result == STATUS_OK ? add(layout, HIFIGAN_PLAIN, bias, &place->bias, "%s.bias", name) : result;
}

static enum status add_tables(const struct hifigan_config *config, struct hifigan_layout *layout)
{
    static const char *const names[HIFIGAN_TABLES] = {"dict", "f0_dict", "style_dict", "spkr", "style"};
    enum status result = STATUS_OK;
    for (int i = 0; i < HIFIGAN_TABLES; i++)
        if (config->rows[i] > 0)
            TRY(add(layout, HIFIGAN_PLAIN, (int64_t[]){config->rows[i], config->width, 0}, &layout->tables[i],
                    "%s.weight", names[i]));
fail:
    return result;
}

static enum status add_durations(const struct hifigan_config *config, struct hifigan_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t channels = config->width, hidden = config->duration_channels;
    if (hidden == 0)
        return STATUS_OK;
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "dur_predictor.conv%d.0", i + 1);
        TRY(add_pair(layout, HIFIGAN_CONVOLUTION, (int64_t[]){hidden, channels, HIFIGAN_DURATION_KERNEL},
                     &layout->durations[i], name));
        snprintf(name, sizeof name, "dur_predictor.ln%d", i + 1);
        TRY(add_pair(layout, HIFIGAN_PLAIN, (int64_t[]){hidden, 0, 0}, &layout->duration_norms[i], name));
        channels = hidden;
    }
    TRY(add_pair(layout, HIFIGAN_PLAIN, (int64_t[]){1, hidden, 0}, &layout->duration_output, "dur_predictor.proj"));
fail:
    return result;
}

static enum status add_block(const struct hifigan_config *config, int64_t stage, int64_t block,
                             struct hifigan_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t channels = hifigan_channels(config, stage);
    for (int second = 0; second < 2; second++)
        for (int d = 0; d < HIFIGAN_DILATIONS; d++) {
            char name[64];
            snprintf(name, sizeof name, "resblocks.%d.convs%d.%d", (int)(stage * config->blocks + block), second + 1,
                     d);
            TRY(add_pair(layout, HIFIGAN_NORMALISED, (int64_t[]){channels, channels, config->block_kernels[block]},
                         &layout->blocks[stage][block][d][second], name));
        }
fail:
    return result;
}

static enum status add_generator(const struct hifigan_config *config, struct hifigan_layout *layout)
{
    enum status result = STATUS_OK;
    TRY(add_pair(layout, HIFIGAN_NORMALISED,
                 (int64_t[]){config->channels, hifigan_config_inputs(config), HIFIGAN_INPUT_KERNEL}, &layout->input,
                 "conv_pre"));
    for (int64_t stage = 0; stage < config->stages; stage++) {
        char name[32];
        snprintf(name, sizeof name, "ups.%d", (int)stage);
        const int64_t shape[] = {hifigan_channels(config, stage - 1), hifigan_channels(config, stage),
                                 config->kernels[stage]};
        TRY(add_pair(layout, HIFIGAN_TRANSPOSED, shape, &layout->stages[stage], name));
        layout->tensors[layout->count - 2].averages = stage > 0;
        for (int64_t block = 0; block < config->blocks; block++)
            TRY(add_block(config, stage, block, layout));
    }
    TRY(add_pair(layout, HIFIGAN_NORMALISED,
                 (int64_t[]){1, hifigan_channels(config, config->stages - 1), HIFIGAN_OUTPUT_KERNEL}, &layout->output,
                 "conv_post"));
    layout->tensors[layout->count - 2].averages = true;
fail:
    return result;
}

enum status hifigan_layout_create(const struct hifigan_config *config, struct hifigan_layout *layout)
{
    enum status result = STATUS_OK;
    memset(layout, 0, sizeof *layout);
    TRY(add_tables(config, layout));
    TRY(add_durations(config, layout));
    TRY(add_generator(config, layout));
    layout->ones = reserve(layout, hifigan_channels(config, 0));
    return STATUS_OK;
fail:
    hifigan_layout_free(layout);
    return result;
}

void hifigan_layout_free(struct hifigan_layout *layout)
{
    free(layout->tensors);
    memset(layout, 0, sizeof *layout);
}
