/* Sequences are sorted by their ids, which brings equal ones together, and those that begin alike. The sorted list is cut into parts, and
 * ranks compute parts: of equal sequences the first, whose scores all of them have. The scores of a part are in memory while it is
 * computed and taken, so that a list of any length needs no more than its ids. */
#include "eval/scoring/token_scores.h"

#include "core/array.h"
#include "core/log.h"
#include "core/rank_threads.h"
#include "eval/scoring/part_scores.h"
#include "eval/scoring/prefix_tree.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A stretch of the sorted list. */
struct part {
    int64_t first, count;
    bool known;
};

/* What ranks share. */
struct scoring {
    struct llama *const *models;
    int64_t ranks;
    const struct score_sink *sink;
    struct vocabulary_ranges ranges;
    struct token_sequence *sequences;
    struct token_sequence **sorted; /* [count] those that have scores */
    int64_t *members;               /* [count] their numbers in `sequences` */
    int64_t count;
    struct part *parts;
    int64_t part_count, part_capacity;
    pthread_mutex_t mutex;
    struct progress progress;
    int64_t done;
    atomic_bool failed; /* a rank has */
};

/* ---- the list ---- */

static bool has_scores(const struct token_sequence *sequence)
{
    return sequence->count > sequence->first;
}

static int by_content_and_place(const void *a, const void *b)
{
    const struct token_sequence *x = *(struct token_sequence *const *)a, *y = *(struct token_sequence *const *)b;
    int order = prefix_compare(x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool is_equal(struct token_sequence *const *sorted, int64_t i)
{
    return i > 0 && prefix_compare(sorted[i - 1], sorted[i]) == 0;
}

static enum status sort_sequences(struct scoring *scoring, int64_t count)
{
    scoring->sorted = calloc((size_t)count + 1, sizeof(struct token_sequence *));
    scoring->members = calloc((size_t)count + 1, sizeof *scoring->members);
    if (!scoring->sorted || !scoring->members)
        return status_set(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (has_scores(&scoring->sequences[i]))
            scoring->sorted[scoring->count++] = &scoring->sequences[i];
    qsort(scoring->sorted, (size_t)scoring->count, sizeof(struct token_sequence *), by_content_and_place);
    for (int64_t i = 0; i < scoring->count; i++)
        scoring->members[i] = scoring->sorted[i] - scoring->sequences;
    return STATUS_OK;
}

/* Tokens that a sequence makes the model read beside those that it shares with the one before it. */
static int64_t own_reads(struct token_sequence *const *sorted, int64_t i)
{
    int64_t shared = 0, most = sorted[i]->count - 1;
    if (i == 0 || sorted[i - 1]->first != sorted[i]->first)
        return most;
    if (is_equal(sorted, i))
        return 0;
    while (shared < most && shared < sorted[i - 1]->count - 1 && sorted[i]->ids[shared] == sorted[i - 1]->ids[shared])
        shared++;
    return most - shared;
}

static enum status cut_into_parts(struct scoring *scoring)
{
    int64_t reads = 0;
    for (int64_t i = 0; i < scoring->count; i++) {
        int64_t own = own_reads(scoring->sorted, i);
        if (i == 0 || (reads >= PART_READS && own > 0)) {
            enum status result = array_grow(&scoring->parts, &scoring->part_capacity, scoring->part_count + 1,
                                            "parts of a list of sequences");
            if (result != STATUS_OK)
                return result;
            scoring->parts[scoring->part_count++] = (struct part){.first = i};
            reads = 0;
        }
        scoring->parts[scoring->part_count - 1].count++;
        reads += own;
    }
    return STATUS_OK;
}

/* ---- a rank ---- */

static void count_done(void *context, int64_t sequences)
{
    struct scoring *scoring = context;
    pthread_mutex_lock(&scoring->mutex);
    progress_update(&scoring->progress, scoring->done += sequences, "");
    pthread_mutex_unlock(&scoring->mutex);
}

/* Gives the part's different sequences room for their scores, and equal ones the same; *list has the different ones. */
static enum status give_room(const struct scoring *scoring, const struct part *part, struct token_score **scores,
                             struct token_sequence **list, int64_t *different)
{
    struct token_sequence *const *sorted = scoring->sorted;
    int64_t tokens = 0;
    *different = 0;
    for (int64_t i = part->first; i < part->first + part->count; i++)
        if (!is_equal(sorted, i))
            tokens += sorted[i]->count - sorted[i]->first;
    *scores = calloc((size_t)tokens + 1, sizeof **scores);
    if (!*scores)
        return status_set(STATUS_INTERNAL, "no memory for the scores of %lld tokens", (long long)tokens);
    tokens = 0;
    for (int64_t i = part->first; i < part->first + part->count; i++) {
        if (is_equal(sorted, i)) {
            sorted[i]->scores = sorted[i - 1]->scores;
            continue;
        }
        sorted[i]->scores = *scores + tokens;
        tokens += sorted[i]->count - sorted[i]->first;
        list[(*different)++] = sorted[i];
    }
    return STATUS_OK;
}

static enum status score_part(struct scoring *scoring, struct llama *model, const struct part *part)
{
    enum status result = STATUS_OK;
    struct token_score *scores = NULL;
    struct token_sequence **list = calloc((size_t)part->count + 1, sizeof(struct token_sequence *));
    const struct part_meter meter = {count_done, scoring};
    int64_t different;
    if (!list)
        FAIL(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)part->count);
    TRY(give_room(scoring, part, &scores, list, &different));
    TRY(part_scores_run(model, &scoring->ranges, list, different, &meter));
    count_done(scoring, part->count - different);
    pthread_mutex_lock(&scoring->mutex);
    result = scoring->sink->take(scoring->sink->context, scoring->members + part->first, part->count);
    pthread_mutex_unlock(&scoring->mutex);
    for (int64_t i = part->first; i < part->first + part->count; i++)
        scoring->sorted[i]->scores = NULL;
fail:
    free(scores);
    free(list);
    return result;
}

static enum status run_rank(void *context, int64_t rank)
{
    enum status result = STATUS_OK;
    struct scoring *scoring = context;
    for (int64_t p = rank; p < scoring->part_count && !atomic_load(&scoring->failed); p += scoring->ranks)
        if (!scoring->parts[p].known)
            TRY(score_part(scoring, scoring->models[rank], &scoring->parts[p]));
fail:
    return result;
}

/* ---- all of them ---- */

static enum status check_sequences(int64_t context, const struct token_sequence *sequences, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (sequences[i].first < 1)
            return status_set(STATUS_INTERNAL, "the score of token 0 is wanted, which has nothing before it");
        if (has_scores(&sequences[i]) && sequences[i].count - 1 > context)
            return status_set(STATUS_USAGE, "the model reads %lld tokens of a sequence, but its context is %lld",
                              (long long)(sequences[i].count - 1), (long long)context);
    }
    return STATUS_OK;
}

static void ask_sink(struct scoring *scoring)
{
    const struct score_sink *sink = scoring->sink;
    for (int64_t p = 0; sink->known && p < scoring->part_count; p++) {
        struct part *part = &scoring->parts[p];
        part->known = sink->known(sink->context, scoring->members + part->first, part->count);
        scoring->done += part->known ? part->count : 0;
    }
}

enum status token_scores_parts(struct llama *const *models, int64_t ranks, const struct vocabulary *vocabulary,
                               struct token_sequence *sequences, int64_t count, const struct score_sink *sink)
{
    enum status result = STATUS_OK;
    struct scoring scoring = {.models = models, .ranks = ranks, .sink = sink, .sequences = sequences};
    if (pthread_mutex_init(&scoring.mutex, NULL) != 0)
        return status_set(STATUS_INTERNAL, "no lock for the scores");
    TRY(check_sequences(models[0]->config.maximum_positions, sequences, count));
    TRY(vocabulary_ranges_find(vocabulary, models[0]->config.vocabulary_size, &scoring.ranges));
    TRY(sort_sequences(&scoring, count));
    TRY(cut_into_parts(&scoring));
    ask_sink(&scoring);
    progress_start(&scoring.progress, "scoring", "sequences", scoring.count);
    scoring.progress.first = scoring.done;
    TRY(rank_threads_run(ranks, run_rank, &scoring, &scoring.failed));
    progress_finish(&scoring.progress, scoring.done, "");
fail:
    free(scoring.sorted);
    free(scoring.members);
    free(scoring.parts);
    pthread_mutex_destroy(&scoring.mutex);
    return result;
}

/* ---- with room of the caller's ---- */

struct rooms {
    struct token_sequence *sequences; /* whose scores are set */
    struct token_score **rooms;       /* the caller's */
};

static enum status copy_scores(void *context, const int64_t *members, int64_t count)
{
    const struct rooms *rooms = context;
    for (int64_t i = 0; i < count; i++) {
        const struct token_sequence *sequence = &rooms->sequences[members[i]];
        memcpy(rooms->rooms[members[i]], sequence->scores,
               (size_t)(sequence->count - sequence->first) * sizeof *sequence->scores);
    }
    return STATUS_OK;
}

enum status token_scores_run(struct llama *model, const struct vocabulary *vocabulary, struct token_sequence *sequences,
                             int64_t count)
{
    enum status result = STATUS_OK;
    struct rooms rooms = {sequences, calloc((size_t)count + 1, sizeof *rooms.rooms)};
    const struct score_sink sink = {.take = copy_scores, .context = &rooms};
    if (!rooms.rooms)
        return status_set(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)count);
    for (int64_t i = 0; i < count; i++)
        rooms.rooms[i] = sequences[i].scores;
    TRY(token_scores_parts(&model, 1, vocabulary, sequences, count, &sink));
fail:
    for (int64_t i = 0; i < count; i++)
        sequences[i].scores = rooms.rooms[i];
    free(rooms.rooms);
    return result;
}
