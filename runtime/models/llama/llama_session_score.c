/* Sequences that begin alike go through the layers in one piece: what they share lies in the cache once, and what they add to it are
 * branches. Products are computed for the tokens of all branches together. Only a layer's attention goes round by round: each row has one
 * branch per round, whose keys and values take the places of those of branches before it, which nobody reads any more. So questions and the
 * four letters behind each, which must not see each other, cost one pass.
 *
 * The head is computed for what somebody wants to know: those tokens are gathered, once per target. */
#include "models/llama/llama_session_internal.h"

#include <inttypes.h>
#include <string.h>

/* ---- memory and scratch ---- */

enum status session_plan_scores(struct llama_session *session, struct memory_plan *plan)
{
    struct session_score_places *places = &session->score;
    const int64_t hidden = session->network.config->hidden_size * (int64_t)dtype_size(session->network.compute.dtype);
    const int64_t integers = session->block * (int64_t)sizeof(int32_t), rows = session->head_rows;
    const struct {
        const char *name;
        int64_t bytes, *place;
    } parts[] = {
        {"branches' ids", integers, &places->ids},
        {"branches' rows", integers, &places->rows},
        {"branches' positions", integers, &places->positions},
        {"branches' lengths", integers, &places->lengths},
        {"wanted tokens", integers, &places->wanted},
        {"wanted targets", integers, &places->targets},
        {"gathered", rows * hidden, &places->gathered},
        {"gathered norm", rows * hidden, &places->norm},
        {"block sums", rows * LOG_SUM_EXP_BLOCKS * (int64_t)sizeof(double), &places->block_sums},
        {"target logits", rows * (int64_t)sizeof(float), &places->target_logits},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if ((*parts[i].place = memory_plan_add(plan, parts[i].bytes, "%s", parts[i].name)) < 0)
            return status_set(STATUS_USAGE, "the size of \"%s\" of a session of %" PRId64 " rows cannot be planned",
                              parts[i].name, session->rows);
    return STATUS_OK;
}

/* ---- one pass ---- */

/* Branches of different rows whose attention is computed together. */
struct round {
    const struct llama_branch *branches;
    int64_t count;
    int64_t first, tokens; /* among the pass's tokens */
};

static int32_t *score_table(const struct llama_session *session, int64_t place, int64_t first)
{
    return element_at(session_at(session, place), DTYPE_I32, first);
}

static struct key_value_cache whole_cache(const struct llama_session *session, int64_t layer)
{
    return (struct key_value_cache){.memory = session_cache_at(session, layer, 0),
                                    .rows = session->rows,
                                    .capacity = session->capacity,
                                    .row_stride = session->cache_row};
}

static void *query_at(const struct llama_session *session, int64_t place, int64_t token)
{
    return element_at(session_at(session, place), session->network.compute.dtype,
                      token * llama_query_width(session->network.config));
}

static enum status append(const struct llama_session *session, const struct round *round, int64_t layer)
{
    const struct llama_network *network = &session->network;
    const struct llama_config *config = network->config;
    int64_t keys = 2 * llama_key_width(config);
    return compute_run(&network->compute, rope_append,
                       &(struct rope_append){.tokens = round->tokens,
                                             .heads = config->heads,
                                             .kv_heads = config->kv_heads,
                                             .head_size = config->head_size,
                                             .query = query_at(session, session->places.query, round->first),
                                             .key_value = element_at(session_at(session, session->places.key_value),
                                                                     network->compute.dtype, round->first * keys),
                                             .query_row_stride = llama_query_width(config),
                                             .key_value_row_stride = keys,
                                             .cache = whole_cache(session, layer),
                                             .rows = score_table(session, session->score.rows, round->first),
                                             .positions = score_table(session, session->score.positions, round->first),
                                             .cosine = network->rope_cosine,
                                             .sine = network->rope_sine,
                                             .table_positions = network->rope_positions,
                                             .type = network->compute.dtype});
}

/* A round of one token per branch. */
static enum status attend_single(const struct llama_session *session, const struct round *round, int64_t layer)
{
    const struct llama_config *config = session->network.config;
    return compute_run(&session->network.compute, attention_decode,
                       &(struct attention_decode){
                           .tokens = round->tokens,
                           .heads = config->heads,
                           .kv_heads = config->kv_heads,
                           .head_size = config->head_size,
                           .query = query_at(session, session->places.query, round->first),
                           .output = query_at(session, session->places.attention, round->first),
                           .query_row_stride = llama_query_width(config),
                           .output_row_stride = llama_query_width(config),
                           .cache = whole_cache(session, layer),
                           .rows = score_table(session, session->score.rows, round->first),
                           .lengths = score_table(session, session->score.lengths, round->first),
                           .scale = llama_attention_scale(config),
                           .type = session->network.compute.dtype,
                       });
}

/* `keys`: what the branch sees, itself included. */
static enum status attend_branch(const struct llama_session *session, const struct llama_branch *branch, int64_t first,
                                 int64_t keys, int64_t layer)
{
    const struct llama_config *config = session->network.config;
    enum dtype dtype = session->network.compute.dtype;
    const void *cache = session_cache_at(session, layer, branch->row);
    int64_t stride = 2 * llama_key_width(config);
    return compute_run(&session->network.compute, attention_forward,
                       &(struct attention_forward){.batch = 1,
                                                   .query_length = branch->count,
                                                   .key_length = keys,
                                                   .heads = config->heads,
                                                   .kv_heads = config->kv_heads,
                                                   .head_size = config->head_size,
                                                   .query = query_at(session, session->places.query, first),
                                                   .key = cache,
                                                   .value = element_at(cache, dtype, llama_key_width(config)),
                                                   .query_row_stride = llama_query_width(config),
                                                   .key_row_stride = stride,
                                                   .value_row_stride = stride,
                                                   .output_row_stride = llama_query_width(config),
                                                   .output = query_at(session, session->places.attention, first),
                                                   .scale = llama_attention_scale(config),
                                                   .type = dtype});
}

static enum status run_round(const struct llama_session *session, const struct round *round, int64_t layer)
{
    enum status result = STATUS_OK;
    const int32_t *lengths = session->scoring + 3 * session->block; /* as they were sent */
    TRY(append(session, round, layer));
    if (round->tokens == round->count)
        return attend_single(session, round, layer);
    for (int64_t i = 0, first = round->first; i < round->count; first += round->branches[i++].count)
        TRY(attend_branch(session, &round->branches[i], first, lengths[first + round->branches[i].count - 1], layer));
fail:
    return result;
}

/* The branches from `first` on that belong to one round: until a row comes again. */
static struct round next_round(struct llama_session *session, const struct llama_branch *branches, int64_t count,
                               int64_t first_token)
{
    struct round round = {.branches = branches, .first = first_token};
    memset(session->listed, 0, (size_t)session->rows * sizeof *session->listed);
    while (round.count < count && !session->listed[branches[round.count].row]) {
        session->listed[branches[round.count].row] = true;
        round.tokens += branches[round.count++].count;
    }
    return round;
}

static enum status run_rounds(struct llama_session *session, const struct llama_branch *branches, int64_t count,
                              int64_t layer)
{
    enum status result = STATUS_OK;
    for (int64_t done = 0, token = 0; done < count;) {
        const struct round round = next_round(session, branches + done, count - done, token);
        TRY(run_round(session, &round, layer));
        done += round.count;
        token += round.tokens;
    }
fail:
    return result;
}

static enum status run_pass(struct llama_session *session, const struct llama_branch *branches, int64_t count,
                            int64_t tokens)
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
    TRY(llama_embed(network, tokens, score_table(session, session->score.ids, 0), x));
    for (int64_t layer = 0; layer < network->config->layers; layer++) {
        TRY(llama_make_heads(network, layer, tokens, x, norm, session_at(session, places->query),
                             session_at(session, places->key_value)));
        TRY(run_rounds(session, branches, count, layer));
        TRY(llama_join_heads(network, layer, tokens, attention, x, middle));
        TRY(llama_run_mlp(network, layer, tokens, &mlp));
    }
fail:
    return result;
}

/* ---- the head ---- */

/* What the wanted tokens [first, first + rows) of those that were sent say; `tokens` are in the pass. */
static enum status run_head(const struct llama_session *session, int64_t tokens, int64_t first, int64_t rows,
                            struct log_sum_exp *operation)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &session->network;
    void *gathered = session_at(session, session->score.gathered), *norm = session_at(session, session->score.norm);
    TRY(compute_run(&network->compute, embedding_forward,
                    &(struct embedding_forward){.tokens = rows,
                                                .channels = network->config->hidden_size,
                                                .rows = tokens,
                                                .ids = score_table(session, session->score.wanted, first),
                                                .table = session_at(session, session->places.x),
                                                .output = gathered,
                                                .type = network->compute.dtype}));
    TRY(llama_norm(network, rows, gathered, network->offsets.final_norm, norm, NULL));
    TRY(llama_make_logits(network, rows, norm, session_at(session, session->places.logits)));
    operation->rows = rows;
    operation->columns = network->config->vocabulary_size;
    operation->logits = session_at(session, session->places.logits);
    operation->targets = score_table(session, session->score.targets, first);
    operation->sums = session_at(session, session->score.block_sums);
    operation->target_logits = session_at(session, session->score.target_logits);
    operation->type = DTYPE_F32;
    TRY(compute_run(&network->compute, log_sum_exp, operation));
fail:
    return result;
}

static enum status send(const struct llama_session *session, int64_t place, const int32_t *table, int64_t count)
{
    const struct llama *model = session->model;
    return model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, session_at(session, place), table,
                                          (size_t)count * sizeof *table);
}

/* The head of as many wanted tokens as the tables hold, in pieces; waits, because the tables are used again. */
static enum status score_tokens(struct llama_session *session, int64_t tokens, const struct llama_wanted *wanted,
                                int64_t count, const struct llama_block_sums *sums, int64_t done)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    int32_t *places = session->scoring + 4 * session->block, *targets = session->scoring + 5 * session->block;
    struct log_sum_exp operation = {.block_count = sums->block_count};
    memcpy(operation.boundaries, sums->boundaries, (size_t)(sums->block_count + 1) * sizeof *sums->boundaries);
    for (int64_t i = 0; i < count; i++) {
        places[i] = (int32_t)wanted[i].token;
        targets[i] = wanted[i].target;
    }
    TRY(send(session, session->score.wanted, places, count));
    TRY(send(session, session->score.targets, targets, count));
    for (int64_t first = 0, rows; first < count; first += rows) {
        rows = count - first < session->head_rows ? count - first : session->head_rows;
        TRY(run_head(session, tokens, first, rows, &operation));
        TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, sums->sums + (done + first) * sums->block_count,
                                         operation.sums, (size_t)(rows * sums->block_count) * sizeof(double)));
        TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, sums->target_logits + done + first,
                                         operation.target_logits, (size_t)rows * sizeof(float)));
    }
    TRY(session_wait(session));
fail:
    return result;
}

/* ---- the host's side ---- */

static enum status check(const struct llama_session *session, const struct llama_branch *branches, int64_t count,
                         int64_t *tokens)
{
    enum status result = STATUS_OK;
    *tokens = 0;
    if (session->head_rows == 0)
        FAIL(STATUS_INTERNAL, "scores in a session that was made without them");
    for (int64_t i = 0; i < count; i++) {
        TRY(session_check_row(session, branches[i].row));
        if (branches[i].count < 1 || branches[i].count > session->block - *tokens)
            FAIL(STATUS_INTERNAL,
                 "a branch of %" PRId64 " tokens behind %" PRId64 " others, where %" PRId64 " fit a call",
                 branches[i].count, *tokens, session->block);
        TRY(session_check_ids(session, branches[i].ids, branches[i].count));
        *tokens += branches[i].count;
    }
fail:
    return result;
}

static enum status check_wanted(const struct llama_session *session, const struct llama_wanted *wanted, int64_t count,
                                int64_t tokens, const struct llama_block_sums *sums)
{
    if (sums->block_count < 1 || sums->block_count > LOG_SUM_EXP_BLOCKS)
        return status_set(STATUS_INTERNAL, "sums of %" PRId64 " blocks", sums->block_count);
    for (int64_t i = 0; i < count; i++)
        if (wanted[i].token < 0 || wanted[i].token >= tokens || wanted[i].target < 0 ||
            wanted[i].target >= session->model->config.vocabulary_size)
            return status_set(STATUS_INTERNAL, "target %" PRId32 " of token %" PRId64 " of %" PRId64, wanted[i].target,
                              wanted[i].token, tokens);
    return STATUS_OK;
}

/* Ids, rows, positions and lengths of all tokens into the pinned tables; the rows get their new lengths. */
static enum status write_tables(struct llama_session *session, const struct llama_branch *branches, int64_t count)
{
    int32_t *ids = session->scoring, *rows = ids + session->block, *positions = rows + session->block;
    int32_t *lengths = positions + session->block;
    for (int64_t b = 0, token = 0; b < count; b++) {
        const struct llama_branch *branch = &branches[b];
        if (branch->position < 0 || branch->position > session->lengths[branch->row] ||
            branch->count > session->capacity - branch->position)
            return status_set(STATUS_INTERNAL,
                              "a branch of %" PRId64 " tokens at %" PRId64 " of a row that holds %" PRId64
                              ", in a session of %" PRId64 " tokens",
                              branch->count, branch->position, session->lengths[branch->row], session->capacity);
        for (int64_t i = 0; i < branch->count; i++, token++) {
            ids[token] = branch->ids[i];
            rows[token] = (int32_t)branch->row;
            positions[token] = (int32_t)(branch->position + i);
            lengths[token] = positions[token] + 1;
        }
        session->lengths[branch->row] = branch->position + branch->count;
    }
    return STATUS_OK;
}

enum status llama_session_score(struct llama_session *session, const struct llama_branch *branches,
                                int64_t branch_count, const struct llama_wanted *wanted, int64_t wanted_count,
                                const struct llama_block_sums *sums)
{
    enum status result = STATUS_OK;
    const struct session_score_places *places = &session->score;
    int64_t tokens, block = session->block;
    TRY(check(session, branches, branch_count, &tokens));
    TRY(check_wanted(session, wanted, wanted_count, tokens, sums));
    if (tokens == 0)
        return STATUS_OK;
    session->prompt_end = -1;
    TRY(session_begin_step(session));
    TRY(write_tables(session, branches, branch_count));
    TRY(send(session, places->ids, session->scoring, tokens));
    TRY(send(session, places->rows, session->scoring + block, tokens));
    TRY(send(session, places->positions, session->scoring + 2 * block, tokens));
    TRY(send(session, places->lengths, session->scoring + 3 * block, tokens));
    TRY(run_pass(session, branches, branch_count, tokens));
    for (int64_t done = 0; done < wanted_count; done += block) {
        int64_t count = wanted_count - done < block ? wanted_count - done : block;
        TRY(score_tokens(session, tokens, wanted + done, count, sums, done));
    }
    TRY(session_wait(session));
fail:
    return result;
}

/* A branch at the end of a row is a piece of a prompt, which is measured; this is what prompts do not do: many rows, and more tokens than
 * a row has. */
enum status session_measure_scores(struct llama_session *session)
{
    enum status result = STATUS_OK;
    struct log_sum_exp operation = {.block_count = LOG_SUM_EXP_BLOCKS};
    int64_t singles = session->rows < session->block ? session->rows : session->block;
    for (int64_t b = 0; b <= LOG_SUM_EXP_BLOCKS; b++)
        operation.boundaries[b] = b == LOG_SUM_EXP_BLOCKS ? session->network.config->vocabulary_size : 0;
    for (int64_t count = 1; count <= singles; count++) {
        const struct round round = {.count = count, .tokens = count};
        TRY(append(session, &round, 0));
        TRY(attend_single(session, &round, 0));
    }
    for (int64_t tokens = session->capacity + 1; tokens <= session->block; tokens++)
        TRY(run_pass(session, NULL, 0, tokens));
    for (int64_t rows = 1; rows <= session->head_rows; rows++)
        TRY(run_head(session, session->block, 0, rows, &operation));
fail:
    return result;
}
