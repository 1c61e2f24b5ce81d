/* One lane's state as JSON, and back. A state is read into a fresh lane, which takes the old one's place only when all
 * of it is valid, so that a refused state leaves the lane as it was. The document in which the last row ended is stored
 * as the ids that are left of it, so that its random cut need not be made again. */
#include "data/lanes_internal.h"

#include "io/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_VERSION = 1 };

/* The seed has 64 bits, our JSON numbers have 63: so it is stored as a text. */
static void seed_text(uint64_t seed, char text[24])
{
    snprintf(text, 24, "%" PRIu64, seed);
}

static json_t *source_state(const struct lanes *lanes, const struct lane *lane, int source)
{
    return json_pack("{s:f, s:I, s:I, s:I, s:I, s:I}", "weight", lanes->options.weights[source], "served",
                     (json_int_t)lane->served[source], "tokens", (json_int_t)lane->tokens[source], "documents",
                     (json_int_t)lane->documents[source], "epoch", (json_int_t)lane->orders[source].epoch, "position",
                     (json_int_t)lane->orders[source].position);
}

/* The document that the next row begins with: where it is from, and the ids that are left. */
static json_t *carried_state(const struct lane *lane)
{
    if (lane->pending_at == lane->pending_count)
        return json_null();
    json_t *ids = json_array();
    for (int64_t i = lane->pending_at; ids && i < lane->pending_count; i++)
        if (json_array_append_new(ids, json_integer(lane->pending[i])) != 0) {
            json_decref(ids);
            ids = NULL;
        }
    return json_pack("{s:s, s:I, s:I, s:o}", "source", source_kind_name(lane->source), "dataset",
                     (json_int_t)lane->place.dataset, "row", (json_int_t)lane->place.row, "ids", ids);
}

enum status lanes_save(const struct lanes *lanes, int64_t number, json_t **state)
{
    char seed[24];
    *state = NULL;
    if (number < 0 || number >= lanes->options.lanes)
        return status_set(STATUS_INTERNAL, "there is no lane %lld of %lld", (long long)number,
                          (long long)lanes->options.lanes);
    const struct lane *lane = &lanes->lanes[number];
    seed_text(lanes->options.seed, seed);
    json_t *sources = json_object();
    for (int s = 0; s < SOURCE_KINDS; s++)
        if (json_object_set_new(sources, source_kind_name((enum source_kind)s), source_state(lanes, lane, s)) != 0) {
            json_decref(sources);
            return status_set(STATUS_INTERNAL, "no memory for the state of lane %lld", (long long)number);
        }
    *state = json_pack("{s:i, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "version", (int)STATE_VERSION, "seed",
                       seed, "lane", (json_int_t)number, "lanes", (json_int_t)lanes->options.lanes, "sequence_length",
                       (json_int_t)lanes->options.sequence_length, "datasets", lanes->contents, "visits",
                       (json_int_t)lane->visits, "words", (json_int_t)lane->words, "switched_words",
                       (json_int_t)lane->switched_words, "sources", sources, "carried", carried_state(lane));
    return *state ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the state of lane %lld", (long long)number);
}

/* Whether the state was made by lanes like these. */
static enum status check_identity(const struct lanes *lanes, const char *where, const json_t *state)
{
    enum status result = STATUS_OK;
    const char *text;
    char seed[24];
    int64_t value;
    TRY(jdoc_get_int(where, state, "version", STATE_VERSION, STATE_VERSION, &value));
    seed_text(lanes->options.seed, seed);
    TRY(jdoc_get_string(where, state, "seed", &text));
    if (strcmp(text, seed) != 0)
        FAIL(STATUS_USAGE, "%s: the state is of seed %s, but this run has %s", where, text, seed);
    TRY(jdoc_get_int(where, state, "sequence_length", 1, INT64_MAX, &value));
    if (value != lanes->options.sequence_length)
        FAIL(STATUS_USAGE, "%s: the state is of sequence length %lld, but this run has %lld", where, (long long)value,
             (long long)lanes->options.sequence_length);
    TRY(jdoc_get_int(where, state, "lanes", 1, INT64_MAX, &value));
    if (value != lanes->options.lanes)
        FAIL(STATUS_USAGE, "%s: the state is of %lld lanes, but this run has %lld", where, (long long)value,
             (long long)lanes->options.lanes);
    TRY(jdoc_get_string(where, state, "datasets", &text));
    if (strcmp(text, lanes->contents) != 0)
        FAIL(STATUS_USAGE,
             "%s: the state is of datasets with hash %.16s..., but those of data.train have %.16s...: a run keeps its "
             "data; for "
             "others name a new train.run, which model.initialize_from gives the weights of a checkpoint",
             where, text, lanes->contents);
fail:
    return result;
}

/* Sets *same to false when the weight differs from the state's. */
static enum status restore_source(const struct lanes *lanes, const char *where, const json_t *sources, int source,
                                  struct lane *lane, bool *same)
{
    enum status result = STATUS_OK;
    char place[64];
    const char *name = source_kind_name((enum source_kind)source);
    int64_t epoch, position;
    double weight;
    snprintf(place, sizeof place, "%s, %s", where, name);
    const json_t *state = json_object_get(sources, name);
    TRY(jdoc_get_number(place, state, "weight", &weight));
    *same = *same && weight == lanes->options.weights[source];
    TRY(jdoc_get_int(place, state, "served", 0, INT64_MAX, &lane->served[source]));
    TRY(jdoc_get_int(place, state, "tokens", 0, INT64_MAX, &lane->tokens[source]));
    TRY(jdoc_get_int(place, state, "documents", 0, INT64_MAX, &lane->documents[source]));
    TRY(jdoc_get_int(place, state, "epoch", 0, INT64_MAX >> 8, &epoch));
    TRY(jdoc_get_int(place, state, "position", 0, INT64_MAX, &position));
    if (lanes->lists[source].rows == 0) { /* this run leaves the source out: a later one goes on from here */
        lane->orders[source].epoch = epoch;
        lane->orders[source].position = position;
    } else if (lane->documents[source] > 0 || epoch > 0 || position > 0) { /* else no run has had the source yet */
        result = order_seek(&lane->orders[source], epoch, position);
        if (result != STATUS_OK)
            status_prefix(result, "%s", place);
    }
fail:
    return result;
}

static enum status restore_carried(const struct lanes *lanes, const char *where, const json_t *carried,
                                   struct lane *lane)
{
    enum status result = STATUS_OK;
    const char *source;
    if (json_is_null(carried))
        return STATUS_OK;
    TRY(jdoc_get_string(where, carried, "source", &source));
    while (lane->source < SOURCE_KINDS && strcmp(source_kind_name(lane->source), source) != 0)
        lane->source++;
    if (lane->source == SOURCE_KINDS)
        FAIL(STATUS_CORRUPT, "%s: unknown source \"%.40s\"", where, source);
    TRY(jdoc_get_int(where, carried, "dataset", 0, lanes->dataset_count - 1, &lane->place.dataset));
    TRY(jdoc_get_int(where, carried, "row", 0, dataset_rows(lanes->datasets[lane->place.dataset]) - 1,
                     &lane->place.row));
    const json_t *ids = json_object_get(carried, "ids");
    if (json_array_size(ids) == 0)
        FAIL(STATUS_CORRUPT, "%s: \"ids\" must be a list of tokens", where);
    lane->pending_count = (int64_t)json_array_size(ids);
    lane->pending = malloc((size_t)lane->pending_count * sizeof *lane->pending);
    if (!lane->pending)
        FAIL(STATUS_INTERNAL, "%s: no memory for %lld tokens", where, (long long)lane->pending_count);
    for (int64_t i = 0; i < lane->pending_count; i++) {
        const json_t *id = json_array_get(ids, (size_t)i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= lanes->interleaver.vocabulary->size)
            FAIL(STATUS_CORRUPT, "%s: \"ids\" contains something other than tokens of the vocabulary", where);
        lane->pending[i] = (int32_t)value;
    }
fail:
    return result;
}

enum status lanes_restore(struct lanes *lanes, int64_t number, const json_t *state)
{
    enum status result = STATUS_OK;
    char where[40];
    int64_t stated;
    bool same_weights = true;
    struct lane fresh = {0};
    if (number < 0 || number >= lanes->options.lanes)
        return status_set(STATUS_INTERNAL, "there is no lane %lld of %lld", (long long)number,
                          (long long)lanes->options.lanes);
    struct lane *lane = &lanes->lanes[number];
    snprintf(where, sizeof where, "state of lane %lld", (long long)number);
    for (int s = 0; s < SOURCE_KINDS; s++)
        order_begin(&fresh.orders[s], &lanes->lists[s], lanes->options.seed, s, number, lanes->options.lanes);
    TRY(check_identity(lanes, where, state));
    TRY(jdoc_get_int(where, state, "lane", 0, INT64_MAX, &stated));
    if (stated != number)
        FAIL(STATUS_CORRUPT, "%s: it belongs to lane %lld", where, (long long)stated);
    TRY(jdoc_get_int(where, state, "visits", 0, INT64_MAX, &fresh.visits));
    TRY(jdoc_get_int(where, state, "words", 0, INT64_MAX, &fresh.words));
    TRY(jdoc_get_int(where, state, "switched_words", 0, INT64_MAX, &fresh.switched_words));
    for (int s = 0; s < SOURCE_KINDS; s++)
        TRY(restore_source(lanes, where, json_object_get(state, "sources"), s, &fresh, &same_weights));
    if (!same_weights) /* shares count from here: otherwise a source whose weight grew would long be the only one */
        memset(fresh.served, 0, sizeof fresh.served);
    TRY(restore_carried(lanes, where, json_object_get(state, "carried"), &fresh));
    /* Everything is valid: only now is the lane changed. */
    for (int s = 0; s < SOURCE_KINDS; s++)
        order_free(&lane->orders[s]);
    free(lane->pending);
    fresh.used = lane->used;
    fresh.name_texts = lane->name_texts;
    fresh.names = lane->names;
    fresh.name_capacity = lane->name_capacity;
    *lane = fresh;
    return STATUS_OK;
fail:
    free(fresh.pending);
    for (int s = 0; s < SOURCE_KINDS; s++)
        order_free(&fresh.orders[s]);
    return result;
}
