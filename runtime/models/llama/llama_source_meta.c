/* A Llama as Meta published LLaMA-2 (github.com/meta-llama/llama, model.py): params.json, and consolidated.NN.pth, one file for
 * each GPU of Meta's model parallelism. A matrix whose outputs were shared out is joined by rows, one whose inputs were by
 * columns; the embedding was cut by columns in LLaMA-2 and by rows in Llama 3; norms are in every file alike. */
#include "models/llama/llama_source_internal.h"

#include "core/path.h"
#include "io/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_LIMIT = 99, WHOLE = -1, EITHER = -2 };

static const struct {
    const char *meta, *name; /* of a layer: behind "layers.N." and "model.layers.N." */
    bool layer;
    int axis; /* on which the files' parts are joined */
    bool rotary;
} tensor_names[] = {
    {"tok_embeddings.weight", "model.embed_tokens.weight", false, EITHER, false},
    {"norm.weight", "model.norm.weight", false, WHOLE, false},
    {"output.weight", "lm_head.weight", false, 0, false},
    {"attention_norm.weight", "input_layernorm.weight", true, WHOLE, false},
    {"attention.wq.weight", "self_attn.q_proj.weight", true, 0, true},
    {"attention.wk.weight", "self_attn.k_proj.weight", true, 0, true},
    {"attention.wv.weight", "self_attn.v_proj.weight", true, 0, false},
    {"attention.wo.weight", "self_attn.o_proj.weight", true, 1, false},
    {"ffn_norm.weight", "post_attention_layernorm.weight", true, WHOLE, false},
    {"feed_forward.w1.weight", "mlp.gate_proj.weight", true, 0, false},
    {"feed_forward.w2.weight", "mlp.down_proj.weight", true, 1, false},
    {"feed_forward.w3.weight", "mlp.up_proj.weight", true, 0, false},
};
enum { NAMES = sizeof tensor_names / sizeof *tensor_names };

/* ---- params.json ---- */

static enum status refuse_variants(const char *path, const json_t *root)
{
    static const char *const unsupported[] = {"use_scaled_rope", "moe", "vision_chunk_size", "quantization_args",
                                              "lora_args"};
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        const json_t *value = json_object_get(root, unsupported[i]);
        if (value && !json_is_null(value) && !json_is_false(value) &&
            !(json_is_integer(value) && json_integer_value(value) < 1))
            return status_set(STATUS_CORRUPT, "%s: %s is not supported", path, unsupported[i]);
    }
    return STATUS_OK;
}

/* The width of the feed-forward layers: 2/3 of 4 dim, times a factor if one is given, rounded up to a multiple. */
static enum status read_width(const char *path, const json_t *root, struct llama_config *config)
{
    enum status result = STATUS_OK;
    double factor = 1;
    int64_t multiple = 256, width = 2 * (4 * config->hidden_size) / 3;
    if (jdoc_has(root, "multiple_of"))
        TRY(jdoc_get_int(path, root, "multiple_of", 1, 1 << 20, &multiple));
    if (jdoc_has(root, "ffn_dim_multiplier"))
        TRY(jdoc_get_number(path, root, "ffn_dim_multiplier", &factor));
    if (!(factor > 0 && factor < 100))
        FAIL(STATUS_CORRUPT, "%s: ffn_dim_multiplier is %g", path, factor);
    width = (int64_t)(factor * (double)width);
    config->intermediate_size = (width + multiple - 1) / multiple * multiple;
fail:
    return result;
}

static enum status read_params(const char *path, const json_t *root, struct llama_config *config)
{
    enum status result = STATUS_OK;
    int64_t vocabulary = -1;
    TRY(refuse_variants(path, root));
    TRY(jdoc_get_int(path, root, "dim", 1, 1 << 20, &config->hidden_size));
    TRY(jdoc_get_int(path, root, "n_layers", 1, 1 << 12, &config->layers));
    TRY(jdoc_get_int(path, root, "n_heads", 1, 1 << 12, &config->heads));
    config->kv_heads = config->heads;
    if (jdoc_has(root, "n_kv_heads"))
        TRY(jdoc_get_int(path, root, "n_kv_heads", 1, 1 << 12, &config->kv_heads));
    if (config->hidden_size % config->heads)
        FAIL(STATUS_CORRUPT, "%s: dim %" PRId64 " is not a multiple of n_heads %" PRId64, path, config->hidden_size,
             config->heads);
    config->head_size = config->hidden_size / config->heads;
    TRY(jdoc_get_number(path, root, "norm_eps", &config->rms_norm_epsilon));
    config->rope_theta = 10000;
    if (jdoc_has(root, "rope_theta"))
        TRY(jdoc_get_number(path, root, "rope_theta", &config->rope_theta));
    if (jdoc_has(root, "vocab_size"))
        TRY(jdoc_get_int(path, root, "vocab_size", -1, 1 << 24, &vocabulary));
    config->vocabulary_size = vocabulary; /* -1: as many rows as the tensor has */
    config->maximum_positions = 4096;     /* LLaMA-2's, which the file does not say */
    TRY(read_width(path, root, config));
fail:
    return result;
}

enum status meta_read_params(const char *folder, struct llama_config *config)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    *config = (struct llama_config){0};
    TRY(path_format(path, "%s/params.json", folder));
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: not a JSON object", path);
    TRY(read_params(path, root, config));
fail:
    json_decref(root);
    return result;
}

/* ---- the tensors ---- */

/* The table's entry for a tensor, and the layer that its name gives. -1: none. */
static int find_name(const char *name, int *layer)
{
    int length = 0;
    *layer = -1;
    if (sscanf(name, "layers.%6d.%n", layer, &length) == 1 && length > 0 && *layer >= 0) {
        char canonical[32];
        snprintf(canonical, sizeof canonical, "layers.%d.", *layer);
        if (strncmp(name, canonical, strlen(canonical)) != 0) /* "layers.07." */
            return -1;
        name += length;
    }
    for (int i = 0; i < NAMES; i++)
        if (tensor_names[i].layer == (*layer >= 0) && strcmp(tensor_names[i].meta, name) == 0)
            return i;
    return -1;
}

/* What is in every file alike must be alike. */
static bool same_numbers(const struct stored_tensor *a, const struct stored_tensor *b)
{
    float left, right;
    for (int64_t i = 0; i < stored_tensor_elements(a); i++) {
        stored_tensor_read(a, i, 1, &left);
        stored_tensor_read(b, i, 1, &right);
        if (memcmp(&left, &right, sizeof left) != 0)
            return false;
    }
    return true;
}

/* Finds the parts of a tensor in the files after the first one, and joins them. */
static enum status join(struct llama_source *source, struct source_tensor *tensor, const char *meta, int axis)
{
    const struct stored_tensor *first = tensor->parts[0];
    const struct stored_tensor **parts = (const struct stored_tensor **)tensor->parts;
    if (axis == EITHER) /* LLaMA-2 by columns, Llama 3 by rows */
        axis = first->shape[1] == source->width ? 0 : 1;
    for (int64_t i = 1; i < source->archive_count; i++) {
        const struct stored_tensor *part = torch_archive_find(source->archives[i], meta);
        bool alike = part && part->rank == first->rank && part->type == first->type &&
                     memcmp(part->shape, first->shape, (size_t)part->rank * sizeof *part->shape) == 0;
        if (!alike)
            return status_set(STATUS_CORRUPT, "%s: %s of %s is missing or of another shape or type in %s", source->path,
                              meta, source->archive_names[0], source->archive_names[i]);
        if (axis == WHOLE && !same_numbers(first, part))
            return status_set(STATUS_CORRUPT, "%s: %s differs between %s and %s", source->path, meta,
                              source->archive_names[0], source->archive_names[i]);
        if (axis != WHOLE)
            parts[tensor->part_count++] = part;
    }
    tensor->axis = axis == WHOLE ? 0 : axis;
    if (axis != WHOLE)
        tensor->shape[axis] *= source->archive_count;
    return STATUS_OK;
}

static enum status add_tensor(struct llama_source *source, const struct stored_tensor *stored, int64_t head_size)
{
    enum status result = STATUS_OK;
    int layer, entry = find_name(stored->name, &layer);
    if (entry < 0) { /* whoever reads the weights knows rope.freqs, and refuses others by this name */
        llama_source_add(source, stored->name, stored, 0);
        return STATUS_OK;
    }
    if (stored->rank != (tensor_names[entry].axis == WHOLE ? 1 : 2))
        FAIL(STATUS_CORRUPT, "%s: %s has %d dimensions", source->path, stored->name, stored->rank);
    char *name = source->names[source->count];
    if (layer < 0)
        snprintf(name, sizeof *source->names, "%s", tensor_names[entry].name);
    else
        snprintf(name, sizeof *source->names, "model.layers.%d.%s", layer, tensor_names[entry].name);
    llama_source_add(source, name, stored, tensor_names[entry].rotary ? head_size : 0);
    struct source_tensor *tensor = &source->tensors[source->count - 1];
    TRY(join(source, tensor, stored->name, tensor_names[entry].axis));
    if (tensor->rotary_size && tensor->shape[0] % head_size)
        FAIL(STATUS_CORRUPT, "%s: %s has %" PRId64 " rows, expected a multiple of the %" PRId64 " of a head",
             source->path, stored->name, tensor->shape[0], head_size);
fail:
    return result;
}

enum status llama_source_open_meta(struct llama_source *source)
{
    enum status result = STATUS_OK;
    struct llama_config config;
    TRY(meta_read_params(source->path, &config));
    source->width = config.hidden_size;
    for (int shard = 0; shard < SHARDS_LIMIT; shard++) {
        char name[32];
        snprintf(name, sizeof name, "consolidated.%02d.pth", shard);
        if (!llama_folder_has(source->path, name))
            break;
        TRY(llama_source_open_archive(source, name));
    }
    if (source->archive_count == 0)
        FAIL(STATUS_USAGE, "%s: params.json is there, but no consolidated.00.pth", source->path);
    int64_t count = torch_archive_count(source->archives[0]);
    for (int64_t i = 1; i < source->archive_count; i++)
        if (torch_archive_count(source->archives[i]) != count)
            FAIL(STATUS_CORRUPT, "%s: %s has %" PRId64 " tensors, but %s has %" PRId64, source->path,
                 source->archive_names[i], torch_archive_count(source->archives[i]), source->archive_names[0], count);
    TRY(llama_source_reserve(source, count, count * source->archive_count));
    for (int64_t i = 0; i < count; i++)
        TRY(add_tensor(source, torch_archive_tensor(source->archives[0], i), config.head_size));
fail:
    return result;
}
