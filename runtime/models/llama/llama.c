/* Sizes of the Llama family, where each tensor lies in the flat arena of parameters, and the model: the arena in
 * device memory. */
#include "models/llama/llama_internal.h"
#include "models/llama/llama_source.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sizes ---- */

/* Limits far above any model of the family, low enough that no product of them overflows. */
enum status llama_config_check(const struct llama_config *config)
{
    const struct {
        const char *name;
        int64_t value, maximum;
    } sizes[] = {
        {"vocab_size", config->vocabulary_size, LLAMA_MAXIMUM_VOCABULARY},
        {"hidden_size", config->hidden_size, 1 << 20},
        {"intermediate_size", config->intermediate_size, 1 << 22},
        {"num_hidden_layers", config->layers, 1 << 12},
        {"num_attention_heads", config->heads, 1 << 12},
        {"num_key_value_heads", config->kv_heads, 1 << 12},
        {"head_dim", config->head_size, 1 << 10},
        {"max_position_embeddings", config->maximum_positions, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].maximum)
            return status_set(STATUS_USAGE, "model: %s is %" PRId64 ", expected 1 to %" PRId64, sizes[i].name,
                              sizes[i].value, sizes[i].maximum);
    if (config->heads % config->kv_heads)
        return status_set(STATUS_USAGE,
                          "model: num_attention_heads %" PRId64 " is not a multiple of num_key_value_heads %" PRId64,
                          config->heads, config->kv_heads);
    if (config->head_size % 2)
        return status_set(STATUS_USAGE, "model: head_dim %" PRId64 " is odd; rotary positions turn pairs",
                          config->head_size);
    if (!(config->rope_theta >= 1 && config->rope_theta <= 1e12))
        return status_set(STATUS_USAGE, "model: rope_theta is %g, expected 1 to 1e12", config->rope_theta);
    if (!(config->rms_norm_epsilon > 0 && config->rms_norm_epsilon < 1))
        return status_set(STATUS_USAGE, "model: rms_norm_eps is %g, expected between 0 and 1",
                          config->rms_norm_epsilon);
    return STATUS_OK;
}

/* Elements of the matrices and of the norms of one layer. */
static int64_t layer_matrices(const struct llama_config *config)
{
    return config->hidden_size * (llama_qkv_width(config) + llama_query_width(config) + 3 * config->intermediate_size);
}

int64_t llama_parameter_count(const struct llama_config *config)
{
    int64_t table = config->vocabulary_size * config->hidden_size;
    return table * (config->tie_embeddings ? 1 : 2) +
           config->layers * (layer_matrices(config) + 2 * config->hidden_size) + config->hidden_size;
}

double llama_flops_per_token(const struct llama_config *config, int64_t context)
{
    double matrices = (double)config->layers * (double)layer_matrices(config) +
                      (double)config->vocabulary_size * (double)config->hidden_size;
    double attention = (double)config->layers * (double)llama_query_width(config) * (double)context;
    return 6 * matrices + 6 * attention;
}

/* ---- where the tensors lie ---- */

enum { GROUP = 128 };

static int64_t place(int64_t *end, int64_t count)
{
    int64_t offset = *end;
    *end = (offset + count + GROUP - 1) / GROUP * GROUP;
    return offset;
}

void llama_find_offsets(const struct llama_config *config, struct llama_offsets *offsets)
{
    int64_t hidden = config->hidden_size, end = 0, layer = 0;
    offsets->embedding = place(&end, config->vocabulary_size * hidden);
    offsets->input_norm = place(&layer, hidden);
    offsets->qkv = place(&layer, llama_qkv_width(config) * hidden);
    offsets->attention_output = place(&layer, hidden * llama_query_width(config));
    offsets->mlp_norm = place(&layer, hidden);
    offsets->gate_up = place(&layer, 2 * config->intermediate_size * hidden);
    offsets->down = place(&layer, hidden * config->intermediate_size);
    offsets->first_layer = end;
    offsets->layer_stride = layer;
    end += config->layers * layer;
    offsets->final_norm = place(&end, hidden);
    offsets->head = config->tie_embeddings ? offsets->embedding : place(&end, config->vocabulary_size * hidden);
    offsets->elements = end;
}

static struct parameter_view *add_view(struct parameter_layout *layout, int layer, const char *name, int64_t offset,
                                       int64_t rows, int64_t columns)
{
    struct parameter_view *view = &layout->views[layout->count++];
    *view = (struct parameter_view){
        .offset = offset, .count = rows * columns, .rank = 2, .shape = {rows, columns}, .layer = layer, .decay = true};
    if (layer < 0)
        snprintf(view->name, sizeof view->name, "%s", name);
    else
        snprintf(view->name, sizeof view->name, "model.layers.%d.%s", layer, name);
    return view;
}

static void add_norm(struct parameter_layout *layout, int layer, const char *name, int64_t offset, int64_t channels)
{
    struct parameter_view *view = add_view(layout, layer, name, offset, channels, 1);
    view->rank = 1;
    view->decay = false;
}

static void add_layer(const struct llama_config *config, const struct llama_offsets *offsets, int layer,
                      struct parameter_layout *layout)
{
    int64_t start = offsets->first_layer + layer * offsets->layer_stride;
    int64_t hidden = config->hidden_size, queries = llama_query_width(config), keys = llama_key_width(config);
    int64_t inner = config->intermediate_size, qkv = start + offsets->qkv, gate_up = start + offsets->gate_up;
    add_norm(layout, layer, "input_layernorm.weight", start + offsets->input_norm, hidden);
    add_view(layout, layer, "self_attn.q_proj.weight", qkv, queries, hidden);
    add_view(layout, layer, "self_attn.k_proj.weight", qkv + queries * hidden, keys, hidden);
    add_view(layout, layer, "self_attn.v_proj.weight", qkv + (queries + keys) * hidden, keys, hidden);
    add_view(layout, layer, "self_attn.o_proj.weight", start + offsets->attention_output, hidden, queries);
    add_norm(layout, layer, "post_attention_layernorm.weight", start + offsets->mlp_norm, hidden);
    add_view(layout, layer, "mlp.gate_proj.weight", gate_up, inner, hidden);
    add_view(layout, layer, "mlp.up_proj.weight", gate_up + inner * hidden, inner, hidden);
    add_view(layout, layer, "mlp.down_proj.weight", start + offsets->down, hidden, inner);
}

enum status parameter_layout_create(const struct llama_config *config, struct parameter_layout *layout)
{
    *layout = (struct parameter_layout){0};
    enum status result = llama_config_check(config);
    if (result != STATUS_OK)
        return result;
    struct llama_offsets offsets;
    llama_find_offsets(config, &offsets);
    layout->views = calloc((size_t)(config->layers * LLAMA_LAYER_TENSORS + LLAMA_OTHER_TENSORS), sizeof *layout->views);
    layout->bucket_count = config->layers + 2;
    layout->bucket_offsets = calloc((size_t)layout->bucket_count + 1, sizeof *layout->bucket_offsets);
    if (!layout->views || !layout->bucket_offsets) {
        parameter_layout_free(layout);
        return status_set(STATUS_INTERNAL, "no memory for the table of parameters");
    }
    layout->elements = offsets.elements;
    add_view(layout, -1, "model.embed_tokens.weight", offsets.embedding, config->vocabulary_size, config->hidden_size);
    for (int layer = 0; layer < (int)config->layers; layer++)
        add_layer(config, &offsets, layer, layout);
    add_norm(layout, -1, "model.norm.weight", offsets.final_norm, config->hidden_size);
    struct parameter_view *head =
        add_view(layout, -1, "lm_head.weight", offsets.head, config->vocabulary_size, config->hidden_size);
    head->alias = config->tie_embeddings;
    for (int64_t layer = 0; layer <= config->layers; layer++)
        layout->bucket_offsets[layer + 1] = offsets.first_layer + layer * offsets.layer_stride;
    layout->bucket_offsets[layout->bucket_count] = offsets.elements;
    return STATUS_OK;
}

void parameter_layout_free(struct parameter_layout *layout)
{
    free(layout->views);
    free(layout->bucket_offsets);
    *layout = (struct parameter_layout){0};
}

const struct parameter_view *parameter_layout_find(const struct parameter_layout *layout, const char *name)
{
    for (int64_t i = 0; i < layout->count; i++)
        if (strcmp(layout->views[i].name, name) == 0)
            return &layout->views[i];
    return NULL;
}

/* ---- the model ---- */

enum status llama_plan(const struct llama_config *config, enum dtype dtype, int64_t length, struct memory_plan *plan)
{
    enum status result = llama_config_check(config);
    if (result != STATUS_OK)
        return result;
    struct llama_offsets offsets;
    llama_find_offsets(config, &offsets);
    if (memory_plan_add(plan, offsets.elements * (int64_t)dtype_size(dtype), "weights") < 0)
        return status_set(STATUS_INTERNAL, "the weights' size overflows");
    return llama_plan_positions(config, length, plan);
}

enum status llama_create_bare(const struct llama_config *config, enum dtype dtype, const struct kernels *kernels,
                              struct device_context *context, struct llama **out)
{
    *out = NULL;
    if (dtype != DTYPE_F32 && dtype != DTYPE_BF16)
        return status_set(STATUS_USAGE, "model: dtype %s, expected f32 or bf16", dtype_name(dtype));
    enum status result = STATUS_OK;
    struct llama *model = calloc(1, sizeof *model);
    if (!model)
        return status_set(STATUS_INTERNAL, "no memory for a model");
    model->config = *config;
    model->dtype = dtype;
    model->kernels = kernels;
    model->context = context;
    TRY(parameter_layout_create(config, &model->layout));
    *out = model;
    return STATUS_OK;
fail:
    llama_destroy(model);
    return result;
}

enum status llama_create(const struct llama_config *config, enum dtype dtype, const struct kernels *kernels,
                         struct device_context *context, struct llama **out)
{
    enum status result = STATUS_OK;
    struct llama *model;
    TRY(llama_create_bare(config, dtype, kernels, context, &model));
    TRY(kernels->allocate(context, (size_t)model->layout.elements * dtype_size(dtype), &model->weights));
    TRY(llama_need_positions(model, 0));
    *out = model;
    return STATUS_OK;
fail:
    llama_destroy(model);
    *out = NULL;
    return result;
}

const void *llama_view_address(const struct llama *model, const struct parameter_view *view)
{
    return model->binding ? model->binding->tensors[view - model->layout.views]
                          : element_at(model->weights, model->dtype, view->offset);
}

enum status llama_plan_weights(const struct llama *model, struct memory_plan *plan)
{
    const struct llama_binding *binding = model->binding;
    bool good;
    if (binding)
        good = memory_plan_add(plan, binding->mapped_bytes, "weights, mapped from the file") >= 0 &&
               memory_plan_add(plan, binding->resident_bytes, "weights, resident copy") >= 0;
    else
        good = memory_plan_add(plan, model->layout.elements * (int64_t)dtype_size(model->dtype), "weights") >= 0;
    return good ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a list of weights");
}

static void free_binding(struct llama *model)
{
    if (!model->binding)
        return;
    model->kernels->release(model->context, model->binding->resident);
    llama_source_close(model->binding->source);
    free(model->binding->tensors);
    free(model->binding);
}

void llama_destroy(struct llama *model)
{
    if (!model)
        return;
    model->kernels->release(model->context, model->weights);
    free_binding(model);
    llama_free_positions(model);
    parameter_layout_free(&model->layout);
    free(model);
}
