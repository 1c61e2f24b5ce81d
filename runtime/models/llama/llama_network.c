/* Embedding, norms, products and SwiGLU of the Llama family (Touvron et al. 2023) as calls of the kernels' table. The
 * matrices q, k and v lie next to each other in the arena, as do gate and up, so that one product serves each group. Where
 * the tensors of a group lie apart, each has a product of its own, into its columns of the group's output. */
#include "models/llama/llama_network.h"

#include <math.h>

struct llama_network llama_network_of(const struct llama *model)
{
    struct llama_network network = {.compute = {model->kernels, model->context, model->dtype, NULL},
                                    .config = &model->config,
                                    .weights = model->weights,
                                    .tensors = model->binding ? model->binding->tensors : NULL,
                                    .rope_cosine = model->rope_cosine,
                                    .rope_sine = model->rope_sine,
                                    .rope_positions = model->rope_positions};
    llama_find_offsets(&model->config, &network.offsets);
    return network;
}

struct llama_network llama_network_measuring(const struct kernels *kernels, const struct llama_config *config,
                                             enum dtype dtype, size_t *bytes)
{
    struct llama_network network = {.compute = {kernels, NULL, dtype, bytes},
                                    .config = config,
                                    .weights = COMPUTE_NOWHERE,
                                    .rope_cosine = COMPUTE_NOWHERE,
                                    .rope_sine = COMPUTE_NOWHERE,
                                    .rope_positions = config->maximum_positions};
    llama_find_offsets(config, &network.offsets);
    return network;
}

/* Which of the layout's views starts at `offset`. */
static int64_t view_at(const struct llama_network *network, int64_t offset)
{
    const struct llama_config *config = network->config;
    const struct llama_offsets *offsets = &network->offsets;
    int64_t hidden = config->hidden_size, queries = llama_query_width(config), keys = llama_key_width(config);
    int64_t layers = config->layers, end = offsets->first_layer + layers * offsets->layer_stride;
    if (offset < offsets->first_layer)
        return 0;
    if (offset >= end)
        return 1 + layers * LLAMA_LAYER_TENSORS + (offset == offsets->final_norm ? 0 : 1);
    int64_t layer = (offset - offsets->first_layer) / offsets->layer_stride;
    int64_t within = offset - llama_layer_start(network, layer), tensor = 0;
    const int64_t starts[LLAMA_LAYER_TENSORS] = {offsets->input_norm,
                                                 offsets->qkv,
                                                 offsets->qkv + queries * hidden,
                                                 offsets->qkv + (queries + keys) * hidden,
                                                 offsets->attention_output,
                                                 offsets->mlp_norm,
                                                 offsets->gate_up,
                                                 offsets->gate_up + config->intermediate_size * hidden,
                                                 offsets->down};
    while (tensor + 1 < LLAMA_LAYER_TENSORS && starts[tensor + 1] <= within)
        tensor++;
    return 1 + layer * LLAMA_LAYER_TENSORS + tensor;
}

const void *llama_weight(const struct llama_network *network, int64_t offset)
{
    return network->tensors ? network->tensors[view_at(network, offset)]
                            : element_at(network->weights, network->compute.dtype, offset);
}

float llama_attention_scale(const struct llama_config *config)
{
    return (float)(1 / sqrt((double)config->head_size));
}

enum status llama_embed(const struct llama_network *network, int64_t tokens, const int32_t *ids, void *output)
{
    return compute_run(&network->compute, embedding_forward,
                       &(struct embedding_forward){.tokens = tokens,
                                                   .channels = network->config->hidden_size,
                                                   .rows = network->config->vocabulary_size,
                                                   .ids = ids,
                                                   .table = llama_weight(network, network->offsets.embedding),
                                                   .output = output,
                                                   .type = network->compute.dtype});
}

enum status llama_norm(const struct llama_network *network, int64_t tokens, const void *x, int64_t offset, void *output,
                       float *rstd)
{
    return norm_forward(&network->compute, tokens, network->config->hidden_size, x, llama_weight(network, offset),
                        (float)network->config->rms_norm_epsilon, output, rstd);
}

static enum status linear(const struct llama_network *network, int64_t tokens, const void *x, int64_t in,
                          int64_t offset, int64_t out, const void *addend, void *output)
{
    return linear_forward(&network->compute, &(struct linear){.rows = tokens,
                                                              .in = in,
                                                              .out = out,
                                                              .x = x,
                                                              .weight = llama_weight(network, offset),
                                                              .addend = addend,
                                                              .output = output,
                                                              .output_type = network->compute.dtype});
}

/* Matrices of equal width that follow each other in the arena from `offset` on: output[N][sum of their rows]. */
struct group {
    int64_t offset;
    int64_t count, rows[3];
};

static int64_t group_rows(const struct group *group)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < group->count; i++)
        rows += group->rows[i];
    return rows;
}

/* Whether one product serves the group: in the arena always. Tensors that lie apart may happen to be neighbours, but no bit
 * may depend on that. */
static bool is_joint(const struct llama_network *network, int64_t tokens, int64_t in, const struct group *group)
{
    const struct compute *compute = &network->compute;
    int64_t offset = group->offset;
    if (!network->tensors)
        return true;
    if (!compute->kernels->stable_columns ||
        !compute->kernels->stable_columns(compute->context, compute->dtype, tokens))
        return false;
    for (int64_t i = 0; i + 1 < group->count; i++) {
        int64_t next = offset + group->rows[i] * in;
        if (llama_weight(network, next) != element_at(llama_weight(network, offset), compute->dtype, next - offset))
            return false;
        offset = next;
    }
    return true;
}

static enum status linear_group(const struct llama_network *network, int64_t tokens, const void *x, int64_t in,
                                const struct group *group, void *output)
{
    enum status result = STATUS_OK;
    const int64_t width = group_rows(group);
    bool joint = is_joint(network, tokens, in, group);
    if (joint)
        TRY(linear(network, tokens, x, in, group->offset, width, NULL, output));
    for (int64_t i = 0, done = 0; i < group->count && (!joint || network->compute.measure); i++) {
        TRY(linear_forward(&network->compute,
                           &(struct linear){.rows = tokens,
                                            .in = in,
                                            .out = group->rows[i],
                                            .x = x,
                                            .weight = llama_weight(network, group->offset + done * in),
                                            .output = element_at(output, network->compute.dtype, done),
                                            .output_type = network->compute.dtype,
                                            .output_stride = width}));
        done += group->rows[i];
    }
fail:
    return result;
}

enum status llama_make_qkv(const struct llama_network *network, int64_t layer, int64_t tokens, const void *x,
                           void *normalised, float *rstd, void *qkv)
{
    enum status result = STATUS_OK;
    const struct llama_config *config = network->config;
    int64_t start = llama_layer_start(network, layer);
    TRY(llama_norm(network, tokens, x, start + network->offsets.input_norm, normalised, rstd));
    const struct group group = {
        start + network->offsets.qkv, 3, {llama_query_width(config), llama_key_width(config), llama_key_width(config)}};
    TRY(linear_group(network, tokens, normalised, config->hidden_size, &group, qkv));
fail:
    return result;
}

enum status llama_make_heads(const struct llama_network *network, int64_t layer, int64_t tokens, const void *x,
                             void *normalised, void *query, void *key_value)
{
    enum status result = STATUS_OK;
    const struct llama_config *config = network->config;
    int64_t start = llama_layer_start(network, layer), hidden = config->hidden_size;
    int64_t queries = llama_query_width(config), qkv = start + network->offsets.qkv;
    TRY(llama_norm(network, tokens, x, start + network->offsets.input_norm, normalised, NULL));
    TRY(linear(network, tokens, normalised, hidden, qkv, queries, NULL, query));
    const struct group group = {qkv + queries * hidden, 2, {llama_key_width(config), llama_key_width(config)}};
    TRY(linear_group(network, tokens, normalised, hidden, &group, key_value));
fail:
    return result;
}

enum status llama_join_heads(const struct llama_network *network, int64_t layer, int64_t tokens, const void *attention,
                             const void *x, void *middle)
{
    int64_t matrix = llama_layer_start(network, layer) + network->offsets.attention_output;
    return linear(network, tokens, attention, llama_query_width(network->config), matrix, network->config->hidden_size,
                  x, middle);
}

enum status llama_swiglu(const struct llama_network *network, int64_t tokens, const void *gate_up, void *activated)
{
    return compute_run(&network->compute, swiglu_forward,
                       &(struct swiglu_forward){.rows = tokens,
                                                .channels = network->config->intermediate_size,
                                                .gate_up = gate_up,
                                                .output = activated,
                                                .type = network->compute.dtype});
}

enum status llama_run_mlp(const struct llama_network *network, int64_t layer, int64_t tokens,
                          const struct llama_mlp *mlp)
{
    enum status result = STATUS_OK;
    int64_t hidden = network->config->hidden_size, inner = network->config->intermediate_size;
    int64_t start = llama_layer_start(network, layer);
    TRY(llama_norm(network, tokens, mlp->middle, start + network->offsets.mlp_norm, mlp->normalised, mlp->rstd));
    const struct group group = {start + network->offsets.gate_up, 2, {inner, inner}};
    TRY(linear_group(network, tokens, mlp->normalised, hidden, &group, mlp->gate_up));
    TRY(llama_swiglu(network, tokens, mlp->gate_up, mlp->activated));
    if (mlp->output)
        TRY(linear(network, tokens, mlp->activated, inner, start + network->offsets.down, hidden, mlp->middle,
                   mlp->output));
fail:
    return result;
}

/* As many as give the logits the size that the kernels like, at most eight of their blocks; a multiple of 16. */
int64_t llama_head_rows(const struct kernels *kernels, const struct llama_config *config, int64_t tokens)
{
    enum { LEAST = 16, BLOCKS = 8 };
    int64_t most = BLOCKS * llama_block_rows(kernels);
    int64_t rows = llama_block_elements(kernels) / config->vocabulary_size / LEAST * LEAST;
    rows = rows > most ? most : rows;
    rows = rows < LEAST ? LEAST : rows;
    return rows < tokens ? rows : tokens;
}

enum status llama_make_logits(const struct llama_network *network, int64_t tokens, const void *normalised,
                              float *logits)
{
    return linear_forward(&network->compute, &(struct linear){.rows = tokens,
                                                              .in = network->config->hidden_size,
                                                              .out = network->config->vocabulary_size,
                                                              .x = normalised,
                                                              .weight = llama_weight(network, network->offsets.head),
                                                              .output = logits,
                                                              .output_type = DTYPE_F32});
}
