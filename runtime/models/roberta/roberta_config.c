/* The configuration of Hugging Face's RobertaForSequenceClassification. Absent keys have the defaults of transformers; what would
 * change the mathematics and is not computed here is refused by name. */
#include "core/path.h"
#include "io/json.h"
#include "models/roberta/roberta_internal.h"

#include <inttypes.h>
#include <string.h>

enum { VOCABULARY_LIMIT = 1 << 21, SIZE_LIMIT = 1 << 20, TYPES_LIMIT = 1 << 10, HEAD_SIZE_LIMIT = 512 };

static enum status get_size(const char *where, const json_t *root, const char *key, int64_t fallback, int64_t least,
                            int64_t most, int64_t *value)
{
    *value = fallback;
    return jdoc_has(root, key) ? jdoc_get_int(where, root, key, least, most, value) : STATUS_OK;
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

static enum status refuse_variants(const char *where, const json_t *root)
{
    static const char *const switches[] = {"is_decoder", "add_cross_attention"};
    enum status result = STATUS_OK;
    const char *type;
    TRY(jdoc_get_string(where, root, "model_type", &type));
    if (strcmp(type, "roberta") != 0)
        FAIL(STATUS_CORRUPT, "%s: model_type is \"%.40s\"; only \"roberta\" is supported", where, type);
    TRY(need_text(where, root, "hidden_act", "gelu"));
    TRY(need_text(where, root, "position_embedding_type", "absolute"));
    TRY(need_text(where, root, "problem_type", "single_label_classification"));
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        bool on = false;
        if (jdoc_has(root, switches[i]))
            TRY(jdoc_get_bool(where, root, switches[i], &on));
        if (on)
            FAIL(STATUS_CORRUPT, "%s: %s is not supported", where, switches[i]);
    }
    if (jdoc_has(root, "quantization_config"))
        FAIL(STATUS_CORRUPT, "%s: quantization_config is not supported", where);
fail:
    return result;
}

static enum status read_sizes(const char *where, const json_t *root, struct roberta_config *config)
{
    enum status result = STATUS_OK;
    TRY(get_size(where, root, "vocab_size", 50265, 1, VOCABULARY_LIMIT, &config->vocabulary));
    TRY(get_size(where, root, "type_vocab_size", 2, 1, TYPES_LIMIT, &config->types));
    TRY(get_size(where, root, "max_position_embeddings", 512, 1, SIZE_LIMIT, &config->positions));
    TRY(get_size(where, root, "hidden_size", 768, 1, LAYER_NORM_CHANNELS, &config->hidden));
    TRY(get_size(where, root, "intermediate_size", 3072, 1, SIZE_LIMIT, &config->intermediate));
    TRY(get_size(where, root, "num_hidden_layers", 12, 1, ROBERTA_LAYERS_LIMIT, &config->layers));
    TRY(get_size(where, root, "num_attention_heads", 12, 1, config->hidden, &config->heads));
    TRY(get_size(where, root, "pad_token_id", 1, 0, SIZE_LIMIT, &config->pad));
    config->epsilon = 1e-12;
    if (jdoc_has(root, "layer_norm_eps"))
        TRY(jdoc_get_number(where, root, "layer_norm_eps", &config->epsilon));
fail:
    return result;
}

static enum status check(const char *where, const struct roberta_config *config)
{
    if (config->hidden % config->heads || config->hidden / config->heads > HEAD_SIZE_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: hidden_size %" PRId64 " cannot be cut into %" PRId64 " heads", where,
                          config->hidden, config->heads);
    if (config->pad >= config->vocabulary)
        return status_set(STATUS_CORRUPT, "%s: pad_token_id %" PRId64 " is not below vocab_size %" PRId64, where,
                          config->pad, config->vocabulary);
    if (config->positions - config->pad - 1 < ROBERTA_LEAST_LIMIT)
        return status_set(STATUS_CORRUPT,
                          "%s: max_position_embeddings %" PRId64 " leaves no text behind pad_token_id %" PRId64, where,
                          config->positions, config->pad);
    if (!(config->epsilon > 0 && config->epsilon < 1))
        return status_set(STATUS_CORRUPT, "%s: layer_norm_eps: expected a number between 0 and 1, found %g", where,
                          config->epsilon);
    return STATUS_OK;
}

enum status roberta_config_read(const char *folder, struct roberta_config *config)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    char path[PATH_BYTES];
    *config = (struct roberta_config){0};
    TRY(path_format(path, "%s/config.json", folder));
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    TRY(refuse_variants(path, root));
    TRY(read_sizes(path, root, config));
    TRY(check(path, config));
fail:
    json_decref(root);
    return result;
}
