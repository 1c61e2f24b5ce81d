/* Generation with a cache of keys and values.
 *
 * The cache of one layer is [rows][capacity][k|v of G heads], k and v of a token side by side, so that the fused
 * product writes a prefilled block where it belongs. Decoding works on at most 16 rows at a time, because products of
 * up to 16 rows give each row the bits it has alone. */
#include "models/llama/llama.h"
#include "models/llama/llama_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PREFILL_BLOCK = 128, DECODE_GROUP = 16 };

struct llama_session {
    struct llama *model; /* borrowed */
    struct llama_offsets offsets;
    int64_t rows, capacity;
    int64_t *lengths; /* [rows] */
    bool *listed;     /* [rows] work of decode */
    unsigned char *memory;
    int64_t cache, cache_row, cache_layer; /* bytes: where it starts, of a row, of a layer */
    /* Of up to PREFILL_BLOCK tokens, and f32 logits of up to DECODE_GROUP. */
    void *x, *middle, *input, *query, *key_value, *attention, *gate_up, *activated;
    float *logits;
    int32_t *ids, *positions, *key_lengths;
};

/* The tokens that go through the layers together: the next ones of one row, or one each of several. */
struct pass {
    int64_t tokens;
    const int64_t *rows; /* decode: [tokens], else the one row */
    bool decode;
};

static int64_t key_value_width(const struct llama_session *session)
{
    return 2 * llama_key_width(&session->model->config);
}

static void *cache_at(const struct llama_session *session, int64_t layer, int64_t row, int64_t position)
{
    int64_t token = key_value_width(session) * (int64_t)dtype_size(session->model->dtype);
    return session->memory + session->cache + layer * session->cache_layer + row * session->cache_row +
           position * token;
}

/* ---- making one ---- */

static enum status plan_session(struct llama_session *session, struct memory_plan *plan, int64_t offsets[12])
{
    const struct llama_config *config = &session->model->config;
    const int64_t size = (int64_t)dtype_size(session->model->dtype), tokens = PREFILL_BLOCK;
    int64_t layer, all;
    session->cache_row = session->capacity * key_value_width(session) * size;
    if (__builtin_mul_overflow(session->rows, session->cache_row, &layer) ||
        __builtin_mul_overflow(layer, config->layers, &all) ||
        (session->cache = memory_plan_add(plan, all, "cache")) < 0)
        return status_set(STATUS_USAGE, "a cache of %" PRId64 " rows of %" PRId64 " tokens is too large", session->rows,
                          session->capacity);
    session->cache_layer = layer;
    const struct {
        const char *name;
        int64_t bytes;
    } buffers[12] = {
        {"x", tokens * config->hidden_size * size},
        {"middle", tokens * config->hidden_size * size},
        {"norm", tokens * config->hidden_size * size},
        {"q", tokens * llama_query_width(config) * size},
        {"k|v", DECODE_GROUP * key_value_width(session) * size},
        {"attention", tokens * llama_query_width(config) * size},
        {"gate|up", tokens * 2 * config->intermediate_size * size},
        {"activated", tokens * config->intermediate_size * size},
        {"logits", DECODE_GROUP * config->vocabulary_size * (int64_t)sizeof(float)},
        {"ids", tokens * (int64_t)sizeof(int32_t)},
        {"positions", tokens * (int64_t)sizeof(int32_t)},
        {"key lengths", DECODE_GROUP * (int64_t)sizeof(int32_t)},
    };
    for (int i = 0; i < 12; i++)
        if ((offsets[i] = memory_plan_add(plan, buffers[i].bytes, "%s", buffers[i].name)) < 0)
            return status_set(STATUS_INTERNAL, "no memory for the plan of a session");
    return STATUS_OK;
}

static void place_buffers(struct llama_session *session, const int64_t offsets[12])
{
    unsigned char *memory = session->memory;
    void **buffers[] = {&session->x,         &session->middle,    &session->input,   &session->query,
                        &session->key_value, &session->attention, &session->gate_up, &session->activated};
    for (int i = 0; i < 8; i++)
        *buffers[i] = memory + offsets[i];
    session->logits = (float *)(void *)(memory + offsets[8]);
    session->ids = (int32_t *)(void *)(memory + offsets[9]);
    session->positions = (int32_t *)(void *)(memory + offsets[10]);
    session->key_lengths = (int32_t *)(void *)(memory + offsets[11]);
}

enum status llama_session_create(struct llama *model, int64_t rows, int64_t capacity, struct llama_session **out)
{
    *out = NULL;
    enum status result = STATUS_OK;
    struct memory_plan plan = {.name = "session"};
    struct llama_session *session = NULL;
    if (rows < 1 || rows > INT32_MAX || capacity < 1)
        FAIL(STATUS_USAGE, "a session of %" PRId64 " rows of %" PRId64 " tokens", rows, capacity);
    if (capacity > model->config.maximum_positions)
        FAIL(STATUS_USAGE, "a session of %" PRId64 " tokens, but the model has %" PRId64 " positions", capacity,
             model->config.maximum_positions);
    session = calloc(1, sizeof *session);
    if (!session)
        FAIL(STATUS_INTERNAL, "no memory for a session");
    session->model = model;
    session->rows = rows;
    session->capacity = capacity;
    llama_find_offsets(&model->config, &session->offsets);
    session->lengths = calloc((size_t)rows, sizeof *session->lengths);
    session->listed = calloc((size_t)rows, sizeof *session->listed);
    if (!session->lengths || !session->listed)
        FAIL(STATUS_INTERNAL, "no memory for a session of %" PRId64 " rows", rows);
    int64_t offsets[12];
    TRY(plan_session(session, &plan, offsets));
    void *memory;
    TRY(model->kernels->allocate(model->context, (size_t)plan.total, &memory));
    session->memory = memory;
    place_buffers(session, offsets);
    *out = session;
    session = NULL;
fail:
    memory_plan_free(&plan);
    llama_session_destroy(session);
    return result;
}

void llama_session_destroy(struct llama_session *session)
{
    if (!session)
        return;
    if (session->memory)
        session->model->kernels->release(session->model->context, session->memory);
    free(session->lengths);
    free(session->listed);
    free(session);
}

int64_t llama_session_length(const struct llama_session *session, int64_t row)
{
    return row >= 0 && row < session->rows ? session->lengths[row] : 0;
}

void llama_session_truncate(struct llama_session *session, int64_t row, int64_t length)
{
    if (row >= 0 && row < session->rows && length < session->lengths[row])
        session->lengths[row] = length > 0 ? length : 0;
}

static enum status check_row(const struct llama_session *session, int64_t row)
{
    if (row < 0 || row >= session->rows)
        return status_set(STATUS_INTERNAL, "row %" PRId64 " of a session of %" PRId64, row, session->rows);
    return STATUS_OK;
}

enum status llama_session_copy_row(struct llama_session *session, int64_t destination, int64_t source)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    TRY(check_row(session, destination));
    TRY(check_row(session, source));
    if (destination == source)
        return STATUS_OK;
    size_t bytes = (size_t)(session->lengths[source] * key_value_width(session)) * dtype_size(model->dtype);
    for (int64_t layer = 0; bytes > 0 && layer < model->config.layers; layer++)
        TRY(model->kernels->copy(model->context, cache_at(session, layer, destination, 0),
                                 cache_at(session, layer, source, 0), bytes));
    session->lengths[destination] = session->lengths[source];
fail:
    return result;
}

/* ---- the layers ---- */

static enum status linear(struct llama_session *session, int64_t rows, const void *x, int64_t in, int64_t weight_offset,
                          int64_t out, const void *addend, void *output)
{
    struct llama *model = session->model;
    return llama_linear(model, &(struct llama_linear){.rows = rows,
                                                      .in = in,
                                                      .out = out,
                                                      .x = x,
                                                      .weight = llama_at(model->weights, model->dtype, weight_offset),
                                                      .addend = addend,
                                                      .output = output,
                                                      .output_type = model->dtype});
}

/* Query tokens first..first+batch*query_length-1 of the pass against the rows from `row` on. */
static enum status attend(struct llama_session *session, int64_t layer, int64_t first, int64_t batch,
                          int64_t query_length, int64_t row, int64_t key_length, const int32_t *key_lengths)
{
    struct llama *model = session->model;
    const struct llama_config *config = &model->config;
    int64_t queries = llama_query_width(config), width = key_value_width(session);
    const void *keys = cache_at(session, layer, row, 0);
    struct attention_forward attention = {
        .batch = batch,
        .query_length = query_length,
        .key_length = key_length,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .head_size = config->head_size,
        .query = llama_at(session->query, model->dtype, first * queries),
        .key = keys,
        .value = llama_at(keys, model->dtype, llama_key_width(config)),
        .query_row_stride = queries,
        .key_row_stride = width,
        .value_row_stride = width,
        .output_row_stride = queries,
        .query_batch_stride = query_length * queries,
        .key_batch_stride = session->capacity * width,
        .value_batch_stride = session->capacity * width,
        .output_batch_stride = query_length * queries,
        .output = llama_at(session->attention, model->dtype, first * queries),
        .key_lengths = key_lengths,
        .scale = (float)(1 / sqrt((double)config->head_size)),
        .type = model->dtype,
    };
    return llama_attention(model, &attention);
}

/* Decode: stores the new keys and values, then one call for each run of neighbouring rows. */
static enum status attend_rows(struct llama_session *session, const struct pass *pass, int64_t layer)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    int64_t width = key_value_width(session);
    for (int64_t i = 0; i < pass->tokens; i++)
        TRY(model->kernels->copy(
            model->context, cache_at(session, layer, pass->rows[i], session->lengths[pass->rows[i]]),
            llama_at(session->key_value, model->dtype, i * width), (size_t)width * dtype_size(model->dtype)));
    for (int64_t i = 0, end; i < pass->tokens; i = end) {
        int64_t longest = session->lengths[pass->rows[i]];
        for (end = i + 1; end < pass->tokens && pass->rows[end] == pass->rows[end - 1] + 1; end++)
            if (session->lengths[pass->rows[end]] > longest)
                longest = session->lengths[pass->rows[end]];
        TRY(attend(session, layer, i, end - i, 1, pass->rows[i], longest + 1, session->key_lengths + i));
    }
fail:
    return result;
}

static enum status attention_block(struct llama_session *session, const struct pass *pass, int64_t layer)
{
    enum status result = STATUS_OK;
    struct llama *model = session->model;
    const struct llama_config *config = &model->config;
    int64_t start = session->offsets.first_layer + layer * session->offsets.layer_stride;
    int64_t hidden = config->hidden_size, queries = llama_query_width(config), width = key_value_width(session);
    int64_t row = pass->rows[0], length = session->lengths[row], qkv = start + session->offsets.qkv;
    void *key_value = pass->decode ? session->key_value : cache_at(session, layer, row, length);
    TRY(llama_norm(model, pass->tokens, session->x, start + session->offsets.input_norm, session->input, NULL));
    TRY(linear(session, pass->tokens, session->input, hidden, qkv, queries, NULL, session->query));
    TRY(linear(session, pass->tokens, session->input, hidden, qkv + queries * hidden, width, NULL, key_value));
    TRY(llama_rope(model, pass->tokens, config->heads, session->query, queries, session->positions, 1));
    TRY(llama_rope(model, pass->tokens, config->kv_heads, key_value, width, session->positions, 1));
    if (pass->decode)
        TRY(attend_rows(session, pass, layer));
    else
        TRY(attend(session, layer, 0, 1, pass->tokens, row, length + pass->tokens, NULL));
    TRY(linear(session, pass->tokens, session->attention, queries, start + session->offsets.attention_output, hidden,
               session->x, session->middle));
fail:
    return result;
}

/* ids and positions are on the device already. */
static enum status run_pass(struct llama_session *session, const struct pass *pass)
{
    enum status result = STATUS_OK;
    struct llama *model = session->model;
    const struct llama_config *config = &model->config;
    int64_t hidden = config->hidden_size, inner = config->intermediate_size, tokens = pass->tokens;
    struct embedding_forward embedding = {.tokens = tokens,
                                          .channels = hidden,
                                          .rows = config->vocabulary_size,
                                          .ids = session->ids,
                                          .table = llama_at(model->weights, model->dtype, session->offsets.embedding),
                                          .output = session->x,
                                          .type = model->dtype};
    TRY(model->kernels->embedding_forward(model->context, &embedding));
    for (int64_t layer = 0; layer < config->layers; layer++) {
        int64_t start = session->offsets.first_layer + layer * session->offsets.layer_stride;
        TRY(attention_block(session, pass, layer));
        TRY(llama_norm(model, tokens, session->middle, start + session->offsets.mlp_norm, session->input, NULL));
        TRY(linear(session, tokens, session->input, hidden, start + session->offsets.gate_up, 2 * inner, NULL,
                   session->gate_up));
        TRY(llama_swiglu(model, tokens, session->gate_up, session->activated));
        TRY(linear(session, tokens, session->activated, inner, start + session->offsets.down, hidden, session->middle,
                   session->x));
    }
fail:
    return result;
}

/* Logits of the pass's tokens first..first+count-1, to the host. */
static enum status pass_logits(struct llama_session *session, int64_t first, int64_t count, float *logits)
{
    enum status result = STATUS_OK;
    struct llama *model = session->model;
    int64_t hidden = model->config.hidden_size, vocabulary = model->config.vocabulary_size;
    TRY(llama_norm(model, count, llama_at(session->x, model->dtype, first * hidden), session->offsets.final_norm,
                   session->input, NULL));
    TRY(llama_linear(model,
                     &(struct llama_linear){.rows = count,
                                            .in = hidden,
                                            .out = vocabulary,
                                            .x = session->input,
                                            .weight = llama_at(model->weights, model->dtype, session->offsets.head),
                                            .output = session->logits,
                                            .output_type = DTYPE_F32}));
    TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, logits, session->logits,
                                     (size_t)(count * vocabulary) * sizeof *logits));
fail:
    return result;
}

static enum status check_ids(const struct llama_session *session, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= session->model->config.vocabulary_size)
            return status_set(STATUS_INTERNAL, "token id %" PRId32 " is outside the model's %" PRId64 " rows", ids[i],
                              session->model->config.vocabulary_size);
    return STATUS_OK;
}

static enum status check_room(const struct llama_session *session, int64_t row, int64_t count)
{
    if (count > session->capacity - session->lengths[row])
        return status_set(STATUS_USAGE,
                          "%" PRId64 " more tokens after %" PRId64 " do not fit a session of %" PRId64 " tokens", count,
                          session->lengths[row], session->capacity);
    return STATUS_OK;
}

static enum status upload(struct llama_session *session, int32_t *device, const int32_t *host, int64_t count)
{
    const struct llama *model = session->model;
    return model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, device, host, (size_t)count * sizeof *host);
}

enum status llama_session_prefill(struct llama_session *session, int64_t row, const int32_t *ids, int64_t count,
                                  float *logits)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    TRY(check_row(session, row));
    if (count < 1)
        FAIL(STATUS_INTERNAL, "a prompt of %" PRId64 " tokens", count);
    TRY(check_room(session, row, count));
    TRY(check_ids(session, ids, count));
    for (int64_t done = 0; done < count; done += PREFILL_BLOCK) {
        struct pass pass = {.tokens = count - done < PREFILL_BLOCK ? count - done : PREFILL_BLOCK, .rows = &row};
        int32_t positions[PREFILL_BLOCK];
        for (int64_t i = 0; i < pass.tokens; i++)
            positions[i] = (int32_t)(session->lengths[row] + i);
        TRY(upload(session, session->ids, ids + done, pass.tokens));
        TRY(upload(session, session->positions, positions, pass.tokens));
        TRY(run_pass(session, &pass));
        if (logits && done + pass.tokens == count)
            TRY(pass_logits(session, pass.tokens - 1, 1, logits));
        TRY(model->kernels->synchronize(model->context)); /* `positions` is written again */
        session->lengths[row] += pass.tokens;
    }
fail:
    return result;
}

static enum status check_rows(struct llama_session *session, const int64_t *rows, int64_t count)
{
    enum status result = STATUS_OK;
    memset(session->listed, 0, (size_t)session->rows * sizeof *session->listed);
    for (int64_t i = 0; i < count; i++) {
        TRY(check_row(session, rows[i]));
        TRY(check_room(session, rows[i], 1));
        if (session->listed[rows[i]])
            FAIL(STATUS_INTERNAL, "row %" PRId64 " is listed twice", rows[i]);
        session->listed[rows[i]] = true;
    }
fail:
    return result;
}

enum status llama_session_decode(struct llama_session *session, const int64_t *rows, const int32_t *ids, int64_t count,
                                 float *logits)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    TRY(check_rows(session, rows, count));
    TRY(check_ids(session, ids, count));
    for (int64_t done = 0; done < count; done += DECODE_GROUP) {
        struct pass pass = {
            .tokens = count - done < DECODE_GROUP ? count - done : DECODE_GROUP, .rows = rows + done, .decode = true};
        int32_t positions[DECODE_GROUP], key_lengths[DECODE_GROUP];
        for (int64_t i = 0; i < pass.tokens; i++) {
            positions[i] = (int32_t)session->lengths[pass.rows[i]];
            key_lengths[i] = positions[i] + 1;
        }
        TRY(upload(session, session->ids, ids + done, pass.tokens));
        TRY(upload(session, session->positions, positions, pass.tokens));
        TRY(upload(session, session->key_lengths, key_lengths, pass.tokens));
        TRY(run_pass(session, &pass));
        TRY(pass_logits(session, 0, pass.tokens, logits + done * model->config.vocabulary_size));
        TRY(model->kernels->synchronize(model->context));
        for (int64_t i = 0; i < pass.tokens; i++)
            session->lengths[pass.rows[i]]++;
    }
fail:
    return result;
}
