/* The configuration inside the file. Of what torchfcpe can build, the published model is one kind: convolutions alone, without
 * attention and without an embedding of harmonics. Keys of training and of attention say nothing about it and are not looked at. */
#include "models/fcpe/fcpe_internal.h"

#include <inttypes.h>

enum { RATE = 16000, SIZES_LIMIT = 1 << 14, WINDOW_LEAST = 256, WINDOW_MOST = 2048 };

struct reader {
    const char *path, *part; /* "mel" or "model" */
    const struct torch_value *dict;
};

static enum status get_size(const struct reader *reader, const char *key, int64_t most, int64_t *size)
{
    const struct torch_value *value = torch_value_get(reader->dict, key);
    if (!value)
        return status_set(STATUS_CORRUPT, "%s: config_dict.%s.%s is missing", reader->path, reader->part, key);
    if (!torch_value_integer(value, size) || *size < 1 || *size > most)
        return status_set(STATUS_CORRUPT, "%s: config_dict.%s.%s is not an integer from 1 to %" PRId64, reader->path,
                          reader->part, key, most);
    return STATUS_OK;
}

static enum status get_hertz(const struct reader *reader, const char *key, double *hertz)
{
    const struct torch_value *value = torch_value_get(reader->dict, key);
    if (!value || !torch_value_real(value, hertz) || !(*hertz >= 0 && *hertz <= RATE / 2))
        return status_set(STATUS_CORRUPT, "%s: config_dict.%s.%s is not a frequency from 0 to %d Hz", reader->path,
                          reader->part, key, RATE / 2);
    return STATUS_OK;
}

/* A flag that must have this value; absent ones are false, as in torchfcpe. */
static enum status need_flag(const struct reader *reader, const char *key, bool needed)
{
    const struct torch_value *value = torch_value_get(reader->dict, key);
    bool found = value && value->kind == TORCH_BOOL && value->boolean;
    if (value && value->kind != TORCH_BOOL && value->kind != TORCH_NONE)
        return status_set(STATUS_CORRUPT, "%s: config_dict.%s.%s is neither true nor false", reader->path, reader->part,
                          key);
    if (found != needed)
        return status_set(STATUS_CORRUPT, "%s: config_dict.%s.%s %s is not supported", reader->path, reader->part, key,
                          found ? "true" : "false");
    return STATUS_OK;
}

static enum status read_mel(const struct reader *reader, struct fcpe_config *config)
{
    enum status result = STATUS_OK;
    int64_t rate, transform;
    TRY(get_size(reader, "sr", INT32_MAX, &rate));
    if (rate != RATE)
        FAIL(STATUS_CORRUPT, "%s: config_dict.mel.sr is %" PRId64 "; only %d is supported", reader->path, rate, RATE);
    TRY(get_size(reader, "num_mels", SIZES_LIMIT, &config->bands));
    TRY(get_size(reader, "n_fft", WINDOW_MOST, &transform));
    TRY(get_size(reader, "win_size", WINDOW_MOST, &config->window));
    TRY(get_size(reader, "hop_size", WINDOW_MOST, &config->hop));
    TRY(get_hertz(reader, "fmin", &config->lowest));
    TRY(get_hertz(reader, "fmax", &config->highest));
    if (config->window < WINDOW_LEAST || (config->window & (config->window - 1)) != 0 || transform != config->window)
        FAIL(STATUS_CORRUPT,
             "%s: config_dict.mel: win_size %" PRId64 " and n_fft %" PRId64 " are not one power of two from %d to %d",
             reader->path, config->window, transform, WINDOW_LEAST, WINDOW_MOST);
    /* Then padding is the same on both sides, and a clip under one hop is surrounded by zeros. */
    if (3 * config->hop > config->window || (config->window - config->hop) % 2 != 0)
        FAIL(STATUS_CORRUPT, "%s: config_dict.mel: hop_size %" PRId64 " with win_size %" PRId64 " is not supported",
             reader->path, config->hop, config->window);
    if (!(config->lowest < config->highest))
        FAIL(STATUS_CORRUPT, "%s: config_dict.mel: fmin is not below fmax", reader->path);
fail:
    return result;
}

static enum status read_model(const struct reader *reader, struct fcpe_config *config)
{
    enum status result = STATUS_OK;
    const struct torch_value *type = torch_value_get(reader->dict, "type");
    if (!type || !torch_value_is(type, "CFNaiveMelPE"))
        FAIL(STATUS_CORRUPT, "%s: config_dict.model.type is not CFNaiveMelPE", reader->path);
    TRY(get_size(reader, "hidden_dims", LAYER_NORM_CHANNELS, &config->hidden));
    TRY(get_size(reader, "n_layers", FCPE_LAYERS_LIMIT, &config->layers));
    TRY(get_size(reader, "out_dims", SIZES_LIMIT, &config->steps));
    TRY(need_flag(reader, "conv_only", true));
    TRY(need_flag(reader, "use_harmonic_emb", false));
    if (config->hidden % FCPE_GROUPS != 0)
        FAIL(STATUS_CORRUPT, "%s: config_dict.model.hidden_dims %" PRId64 " is not a multiple of %d", reader->path,
             config->hidden, FCPE_GROUPS);
fail:
    return result;
}

enum status fcpe_config_read(const struct named_tensors *tensors, struct fcpe_config *config)
{
    const char *path = named_tensors_path(tensors);
    const struct torch_value *root = named_tensors_root(tensors);
    const struct torch_value *dict = root ? torch_value_get(root, "config_dict") : NULL;
    const struct torch_value *mel = dict ? torch_value_get(dict, "mel") : NULL;
    const struct torch_value *model = dict ? torch_value_get(dict, "model") : NULL;
    *config = (struct fcpe_config){0};
    if (!mel || !model)
        return status_set(STATUS_CORRUPT, "%s: expected FCPE's config_dict with mel and model", path);
    enum status result = read_mel(&(struct reader){path, "mel", mel}, config);
    if (result == STATUS_OK)
        result = read_model(&(struct reader){path, "model", model}, config);
    /* With a dropout in training a layer's convolutions are one module further down. */
    config->dropout = named_tensors_find(tensors, "model.net.encoder_layers.0.conformer.0.net.0.weight") != NULL;
    return result;
}
