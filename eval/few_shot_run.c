/* The order of things: what can be refused without the model comes first (template, archive, examples), then recordings are
 * encoded, prompts are made, and the model answers; finished answers are in OUT/journal_TASK.log until the results are written. */
#include "eval/few_shot_run.h"

#include "eval/few_shot/draw.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_LIMIT = 16 << 20 };

/* ---- which items ---- */

static int by_index(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A part that is misspelled would silently be left out. */
static enum status check_parts(const struct few_shot_run *run)
{
    const struct config_list *names = &run->task->evaluate->parts;
    for (int64_t n = 0; n < names->count; n++) {
        int64_t i = 0;
        while (i < run->corpus.count && strcmp(run->corpus.items[i].part, names->items[n]) != 0)
            i++;
        if (i == run->corpus.count)
            return status_set(STATUS_USAGE, "evaluate.parts: %s has no part \"%s\"", archive_path(run->archive),
                              names->items[n]);
    }
    return STATUS_OK;
}

/* The items of tested parts; with a limit so many of them, drawn by their ids, since neighbours are of one speaker. */
static enum status choose_items(struct few_shot_run *run)
{
    const struct evaluate_settings *evaluate = run->task->evaluate;
    const struct corpus *corpus = &run->corpus;
    int64_t count = 0;
    struct drawn *drawn = calloc((size_t)corpus->count + 1, sizeof *drawn);
    run->tested = calloc((size_t)corpus->count + 1, sizeof *run->tested);
    if (!drawn || !run->tested) {
        free(drawn);
        return status_set(STATUS_INTERNAL, "no memory for %lld items", (long long)corpus->count);
    }
    for (int64_t i = 0; i < corpus->count; i++)
        if (corpus_is_tested(&evaluate->parts, corpus->items[i].part))
            drawn[count++] = (struct drawn){sha256_of(corpus->items[i].id, strlen(corpus->items[i].id)), i};
    if (evaluate->limit > 0 && evaluate->limit < count) {
        draw_sort(drawn, count);
        count = evaluate->limit;
    }
    for (int64_t i = 0; i < count; i++)
        run->tested[i] = drawn[i].index;
    qsort(run->tested, (size_t)count, sizeof *run->tested, by_index);
    run->count = count;
    free(drawn);
    return count > 0 ? STATUS_OK
                     : status_set(STATUS_CORRUPT, "%s: there is no part to be tested in it; evaluate.parts names them",
                                  archive_path(run->archive));
}

/* ---- examples ---- */

static const struct corpus *shot_corpus(const struct few_shot_run *run)
{
    return run->shot_archive ? &run->shot_corpus : &run->corpus;
}

/* Ids of a file, one per line, into chosen[count]. */
static enum status read_shot_ids(const struct few_shot_run *run, const char *path, int64_t count, int64_t *chosen)
{
    enum status result = STATUS_OK;
    const struct corpus *corpus = shot_corpus(run);
    char *text = NULL;
    int64_t size, found = 0, number = 0;
    TRY(text_file_read(path, IDS_LIMIT, &text, &size));
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) && found < count;) {
        number++;
        line[strcspn(line, "\r")] = 0;
        if (!*line)
            continue;
        chosen[found] = corpus_find(corpus, line);
        if (chosen[found] < 0)
            FAIL(STATUS_CORRUPT, "%s:%lld: %s is not in the archive", path, (long long)number, line);
        for (int64_t i = 0; !run->shot_archive && i < run->count; i++)
            if (run->tested[i] == chosen[found])
                FAIL(STATUS_USAGE, "%s:%lld: %s is tested and cannot be an example", path, (long long)number, line);
        for (int64_t i = 0; i < found; i++)
            if (chosen[i] == chosen[found])
                FAIL(STATUS_CORRUPT, "%s:%lld: %s is there twice", path, (long long)number, line);
        found++;
    }
    if (found < count)
        FAIL(STATUS_CORRUPT, "%s: expected %lld ids of examples, found %lld", path, (long long)count, (long long)found);
fail:
    free(text);
    return result;
}

static enum status choose_shots(const struct few_shot_run *run, int64_t count, int64_t *chosen)
{
    const struct evaluate_settings *evaluate = run->task->evaluate;
    struct shot_rule rule = run->kind->rule;
    if (*evaluate->shot_ids)
        return read_shot_ids(run, evaluate->shot_ids, count, chosen);
    rule.count = count;
    rule.seed = (uint64_t)run->seed;
    rule.tested = run->shot_archive ? NULL : &evaluate->parts;
    enum status result = shots_draw(shot_corpus(run), &rule, chosen);
    if (result != STATUS_OK && run->shot_archive)
        status_prefix(result, "%s", archive_path(run->shot_archive));
    else if (result != STATUS_OK)
        status_prefix(result, "%s: parts that are not tested (evaluate.shots_from names another archive)",
                      archive_path(run->archive));
    return result;
}

/* ---- units ---- */

/* The units of some items of a corpus, spelled out; texts[i] of item chosen[i]. */
static enum status encode(const struct few_shot_run *run, struct archive *archive, const struct corpus *corpus,
                          const int64_t *chosen, int64_t count, char **texts)
{
    enum status result = STATUS_OK;
    const struct components *components = run->task->components;
    struct unit_ids *units = NULL;
    bool *wanted = calloc((size_t)archive_count(archive) + 1, sizeof *wanted);
    if (!wanted)
        FAIL(STATUS_INTERNAL, "no memory for %lld recordings", (long long)archive_count(archive));
    for (int64_t i = 0; i < count; i++)
        wanted[corpus->items[chosen[i]].member] = true;
    TRY(recordings_encode(components, run->task->units, archive, wanted, &units));
    for (int64_t i = 0; i < count; i++) {
        const struct unit_ids *own = &units[corpus->items[chosen[i]].member];
        TRY(units_spelled(&components->vocabulary, own->ids, own->count, &texts[i]));
    }
fail:
    unit_ids_free(units, archive_count(archive));
    free(wanted);
    return result;
}

static void free_texts(char **texts, int64_t count)
{
    for (int64_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

static enum status read_seed(struct few_shot_run *run)
{
    int64_t *seeds, count;
    enum status result = evaluate_numbers("evaluate.seeds", &run->task->evaluate->seeds, 0, INT64_MAX, &seeds, &count);
    if (result != STATUS_OK)
        return result;
    run->seed = seeds[0];
    free(seeds);
    return STATUS_OK;
}

static enum status make_shots(struct few_shot_run *run)
{
    enum status result = STATUS_OK;
    const struct corpus *corpus = shot_corpus(run);
    int64_t count = 0, *chosen = NULL;
    char **texts = NULL, *answer = NULL;
    TRY(evaluate_shots(run->task->evaluate, run->kind->name, run->kind->shots, &count));
    chosen = calloc((size_t)count + 1, sizeof *chosen);
    texts = calloc((size_t)count + 1, sizeof *texts);
    if (!chosen || !texts)
        FAIL(STATUS_INTERNAL, "no memory for %lld examples", (long long)count);
    TRY(choose_shots(run, count, chosen));
    if (count > 0)
        TRY(encode(run, run->shot_archive ? run->shot_archive : run->archive, corpus, chosen, count, texts));
    for (int64_t i = 0; i < count; i++) {
        const struct corpus_item *item = &corpus->items[chosen[i]];
        TRY(text_in_letters(&run->pattern, item->answer, &answer));
        TRY(shots_add(&run->shots, item->id, texts[i], answer));
        free(answer);
        answer = NULL;
    }
fail:
    free_texts(texts, count);
    free(answer);
    free(chosen);
    return result;
}

static enum status make_prompts(struct few_shot_run *run)
{
    enum status result = STATUS_OK;
    const struct task *task = run->task;
    char **texts = calloc((size_t)run->count + 1, sizeof *texts);
    run->prompts = calloc((size_t)run->count + 1, sizeof *run->prompts);
    run->items = calloc((size_t)run->count + 1, sizeof *run->items);
    run->answers = calloc((size_t)run->count + 1, sizeof *run->answers);
    if (!texts || !run->prompts || !run->items || !run->answers)
        FAIL(STATUS_INTERNAL, "no memory for %lld prompts", (long long)run->count);
    TRY(encode(run, run->archive, &run->corpus, run->tested, run->count, texts));
    for (int64_t i = 0; i < run->count; i++) {
        const char *id = run->corpus.items[run->tested[i]].id;
        struct whole_prompt *prompt = &run->prompts[i];
        result = whole_prompt_make(task->components, &run->pattern, &run->shots, texts[i],
                                   task->model->config.maximum_positions, prompt);
        if (result != STATUS_OK) {
            status_prefix(result, "%s: %s", archive_path(run->archive), id);
            goto fail;
        }
        run->items[i] = (struct generation_item){
            .id = id, .ids = prompt->ids, .count = prompt->count, .group = prompt->lost, .seed = (uint64_t)run->seed};
    }
fail:
    free_texts(texts, run->count);
    return result;
}

/* ---- the run ---- */

static json_t *shot_list(const struct few_shot_run *run)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < run->shots.count; i++)
        json_array_append_new(list, json_string(run->shots.items[i].id));
    return list;
}

/* Of the ids and answers of all items that are tested, and of the examples. */
static struct sha256 hash_items(const struct few_shot_run *run)
{
    struct sha256_stream *stream = sha256_start();
    for (int64_t i = 0; i < run->count; i++) {
        const struct corpus_item *item = &run->corpus.items[run->tested[i]];
        sha256_add(stream, item->id, strlen(item->id) + 1);
        sha256_add(stream, item->answer, strlen(item->answer) + 1);
    }
    for (int64_t i = 0; i < run->shots.count; i++) {
        sha256_add(stream, run->shots.items[i].id, strlen(run->shots.items[i].id) + 1);
        sha256_add(stream, run->shots.items[i].answer, strlen(run->shots.items[i].answer) + 1);
    }
    return sha256_finish(stream);
}

/* What the answers depend on besides the model and the archive. */
static json_t *inputs_json(const struct few_shot_run *run)
{
    const struct sha256 items = hash_items(run);
    char identity[65] = "";
    if (run->shot_archive)
        archive_identity(run->shot_archive, identity);
    return json_pack("{s:o, s:o, s:o, s:s, s:I, s:I}", "items", jdoc_hash(&items), "prompt",
                     jdoc_hash(&run->pattern.hash), "shots", shot_list(run), "shots_from", identity, "seed",
                     (json_int_t)run->seed, "limit", (json_int_t)run->task->evaluate->limit);
}

static json_t *archive_json(const struct archive *archive)
{
    char identity[65];
    archive_identity(archive, identity);
    return json_pack("{s:s, s:s}", "path", archive_path(archive), "identity", identity);
}

static enum status open_journal(struct few_shot_run *run)
{
    enum status result = STATUS_OK;
    const struct task *task = run->task;
    char path[PATH_BYTES], identity[65];
    archive_identity(run->archive, identity);
    json_t *journal =
        json_pack("{s:s, s:O, s:s, s:o}", "task", run->kind->name, "fingerprints",
                  json_object_get(run->results.root, "fingerprints"), "archive", identity, "inputs", inputs_json(run));
    if (!journal)
        FAIL(STATUS_INTERNAL, "no memory for the journal");
    TRY(make_directories(task->out));
    TRY(path_format(path, "%s/journal_%s.log", task->out, run->kind->name));
    TRY(journal_open(path, journal, task->locks, &run->journal));
fail:
    json_decref(journal);
    return result;
}

static bool stops(const void *argument, const int32_t *ids, int64_t count)
{
    return answer_stops(argument, ids, count);
}

static enum status answer_items(struct few_shot_run *run)
{
    enum status result = STATUS_OK;
    struct answer_reader *reader = NULL;
    TRY(answer_reader_create(run->task->components, &run->pattern, &reader));
    const struct generation_plan plan = {.task = run->task,
                                         .journal = run->journal,
                                         .output = (enum output_modality)run->pattern.output,
                                         .sampling = {run->pattern.temperature, run->pattern.top_k, run->pattern.top_p},
                                         .limit = run->pattern.limit,
                                         .tries = run->pattern.tries,
                                         .stops = stops,
                                         .argument = reader};
    TRY(generations_run(&plan, run->items, run->count));
    for (int64_t i = 0; i < run->count; i++) {
        const struct generation_item *item = &run->items[i];
        TRY(answer_read(reader, item->generated, item->generated_count, !item->ended && !item->stopped,
                        &run->answers[i]));
    }
fail:
    answer_reader_free(reader);
    return result;
}

static enum status open_corpora(struct few_shot_run *run, const char *path)
{
    enum status result = STATUS_OK;
    const char *from = run->task->evaluate->shots_from;
    bool skip = run->task->evaluate->incomplete == INCOMPLETE_SKIP;
    TRY(archive_open(path, &run->archive));
    TRY(run->kind->read(run->archive, skip, &run->corpus));
    if (*from) {
        TRY(archive_open(from, &run->shot_archive));
        TRY(run->kind->read(run->shot_archive, skip, &run->shot_corpus));
    }
fail:
    return result;
}

enum status few_shot_run(const struct task *task, const struct few_shot_kind *kind, const char *path,
                         struct few_shot_run *run)
{
    enum status result = STATUS_OK;
    char template[PATH_BYTES];
    *run = (struct few_shot_run){.task = task, .kind = kind};
    TRY(template_find(kind->template, kind->name, template));
    TRY(template_read(template, &run->pattern));
    TRY(open_corpora(run, path));
    TRY(check_parts(run));
    TRY(choose_items(run));
    TRY(read_seed(run));
    TRY(make_shots(run));
    TRY(make_prompts(run));
    TRY(generation_results_create(task, &run->results));
    TRY(generation_results_set(&run->results, "archive", archive_json(run->archive)));
    TRY(generation_results_set(&run->results, "inputs", inputs_json(run)));
    TRY(generation_results_set(&run->results, "missing", json_integer(run->corpus.missing)));
    TRY(open_journal(run));
    TRY(answer_items(run));
fail:
    return result;
}

void few_shot_run_free(struct few_shot_run *run)
{
    journal_close(run->journal, false);
    generation_results_free(&run->results);
    for (int64_t i = 0; i < run->count; i++) {
        if (run->answers)
            free(run->answers[i].text);
        if (run->prompts)
            free(run->prompts[i].ids);
    }
    free(run->answers);
    free(run->prompts);
    generation_items_free(run->items, run->count);
    free(run->tested);
    shots_free(&run->shots);
    corpus_free(&run->corpus);
    corpus_free(&run->shot_corpus);
    archive_close(run->archive);
    archive_close(run->shot_archive);
    template_free(&run->pattern);
    *run = (struct few_shot_run){0};
}

/* ---- results ---- */

enum status few_shot_parts(const struct few_shot_run *run, const char ***out, int64_t *count)
{
    const char **parts = calloc((size_t)run->count + 1, sizeof *parts);
    *out = parts;
    *count = 0;
    if (!parts)
        return status_set(STATUS_INTERNAL, "no memory for the parts of a corpus");
    for (int64_t i = 0; i < run->count; i++) {
        const char *part = run->corpus.items[run->tested[i]].part;
        bool known = false;
        for (int64_t p = 0; p < *count; p++)
            known = known || !strcmp(parts[p], part);
        if (!known)
            parts[(*count)++] = part;
    }
    return STATUS_OK;
}

enum status few_shot_count_faults(const struct few_shot_run *run, const char *part, json_t *metrics)
{
    int64_t endings[ANSWER_ENDINGS] = {0}, no_begin = 0, empty = 0, lost = 0, losers = 0;
    for (int64_t i = 0; i < run->count; i++) {
        const struct answer *answer = &run->answers[i];
        if (part && strcmp(run->corpus.items[run->tested[i]].part, part) != 0)
            continue;
        endings[answer->ending]++;
        no_begin += answer->no_begin;
        empty += answer->empty;
        lost += run->prompts[i].lost;
        losers += run->prompts[i].lost > 0;
    }
    bool done = json_object_set_new(metrics, "no_begin", json_integer(no_begin)) == 0 &&
                json_object_set_new(metrics, "empty", json_integer(empty)) == 0 &&
                json_object_set_new(metrics, "lost_shots", json_integer(lost)) == 0 &&
                json_object_set_new(metrics, "items_that_lost_shots", json_integer(losers)) == 0;
    for (int e = ANSWER_NO_END; e < ANSWER_ENDINGS; e++)
        done = done &&
               json_object_set_new(metrics, answer_ending_name((enum answer_ending)e), json_integer(endings[e])) == 0;
    return done ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the results");
}

json_t *few_shot_sample(const struct few_shot_run *run, int64_t index)
{
    const struct corpus_item *item = &run->corpus.items[run->tested[index]];
    const struct answer *answer = &run->answers[index];
    return json_pack("{s:s, s:{s:s, s:s}, s:s, s:[s], s:s, s:b, s:b, s:I, s:I}", "doc_id", item->id, "doc", "part",
                     item->part, "speaker", item->speaker, "target", item->answer, "filtered_resps", answer->text,
                     "ending", answer_ending_name(answer->ending), "no_begin", answer->no_begin, "empty", answer->empty,
                     "tokens", (json_int_t)run->items[index].generated_count, "lost_shots",
                     (json_int_t)run->prompts[index].lost);
}

enum status few_shot_finish(struct few_shot_run *run)
{
    enum status result = generation_results_write(run->task, run->kind->name, &run->results);
    if (result == STATUS_OK) {
        journal_close(run->journal, true);
        run->journal = NULL;
    }
    return result;
}
