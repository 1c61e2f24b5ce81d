/* The configuration of a Llama: config.json and generation_config.json of a Hugging Face folder, read and written; where
 * another layout keeps it, its own reader is asked. */
#include "core/path.h"
#include "io/json.h"
#include "models/llama/llama_folder.h"
#include "models/llama/llama_source_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static enum status get_size(const char *where, const json_t *root, const char *key, int64_t fallback, int64_t *value)
{
    *value = fallback;
    if (fallback >= 0 && !jdoc_has(root, key))
        return STATUS_OK;
    return jdoc_get_int(where, root, key, 1, INT32_MAX, value);
}

static enum status get_real(const char *where, const json_t *root, const char *key, double fallback, double *value)
{
    *value = fallback;
    return jdoc_has(root, key) ? jdoc_get_number(where, root, key, value) : STATUS_OK;
}

static enum status refuse_string(const char *path, const json_t *root, const char *key, const char *only, bool required)
{
    const char *value;
    if (!required && !jdoc_has(root, key))
        return STATUS_OK;
    enum status result = jdoc_get_string(path, root, key, &value);
    if (result == STATUS_OK && strcmp(value, only) != 0)
        return status_set(STATUS_CORRUPT, "%s: %s is \"%s\"; only \"%s\" is supported", path, key, value, only);
    return result;
}

/* Scaled rotary positions, by whichever of the two names a folder gives their type. The type "default" scales nothing. */
static enum status refuse_scaling(const char *path, const json_t *root)
{
    enum status result = STATUS_OK;
    const json_t *scaling = json_object_get(root, "rope_scaling");
    if (!jdoc_has(root, "rope_scaling"))
        return STATUS_OK;
    const char *type = json_string_value(json_object_get(scaling, "rope_type"));
    if (!type)
        type = json_string_value(json_object_get(scaling, "type"));
    if (!type || strcmp(type, "default") != 0)
        FAIL(STATUS_CORRUPT, "%s: rope_scaling of type \"%.40s\" is not supported", path, type ? type : "none");
fail:
    return result;
}

/* What would change the mathematics. An absent key means the plain model. */
static enum status refuse_variants(const char *path, const json_t *root)
{
    static const char *const switches[] = {"attention_bias", "mlp_bias"};
    enum status result = STATUS_OK;
    TRY(refuse_string(path, root, "model_type", "llama", true));
    TRY(refuse_string(path, root, "hidden_act", "silu", false));
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        bool on = false;
        if (jdoc_has(root, switches[i]))
            TRY(jdoc_get_bool(path, root, switches[i], &on));
        if (on)
            FAIL(STATUS_CORRUPT, "%s: %s is not supported", path, switches[i]);
    }
    TRY(refuse_scaling(path, root));
    if (jdoc_has(root, "quantization_config"))
        FAIL(STATUS_CORRUPT, "%s: quantization_config is not supported", path);
    double dropout;
    TRY(get_real(path, root, "attention_dropout", 0, &dropout));
    if (dropout != 0)
        FAIL(STATUS_CORRUPT, "%s: attention_dropout %g is not supported", path, dropout);
fail:
    return result;
}

/* Newer folders keep theta in an object of its own. */
static enum status read_theta(const char *path, const json_t *root, double *theta)
{
    enum status result = STATUS_OK;
    TRY(get_real(path, root, "rope_theta", 10000, theta));
    if (jdoc_has(root, "rope_parameters")) {
        const json_t *parameters = json_object_get(root, "rope_parameters");
        if (!json_is_object(parameters))
            FAIL(STATUS_CORRUPT, "%s: rope_parameters is not an object", path);
        TRY(refuse_string(path, parameters, "rope_type", "default", false));
        TRY(get_real(path, parameters, "rope_theta", *theta, theta));
    }
fail:
    return result;
}

static enum status read_sizes(const char *path, const json_t *root, struct llama_config *config)
{
    enum status result = STATUS_OK;
    TRY(get_size(path, root, "vocab_size", -1, &config->vocabulary_size));
    TRY(get_size(path, root, "hidden_size", -1, &config->hidden_size));
    TRY(get_size(path, root, "intermediate_size", -1, &config->intermediate_size));
    TRY(get_size(path, root, "num_hidden_layers", -1, &config->layers));
    TRY(get_size(path, root, "num_attention_heads", -1, &config->heads));
    TRY(get_size(path, root, "num_key_value_heads", config->heads, &config->kv_heads));
    if (!jdoc_has(root, "head_dim") && config->hidden_size % config->heads)
        FAIL(STATUS_CORRUPT,
             "%s: hidden_size %" PRId64 " is not a multiple of num_attention_heads %" PRId64
             " and head_dim is not given",
             path, config->hidden_size, config->heads);
    TRY(get_size(path, root, "head_dim", config->hidden_size / config->heads, &config->head_size));
    TRY(get_size(path, root, "max_position_embeddings", 2048, &config->maximum_positions));
    TRY(get_real(path, root, "rms_norm_eps", 1e-6, &config->rms_norm_epsilon));
    TRY(read_theta(path, root, &config->rope_theta));
    if (jdoc_has(root, "tie_word_embeddings"))
        TRY(jdoc_get_bool(path, root, "tie_word_embeddings", &config->tie_embeddings));
    if (llama_config_check(config) != STATUS_OK)
        result = status_prefix(STATUS_CORRUPT, "%s", path);
fail:
    return result;
}

static enum status read_config_json(const char *folder, struct llama_config *config)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/config.json", folder));
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    TRY(refuse_variants(path, root));
    TRY(read_sizes(path, root, config));
fail:
    json_decref(root);
    return result;
}

static enum status read_config_gguf(const char *path, struct llama_config *config)
{
    struct gguf *file;
    enum status result = gguf_open(path, &file);
    if (result == STATUS_OK)
        result = gguf_read_llama_config(file, config);
    gguf_close(file);
    return result;
}

/* What params.json does not say follows from the tensors. */
static enum status read_config_meta(const char *folder, struct llama_config *config)
{
    enum status result = STATUS_OK;
    struct llama_source *source = NULL;
    TRY(meta_read_params(folder, config));
    TRY(llama_source_open(folder, &source));
    const struct source_tensor *embedding = llama_source_find(source, "model.embed_tokens.weight");
    config->tie_embeddings = !llama_source_find(source, "lm_head.weight");
    if (!embedding || embedding->rank != 2)
        FAIL(STATUS_CORRUPT, "%s: the tensor tok_embeddings.weight is missing or not a matrix", folder);
    if (config->vocabulary_size > 0 && config->vocabulary_size != embedding->shape[0])
        FAIL(STATUS_CORRUPT,
             "%s/params.json: vocab_size is %" PRId64 ", but tok_embeddings.weight has %" PRId64 " rows", folder,
             config->vocabulary_size, embedding->shape[0]);
    config->vocabulary_size = embedding->shape[0];
    if (llama_config_check(config) != STATUS_OK)
        result = status_prefix(STATUS_CORRUPT, "%s/params.json", folder);
fail:
    llama_source_close(source);
    return result;
}

enum status llama_read_config(const char *path, struct llama_config *config)
{
    enum llama_layout layout;
    *config = (struct llama_config){0};
    enum status result = llama_layout_of(path, &layout);
    if (result != STATUS_OK)
        return result;
    if (layout == LLAMA_GGUF)
        return read_config_gguf(path, config);
    return layout == LLAMA_META ? read_config_meta(path, config) : read_config_json(path, config);
}

/* ---- writing ---- */

/* The shortest decimal that reads back as the same double, with a point or an exponent, as Python writes it. Our own,
 * because the bytes of a checkpoint may not depend on the JSON library's version. */
static void shortest_real(double value, char text[40])
{
    bool plain = value >= 1e-4 && value < 1e15;
    for (int digits = plain ? 0 : 1; digits <= 22; digits++) {
        snprintf(text, 40, plain ? "%.*f" : "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
}

static void token_id(int32_t id, char text[16])
{
    if (id < 0)
        strcpy(text, "null");
    else
        snprintf(text, 16, "%" PRId32, id);
}

static int print_config(char **text, const struct llama *model, const char *bos, const char *eos)
{
    const struct llama_config *config = &model->config;
    char epsilon[40], theta[40];
    shortest_real(config->rms_norm_epsilon, epsilon);
    shortest_real(config->rope_theta, theta);
    return asprintf(text,
                    "{\n"
                    "  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n"
                    "  \"attention_bias\": false,\n"
                    "  \"attention_dropout\": 0.0,\n"
                    "  \"bos_token_id\": %s,\n"
                    "  \"eos_token_id\": %s,\n"
                    "  \"head_dim\": %" PRId64 ",\n"
                    "  \"hidden_act\": \"silu\",\n"
                    "  \"hidden_size\": %" PRId64 ",\n"
                    "  \"intermediate_size\": %" PRId64 ",\n"
                    "  \"max_position_embeddings\": %" PRId64 ",\n"
                    "  \"mlp_bias\": false,\n"
                    "  \"model_type\": \"llama\",\n"
                    "  \"num_attention_heads\": %" PRId64 ",\n"
                    "  \"num_hidden_layers\": %" PRId64 ",\n"
                    "  \"num_key_value_heads\": %" PRId64 ",\n"
                    "  \"rms_norm_eps\": %s,\n"
                    "  \"rope_scaling\": null,\n"
                    "  \"rope_theta\": %s,\n"
                    "  \"tie_word_embeddings\": %s,\n"
                    "  \"torch_dtype\": \"%s\",\n"
                    "  \"use_cache\": true,\n"
                    "  \"vocab_size\": %" PRId64 "\n"
                    "}\n",
                    bos, eos, config->head_size, config->hidden_size, config->intermediate_size,
                    config->maximum_positions, config->heads, config->layers, config->kv_heads, epsilon, theta,
                    config->tie_embeddings ? "true" : "false", model->dtype == DTYPE_BF16 ? "bfloat16" : "float32",
                    config->vocabulary_size);
}

enum status llama_write_configs(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                                int32_t eos_id)
{
    enum status result = STATUS_OK;
    char bos[16], eos[16], *config = NULL, *generation = NULL;
    token_id(bos_id, bos);
    token_id(eos_id, eos);
    int length = print_config(&config, model, bos, eos);
    if (length < 0) {
        config = NULL;
        FAIL(STATUS_INTERNAL, "no memory for config.json");
    }
    TRY(atomic_directory_add(directory, "config.json", config, length));
    length = asprintf(&generation, "{\n  \"bos_token_id\": %s,\n  \"eos_token_id\": %s\n}\n", bos, eos);
    if (length < 0) {
        generation = NULL;
        FAIL(STATUS_INTERNAL, "no memory for generation_config.json");
    }
    TRY(atomic_directory_add(directory, "generation_config.json", generation, length));
fail:
    free(config);
    free(generation);
    return result;
}
