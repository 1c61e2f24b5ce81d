/* Rank r of R answers the items r, r + R ... that are not in the journal, group by group. A rank is a thread with a model of its
 * own; they share the journal, the progress, and a mark that one of them has failed. */
#include "eval/generations.h"

#include "core/hash.h"
#include "core/log.h"
#include "core/rank_threads.h"
#include "io/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What ranks share. */
struct shared {
    const struct generation_plan *plan;
    struct generation_item *items;
    int64_t count, groups;
    int64_t *prefixes; /* [groups] ids that the prompts of a group share */
    int64_t *members;  /* [groups] one of them */
    bool *done;        /* [count] */
    pthread_mutex_t mutex;
    struct progress progress;
    int64_t finished, tokens;
    atomic_bool failed; /* one rank has */
};

struct rank {
    struct shared *shared;
    int64_t number;
    /* of the batch that is being decoded */
    int64_t *batch; /* indices of its items */
    int64_t attempt;
};

/* ---- the journal ---- */

static json_t *item_json(const struct generation_item *item)
{
    json_t *ids = json_array();
    for (int64_t i = 0; ids && i < item->generated_count; i++)
        json_array_append_new(ids, json_integer(item->generated[i]));
    return json_pack("{s:o, s:b, s:b, s:b, s:I}", "ids", ids, "ended", item->ended, "stopped", item->stopped, "failed",
                     item->failed, "tries", (json_int_t)item->tries);
}

static enum status take_json(const char *id, const json_t *json, int64_t vocabulary, struct generation_item *item)
{
    enum status result = STATUS_OK;
    const json_t *ids = json_object_get(json, "ids");
    TRY(jdoc_get_bool(id, json, "ended", &item->ended));
    TRY(jdoc_get_bool(id, json, "stopped", &item->stopped));
    TRY(jdoc_get_bool(id, json, "failed", &item->failed));
    TRY(jdoc_get_int(id, json, "tries", 1, INT64_MAX, &item->tries));
    if (!json_is_array(ids))
        FAIL(STATUS_CORRUPT, "%s: expected ids in the journal", id);
    item->generated = calloc(json_array_size(ids) + 1, sizeof *item->generated);
    if (!item->generated)
        FAIL(STATUS_INTERNAL, "no memory for the ids of %s", id);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t value = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || value < 0 || value >= vocabulary)
            FAIL(STATUS_CORRUPT, "%s: id %zu in the journal is outside the vocabulary", id, i);
        item->generated[item->generated_count++] = (int32_t)value;
    }
fail:
    return result;
}

/* An item's name in the journal: its id and the first digits of its prompt's hash, so that an answer to another prompt is never taken
 * for its own. NULL: no memory. */
static char *key_of(const struct generation_item *item)
{
    const struct sha256 hash = sha256_of(item->ids, (size_t)item->count * sizeof *item->ids);
    char hex[65], *key;
    sha256_hex(&hash, hex);
    return asprintf(&key, "%s#%.16s", item->id, hex) < 0 ? NULL : key;
}

/* Takes what was finished before. */
static enum status resume(struct shared *shared)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < shared->count; i++) {
        struct generation_item *item = &shared->items[i];
        char *key = key_of(item);
        const json_t *known = key ? journal_find(shared->plan->journal, key) : NULL;
        free(key);
        if (!known)
            continue;
        TRY(take_json(item->id, known, shared->plan->task->components->vocabulary.size, item));
        shared->done[i] = true;
        shared->finished++;
    }
fail:
    return result;
}

/* ---- groups ---- */

static int64_t common_beginning(const struct generation_item *a, const struct generation_item *b, int64_t most)
{
    int64_t length = 0;
    most = most < b->count ? most : b->count;
    while (length < most && a->ids[length] == b->ids[length])
        length++;
    return length;
}

/* From all items, those that are finished too: what is shared decides the last bits. */
static enum status find_prefixes(struct shared *shared)
{
    for (int64_t i = 0; i < shared->count; i++)
        if (shared->items[i].group >= shared->groups)
            shared->groups = shared->items[i].group + 1;
    shared->prefixes = calloc((size_t)shared->groups + 1, sizeof *shared->prefixes);
    shared->members = calloc((size_t)shared->groups + 1, sizeof *shared->members);
    if (!shared->prefixes || !shared->members)
        return status_set(STATUS_INTERNAL, "no memory for %lld groups of prompts", (long long)shared->groups);
    for (int64_t g = 0; g < shared->groups; g++)
        shared->members[g] = -1;
    for (int64_t i = 0; i < shared->count; i++) {
        const struct generation_item *item = &shared->items[i];
        int64_t *member = &shared->members[item->group], *prefix = &shared->prefixes[item->group];
        if (*member < 0) {
            *member = i;
            *prefix = item->count;
        } else {
            *prefix = common_beginning(&shared->items[*member], item, *prefix);
        }
    }
    return STATUS_OK;
}

/* ---- a rank ---- */

/* The random numbers of an item's try. */
static uint64_t seed_of(const struct generation_item *item, int64_t attempt)
{
    struct sha256_stream *stream = sha256_start();
    const uint64_t numbers[2] = {item->seed, (uint64_t)attempt};
    uint64_t seed;
    sha256_add(stream, numbers, sizeof numbers);
    sha256_add(stream, item->id, strlen(item->id));
    const struct sha256 hash = sha256_finish(stream);
    memcpy(&seed, hash.bytes, sizeof seed);
    return seed;
}

static bool stop(void *argument, int64_t request, const int32_t *ids, int64_t count)
{
    const struct generation_plan *plan = ((struct rank *)argument)->shared->plan;
    (void)request;
    return plan->stops && plan->stops(plan->argument, ids, count);
}

static enum status keep(struct shared *shared, int64_t index)
{
    enum status result = STATUS_OK;
    char extra[64], *key = key_of(&shared->items[index]);
    if (!key)
        FAIL(STATUS_INTERNAL, "no memory for the journal");
    TRY(journal_add(shared->plan->journal, key, item_json(&shared->items[index])));
    pthread_mutex_lock(&shared->mutex);
    shared->done[index] = true;
    shared->tokens += shared->items[index].generated_count;
    double seconds = clock_seconds() - shared->progress.started;
    snprintf(extra, sizeof extra, "%.1f tokens/s", seconds > 0 ? (double)shared->tokens / seconds : 0);
    progress_update(&shared->progress, ++shared->finished, extra);
    pthread_mutex_unlock(&shared->mutex);
fail:
    free(key);
    return result;
}

static enum status done(void *argument, int64_t request, struct generated *generated)
{
    enum status result = STATUS_OK;
    struct rank *rank = argument;
    struct shared *shared = rank->shared;
    const struct generation_plan *plan = shared->plan;
    int64_t index = rank->batch[request];
    struct generation_item *item = &shared->items[index];
    if (generated->not_finite)
        FAIL(STATUS_CORRUPT, "%s: the model's logits are not finite: its weights are damaged or diverged", item->id);
    if (atomic_load(&shared->failed))
        FAIL(STATUS_INTERNAL, "another rank has failed");
    free(item->generated);
    item->generated = generated->ids;
    generated->ids = NULL;
    item->generated_count = generated->count;
    item->ended = generated->ended;
    item->stopped = generated->stopped;
    item->failed = plan->accepts && !plan->accepts(plan->argument, item->generated, item->generated_count);
    item->tries = rank->attempt + 1;
    if (!item->failed || item->tries == plan->tries)
        TRY(keep(shared, index));
fail:
    generated_free(generated, 1);
    return result;
}

/* One try for those items of a group that belong to the rank and have no answer yet. */
static enum status answer_group(struct rank *rank, int64_t group)
{
    enum status result = STATUS_OK;
    struct shared *shared = rank->shared;
    const struct generation_plan *plan = shared->plan;
    int64_t count = 0, ranks = plan->task->ranks, prefix = shared->prefixes[group];
    struct generation_request *requests = calloc((size_t)(shared->count / ranks) + 1, sizeof *requests);
    if (!requests)
        FAIL(STATUS_INTERNAL, "no memory for %lld prompts", (long long)shared->count);
    for (int64_t i = rank->number; i < shared->count; i += ranks) {
        const struct generation_item *item = &shared->items[i];
        if (item->group != group || shared->done[i])
            continue;
        rank->batch[count] = i;
        requests[count++] = (struct generation_request){.ids = item->ids,
                                                        .count = item->count,
                                                        .output = plan->output,
                                                        .samples = 1,
                                                        .max_new_tokens = plan->limit,
                                                        .seed = seed_of(item, rank->attempt)};
    }
    const struct generation_batch batch = {.sampling = plan->sampling,
                                           .rows = plan->task->evaluate->batch,
                                           .quiet = true,
                                           .shared = count > 0 ? requests[0].ids : NULL,
                                           .shared_count = prefix,
                                           .stop = stop,
                                           .done = done,
                                           .argument = rank};
    if (count > 0)
        TRY(generate_batch(plan->task->models[rank->number], plan->task->components, requests, count, &batch));
fail:
    free(requests);
    return result;
}

static enum status run_rank(void *context, int64_t number)
{
    enum status result = STATUS_OK;
    struct shared *shared = context;
    struct rank rank = {.shared = shared, .number = number};
    rank.batch = calloc((size_t)(shared->count / shared->plan->task->ranks) + 1, sizeof *rank.batch);
    if (!rank.batch)
        FAIL(STATUS_INTERNAL, "no memory for %lld prompts", (long long)shared->count);
    for (int64_t group = 0; group < shared->groups; group++)
        for (rank.attempt = 0; rank.attempt < shared->plan->tries; rank.attempt++)
            TRY(answer_group(&rank, group));
fail:
    free(rank.batch);
    return result;
}

/* ---- all ranks ---- */

enum status generations_run(const struct generation_plan *plan, struct generation_item *items, int64_t count)
{
    enum status result = STATUS_OK;
    struct shared shared = {.plan = plan, .items = items, .count = count};
    if (pthread_mutex_init(&shared.mutex, NULL) != 0)
        return status_set(STATUS_INTERNAL, "no lock for the answers");
    shared.done = calloc((size_t)count + 1, sizeof *shared.done);
    if (!shared.done)
        FAIL(STATUS_INTERNAL, "no memory for %lld items", (long long)count);
    TRY(resume(&shared));
    TRY(find_prefixes(&shared));
    progress_start(&shared.progress, "answering", "items", count);
    shared.progress.first = shared.finished;
    TRY(rank_threads_run(plan->task->ranks, run_rank, &shared, &shared.failed));
    progress_finish(&shared.progress, shared.finished, "");
fail:
    free(shared.done);
    free(shared.prefixes);
    free(shared.members);
    pthread_mutex_destroy(&shared.mutex);
    return result;
}

void generation_items_free(struct generation_item *items, int64_t count)
{
    for (int64_t i = 0; items && i < count; i++)
        free(items[i].generated);
    free(items);
}
