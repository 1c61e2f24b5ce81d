/* The tasks swuggy, sblimp, wuggy-text and blimp-text: from sLM21's archive to accuracies. The archive says which recordings are
 * a pair (eval/zero_shot/slm21.h); here they become units and scores. */
#include "eval/task.h"

#include "core/log.h"
#include "core/path.h"
#include "eval/benchmark_run.h"
#include "io/text_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLD_LIMIT = 1 << 28 }; /* bytes of gold.csv */

static const char *const task_names[2][2] = {{"swuggy", "sblimp"}, {"wuggy_text", "blimp_text"}};
static const char *const folders[2] = {"lexical", "syntactic"};

/* One split of one task. */
struct split {
    struct benchmark_run run;
    enum slm21_task which;
    bool text;
    const char *name;        /* "dev" */
    char folder[PATH_BYTES]; /* of its members, "lexical/dev/" */
    struct csv table;
    struct slm21 gold;
    int64_t *member;    /* for each row of the table; -1: there is none */
    int64_t surplus;    /* recordings that the table does not name */
    int64_t *choice_of; /* for each pair (or item of text): its place in the set; -1: left out */
    int64_t judged;     /* items that are to be judged */
};

static void split_free(struct split *split)
{
    benchmark_run_free(&split->run);
    slm21_free(&split->gold);
    csv_free(&split->table);
    free(split->member);
    free(split->choice_of);
}

/* ---- the archive ---- */

/* The folder of the split, wherever in the archive it lies: the first member's that has it in its path. */
static enum status find_folder(struct split *split)
{
    char part[64];
    size_t length = (size_t)snprintf(part, sizeof part, "%s/%s/", folders[split->which], split->name);
    for (int64_t i = 0; i < split->run.count; i++) {
        const char *name = split->run.names[i], *found = strstr(name, part);
        if (found && (found == name || found[-1] == '/'))
            return path_format(split->folder, "%.*s", (int)(found - name) + (int)length, name);
    }
    return status_set(STATUS_CORRUPT, "%s: there is no folder %s in it", archive_path(split->run.archive), part);
}

/* The table of right answers: beside the recordings, or the file of evaluate.gold. */
static enum status read_gold(struct split *split)
{
    enum status result = STATUS_OK;
    char name[PATH_BYTES], where[PATH_BYTES];
    const char *given = split->run.task->evaluate->gold;
    void *data = NULL;
    char *text = NULL;
    int64_t size;
    if (*given) {
        TRY(path_format(where, "%s", given));
        TRY(text_file_read(given, GOLD_LIMIT, &text, &size));
    } else {
        TRY(path_format(name, "%sgold.csv", split->folder));
        TRY(path_format(where, "%s: %s", archive_path(split->run.archive), name));
        int64_t index = archive_find(split->run.archive, name);
        if (index < 0)
            FAIL(STATUS_CORRUPT, "%s is missing; evaluate.gold=FILE gives one that lies elsewhere", where);
        TRY(archive_read(split->run.archive, index, GOLD_LIMIT, &data, &size));
        text = data;
    }
    TRY(csv_parse(where, text, size, (struct csv_format){',', true}, &split->table));
    TRY(slm21_read(&split->table, split->which, benchmark_run_skips(&split->run) ? SLM21_SKIP : SLM21_REFUSE,
                   &split->gold));
fail:
    return result;
}

/* Which members are the recordings of the rows that are judged. */
static enum status find_recordings(struct split *split)
{
    enum status result = STATUS_OK;
    size_t folder = strlen(split->folder);
    for (int64_t i = 0; i < split->run.count; i++) {
        const char *name = split->run.names[i], *end = strrchr(name, '.');
        char stem[PATH_BYTES];
        if (strncmp(name, split->folder, folder) != 0 || strchr(name + folder, '/') || !end || strcmp(end, ".csv") == 0)
            continue;
        TRY(path_format(stem, "%.*s", (int)(end - name - (long)folder), name + folder));
        int64_t row = slm21_find(&split->gold, stem);
        if (row < 0 && !benchmark_run_skips(&split->run))
            FAIL(STATUS_CORRUPT, "%s: %s is not in %s; evaluate.incomplete=skip leaves it out",
                 archive_path(split->run.archive), name, split->gold.where);
        if (row >= 0 && split->member[row] >= 0)
            FAIL(STATUS_CORRUPT, "%s: %s and %s are one recording", archive_path(split->run.archive),
                 split->run.names[split->member[row]], name);
        if (row < 0)
            split->surplus++;
        else
            split->member[row] = i;
    }
fail:
    return result;
}

/* Marks the recordings of the items that are judged. A pair that lacks one is refused or left out. */
static enum status want_pairs(struct split *split)
{
    for (int64_t i = 0; i < split->judged; i++) {
        const struct slm21_item *item = &split->gold.items[i];
        for (int64_t k = item->first; k < item->first + item->count; k++) {
            const int64_t *rows = split->gold.pairs[k].rows;
            int64_t members[2] = {split->member[rows[0]], split->member[rows[1]]};
            for (int side = 0; side < 2; side++)
                if (members[side] < 0 && !benchmark_run_skips(&split->run))
                    return status_set(
                        STATUS_CORRUPT,
                        "%s: the recording %s%s of %s:%lld is missing; evaluate.incomplete=skip leaves its "
                        "pair out",
                        archive_path(split->run.archive), split->folder, split->gold.files[rows[side]],
                        split->gold.where, (long long)csv_line(&split->table, rows[side]));
            if (members[0] >= 0 && members[1] >= 0)
                split->run.wanted[members[0]] = split->run.wanted[members[1]] = true;
        }
    }
    return STATUS_OK;
}

/* ---- choices ---- */

static json_t *describe(const struct split *split, const struct slm21_item *item, const char *voice)
{
    json_t *document = json_pack("{s:s, s:s, s:s}", "id", item->id, "correct", item->names[SLM21_CORRECT], "incorrect",
                                 item->names[SLM21_INCORRECT]);
    bool done = document && (!voice || json_object_set_new(document, "voice", json_string(voice)) == 0);
    if (split->which == SLM21_SYNTACTIC)
        done = done && json_object_set_new(document, "type", json_string(item->type)) == 0 &&
               json_object_set_new(document, "subtype", json_string(item->subtype)) == 0;
    else if (isfinite(item->frequency))
        done = done && json_object_set_new(document, "frequency", json_real(item->frequency)) == 0;
    if (done)
        return document;
    json_decref(document);
    return NULL;
}

/* The correct side is the first choice. */
static enum status add_item(struct split *split, const struct slm21_item *item, const char *voice,
                            const struct side sides[2])
{
    char id[512];
    snprintf(id, sizeof id, "%s%s%s%s%s%s%s", item->type, *item->type ? "/" : "", item->subtype,
             *item->subtype ? "/" : "", item->id, voice ? "/" : "", voice ? voice : "");
    return benchmark_run_add(&split->run, id, describe(split, item, voice), NULL, &sides[SLM21_CORRECT],
                             &sides[SLM21_INCORRECT]);
}

static enum status add_spoken(struct split *split)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < split->judged; i++) {
        const struct slm21_item *item = &split->gold.items[i];
        for (int64_t k = item->first; k < item->first + item->count; k++) {
            const struct slm21_pair *pair = &split->gold.pairs[k];
            struct side sides[2];
            for (int side = 0; side < 2; side++) {
                int64_t member = split->member[pair->rows[side]];
                sides[side] = member < 0 ? (struct side){0} : speech_side(&split->run.units[member]);
            }
            if (!sides[0].units || !sides[1].units)
                continue;
            split->choice_of[k] = split->run.set.count;
            TRY(add_item(split, item, pair->voice, sides));
        }
    }
fail:
    return result;
}

static enum status add_written(struct split *split)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < split->judged; i++) {
        const char *correct, *incorrect;
        TRY(slm21_texts(&split->gold, i, &correct, &incorrect));
        const struct side sides[2] = {[SLM21_CORRECT] = {.text = correct}, [SLM21_INCORRECT] = {.text = incorrect}};
        split->choice_of[i] = split->run.set.count;
        TRY(add_item(split, &split->gold.items[i], NULL, sides));
    }
fail:
    return result;
}

static enum status make_choices(struct split *split)
{
    enum status result = STATUS_OK;
    size_t rows = (size_t)split->gold.file_count + 1;
    split->member = malloc(rows * sizeof *split->member);
    split->choice_of = malloc(rows * sizeof *split->choice_of);
    if (!split->member || !split->choice_of)
        FAIL(STATUS_INTERNAL, "no memory for %lld recordings", (long long)split->gold.file_count);
    memset(split->member, 0xff, rows * sizeof *split->member); /* -1 */
    memset(split->choice_of, 0xff, rows * sizeof *split->choice_of);
    split->judged = benchmark_run_limit(&split->run, split->gold.item_count);
    if (split->text)
        return add_written(split);
    TRY(find_recordings(split));
    TRY(want_pairs(split));
    TRY(benchmark_run_encode(&split->run));
    TRY(add_spoken(split));
fail:
    return result;
}

/* ---- results ---- */

/* The values of items, one for each that has a pair. */
static struct estimate estimate_items(const double *scores, int64_t count, double *kept)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(scores[i]))
            kept[n++] = scores[i];
    return estimate_mean(kept, n);
}

static struct estimate line_estimate(const struct slm21_line *line)
{
    return (struct estimate){line->mean, line->n > 1 ? line->deviation / sqrt((double)line->n) : NAN, line->n};
}

static enum status add_lines(const struct split *split, const char *task, const struct slm21_result *found,
                             struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    bool lexical = split->which == SLM21_LEXICAL;
    const struct slm21_line *lines = lexical ? found->bands : found->lines;
    int64_t count = lexical ? SLM21_BANDS : found->line_count;
    for (int64_t i = 0; i < count; i++)
        TRY(benchmark_add(results, task, lines[i].name, true, line_estimate(&lines[i]), lines[i].n, 0, NULL));
fail:
    return result;
}

/* Scores of rows from those of choices. */
static enum status fill_scores(const struct split *split, double *scores, bool *present)
{
    enum status result = STATUS_OK;
    for (int64_t k = 0; k < split->gold.pair_count; k++) {
        const int64_t *rows = split->gold.pairs[k].rows;
        if (split->choice_of[k] < 0)
            continue;
        const struct choice_item *item = &split->run.set.items[split->choice_of[k]];
        present[rows[0]] = present[rows[1]] = true;
        TRY(choice_value(&item->choices[0], &split->run.protocol, &scores[rows[SLM21_CORRECT]]));
        TRY(choice_value(&item->choices[1], &split->run.protocol, &scores[rows[SLM21_INCORRECT]]));
    }
fail:
    return result;
}

static double tie_value(const struct score_protocol *protocol)
{
    return protocol->tie == TIE_HALF ? 0.5 : protocol->tie == TIE_FIRST ? 1 : 0; /* the right one comes first */
}

static enum status report_spoken(const struct split *split, const char *task, struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct slm21_result found = {0};
    struct benchmark_row *row;
    size_t rows = (size_t)split->gold.file_count + 1;
    double *scores = calloc(rows, sizeof *scores), *kept = calloc(rows, sizeof *kept);
    bool *present = calloc(rows, sizeof *present);
    if (!scores || !present || !kept)
        FAIL(STATUS_INTERNAL, "no memory for the scores of %zu recordings", rows);
    TRY(fill_scores(split, scores, present));
    TRY(slm21_evaluate(&split->gold, scores, present, tie_value(&split->run.protocol), &found));
    TRY(benchmark_add(results, task, "", false, estimate_items(found.item_scores, split->gold.item_count, kept),
                      split->judged, found.ties, &row));
    row->failures = split->judged - row->accuracy.n;
    if (split->which == SLM21_LEXICAL && found.in_vocabulary_items > 0) {
        for (int64_t i = 0; i < split->gold.item_count; i++)
            if (!(split->gold.items[i].frequency >= 1))
                found.item_scores[i] = NAN;
        TRY(benchmark_add(results, task, "in vocabulary", true,
                          estimate_items(found.item_scores, split->gold.item_count, kept), found.in_vocabulary_items, 0,
                          NULL));
    }
    if (split->which == SLM21_SYNTACTIC)
        TRY(benchmark_add(results, task, "mean of types", true,
                          (struct estimate){found.mean_of_types, NAN, found.line_count}, found.line_count, 0, NULL));
    TRY(add_lines(split, task, &found, results));
    TRY(slm21_write(&split->gold, &found, split->run.task->out, split->name));
fail:
    slm21_result_free(&found);
    free(scores);
    free(present);
    free(kept);
    return result;
}

static enum status report_written(const struct split *split, const char *task, struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    int64_t ties;
    double *won = calloc((size_t)split->run.set.count + 1, sizeof *won);
    if (!won)
        FAIL(STATUS_INTERNAL, "no memory for %lld items", (long long)split->run.set.count);
    TRY(benchmark_run_decide(&split->run, 0, split->run.set.count, won, &ties));
    TRY(benchmark_add(results, task, "", false, estimate_mean(won, split->run.set.count), split->judged, ties, NULL));
fail:
    free(won);
    return result;
}

/* Reads, scores and reports one split. */
static enum status run_split(const char *path, const struct task *task, struct split *split)
{
    enum status result = STATUS_OK;
    struct benchmark_run *run = &split->run;
    char name[64];
    snprintf(name, sizeof name, "%s_%s", task_names[split->text][split->which], split->name);
    TRY(benchmark_run_open(task, path, SCOPE_WHOLE, run));
    TRY(find_folder(split));
    TRY(read_gold(split));
    TRY(make_choices(split));
    TRY(benchmark_run_score(run));
    TRY(split->text ? report_written(split, name, &run->results) : report_spoken(split, name, &run->results));
    if (split->surplus > 0)
        log_warning("%s: %lld recordings of %s are not in its table and were left out", path, (long long)split->surplus,
                    split->folder);
    TRY(benchmark_run_finish(run, name, NULL));
fail:
    return result;
}

enum status task_slm21(const struct task *task, enum slm21_task which, bool text, const char *path)
{
    static const char *const splits[] = {"dev", "test"}; /* as enum split_choice */
    for (int s = 0; s < 2; s++) {
        struct split split = {.which = which, .text = text, .name = splits[s]};
        if (task->evaluate->split != SPLIT_ALL && task->evaluate->split != s)
            continue;
        enum status result = run_split(path, task, &split);
        split_free(&split);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}
