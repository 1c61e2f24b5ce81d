/* A Llama in a GGUF file: llama.cpp's names and keys (gguf-py's constants.py has them all). What would change the
 * mathematics, of a derived architecture or of positions beyond the trained ones, is refused by its key. */
#include "models/llama/llama_source_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *gguf, *name; /* of a layer: behind "blk.N." and "model.layers.N." */
    bool layer;
    bool rotary; /* rows of q and k */
} tensor_names[] = {
    {"token_embd.weight", "model.embed_tokens.weight", false, false},
    {"output_norm.weight", "model.norm.weight", false, false},
    {"output.weight", "lm_head.weight", false, false},
    {"attn_norm.weight", "input_layernorm.weight", true, false},
    {"attn_q.weight", "self_attn.q_proj.weight", true, true},
    {"attn_k.weight", "self_attn.k_proj.weight", true, true},
    {"attn_v.weight", "self_attn.v_proj.weight", true, false},
    {"attn_output.weight", "self_attn.o_proj.weight", true, false},
    {"ffn_norm.weight", "post_attention_layernorm.weight", true, false},
    {"ffn_gate.weight", "mlp.gate_proj.weight", true, false},
    {"ffn_up.weight", "mlp.up_proj.weight", true, false},
    {"ffn_down.weight", "mlp.down_proj.weight", true, false},
};
enum { NAMES = sizeof tensor_names / sizeof *tensor_names };

/* ---- the configuration ---- */

/* Keys that a plain Llama does not have, or has with this one value. */
static enum status refuse_variants(const struct gguf *file)
{
    static const struct {
        const char *key;
        double plain;
    } numbers[] = {
        {"llama.expert_count", 0},
        {"llama.expert_used_count", 0},
        {"llama.logit_scale", 1},
        {"llama.residual_scale", 1},
        {"llama.embedding_scale", 1},
        {"llama.attention.scale", 0},
        {"llama.attention.clamp_kqv", 0},
        {"llama.attention.sliding_window", 0},
        {"llama.attention.max_alibi_bias", 0},
        {"llama.rope.scaling.factor", 1},
        {"llama.rope.scale_linear", 1},
        {"llama.final_logit_softcapping", 0},
        {"llama.attn_logit_softcapping", 0},
    };
    enum status result = STATUS_OK;
    struct gguf_string text = {.text = "none", .size = 4};
    bool flag = false;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double value = numbers[i].plain;
        TRY(gguf_get_number(file, numbers[i].key, false, &value));
        if (value != numbers[i].plain)
            FAIL(STATUS_CORRUPT, "%s: %s %g is not supported", gguf_path(file), numbers[i].key, value);
    }
    TRY(gguf_get_string(file, "llama.rope.scaling.type", false, &text));
    if (text.size != 4 || memcmp(text.text, "none", 4) != 0)
        FAIL(STATUS_CORRUPT, "%s: llama.rope.scaling.type %.*s is not supported", gguf_path(file),
             (int)(text.size < 40 ? text.size : 40), text.text);
    TRY(gguf_get_bool(file, "llama.use_parallel_residual", false, &flag));
    if (flag)
        FAIL(STATUS_CORRUPT, "%s: llama.use_parallel_residual is not supported", gguf_path(file));
fail:
    return result;
}

static enum status read_architecture(const struct gguf *file)
{
    struct gguf_string text;
    enum status result = gguf_get_string(file, "general.architecture", true, &text);
    if (result == STATUS_OK && (text.size != 5 || memcmp(text.text, "llama", 5) != 0))
        return status_set(STATUS_CORRUPT, "%s: general.architecture is \"%.*s\"; only \"llama\" is supported",
                          gguf_path(file), (int)(text.size < 40 ? text.size : 40), text.text);
    return result;
}

/* Size of a head, which several keys may give, and must give alike. */
static enum status read_head_size(const struct gguf *file, struct llama_config *config)
{
    static const char *const keys[] = {"llama.attention.key_length", "llama.attention.value_length",
                                       "llama.rope.dimension_count"};
    enum status result = STATUS_OK;
    config->head_size = config->hidden_size / config->heads;
    TRY(gguf_get_integer(file, keys[0], false, 1, INT32_MAX, &config->head_size));
    for (size_t i = 1; i < sizeof keys / sizeof *keys; i++) {
        int64_t size = config->head_size;
        TRY(gguf_get_integer(file, keys[i], false, 1, INT32_MAX, &size));
        if (size != config->head_size)
            FAIL(STATUS_CORRUPT, "%s: %s is %" PRId64 ", but a head has %" PRId64 "; that is not supported",
                 gguf_path(file), keys[i], size, config->head_size);
    }
fail:
    return result;
}

/* The file has numbers as f32; what was meant is the shortest decimal that rounds to it. */
static double meant_decimal(double value)
{
    char text[40];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value)
            break;
    }
    return strtod(text, NULL);
}

enum status gguf_read_llama_config(const struct gguf *file, struct llama_config *config)
{
    enum status result = STATUS_OK;
    *config = (struct llama_config){.rope_theta = 10000};
    TRY(read_architecture(file));
    TRY(refuse_variants(file));
    TRY(gguf_get_integer(file, "llama.embedding_length", true, 1, INT32_MAX, &config->hidden_size));
    TRY(gguf_get_integer(file, "llama.feed_forward_length", true, 1, INT32_MAX, &config->intermediate_size));
    TRY(gguf_get_integer(file, "llama.block_count", true, 1, INT32_MAX, &config->layers));
    TRY(gguf_get_integer(file, "llama.context_length", true, 1, INT32_MAX, &config->maximum_positions));
    TRY(gguf_get_integer(file, "llama.attention.head_count", true, 1, INT32_MAX, &config->heads));
    config->kv_heads = config->heads;
    TRY(gguf_get_integer(file, "llama.attention.head_count_kv", false, 1, INT32_MAX, &config->kv_heads));
    TRY(read_head_size(file, config));
    TRY(gguf_get_number(file, "llama.attention.layer_norm_rms_epsilon", true, &config->rms_norm_epsilon));
    config->rms_norm_epsilon = meant_decimal(config->rms_norm_epsilon);
    TRY(gguf_get_number(file, "llama.rope.freq_base", false, &config->rope_theta));
    const struct stored_tensor *embedding = gguf_find_tensor(file, "token_embd.weight");
    if (!embedding || embedding->rank != 2)
        FAIL(STATUS_CORRUPT, "%s: the tensor token_embd.weight is missing or not a matrix", gguf_path(file));
    config->vocabulary_size = embedding->shape[0];
    config->tie_embeddings = !gguf_find_tensor(file, "output.weight");
    if (llama_config_check(config) != STATUS_OK)
        result = status_prefix(STATUS_CORRUPT, "%s", gguf_path(file));
fail:
    return result;
}

/* ---- the tensors ---- */

/* Factors of the rotary frequencies, which Llama 3.1 has; as good as none when all are 1. */
static enum status check_frequencies(const struct gguf *file, const struct stored_tensor *tensor)
{
    for (int64_t i = 0; i < stored_tensor_elements(tensor); i++) {
        float factor;
        stored_tensor_read(tensor, i, 1, &factor);
        if (factor != 1)
            return status_set(STATUS_CORRUPT,
                              "%s: rope_freqs.weight scales the rotary frequencies; that is not supported",
                              gguf_path(file));
    }
    return STATUS_OK;
}

/* The table's entry for a tensor, and the layer that its name gives; -1: none. */
static int find_name(const char *name, int *layer)
{
    int length = 0;
    *layer = -1;
    if (sscanf(name, "blk.%6d.%n", layer, &length) == 1 && length > 0 && *layer >= 0) {
        char canonical[32];
        snprintf(canonical, sizeof canonical, "blk.%d.", *layer);
        if (strncmp(name, canonical, strlen(canonical)) != 0) /* "blk.07.", "blk.+7." */
            return -1;
        name += length;
    }
    for (int i = 0; i < NAMES; i++)
        if (tensor_names[i].layer == (*layer >= 0) && strcmp(tensor_names[i].gguf, name) == 0)
            return i;
    return -1;
}

enum status llama_source_open_gguf(struct llama_source *source)
{
    enum status result = STATUS_OK;
    struct llama_config config;
    TRY(gguf_open(source->path, &source->gguf));
    TRY(gguf_read_llama_config(source->gguf, &config));
    int64_t count = gguf_tensor_count(source->gguf);
    TRY(llama_source_reserve(source, count, count));
    for (int64_t i = 0; i < count; i++) {
        const struct stored_tensor *tensor = gguf_tensor(source->gguf, i);
        if (strcmp(tensor->name, "rope_freqs.weight") == 0) {
            TRY(check_frequencies(source->gguf, tensor));
            continue;
        }
        int layer, entry = find_name(tensor->name, &layer);
        if (entry < 0) { /* whoever reads the weights refuses it by this name */
            llama_source_add(source, tensor->name, tensor, 0);
            continue;
        }
        char *name = source->names[source->count];
        if (layer < 0)
            snprintf(name, sizeof *source->names, "%s", tensor_names[entry].name);
        else
            snprintf(name, sizeof *source->names, "model.layers.%d.%s", layer, tensor_names[entry].name);
        bool rotary = tensor_names[entry].rotary && tensor->rank == 2;
        if (rotary && tensor->shape[0] % config.head_size)
            FAIL(STATUS_CORRUPT, "%s: %s has %" PRId64 " rows, expected a multiple of the %" PRId64 " of a head",
                 source->path, tensor->name, tensor->shape[0], config.head_size);
        llama_source_add(source, name, tensor, rotary ? config.head_size : 0);
    }
fail:
    return result;
}
