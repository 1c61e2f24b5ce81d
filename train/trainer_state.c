/* The trainer's state in a checkpoint: step, guard and every lane, whichever rank holds it. */
#include "train/trainer_parts.h"

#include "core/log.h"
#include "io/json.h"
#include "train/checkpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_FORMAT = 1 };

/* This rank's lanes as {"lane number": state}. */
static enum status own_lanes_text(const struct trainer *trainer, char **text)
{
    enum status result = STATUS_OK;
    int rank = comm_rank(trainer->setup.comm), ranks = comm_size(trainer->setup.comm);
    json_t *object = json_object();
    *text = NULL;
    for (int64_t i = 0; i < trainer->own_lanes; i++) {
        char key[32];
        json_t *state = NULL;
        snprintf(key, sizeof key, "%lld", (long long)(rank + i * ranks));
        TRY(feed_save(trainer->feed, i, &state));
        if (json_object_set_new(object, key, state) != 0)
            FAIL(STATUS_INTERNAL, "no memory for the lanes' states");
    }
    *text = jdoc_text(object, 0);
    if (!*text)
        FAIL(STATUS_INTERNAL, "no memory for the lanes' states");
fail:
    json_decref(object);
    return result;
}

/* Every rank's text, gathered; *all holds size * length bytes, each part NUL-terminated. */
static enum status gather_texts(struct comm *comm, const char *own, char **all, int64_t *length)
{
    enum status result = STATUS_OK;
    *length = (int64_t)strlen(own) + 1;
    *all = NULL;
    TRY(comm_all_reduce(comm, length, 1, DTYPE_I64, COMM_MAX));
    *all = calloc((size_t)comm_size(comm), (size_t)*length);
    if (!*all)
        result = status_set(STATUS_INTERNAL, "no memory to gather the lanes' states");
    TRY(comm_agree(comm, result));
    assert(*all);
    memcpy(*all + comm_rank(comm) * *length, own, strlen(own));
    TRY(comm_all_gather(comm, *all, *length, DTYPE_U8));
fail:
    return result;
}

static enum status gather_lanes(const struct trainer *trainer, json_t **lanes)
{
    enum status result = STATUS_OK;
    struct comm *comm = trainer->setup.comm;
    char *own = NULL, *all = NULL;
    int64_t length = 0;
    *lanes = json_object();
    TRY(comm_agree(comm, own_lanes_text(trainer, &own)));
    TRY(gather_texts(comm, own, &all, &length));
    for (int r = 0; r < comm_size(comm); r++) {
        json_t *part = NULL;
        const char *text = all + r * length;
        TRY(jdoc_parse("lane states", text, (int64_t)strlen(text), &part));
        if (json_object_update(*lanes, part) != 0)
            result = status_set(STATUS_INTERNAL, "no memory for the lanes' states");
        json_decref(part);
        if (result != STATUS_OK)
            goto fail;
    }
fail:
    free(own);
    free(all);
    return result;
}

static const char *bits_of(const struct trainer *trainer)
{
    return trainer->setup.kernels->describe(trainer->setup.context);
}

/* What shapes the updates besides the data: a resume warns of what changed. */
static json_t *describe_settings(const struct trainer *trainer)
{
    const struct train_settings *train = trainer->setup.train;
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "steps", (double)train->steps,
                     "schedule", (double)train->schedule.kind, "learning_rate", train->schedule.learning_rate,
                     "minimum_learning_rate", train->schedule.minimum, "warmup_steps",
                     (double)train->schedule.warmup_steps, "beta1", train->beta1, "beta2", train->beta2, "epsilon",
                     train->epsilon, "weight_decay", train->weight_decay, "clip", train->clip, "stochastic_rounding",
                     train->stochastic_rounding ? 1.0 : 0.0);
}

static enum status make_state(const struct trainer *trainer, json_t *lanes, json_t **out)
{
    enum status result = STATUS_OK;
    json_t *guard = NULL, *state = NULL;
    TRY(guard_save(trainer->guard, &guard));
    state = json_pack("{s:i, s:I, s:I, s:I, s:I, s:i, s:s, s:s, s:O, s:O, s:o}", "format", (int)STATE_FORMAT, "step",
                      (json_int_t)trainer->steps, "updates", (json_int_t)trainer->updates, "tokens",
                      (json_int_t)trainer->tokens, "seed", (json_int_t)trainer->setup.train->seed, "ranks",
                      comm_size(trainer->setup.comm), "dtype", dtype_name(trainer->model->dtype), "kernels",
                      bits_of(trainer), "guard", guard, "lanes", lanes, "settings", describe_settings(trainer));
    if (!state)
        FAIL(STATUS_INTERNAL, "no memory for the trainer's state");
    *out = state;
fail:
    json_decref(guard);
    return result;
}

enum status trainer_save(struct trainer *trainer, const char *run)
{
    enum status result = STATUS_OK;
    json_t *lanes = NULL, *state = NULL;
    TRY(optimizer_finish_update(trainer->optimizer));
    TRY(gather_lanes(trainer, &lanes));
    TRY(comm_agree(trainer->setup.comm, make_state(trainer, lanes, &state)));
    TRY(checkpoint_save(run, trainer->steps, trainer->setup.components, trainer->optimizer, state));
fail:
    json_decref(lanes);
    json_decref(state);
    return result;
}

/* What decides the bits of a run besides its configuration. */
static void warn_of_differences(const struct trainer *trainer, const char *where, const json_t *state)
{
    const char *dtype = NULL, *kernels = NULL;
    int64_t ranks = 0;
    if (jdoc_get_int(where, state, "ranks", 1, 1 << 20, &ranks) == STATUS_OK && ranks != comm_size(trainer->setup.comm))
        log_warning("%s was written by %lld ranks, this run has %d: the bits will differ, the data will not", where,
                    (long long)ranks, comm_size(trainer->setup.comm));
    if (jdoc_get_string(where, state, "dtype", &dtype) == STATUS_OK &&
        strcmp(dtype, dtype_name(trainer->model->dtype)) != 0)
        log_warning("%s was trained in %s, this run is in %s", where, dtype, dtype_name(trainer->model->dtype));
    if (jdoc_get_string(where, state, "kernels", &kernels) == STATUS_OK && strcmp(kernels, bits_of(trainer)) != 0)
        log_warning("%s was made with kernels \"%s\", this run has \"%s\": the bits will differ", where, kernels,
                    bits_of(trainer));
}

static void warn_of_settings(const struct trainer *trainer, const char *where, const json_t *state)
{
    json_t *now = describe_settings(trainer);
    const char *key;
    json_t *value;
    json_object_foreach(now, key, value)
    {
        const json_t *then = json_object_get(json_object_get(state, "settings"), key);
        if (json_is_number(then) && json_number_value(then) != json_number_value(value))
            log_warning("%s was trained with train.%s %g, this run has %g", where, key, json_number_value(then),
                        json_number_value(value));
    }
    json_decref(now);
}

static enum status restore_lanes(struct trainer *trainer, const char *where, const json_t *state)
{
    enum status result = STATUS_OK;
    int rank = comm_rank(trainer->setup.comm), ranks = comm_size(trainer->setup.comm);
    const json_t *lanes = json_object_get(state, "lanes");
    if ((int64_t)json_object_size(lanes) != trainer->setup.data->lanes)
        FAIL(STATUS_USAGE, "%s has %zu lanes, the configuration %lld", where, json_object_size(lanes),
             (long long)trainer->setup.data->lanes);
    for (int64_t i = 0; i < trainer->own_lanes; i++) {
        char key[32];
        snprintf(key, sizeof key, "%lld", (long long)(rank + i * ranks));
        const json_t *lane = json_object_get(lanes, key);
        if (!lane)
            FAIL(STATUS_CORRUPT, "%s: lane %s is missing", where, key);
        TRY(feed_restore(trainer->feed, i, lane));
    }
fail:
    return result;
}

enum status trainer_load(struct trainer *trainer, const char *path)
{
    enum status result = STATUS_OK;
    json_t *state = NULL;
    int64_t format = 0;
    TRY(checkpoint_read_state(path, &state));
    TRY(jdoc_get_int(path, state, "format", STATE_FORMAT, STATE_FORMAT, &format));
    TRY(jdoc_get_int(path, state, "step", 0, INT64_MAX, &trainer->steps));
    TRY(jdoc_get_int(path, state, "updates", 0, INT64_MAX, &trainer->updates));
    TRY(jdoc_get_int(path, state, "tokens", 0, INT64_MAX, &trainer->tokens));
    warn_of_differences(trainer, path, state);
    warn_of_settings(trainer, path, state);
    TRY(components_match_checkpoint(trainer->setup.components, path));
    TRY(guard_restore(trainer->guard, json_object_get(state, "guard")));
    TRY(restore_lanes(trainer, path, state));
    TRY(optimizer_finish_update(trainer->optimizer));
    TRY(checkpoint_load(path, trainer->optimizer));
fail:
    if (result != STATUS_OK && !strstr(status_text(), path))
        result = status_prefix(result, "%s", path);
    json_decref(state);
    return result;
}
