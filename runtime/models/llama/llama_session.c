/* A session: its memory, planned from shapes alone, and its rows.
 *
 * The cache of one layer is [rows][capacity][k|v of G heads], k and v of a token side by side, as the fused product writes
 * them. What the host says and hears in a step lies in pinned memory, so that its copies neither wait nor are copied
 * again. */
#include "models/llama/llama_session_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plan ---- */

static enum status check_options(const struct llama_config *config, const struct llama_session_options *options)
{
    if (options->rows < 1 || options->rows > INT32_MAX || options->capacity < 1)
        return status_set(STATUS_USAGE, "a session of %" PRId64 " rows of %" PRId64 " tokens", options->rows,
                          options->capacity);
    if (options->capacity > config->maximum_positions)
        return status_set(STATUS_USAGE, "a session of %" PRId64 " tokens, but the model has %" PRId64 " positions",
                          options->capacity, config->maximum_positions);
    if (options->masks && (options->mask_count < 1 || options->mask_count > INT32_MAX))
        return status_set(STATUS_INTERNAL, "a session with %" PRId64 " masks", options->mask_count);
    return STATUS_OK;
}

/* What the options ask for, before there is any memory. */
static void set_sizes(struct llama_session *session, const struct kernels *kernels,
                      const struct llama_session_options *options)
{
    int64_t block = options->prefill_tokens > 0 ? options->prefill_tokens : llama_block_rows(kernels);
    session->rows = options->rows;
    session->capacity = options->capacity;
    session->block = block < options->capacity || options->scores ? block : options->capacity;
    session->mask_count = options->masks ? options->mask_count : 0;
    session->head_rows = options->scores ? llama_head_rows(kernels, session->network.config, session->block) : 0;
    session->cache_row = session->capacity * 2 * llama_key_width(session->network.config);
}

/* Bytes of the whole cache; -1 when they cannot be counted. */
static int64_t cache_bytes(const struct llama_session *session, int64_t size)
{
    int64_t bytes;
    if (__builtin_mul_overflow(session->rows, session->cache_row * size, &bytes) ||
        __builtin_mul_overflow(bytes, session->network.config->layers, &bytes))
        return -1;
    return bytes;
}

static enum status plan_memory(struct llama_session *session, struct memory_plan *plan)
{
    const struct llama_config *config = session->network.config;
    struct session_places *places = &session->places;
    const int64_t size = (int64_t)dtype_size(session->network.compute.dtype), integer = sizeof(int32_t);
    const int64_t tokens = session->block > DECODE_GROUP ? session->block : DECODE_GROUP;
    const int64_t cache = cache_bytes(session, size);
    const int64_t logits = session->head_rows > DECODE_GROUP ? session->head_rows : DECODE_GROUP;
    const struct {
        const char *name;
        int64_t bytes, *place;
    } parts[] = {
        {"cache", cache, &places->cache},
        {"x", tokens * config->hidden_size * size, &places->x},
        {"middle", tokens * config->hidden_size * size, &places->middle},
        {"norm", tokens * config->hidden_size * size, &places->norm},
        {"q", tokens * llama_query_width(config) * size, &places->query},
        {"k|v", tokens * 2 * llama_key_width(config) * size, &places->key_value},
        {"attention", tokens * llama_query_width(config) * size, &places->attention},
        {"gate|up", tokens * 2 * config->intermediate_size * size, &places->gate_up},
        {"activated", tokens * config->intermediate_size * size, &places->activated},
        {"logits", logits * config->vocabulary_size * (int64_t)sizeof(float), &places->logits},
        {"tables", session_tables_bytes(session->rows), &places->tables},
        {"prompt", session->capacity * integer, &places->prompt},
        {"positions", session->capacity * integer, &places->positions},
        {"one row", tokens * integer, &places->one_row},
        {"masks", session->mask_count * config->vocabulary_size, &places->masks},
    };
    if (cache < 0)
        return status_set(STATUS_USAGE, "a cache of %" PRId64 " rows of %" PRId64 " tokens is too large", session->rows,
                          session->capacity);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if ((*parts[i].place = memory_plan_add(plan, parts[i].bytes, "%s", parts[i].name)) < 0)
            return status_set(STATUS_USAGE, "the size of \"%s\" of a session of %" PRId64 " rows cannot be planned",
                              parts[i].name, session->rows);
    return session->head_rows > 0 ? session_plan_scores(session, plan) : STATUS_OK;
}

static struct session_tables tables_at(void *memory, int64_t rows)
{
    struct session_tables tables = {.uniforms = memory};
    int32_t **const integers[] = {&tables.rows, &tables.positions, &tables.lengths, &tables.mask_rows, &tables.ids};
    for (int64_t i = 0; i < 5; i++)
        *integers[i] = element_at(memory, DTYPE_U8, rows * ((int64_t)sizeof(double) + i * (int64_t)sizeof(int32_t)));
    return tables;
}

/* A session that is measured: it has a plan and no memory. */
static enum status plan_session(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                                const struct llama_session_options *options, struct memory_plan *plan, size_t *scratch,
                                struct llama_session *session)
{
    enum status result = llama_config_check(config);
    if (result == STATUS_OK)
        result = check_options(config, options);
    if (result != STATUS_OK)
        return result;
    *session = (struct llama_session){.network = llama_network_measuring(kernels, config, dtype, scratch),
                                      .memory = COMPUTE_NOWHERE};
    set_sizes(session, kernels, options);
    session->told = tables_at(COMPUTE_NOWHERE, session->rows);
    return plan_memory(session, plan);
}

enum status llama_plan_session(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                               const struct llama_session_options *options, struct memory_plan *plan)
{
    struct llama_session session;
    return plan_session(kernels, config, dtype, options, plan, NULL, &session);
}

enum status llama_plan_session_scratch(const struct kernels *kernels, const struct llama_config *config,
                                       enum dtype dtype, const struct llama_session_options *options, size_t *bytes)
{
    enum status result = STATUS_OK;
    struct memory_plan plan = {.name = "session"};
    struct llama_session session;
    const struct llama_draw draw = {.temperature = 1, .top_p = 1};
    *bytes = 0;
    TRY(plan_session(kernels, config, dtype, options, &plan, bytes, &session));
    struct llama_config one_layer = *config; /* all layers need the same */
    one_layer.layers = 1;
    session.network.config = &one_layer;
    for (int64_t tokens = 1; tokens <= session.block && tokens <= session.capacity; tokens++)
        TRY(session_run_pass(
            &session,
            &(struct session_pass){.tokens = tokens, .ids = COMPUTE_NOWHERE, .position = session.capacity - tokens}));
    for (int64_t tokens = 1; tokens <= DECODE_GROUP; tokens++) {
        TRY(session_run_pass(&session,
                             &(struct session_pass){.tokens = tokens, .ids = COMPUTE_NOWHERE, .decode = true}));
        TRY(session_make_logits(&session, 0, tokens));
        if (session.mask_count > 0)
            TRY(session_sample(&session, 0, tokens, &draw));
    }
    if (session.head_rows > 0)
        TRY(session_measure_scores(&session));
fail:
    memory_plan_free(&plan);
    return result;
}

/* ---- making one ---- */

/* Pinned: the tables, a prompt's ids, and the ids that come back. */
static enum status make_staging(struct llama_session *session)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    int64_t tables = session_tables_bytes(session->rows), integers = session->capacity + session->rows;
    TRY(model->kernels->allocate_host(model->context, (size_t)tables + (size_t)integers * sizeof(int32_t),
                                      &session->staging));
    session->telling = tables_at(session->staging, session->rows);
    session->prompt = element_at(session->staging, DTYPE_U8, tables);
    session->drawn = session->prompt + session->capacity;
    if (session->head_rows > 0)
        TRY(model->kernels->allocate_host(model->context, (size_t)(6 * session->block) * sizeof(int32_t),
                                          (void **)&session->scoring));
    TRY(model->kernels->event_create(model->context, &session->sent));
fail:
    return result;
}

/* What never changes: the positions of a prompt's tokens, and the masks. */
static enum status send_constants(struct llama_session *session, const uint8_t *masks)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    for (int64_t i = 0; i < session->capacity; i++)
        session->prompt[i] = (int32_t)i;
    session->step_in_flight = true;
    TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, session_at(session, session->places.positions),
                                       session->prompt, (size_t)session->capacity * sizeof *session->prompt));
    if (masks)
        TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, session_at(session, session->places.masks),
                                           masks, (size_t)(session->mask_count * model->config.vocabulary_size)));
    TRY(model->kernels->synchronize(model->context));
    session->step_in_flight = false;
fail:
    return result;
}

static enum status make_memory(struct llama_session *session, const struct llama_session_options *options)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    struct memory_plan plan = {.name = "session"};
    size_t scratch;
    TRY(llama_plan_session_scratch(model->kernels, &model->config, model->dtype, options, &scratch));
    TRY(device_context_reserve(model->kernels, model->context, scratch));
    TRY(plan_memory(session, &plan));
    TRY(model->kernels->allocate(model->context, (size_t)plan.total, &session->memory));
    session->told = tables_at(session_at(session, session->places.tables), session->rows);
fail:
    memory_plan_free(&plan);
    return result;
}

enum status llama_session_create(struct llama *model, const struct llama_session_options *options,
                                 struct llama_session **out)
{
    *out = NULL;
    enum status result = STATUS_OK;
    struct llama_session *session = NULL;
    TRY(check_options(&model->config, options));
    TRY(llama_need_positions(model, options->capacity));
    session = calloc(1, sizeof *session);
    if (!session)
        FAIL(STATUS_INTERNAL, "no memory for a session");
    session->model = model;
    session->network = llama_network_of(model);
    session->prompt_end = -1;
    session->eager = options->eager || !model->kernels->graph_begin;
    set_sizes(session, model->kernels, options);
    session->lengths = calloc((size_t)session->rows, sizeof *session->lengths);
    session->listed = calloc((size_t)session->rows, sizeof *session->listed);
    if (!session->lengths || !session->listed)
        FAIL(STATUS_INTERNAL, "no memory for a session of %" PRId64 " rows", session->rows);
    TRY(make_memory(session, options));
    TRY(make_staging(session));
    TRY(send_constants(session, options->masks));
    *out = session;
    session = NULL;
fail:
    llama_session_destroy(session);
    return result;
}

void llama_session_destroy(struct llama_session *session)
{
    if (!session)
        return;
    const struct llama *model = session->model;
    if (session->prompt_in_flight || session->step_in_flight)
        (void)model->kernels->synchronize(model->context);
    session_free_graphs(session);
    model->kernels->release(model->context, session->memory);
    model->kernels->release_host(model->context, session->staging);
    model->kernels->release_host(model->context, session->scoring);
    model->kernels->event_destroy(model->context, session->sent);
    free(session->lengths);
    free(session->listed);
    free(session);
}

/* ---- rows ---- */

int64_t llama_session_length(const struct llama_session *session, int64_t row)
{
    return row >= 0 && row < session->rows ? session->lengths[row] : 0;
}

void llama_session_truncate(struct llama_session *session, int64_t row, int64_t length)
{
    if (row >= 0 && row < session->rows && length < session->lengths[row])
        session->lengths[row] = length > 0 ? length : 0;
}

enum status llama_session_copy_row(struct llama_session *session, int64_t destination, int64_t source)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    const int64_t rows[] = {destination, source};
    for (int i = 0; i < 2; i++)
        if (rows[i] < 0 || rows[i] >= session->rows)
            FAIL(STATUS_INTERNAL, "row %" PRId64 " of a session of %" PRId64, rows[i], session->rows);
    if (destination == source)
        return STATUS_OK;
    size_t bytes = (size_t)(session->lengths[source] * 2 * llama_key_width(&model->config)) * dtype_size(model->dtype);
    for (int64_t layer = 0; bytes > 0 && layer < model->config.layers; layer++)
        TRY(model->kernels->copy(model->context, session_cache_at(session, layer, destination),
                                 session_cache_at(session, layer, source), bytes));
    session->lengths[destination] = session->lengths[source];
fail:
    return result;
}
