/* The task mmlu: which of four letters follows a question likelier, after the subject's worked examples. */
#include "eval/task.h"

#include "core/path.h"
#include "eval/benchmark_run.h"
#include "eval/zero_shot/mmlu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_LIMIT = 64 << 20 };

static const char *const splits[] = {"dev", "test"};

/* A subject: its questions, and the examples of dev. */
struct subject {
    char name[64];
    int64_t members[2]; /* examples, questions */
    struct csv examples, questions;
};

static void subject_free(struct subject *subject)
{
    csv_free(&subject->examples);
    csv_free(&subject->questions);
}

/* "PREFIX/SPLIT/SUBJECT_SPLIT.csv"; the subject's name into `name`. */
static bool is_table(const char *path, const char *split, char name[64])
{
    char ending[32], folder[32];
    const char *slash = strrchr(path, '/');
    size_t ending_length = (size_t)snprintf(ending, sizeof ending, "_%s.csv", split);
    size_t folder_length = (size_t)snprintf(folder, sizeof folder, "%s/", split);
    if (!slash || (size_t)(slash + 1 - path) < folder_length ||
        strncmp(slash + 1 - folder_length, folder, folder_length) != 0)
        return false;
    size_t length = strlen(slash + 1);
    if (length <= ending_length || length - ending_length >= 64 ||
        strcmp(slash + 1 + length - ending_length, ending) != 0)
        return false;
    snprintf(name, 64, "%.*s", (int)(length - ending_length), slash + 1);
    return true;
}

static enum status read_table(const struct benchmark_run *run, int64_t member, struct csv *table)
{
    enum status result = STATUS_OK;
    char where[PATH_BYTES];
    void *data = NULL;
    int64_t size;
    TRY(path_format(where, "%s: %s", archive_path(run->archive), run->names[member]));
    TRY(archive_read(run->archive, member, TABLE_LIMIT, &data, &size));
    TRY(csv_parse(where, data, size, (struct csv_format){',', false}, table));
    TRY(mmlu_check(table));
fail:
    return result;
}

/* The examples are those of dev, whatever the questions are. */
static enum status read_subject(const struct benchmark_run *run, int64_t shots, struct subject *subject)
{
    enum status result = STATUS_OK;
    char name[64];
    TRY(read_table(run, subject->members[1], &subject->questions));
    for (int64_t i = 0; i < run->count; i++)
        if (is_table(run->names[i], "dev", name) && !strcmp(name, subject->name))
            subject->members[0] = i;
    if (shots == 0)
        return STATUS_OK;
    if (subject->members[0] < 0)
        FAIL(STATUS_CORRUPT, "%s: %s_dev.csv, which has the examples, is missing", archive_path(run->archive),
             subject->name);
    TRY(read_table(run, subject->members[0], &subject->examples));
    if (subject->examples.row_count < shots)
        FAIL(STATUS_CORRUPT, "%s: expected %lld examples, found %lld", subject->examples.where, (long long)shots,
             (long long)subject->examples.row_count);
fail:
    return result;
}

static enum status add_prompt(struct benchmark_run *run, const struct subject *subject, int64_t row, int64_t shots,
                              enum mmlu_form form)
{
    static const char *const letters[MMLU_CHOICES] = {"A", "B", "C", "D"};
    enum status result = STATUS_OK;
    char *prompt = NULL, id[128];
    struct side sides[MMLU_CHOICES];
    for (int c = 0; c < MMLU_CHOICES; c++)
        sides[c] = (struct side){.text = letters[c]};
    snprintf(id, sizeof id, "%s/%lld", subject->name, (long long)row);
    TRY(mmlu_prompt(subject->name, &subject->examples, shots, &subject->questions, row, form, &prompt));
    const struct side context = {.text = prompt};
    TRY(benchmark_run_add_choices(run, id,
                                  json_pack("{s:s, s:s}", "part", subject->name, "group", mmlu_group(subject->name)),
                                  &context, sides, MMLU_CHOICES, mmlu_answer(&subject->questions, row)));
fail:
    free(prompt);
    return result;
}

/* A prompt that is too long for the model: lm-evaluation-harness cuts its left end (run->cuts), the benchmark's own program leaves out
 * examples, the last ones first. */
static enum status add_question(struct benchmark_run *run, const struct subject *subject, int64_t row, int64_t shots)
{
    enum status result = STATUS_OK;
    enum mmlu_form form = run->task->evaluate->mmlu_prompt == 0 ? MMLU_LM_EVAL : MMLU_ORIGINAL;
    run->cuts = form == MMLU_LM_EVAL;
    for (int64_t kept = shots;; kept--) {
        TRY(add_prompt(run, subject, row, kept, form));
        struct choice_item *item = &run->set.items[run->set.count - 1];
        item->lost_shots = shots - kept;
        if (kept == 0 || choice_item_reads(item) <= benchmark_run_context(run))
            break;
        choice_set_drop_last(&run->set);
    }
fail:
    return result;
}

static enum status add_subject(struct benchmark_run *run, struct subject *subject, int64_t shots)
{
    enum status result = STATUS_OK;
    if (!mmlu_group(subject->name))
        FAIL(STATUS_CORRUPT, "%s: %s is none of MMLU's 57 subjects", archive_path(run->archive), subject->name);
    TRY(read_subject(run, shots, subject));
    for (int64_t row = 0; row < benchmark_run_limit(run, subject->questions.row_count); row++)
        TRY(add_question(run, subject, row, shots));
fail:
    return result;
}

static enum status run_split(const struct task *task, const char *path, const char *split, int64_t shots)
{
    enum status result = STATUS_OK;
    struct benchmark_run run = {0};
    char name[64];
    snprintf(name, sizeof name, "mmlu_%s", split);
    TRY(benchmark_run_open(task, path, SCOPE_CONTINUATION, &run));
    for (int64_t i = 0; i < run.count; i++) {
        struct subject subject = {.members = {-1, i}};
        if (!is_table(run.names[i], split, subject.name))
            continue;
        result = add_subject(&run, &subject, shots);
        subject_free(&subject);
        TRY(result);
    }
    if (run.set.count == 0)
        FAIL(STATUS_CORRUPT, "%s: there is no %s/SUBJECT_%s.csv in it", path, split, split);
    TRY(benchmark_run_finish(
        &run,
        &(struct benchmark_outcome){.name = name, .rule = REPORT_SUBJECTS, .expected = run.set.count, .shots = shots}));
fail:
    benchmark_run_free(&run);
    return result;
}

enum status task_mmlu(const struct task *task, const char *path)
{
    const struct evaluate_settings *settings = task->evaluate;
    int64_t shots;
    enum status result = evaluate_shots(settings, "mmlu", 5, &shots);
    for (int s = 0; result == STATUS_OK && s < 2; s++)
        if (settings->split == SPLIT_ALL || settings->split == s)
            result = run_split(task, path, splits[s], shots);
    return result;
}
