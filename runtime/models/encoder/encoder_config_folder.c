/* The configuration of Hugging Face's HubertModel and Wav2Vec2Model, with or without a head, from config.json; and what is done
 * to the samples, from preprocessor_config.json where the folder has one. Absent keys have the defaults of transformers. */
#include "core/path.h"
#include "io/json.h"
#include "models/encoder/encoder_config.h"

#include <string.h>
#include <sys/stat.h>

static enum status get_size(const char *where, const json_t *root, const char *key, int64_t fallback, int64_t *value)
{
    *value = fallback;
    return jdoc_has(root, key) ? jdoc_get_int(where, root, key, 1, INT32_MAX, value) : STATUS_OK;
}

static enum status get_flag(const char *where, const json_t *root, const char *key, bool fallback, bool *value)
{
    *value = fallback;
    return jdoc_has(root, key) ? jdoc_get_bool(where, root, key, value) : STATUS_OK;
}

static enum status need_text(const char *where, const json_t *root, const char *key, const char *only)
{
    const char *value;
    if (!jdoc_has(root, key))
        return STATUS_OK;
    enum status result = jdoc_get_string(where, root, key, &value);
    if (result == STATUS_OK && strcmp(value, only) != 0)
        return status_set(STATUS_CORRUPT, "%s: %s is \"%.40s\"; only \"%s\" is supported", where, key, value, only);
    return result;
}

/* What would change the mathematics. */
static enum status refuse_variants(const char *where, const json_t *root)
{
    static const char *const switches[] = {"add_adapter", "conv_pos_batch_norm"};
    static const char *const objects[] = {"adapter_attn_dim", "quantization_config"};
    enum status result = STATUS_OK;
    const char *type;
    TRY(jdoc_get_string(where, root, "model_type", &type));
    if (strcmp(type, "hubert") != 0 && strcmp(type, "wav2vec2") != 0)
        FAIL(STATUS_CORRUPT, "%s: model_type is \"%.40s\"; only \"hubert\" and \"wav2vec2\" are supported", where,
             type);
    TRY(need_text(where, root, "hidden_act", "gelu"));
    TRY(need_text(where, root, "feat_extract_activation", "gelu"));
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        bool on;
        TRY(get_flag(where, root, switches[i], false, &on));
        if (on)
            FAIL(STATUS_CORRUPT, "%s: %s is not supported", where, switches[i]);
    }
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (jdoc_has(root, objects[i]))
            FAIL(STATUS_CORRUPT, "%s: %s is not supported", where, objects[i]);
fail:
    return result;
}

/* Entry i of one of the three lists that describe the convolutions; absent lists are those of wav2vec 2.0. */
static enum status get_entry(const char *where, const json_t *root, const char *key, int64_t i, int64_t *value)
{
    const json_t *list = json_object_get(root, key);
    const json_t *entry = json_array_get(list, (size_t)i);
    if (!json_is_array(list) || (int64_t)json_array_size(list) <= i || !json_is_integer(entry))
        return status_set(STATUS_CORRUPT, "%s: %s is not a list of as many integers as there are convolutions", where,
                          key);
    *value = json_integer_value(entry);
    return STATUS_OK;
}

static enum status read_convolutions(const char *where, const json_t *root, struct encoder_config *config)
{
    static const char usual[] = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2";
    enum status result = STATUS_OK;
    if (!jdoc_has(root, "conv_dim") && !jdoc_has(root, "conv_kernel") && !jdoc_has(root, "conv_stride"))
        return encoder_convolutions_parse(usual, sizeof usual - 1, config->convolutions, &config->convolution_count);
    const json_t *channels = json_object_get(root, "conv_dim");
    config->convolution_count = (int64_t)json_array_size(channels);
    if (config->convolution_count < 1 || config->convolution_count > ENCODER_MAXIMUM_CONVOLUTIONS)
        FAIL(STATUS_CORRUPT, "%s: conv_dim is not a list of 1 to %d integers", where, ENCODER_MAXIMUM_CONVOLUTIONS);
    static const char *const lists[] = {"conv_kernel", "conv_stride"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if ((int64_t)json_array_size(json_object_get(root, lists[i])) != config->convolution_count)
            FAIL(STATUS_CORRUPT, "%s: conv_dim and %s have different lengths", where, lists[i]);
    for (int64_t i = 0; i < config->convolution_count; i++) {
        TRY(get_entry(where, root, "conv_dim", i, &config->convolutions[i].channels));
        TRY(get_entry(where, root, "conv_kernel", i, &config->convolutions[i].kernel));
        TRY(get_entry(where, root, "conv_stride", i, &config->convolutions[i].stride));
    }
fail:
    return result;
}

static enum status read_model(const char *where, const json_t *root, struct encoder_config *config)
{
    enum status result = STATUS_OK;
    const char *norm = "group";
    TRY(refuse_variants(where, root));
    TRY(read_convolutions(where, root, config));
    if (jdoc_has(root, "feat_extract_norm"))
        TRY(jdoc_get_string(where, root, "feat_extract_norm", &norm));
    if (strcmp(norm, "group") != 0 && strcmp(norm, "layer") != 0)
        FAIL(STATUS_CORRUPT, "%s: feat_extract_norm is \"%.40s\"; only \"group\" and \"layer\" are supported", where,
             norm);
    config->layer_norm_features = strcmp(norm, "layer") == 0;
    TRY(get_flag(where, root, "conv_bias", false, &config->convolution_bias));
    TRY(get_flag(where, root, "feat_proj_layer_norm", true, &config->projection_norm));
    config->projection = true;
    TRY(get_size(where, root, "num_conv_pos_embeddings", 128, &config->positional_kernel));
    TRY(get_size(where, root, "num_conv_pos_embedding_groups", 16, &config->positional_groups));
    TRY(get_size(where, root, "hidden_size", 768, &config->hidden_size));
    TRY(get_size(where, root, "intermediate_size", 3072, &config->intermediate_size));
    TRY(get_size(where, root, "num_hidden_layers", 12, &config->layers));
    TRY(get_size(where, root, "num_attention_heads", 12, &config->heads));
    TRY(get_flag(where, root, "do_stable_layer_norm", false, &config->norm_first));
    config->epsilon = 1e-5;
    if (jdoc_has(root, "layer_norm_eps"))
        TRY(jdoc_get_number(where, root, "layer_norm_eps", &config->epsilon));
fail:
    return result;
}

static enum status read_object(const char *folder, const char *name, char path[static PATH_BYTES], json_t **root)
{
    enum status result = path_format(path, "%s/%s", folder, name);
    if (result == STATUS_OK)
        result = jdoc_read(path, root);
    if (result == STATUS_OK && !json_is_object(*root))
        return status_set(STATUS_CORRUPT, "%s: not a JSON object", path);
    return result;
}

/* transformers' Wav2Vec2FeatureExtractor. Its file may be absent: what it would say is then the caller's default. */
static enum status read_preprocessor(const char *folder, bool normalize_default, struct encoder_config *config)
{
    static const char name[] = "preprocessor_config.json";
    enum status result = STATUS_OK;
    json_t *root = NULL;
    char path[PATH_BYTES];
    struct stat info;
    config->normalize = normalize_default;
    config->normalize_epsilon = 1e-7;
    config->sample_rate = 16000;
    TRY(path_format(path, "%s/%s", folder, name));
    if (stat(path, &info) != 0)
        return STATUS_OK;
    TRY(read_object(folder, name, path, &root));
    TRY(get_flag(path, root, "do_normalize", true, &config->normalize));
    TRY(get_size(path, root, "sampling_rate", 16000, &config->sample_rate));
fail:
    json_decref(root);
    return result;
}

enum status encoder_config_read_folder(const char *folder, bool normalize_default, struct encoder_config *config)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    char path[PATH_BYTES];
    memset(config, 0, sizeof *config);
    TRY(read_object(folder, "config.json", path, &root));
    TRY(read_model(path, root, config));
    TRY(read_preprocessor(folder, normalize_default, config));
fail:
    json_decref(root);
    return result;
}
