/* Reads a vocoder's config.json. Its keys are optional in many ways: the training code asks whether a value is true as Python
 * understands it, so that an absent key, null, false, 0 and "" all mean that a part is not there. */
#include "models/hifigan/hifigan_config.h"

#include "io/json.h"

#include <math.h>
#include <string.h>

/* Limits of what is plausible: with them no size overflows, and all are within what the kernels accept. */
enum { MOST_CHANNELS = 1 << 16, MOST_ROWS = 1 << 24, MOST_RATE = 1 << 10, MOST_TAPS = 128, MOST_DILATION = 64 };
enum { SPEAKERS_DEFAULT = 200 };

struct reader {
    const char *path;
    const json_t *root;
};

/* Whether Python would take the value of a key as true. */
static bool is_on(const struct reader *reader, const char *key)
{
    const json_t *value = json_object_get(reader->root, key);
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) < 0 || json_real_value(value) > 0;
    case JSON_TRUE:
        return true;
    default:
        return false;
    }
}

static enum status get_size(const struct reader *reader, const char *key, int64_t most, int64_t *value)
{
    return jdoc_get_int(reader->path, reader->root, key, 1, most, value);
}

/* Several integers in [1, most] from a list. */
static enum status get_list(const struct reader *reader, const char *key, const json_t *list, int64_t most,
                            int64_t room, int64_t *values, int64_t *count)
{
    *count = (int64_t)json_array_size(list);
    if (!json_is_array(list) || *count < 1 || *count > room)
        return status_set(STATUS_CORRUPT, "%s: %s: expected a list of 1 to %lld integers", reader->path, key,
                          (long long)room);
    for (int64_t i = 0; i < *count; i++) {
        const json_t *value = json_array_get(list, (size_t)i);
        values[i] = json_integer_value(value);
        if (!json_is_integer(value) || values[i] < 1 || values[i] > most)
            return status_set(STATUS_CORRUPT, "%s: %s: entry %lld is not an integer from 1 to %lld", reader->path, key,
                              (long long)i, (long long)most);
    }
    return STATUS_OK;
}

static enum status refuse_variants(const struct reader *reader)
{
    static const char *const keys[] = {"embedder_params", "f0", "f0_quant_num_bin"};
    const json_t *kind = json_object_get(reader->root, "resblock");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is_on(reader, keys[i]))
            return status_set(STATUS_CORRUPT, "%s: %s is not supported", reader->path, keys[i]);
    if (kind && !(json_is_string(kind) && strcmp(json_string_value(kind), "1") == 0) &&
        !(json_is_integer(kind) && json_integer_value(kind) == 1))
        return status_set(STATUS_CORRUPT, "%s: resblock is not \"1\", the only supported kind", reader->path);
    return STATUS_OK;
}

static enum status read_stages(const struct reader *reader, struct hifigan_config *config)
{
    static const char rates[] = "upsample_rates", kernels[] = "upsample_kernel_sizes";
    enum status result = STATUS_OK;
    int64_t count;
    TRY(get_list(reader, rates, json_object_get(reader->root, rates), MOST_RATE, HIFIGAN_STAGES, config->rates,
                 &config->stages));
    TRY(get_list(reader, kernels, json_object_get(reader->root, kernels), MOST_RATE, HIFIGAN_STAGES, config->kernels,
                 &count));
    if (count != config->stages)
        FAIL(STATUS_CORRUPT, "%s: %s has %lld entries, %s %lld", reader->path, rates, (long long)config->stages,
             kernels, (long long)count);
    TRY(get_size(reader, "upsample_initial_channel", MOST_CHANNELS, &config->channels));
    config->frame_samples = 1;
    for (int64_t i = 0; i < config->stages; i++) {
        int64_t margin = config->kernels[i] - config->rates[i];
        if (margin < 0 || margin % 2 != 0) /* else a stage does not make exactly so many frames of one */
            FAIL(STATUS_CORRUPT, "%s: stage %lld has kernel %lld and rate %lld; their difference must be even and >= 0",
                 reader->path, (long long)i, (long long)config->kernels[i], (long long)config->rates[i]);
        config->frame_samples *= config->rates[i];
        if (config->frame_samples > 1 << 20)
            FAIL(STATUS_CORRUPT, "%s: %s: a frame has more than %d samples", reader->path, rates, 1 << 20);
    }
    if (config->channels % (1 << config->stages) != 0)
        FAIL(STATUS_CORRUPT, "%s: upsample_initial_channel is %lld, which cannot be halved %lld times", reader->path,
             (long long)config->channels, (long long)config->stages);
fail:
    return result;
}

static enum status read_blocks(const struct reader *reader, struct hifigan_config *config)
{
    static const char kernels[] = "resblock_kernel_sizes", dilations[] = "resblock_dilation_sizes";
    const json_t *lists = json_object_get(reader->root, dilations);
    enum status result = STATUS_OK;
    TRY(get_list(reader, kernels, json_object_get(reader->root, kernels), MOST_TAPS, HIFIGAN_BLOCKS,
                 config->block_kernels, &config->blocks));
    if ((int64_t)json_array_size(lists) != config->blocks)
        FAIL(STATUS_CORRUPT, "%s: %s: expected a list of %lld lists, as many as %s", reader->path, dilations,
             (long long)config->blocks, kernels);
    for (int64_t i = 0; i < config->blocks; i++) {
        int64_t count;
        TRY(get_list(reader, dilations, json_array_get(lists, (size_t)i), MOST_DILATION, HIFIGAN_DILATIONS,
                     config->dilations[i], &count));
        if (count != HIFIGAN_DILATIONS)
            FAIL(STATUS_CORRUPT, "%s: %s: list %lld has %lld dilations; %d are supported", reader->path, dilations,
                 (long long)i, (long long)count, HIFIGAN_DILATIONS);
        if (config->block_kernels[i] % 2 == 0)
            FAIL(STATUS_CORRUPT, "%s: %s: %lld is even", reader->path, kernels, (long long)config->block_kernels[i]);
    }
fail:
    return result;
}

static enum status read_tables(const struct reader *reader, struct hifigan_config *config)
{
    enum status result = STATUS_OK;
    int64_t inputs;
    TRY(get_size(reader, "num_embeddings", MOST_ROWS, &config->rows[HIFIGAN_UNIT]));
    TRY(get_size(reader, "embedding_dim", MOST_CHANNELS, &config->width));
    if (is_on(reader, "num_f0_tokens"))
        TRY(get_size(reader, "num_f0_tokens", MOST_ROWS, &config->rows[HIFIGAN_PITCH]));
    if (is_on(reader, "num_style_tokens"))
        TRY(get_size(reader, "num_style_tokens", MOST_ROWS, &config->rows[HIFIGAN_STYLE_CODE]));
    if (is_on(reader, "multispkr")) {
        config->rows[HIFIGAN_SPEAKER] = SPEAKERS_DEFAULT;
        if (jdoc_has(reader->root, "num_speakers"))
            TRY(get_size(reader, "num_speakers", MOST_ROWS, &config->rows[HIFIGAN_SPEAKER]));
    }
    if (is_on(reader, "multistyle"))
        TRY(get_size(reader, "num_styles", MOST_ROWS, &config->rows[HIFIGAN_STYLE]));
    TRY(get_size(reader, "model_in_dim", MOST_CHANNELS, &inputs));
    if (inputs != hifigan_config_inputs(config))
        FAIL(STATUS_CORRUPT, "%s: model_in_dim is %lld, but %lld embeddings of %lld channels are %lld", reader->path,
             (long long)inputs, (long long)(hifigan_config_inputs(config) / config->width), (long long)config->width,
             (long long)hifigan_config_inputs(config));
fail:
    return result;
}

/* The predictor sees the units' embeddings; its second convolution pads one frame whatever its kernel. */
static enum status read_durations(const struct reader *reader, struct hifigan_config *config)
{
    static const char key[] = "dur_predictor_params";
    enum status result = STATUS_OK;
    int64_t width, kernel;
    if (!is_on(reader, key))
        return STATUS_OK;
    const struct reader inner = {reader->path, json_object_get(reader->root, key)};
    if (!json_is_object(inner.root))
        FAIL(STATUS_CORRUPT, "%s: %s is not an object", reader->path, key);
    TRY(get_size(&inner, "encoder_embed_dim", MOST_CHANNELS, &width));
    TRY(get_size(&inner, "var_pred_hidden_dim", 4096, &config->duration_channels));
    TRY(get_size(&inner, "var_pred_kernel_size", MOST_TAPS, &kernel));
    if (width != config->width)
        FAIL(STATUS_CORRUPT, "%s: encoder_embed_dim is %lld, embedding_dim %lld", reader->path, (long long)width,
             (long long)config->width);
    if (kernel != HIFIGAN_DURATION_KERNEL)
        FAIL(STATUS_CORRUPT, "%s: var_pred_kernel_size is %lld; only %d is supported", reader->path, (long long)kernel,
             HIFIGAN_DURATION_KERNEL);
fail:
    return result;
}

/* How many frames a code lasts: the ratio of the hops, rounded. */
static enum status read_repetition(const struct reader *reader, const char *key, int64_t unit_hop, int64_t *repetition)
{
    int64_t hop;
    enum status result = get_size(reader, key, INT32_MAX, &hop);
    if (result != STATUS_OK)
        return result;
    *repetition = (int64_t)rint((double)hop / (double)unit_hop);
    if (*repetition < 1)
        return status_set(STATUS_CORRUPT, "%s: %s is %lld, less than half of code_hop_size, %lld", reader->path, key,
                          (long long)hop, (long long)unit_hop);
    return STATUS_OK;
}

static enum status read_rates(const struct reader *reader, struct hifigan_config *config)
{
    enum status result = STATUS_OK;
    int64_t hop = config->frame_samples;
    config->sample_rate = 16000;
    config->pitch_repetition = config->style_repetition = 1;
    if (jdoc_has(reader->root, "sampling_rate"))
        TRY(get_size(reader, "sampling_rate", 1 << 20, &config->sample_rate));
    if (jdoc_has(reader->root, "code_hop_size"))
        TRY(get_size(reader, "code_hop_size", 1 << 20, &hop));
    if (config->rows[HIFIGAN_PITCH])
        TRY(read_repetition(reader, "f0_hop_size", hop, &config->pitch_repetition));
    if (config->rows[HIFIGAN_STYLE_CODE])
        TRY(read_repetition(reader, "style_hop_size", hop, &config->style_repetition));
fail:
    return result;
}

enum status hifigan_config_read(const char *path, struct hifigan_config *config)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    memset(config, 0, sizeof *config);
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    const struct reader reader = {path, root};
    TRY(refuse_variants(&reader));
    TRY(read_stages(&reader, config));
    TRY(read_blocks(&reader, config));
    TRY(read_tables(&reader, config));
    TRY(read_durations(&reader, config));
    TRY(read_rates(&reader, config));
fail:
    json_decref(root);
    return result;
}

int64_t hifigan_config_inputs(const struct hifigan_config *config)
{
    int64_t inputs = 0;
    for (int table = 0; table < HIFIGAN_TABLES; table++)
        inputs += config->rows[table] > 0 ? config->width : 0;
    return inputs;
}

int64_t hifigan_config_reach(const struct hifigan_config *config)
{
    int64_t most = 0;
    for (int64_t i = 0; i < config->blocks; i++) {
        int64_t reach = 0;
        for (int d = 0; d < HIFIGAN_DILATIONS; d++)
            reach += (config->block_kernels[i] - 1) / 2 * (config->dilations[i][d] + 1);
        most = reach > most ? reach : most;
    }
    return most;
}
