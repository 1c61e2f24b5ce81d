/* Tokens through the layers over the cache. Row and position of each token lie in tables on the device, so a layer is the
 * same few calls whatever rows are decoded: nothing about a row is known to the host's side of a call. */
#include "models/llama/llama_session_internal.h"

void *session_cache_at(const struct llama_session *session, int64_t layer, int64_t row)
{
    return element_at(session_at(session, session->places.cache), session->network.compute.dtype,
                      (layer * session->rows + row) * session->cache_row);
}

/* A decoded token may go to any row; a prompt's see their own row alone, as row 0. */
static struct key_value_cache cache_of(const struct llama_session *session, const struct session_pass *pass,
                                       int64_t layer)
{
    return (struct key_value_cache){.memory = session_cache_at(session, layer, pass->decode ? 0 : pass->row),
                                    .rows = pass->decode ? session->rows : 1,
                                    .capacity = session->capacity,
                                    .row_stride = session->cache_row};
}

static enum status append(const struct llama_session *session, const struct session_pass *pass, int64_t layer)
{
    const struct llama_network *network = &session->network;
    const struct llama_config *config = network->config;
    const void *positions = session_at(session, session->places.positions);
    return compute_run(
        &network->compute, rope_append,
        &(struct rope_append){.tokens = pass->tokens,
                              .heads = config->heads,
                              .kv_heads = config->kv_heads,
                              .head_size = config->head_size,
                              .query = session_at(session, session->places.query),
                              .key_value = session_at(session, session->places.key_value),
                              .query_row_stride = llama_query_width(config),
                              .key_value_row_stride = 2 * llama_key_width(config),
                              .cache = cache_of(session, pass, layer),
                              .rows = pass->decode ? element_at(session->told.rows, DTYPE_I32, pass->first)
                                                   : session_at(session, session->places.one_row),
                              .positions = pass->decode ? element_at(session->told.positions, DTYPE_I32, pass->first)
                                                        : element_at(positions, DTYPE_I32, pass->position),
                              .cosine = network->rope_cosine,
                              .sine = network->rope_sine,
                              .table_positions = network->rope_positions,
                              .type = network->compute.dtype});
}

static enum status attend_to_rows(const struct llama_session *session, const struct session_pass *pass, int64_t layer)
{
    const struct llama_config *config = session->network.config;
    return compute_run(&session->network.compute, attention_decode,
                       &(struct attention_decode){.tokens = pass->tokens,
                                                  .heads = config->heads,
                                                  .kv_heads = config->kv_heads,
                                                  .head_size = config->head_size,
                                                  .query = session_at(session, session->places.query),
                                                  .output = session_at(session, session->places.attention),
                                                  .query_row_stride = llama_query_width(config),
                                                  .output_row_stride = llama_query_width(config),
                                                  .cache = cache_of(session, pass, layer),
                                                  .rows = element_at(session->told.rows, DTYPE_I32, pass->first),
                                                  .lengths = element_at(session->told.lengths, DTYPE_I32, pass->first),
                                                  .scale = llama_attention_scale(config),
                                                  .type = session->network.compute.dtype});
}

static enum status attend_to_prompt(const struct llama_session *session, const struct session_pass *pass, int64_t layer)
{
    const struct llama_config *config = session->network.config;
    enum dtype dtype = session->network.compute.dtype;
    int64_t keys = 2 * llama_key_width(config);
    const void *cache = session_cache_at(session, layer, pass->row);
    return compute_run(&session->network.compute, attention_forward,
                       &(struct attention_forward){.batch = 1,
                                                   .query_length = pass->tokens,
                                                   .key_length = pass->position + pass->tokens,
                                                   .heads = config->heads,
                                                   .kv_heads = config->kv_heads,
                                                   .head_size = config->head_size,
                                                   .query = session_at(session, session->places.query),
                                                   .key = cache,
                                                   .value = element_at(cache, dtype, llama_key_width(config)),
                                                   .query_row_stride = llama_query_width(config),
                                                   .key_row_stride = keys,
                                                   .value_row_stride = keys,
                                                   .output_row_stride = llama_query_width(config),
                                                   .output = session_at(session, session->places.attention),
                                                   .scale = llama_attention_scale(config),
                                                   .type = dtype});
}

enum status session_run_pass(const struct llama_session *session, const struct session_pass *pass)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &session->network;
    const struct session_places *places = &session->places;
    void *x = session_at(session, places->x), *middle = session_at(session, places->middle);
    void *norm = session_at(session, places->norm), *attention = session_at(session, places->attention);
    const struct llama_mlp mlp = {.middle = middle,
                                  .normalised = norm,
                                  .gate_up = session_at(session, places->gate_up),
                                  .activated = session_at(session, places->activated),
                                  .output = x};
    TRY(llama_embed(network, pass->tokens, pass->ids, x));
    for (int64_t layer = 0; layer < network->config->layers; layer++) {
        TRY(llama_make_heads(network, layer, pass->tokens, x, norm, session_at(session, places->query),
                             session_at(session, places->key_value)));
        TRY(append(session, pass, layer));
        TRY(pass->decode ? attend_to_rows(session, pass, layer) : attend_to_prompt(session, pass, layer));
        TRY(llama_join_heads(network, layer, pass->tokens, attention, x, middle));
        TRY(llama_run_mlp(network, layer, pass->tokens, &mlp));
    }
fail:
    return result;
}

enum status session_make_logits(const struct llama_session *session, int64_t first, int64_t count)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &session->network;
    const void *x = element_at(session_at(session, session->places.x), network->compute.dtype,
                               first * network->config->hidden_size);
    void *norm = session_at(session, session->places.norm);
    TRY(llama_norm(network, count, x, network->offsets.final_norm, norm, NULL));
    TRY(llama_make_logits(network, count, norm, session_at(session, session->places.logits)));
fail:
    return result;
}

enum status session_sample(const struct llama_session *session, int64_t first, int64_t count,
                           const struct llama_draw *draw)
{
    const struct session_tables *told = &session->told;
    int64_t vocabulary = session->network.config->vocabulary_size;
    return compute_run(&session->network.compute, sample,
                       &(struct sample){.rows = count,
                                        .columns = vocabulary,
                                        .logits = session_at(session, session->places.logits),
                                        .row_stride = vocabulary,
                                        .masks = session_at(session, session->places.masks),
                                        .mask_rows = element_at(told->mask_rows, DTYPE_I32, first),
                                        .mask_count = session->mask_count,
                                        .uniforms = element_at(told->uniforms, DTYPE_F64, first),
                                        .temperature = draw->temperature,
                                        .top_k = draw->top_k,
                                        .top_p = draw->top_p,
                                        .ids = element_at(told->ids, DTYPE_I32, first)});
}
