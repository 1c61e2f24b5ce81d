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
    int64_t *member; /* for each row of the table; -1: there is none */
    int64_t surplus; /* recordings that the table does not name */
    int64_t judged;  /* items that are to be judged */
    int64_t scored;  /* of these, with a pair */
};

static void split_free(struct split *split)
{
    benchmark_run_free(&split->run);
    slm21_free(&split->gold);
    csv_free(&split->table);
    free(split->member);
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

/* The names of a pair's recordings, for submissions. */
static bool name_recordings(const struct split *split, const struct slm21_pair *pair, json_t *document)
{
    const char *const *files = split->gold.files;
    return json_object_set_new(document, "voice", json_string(pair->voice)) == 0 &&
           json_object_set_new(
               document, "recordings",
               json_pack("[s, s]", files[pair->rows[SLM21_CORRECT]], files[pair->rows[SLM21_INCORRECT]])) == 0;
}

/* `pair`: NULL for a pair of texts. */
static json_t *describe(const struct split *split, const struct slm21_item *item, const struct slm21_pair *pair)
{
    json_t *document = json_pack("{s:s, s:s, s:s}", "id", item->id, "correct", item->names[SLM21_CORRECT], "incorrect",
                                 item->names[SLM21_INCORRECT]);
    bool done = document && (!pair || name_recordings(split, pair, document));
    if (split->which == SLM21_SYNTACTIC)
        done = done && json_object_set_new(document, "type", json_string(item->type)) == 0 &&
               json_object_set_new(document, "subtype", json_string(item->subtype)) == 0;
    if (isfinite(item->frequency))
        done = done && json_object_set_new(document, "frequency", json_real(item->frequency)) == 0;
    if (item->length >= 0)
        done = done && json_object_set_new(document, "length", json_integer(item->length)) == 0;
    if (done)
        return document;
    json_decref(document);
    return NULL;
}

/* The correct side is the first choice. */
static enum status add_item(struct split *split, const struct slm21_item *item, const struct slm21_pair *pair,
                            const struct side sides[2])
{
    const char *voice = pair ? pair->voice : NULL;
    char id[512];
    snprintf(id, sizeof id, "%s%s%s%s%s%s%s", item->type, *item->type ? "/" : "", item->subtype,
             *item->subtype ? "/" : "", item->id, voice ? "/" : "", voice ? voice : "");
    return benchmark_run_add(&split->run, id, describe(split, item, pair), NULL, &sides[SLM21_CORRECT],
                             &sides[SLM21_INCORRECT]);
}

static enum status add_spoken(struct split *split)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < split->judged; i++) {
        const struct slm21_item *item = &split->gold.items[i];
        int64_t before = split->run.set.count;
        for (int64_t k = item->first; k < item->first + item->count; k++) {
            const struct slm21_pair *pair = &split->gold.pairs[k];
            struct side sides[2];
            for (int side = 0; side < 2; side++) {
                int64_t member = split->member[pair->rows[side]];
                sides[side] = member < 0 ? (struct side){0} : speech_side(&split->run.units[member]);
            }
            if (!sides[0].units || !sides[1].units)
                continue;
            TRY(add_item(split, item, pair, sides));
        }
        split->scored += split->run.set.count > before;
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
        TRY(add_item(split, &split->gold.items[i], NULL, sides));
        split->scored++;
    }
fail:
    return result;
}

static enum status make_choices(struct split *split)
{
    enum status result = STATUS_OK;
    size_t rows = (size_t)split->gold.file_count + 1;
    split->member = malloc(rows * sizeof *split->member);
    if (!split->member)
        FAIL(STATUS_INTERNAL, "no memory for %lld recordings", (long long)split->gold.file_count);
    memset(split->member, 0xff, rows * sizeof *split->member); /* -1 */
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

/* ---- the task ---- */

static enum report_rule rule_of(const struct split *split)
{
    if (split->text)
        return REPORT_MEAN;
    return split->which == SLM21_LEXICAL ? REPORT_SLM21_LEXICAL : REPORT_SLM21_SYNTACTIC;
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
    if (split->surplus > 0)
        log_warning("%s: %lld recordings of %s are not in its table and were left out", path, (long long)split->surplus,
                    split->folder);
    TRY(benchmark_run_finish(run, &(struct benchmark_outcome){.name = name,
                                                              .rule = rule_of(split),
                                                              .expected = split->judged,
                                                              .failures = split->judged - split->scored}));
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
