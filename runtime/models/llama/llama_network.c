/* Embedding, norms, products and SwiGLU of the Llama family (Touvron et al. 2023) as calls of the kernels' table. The
 * matrices q, k and v lie next to each other in the arena, as do gate and up, so that one product serves each group. */
#include "models/llama/llama_network.h"

#include <math.h>

struct llama_network llama_network_of(const struct llama *model)
{
    struct llama_network network = {.compute = {model->kernels, model->context, model->dtype, NULL},
                                    .config = &model->config,
                                    .weights = model->weights,
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

enum status llama_make_qkv(const struct llama_network *network, int64_t layer, int64_t tokens, const void *x,
                           void *normalised, float *rstd, void *qkv)
{
    enum status result = STATUS_OK;
    const struct llama_config *config = network->config;
    int64_t start = llama_layer_start(network, layer);
    TRY(llama_norm(network, tokens, x, start + network->offsets.input_norm, normalised, rstd));
    TRY(linear(network, tokens, normalised, config->hidden_size, start + network->offsets.qkv, llama_qkv_width(config),
               NULL, qkv));
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
    TRY(linear(network, tokens, normalised, hidden, qkv + queries * hidden, 2 * llama_key_width(config), NULL,
               key_value));
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
    TRY(linear(network, tokens, mlp->normalised, hidden, start + network->offsets.gate_up, 2 * inner, NULL,
               mlp->gate_up));
    TRY(llama_swiglu(network, tokens, mlp->gate_up, mlp->activated));
    if (mlp->output)
        TRY(linear(network, tokens, mlp->activated, inner, start + network->offsets.down, hidden, mlp->middle,
                   mlp->output));
fail:
    return result;
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
