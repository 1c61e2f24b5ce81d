/* lm-evaluation-harness's keys, so that its tools read these files; a row's metrics are the task's own. */
#include "eval/generation_results.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const tables[] = {"results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"};
enum { TABLES = sizeof tables / sizeof *tables };

enum status generation_results_set(struct generation_results *results, const char *key, json_t *value)
{
    return json_object_set_new(results->root, key, value) == 0
               ? STATUS_OK
               : status_set(STATUS_INTERNAL, "no memory for the results");
}

enum status generation_results_create(const struct task *task, struct generation_results *results)
{
    enum status result = STATUS_OK;
    json_t *fingerprints;
    *results = (struct generation_results){json_object(), json_array()};
    if (!results->root || !results->samples)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int i = 0; i < TABLES; i++)
        TRY(generation_results_set(results, tables[i], json_object()));
    TRY(generation_results_set(results, "config",
                               json_pack("{s:s, s:s}", "model", task->model_name, "checkpoint", task->checkpoint)));
    TRY(task_fingerprints(task, &fingerprints));
    TRY(generation_results_set(results, "fingerprints", fingerprints));
fail:
    return result;
}

void generation_results_free(struct generation_results *results)
{
    json_decref(results->root);
    json_decref(results->samples);
    *results = (struct generation_results){0};
}

enum status generation_results_row(struct generation_results *results, const struct generation_row *row)
{
    json_t *values[TABLES] = {
        row->metrics,
        json_pack("{s:s}", "task", row->name),
        json_integer(1),
        json_integer(row->shots),
        json_pack("{s:b}", "higher", row->higher_is_better),
        json_pack("{s:I, s:I}", "original", (json_int_t)row->expected, "effective", (json_int_t)row->effective)};
    bool done = row->metrics && json_object_set_new(row->metrics, "alias", json_string(row->alias)) == 0 &&
                json_object_set_new(row->metrics, "sample_len", json_integer(row->effective)) == 0 &&
                json_object_set_new(row->metrics, "expected", json_integer(row->expected)) == 0;
    for (int i = 0; i < TABLES; i++) {
        json_t *table = json_object_get(results->root, tables[i]);
        if (i > 0 && row->part)
            json_decref(values[i]);
        else
            done = json_object_set_new(table, row->name, values[i]) == 0 && done;
    }
    return done ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the results");
}

enum status generation_results_sample(struct generation_results *results, json_t *sample)
{
    return json_array_append_new(results->samples, sample) == 0
               ? STATUS_OK
               : status_set(STATUS_INTERNAL, "no memory for the samples");
}

static enum status write_file(const char *folder, const char *kind, const char *name, const char *ending,
                              const char *text)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%s_%s.%s", folder, kind, name, ending);
    return result == STATUS_OK ? atomic_write(path, text, (int64_t)strlen(text)) : result;
}

enum status generation_results_write(const struct task *task, const char *name,
                                     const struct generation_results *results)
{
    enum status result = STATUS_OK;
    char *root = jdoc_text(results->root, 2), *samples = jdoc_lines(results->samples);
    if (!root || !samples)
        FAIL(STATUS_INTERNAL, "no memory for the results, or a path is not UTF-8");
    TRY(make_directories(task->out));
    TRY(write_file(task->out, "samples", name, "jsonl", samples));
    TRY(write_file(task->out, "results", name, "json", root));
fail:
    free(root);
    free(samples);
    return result;
}
