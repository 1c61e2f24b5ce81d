/* The configuration inside a file of PyTorch. The release of Spirit LM keeps the model's and the task's part as two dicts,
 * "model_cfg" and "task_cfg"; fairseq has both in "cfg", with "model" and "task" below it, and older versions one namespace
 * "args" with the keys of both. Absent keys have the defaults of fairseq's HubertConfig. Keys that say nothing of how features are
 * computed (dropout, masking, the losses) are not looked at. */
#include "models/encoder/encoder_config.h"
#include "models/encoder/encoder_names.h"

#include <stdio.h>
#include <string.h>

struct reader {
    const char *path;
    const struct torch_value *model, *task;
};

/* NULL: absent, or None. */
static const struct torch_value *get(const struct torch_value *dict, const char *key)
{
    const struct torch_value *value = dict ? torch_value_get(dict, key) : NULL;
    return value && value->kind != TORCH_NONE ? value : NULL;
}

static enum status get_size(const struct reader *reader, const struct torch_value *dict, const char *key,
                            int64_t fallback, int64_t *size)
{
    const struct torch_value *value = get(dict, key);
    *size = fallback;
    if (value && (!torch_value_integer(value, size) || *size < 1 || *size > INT32_MAX))
        return status_set(STATUS_CORRUPT, "%s: %s is not a positive integer", reader->path, key);
    return STATUS_OK;
}

static enum status get_flag(const struct reader *reader, const struct torch_value *dict, const char *key, bool *flag)
{
    const struct torch_value *value = get(dict, key);
    *flag = value && value->kind == TORCH_BOOL && value->boolean;
    if (value && value->kind != TORCH_BOOL)
        return status_set(STATUS_CORRUPT, "%s: %s is neither true nor false", reader->path, key);
    return STATUS_OK;
}

static enum status need_text(const struct reader *reader, const char *key, const char *only)
{
    const struct torch_value *value = get(reader->model, key);
    if (!value || value->kind == TORCH_OPAQUE || torch_value_is(value, only)) /* an enum's value is not known */
        return STATUS_OK;
    if (value->kind != TORCH_STRING)
        return status_set(STATUS_CORRUPT, "%s: %s is not a text", reader->path, key);
    return status_set(STATUS_CORRUPT, "%s: %s is \"%.*s\"; only \"%s\" is supported", reader->path, key,
                      (int)(value->size < 40 ? value->size : 40), value->text, only);
}

/* What would change the mathematics. */
static enum status refuse_variants(const struct reader *reader)
{
    enum status result = STATUS_OK;
    bool batch_norm;
    int64_t depth;
    TRY(need_text(reader, "activation_fn", "gelu"));
    TRY(need_text(reader, "layer_type", "transformer"));
    TRY(get_flag(reader, reader->model, "conv_pos_batch_norm", &batch_norm));
    if (batch_norm)
        FAIL(STATUS_CORRUPT, "%s: conv_pos_batch_norm is not supported", reader->path);
    TRY(get_size(reader, reader->model, "pos_conv_depth", 1, &depth));
    if (depth != 1)
        FAIL(STATUS_CORRUPT, "%s: pos_conv_depth %lld is not supported", reader->path, (long long)depth);
fail:
    return result;
}

static enum status read_convolutions(const struct reader *reader, struct encoder_config *config)
{
    static const char key[] = "conv_feature_layers", usual[] = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2";
    const struct torch_value standard = {.kind = TORCH_STRING, .text = usual, .size = sizeof usual - 1};
    const struct torch_value *value = get(reader->model, key);
    if (!value)
        value = &standard;
    if (value->kind != TORCH_STRING)
        return status_set(STATUS_CORRUPT, "%s: %s is not a text", reader->path, key);
    enum status result =
        encoder_convolutions_parse(value->text, value->size, config->convolutions, &config->convolution_count);
    return result == STATUS_OK ? result : status_prefix(result, "%s: %s", reader->path, key);
}

/* An enum's value is not known: then the tensors say which it is. */
static enum status read_extractor_mode(const struct reader *reader, const struct named_tensors *tensors,
                                       struct encoder_config *config)
{
    const struct torch_value *value = get(reader->model, "extractor_mode");
    struct encoder_names names;
    char name[ENCODER_NAME_BYTES];
    config->layer_norm_features = value && torch_value_is(value, "layer_norm");
    if (!value || torch_value_is(value, "default") || torch_value_is(value, "layer_norm"))
        return STATUS_OK;
    if (value->kind == TORCH_STRING)
        return need_text(reader, "extractor_mode", "default\" and \"layer_norm");
    enum status result = encoder_names_find(tensors, &names);
    if (result != STATUS_OK)
        return result;
    encoder_name(&names, ENCODER_FEATURE_LAYER_NORM, 0, "weight", name);
    config->layer_norm_features = named_tensors_find(tensors, name) != NULL;
    return STATUS_OK;
}

static enum status read_model(const struct reader *reader, const struct named_tensors *tensors,
                              struct encoder_config *config)
{
    const struct torch_value *model = reader->model;
    enum status result = STATUS_OK;
    TRY(refuse_variants(reader));
    TRY(read_convolutions(reader, config));
    TRY(read_extractor_mode(reader, tensors, config));
    TRY(get_flag(reader, model, "conv_bias", &config->convolution_bias));
    TRY(get_size(reader, model, "conv_pos", 128, &config->positional_kernel));
    TRY(get_size(reader, model, "conv_pos_groups", 16, &config->positional_groups));
    TRY(get_size(reader, model, "encoder_embed_dim", 768, &config->hidden_size));
    TRY(get_size(reader, model, "encoder_ffn_embed_dim", 3072, &config->intermediate_size));
    TRY(get_size(reader, model, "encoder_layers", 12, &config->layers));
    TRY(get_size(reader, model, "encoder_attention_heads", 12, &config->heads));
    TRY(get_flag(reader, model, "layer_norm_first", &config->norm_first));
    config->projection_norm = true;
    config->projection = config->convolution_count > 0 &&
                         config->convolutions[config->convolution_count - 1].channels != config->hidden_size;
    config->epsilon = 1e-5;
fail:
    return result;
}

static bool is_dict(const struct torch_value *value)
{
    return value && value->kind == TORCH_DICT;
}

static enum status find_parts(const struct named_tensors *tensors, struct reader *reader)
{
    const struct torch_value *root = named_tensors_root(tensors);
    const struct torch_value *cfg = get(root, "cfg"), *args = get(root, "args");
    if (is_dict(get(root, "model_cfg"))) {
        reader->model = get(root, "model_cfg");
        reader->task = get(root, "task_cfg");
    } else if (is_dict(cfg) && is_dict(get(cfg, "model"))) {
        reader->model = get(cfg, "model");
        reader->task = get(cfg, "task");
    } else if (is_dict(args)) {
        reader->model = reader->task = args;
    } else {
        return status_set(STATUS_CORRUPT,
                          "%s: expected a configuration in \"model_cfg\", \"cfg\" or \"args\" beside the tensors",
                          reader->path);
    }
    return STATUS_OK;
}

enum status encoder_config_read_fairseq(const struct named_tensors *tensors, struct encoder_config *config)
{
    enum status result = STATUS_OK;
    struct reader reader = {.path = named_tensors_path(tensors)};
    memset(config, 0, sizeof *config);
    TRY(find_parts(tensors, &reader));
    TRY(read_model(&reader, tensors, config));
    TRY(get_flag(&reader, reader.task, "normalize", &config->normalize));
    TRY(get_size(&reader, reader.task, "sample_rate", 16000, &config->sample_rate));
    config->normalize_epsilon = 1e-5;
fail:
    return result;
}
