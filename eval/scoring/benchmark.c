/* lm-evaluation-harness's names are used where it has one for the same thing: "acc,FILTER" with its standard error, where the filter is
 * how scores were normalized; so its tools and tables read these files. */
#include "eval/scoring/benchmark.h"

#include "core/array.h"
#include "core/path.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const normalizations[NORMALIZATIONS] = {"sum", "token", "char", "byte", "pmi", "pmi-token"};

/* ---- rows ---- */

static void make_name(const char *task, const char *alias, char name[64])
{
    int length = snprintf(name, 64, "%s%s%s", task, *alias ? "_" : "", alias);
    for (int i = 0; i < length && i < 63; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
            name[i] = '_';
}

enum status benchmark_add(struct benchmark_results *results, const char *task, const char *alias, bool part,
                          struct estimate accuracy, int64_t expected, struct benchmark_counts counts,
                          const struct score_protocol *protocol, struct benchmark_row **out)
{
    enum status result = array_grow(&results->rows, &results->capacity, results->count + 1, "results");
    if (result != STATUS_OK)
        return result;
    struct benchmark_row *row = &results->rows[results->count++];
    *row = (struct benchmark_row){.part = part,
                                  .accuracy = accuracy,
                                  .expected = expected,
                                  .ties = counts.ties,
                                  .truncated = counts.truncated,
                                  .lost_shots = counts.lost_shots,
                                  .normalize = protocol->normalize};
    make_name(task, alias, row->name);
    snprintf(row->alias, sizeof row->alias, "%s", *alias ? alias : task);
    if (out)
        *out = row;
    return STATUS_OK;
}

void benchmark_free(struct benchmark_results *results)
{
    free(results->rows);
    *results = (struct benchmark_results){0};
}

void benchmark_print(const struct benchmark_results *results, FILE *report)
{
    char error[ESTIMATE_ERROR_BYTES];
    utf8_print(report, "%-32s %-9s %8s %8s %7s %8s %6s %8s %9s %6s\n", "", "normalize", "accuracy", "stderr", "n",
               "expected", "ties", "failures", "truncated", "lost");
    for (int64_t i = 0; i < results->count; i++) {
        const struct benchmark_row *row = &results->rows[i];
        utf8_print(report, "%s%-*s %-9s %8.4f %8s %7lld %8lld %6lld %8lld %9lld %6lld\n", row->part ? "  " : "",
                   row->part ? 30 : 32, row->alias, normalizations[row->normalize], row->accuracy.value,
                   estimate_error_text(row->accuracy, error), (long long)row->accuracy.n, (long long)row->expected,
                   (long long)row->ties, (long long)row->failures, (long long)row->truncated,
                   (long long)row->lost_shots);
        if (row->clusters > 0)
            utf8_print(report, "  standard error over %lld clusters of items\n", (long long)row->clusters);
    }
}

/* ---- files ---- */

/* Adds a row to what is known of its name under other normalizations; false: no memory. */
static bool add_metrics(json_t *results, const struct benchmark_row *row)
{
    char key[3][48];
    const char *filter = normalizations[row->normalize];
    static const char *const names[3] = {"acc", "acc_stderr", "ties"};
    json_t *known = json_object_get(results, row->name);
    if (!known) {
        known =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "alias", row->alias, "sample_len", (json_int_t)row->accuracy.n,
                      "expected", (json_int_t)row->expected, "failures", (json_int_t)row->failures, "truncated",
                      (json_int_t)row->truncated, "lost_shots", (json_int_t)row->lost_shots);
        if (json_object_set_new(results, row->name, known) != 0 ||
            (row->clusters > 0 && json_object_set_new(known, "clusters", json_integer(row->clusters)) != 0))
            return false;
    }
    for (int i = 0; i < 3; i++)
        snprintf(key[i], sizeof key[i], "%s,%s", names[i], filter);
    return json_object_set_new(known, key[0], jdoc_number(row->accuracy.value)) == 0 &&
           json_object_set_new(known, key[1], jdoc_number(row->accuracy.standard_error)) == 0 &&
           json_object_set_new(known, key[2], json_integer(row->ties)) == 0;
}

/* Sets object[name] = value, which it takes over; false when there was no memory for one of them. */
static bool put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

/* What is known of a row that is a task. */
static bool add_task(json_t *const objects[6], const struct score_protocol *protocol, int64_t shots,
                     const struct benchmark_row *row)
{
    return put(objects[1], row->name,
               json_pack("{s:s, s:o}", "task", row->name, "protocol", protocol_json(protocol))) &&
           put(objects[2], row->name, json_integer(1)) && put(objects[3], row->name, json_integer(shots)) &&
           put(objects[4], row->name, json_pack("{s:b}", "acc", 1)) &&
           put(objects[5], row->name,
               json_pack("{s:I, s:I}", "original", (json_int_t)row->expected, "effective",
                         (json_int_t)row->accuracy.n));
}

/* Groups as lm-evaluation-harness shows them: their numbers once more, and the names of what belongs to each. */
static bool add_groups(json_t *root, json_t *results, const struct benchmark_results *rows)
{
    json_t *groups = json_object(), *members = json_object();
    bool done = put(root, "groups", groups) && put(root, "group_subtasks", members);
    for (int64_t i = 0; done && i < rows->count; i++) {
        const struct benchmark_row *row = &rows->rows[i];
        if (row->group) {
            done = json_object_set(groups, row->name, json_object_get(results, row->name)) == 0;
            if (done && !json_object_get(members, row->name))
                done = put(members, row->name, json_array());
        }
    }
    for (int64_t i = 0; done && i < rows->count; i++) {
        const struct benchmark_row *row = &rows->rows[i];
        if (row->member_of[0] && row->normalize == rows->rows[0].normalize)
            done = json_array_append_new(json_object_get(members, row->member_of), json_string(row->name)) == 0;
    }
    return done;
}

static bool add_rows(json_t *root, const struct score_protocol *protocol, int64_t shots,
                     const struct benchmark_results *results)
{
    static const char *const names[] = {"results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"};
    json_t *objects[6];
    bool done = true;
    for (int i = 0; i < 6; i++) {
        objects[i] = json_object();
        done = done && put(root, names[i], objects[i]);
    }
    for (int64_t i = 0; done && i < results->count; i++) {
        const struct benchmark_row *row = &results->rows[i];
        done = add_metrics(objects[0], row);
        if (!row->part || row->member_of[0])
            done = done && add_task(objects, protocol, shots, row);
    }
    return done && add_groups(root, objects[0], results);
}

static json_t *results_json(const struct benchmark_subject *subject, const struct benchmark_results *results)
{
    json_t *root = json_object();
    json_t *fingerprints =
        subject->fingerprints ? json_incref((json_t *)(uintptr_t)subject->fingerprints) : json_object();
    json_t *inputs = subject->inputs ? json_incref((json_t *)(uintptr_t)subject->inputs) : json_object();
    bool done =
        root && add_rows(root, subject->protocol, subject->shots, results) &&
        put(root, "config", json_pack("{s:s, s:s}", "model", subject->model, "checkpoint", subject->checkpoint)) &&
        put(root, "protocol", protocol_json(subject->protocol)) &&
        put(root, "archive",
            json_pack("{s:s, s:s}", "path", subject->archive, "identity", subject->archive_identity)) &&
        put(root, "inputs", inputs) && put(root, "fingerprints", fingerprints);
    if (!done) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static enum status write_text(const char *folder, const char *kind, const char *task, const char *ending,
                              const char *text, size_t size)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%s_%s.%s", folder, kind, task, ending);
    return result == STATUS_OK ? atomic_write(path, text, (int64_t)size) : result;
}

static enum status print_line(FILE *stream, json_t *json)
{
    char *text = json ? jdoc_text(json, 0) : NULL;
    bool done = text && fputs(text, stream) >= 0;
    free(text);
    json_decref(json);
    return done ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the samples");
}

static enum status write_samples(const char *folder, const struct benchmark_subject *subject,
                                 const struct choice_set *set)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for the samples");
    TRY(print_line(stream, json_pack("{s:s, s:s, s:o, s:b, s:I, s:I, s:I}", "task", subject->task, "rule",
                                     subject->rule, "protocol", protocol_json(subject->protocol), "pmi", subject->pmi,
                                     "items", (json_int_t)set->count, "expected", (json_int_t)subject->expected,
                                     "failures", (json_int_t)subject->failures)));
    for (int64_t i = 0; i < set->count; i++)
        TRY(print_line(stream, choice_item_json(&set->items[i])));
fail:
    if (fclose(stream) != 0 && result == STATUS_OK)
        result = status_set(STATUS_INTERNAL, "no memory for the samples");
    if (result == STATUS_OK)
        result = write_text(folder, "samples", subject->task, "jsonl", text, size);
    free(text);
    return result;
}

enum status benchmark_write(const char *folder, const struct benchmark_subject *subject,
                            const struct benchmark_results *results, const struct choice_set *set)
{
    enum status result = STATUS_OK;
    json_t *root = results_json(subject, results);
    char *text = root ? jdoc_text(root, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the results, or a path is not UTF-8");
    TRY(make_directories(folder));
    if (set)
        TRY(write_samples(folder, subject, set));
    TRY(write_text(folder, "results", subject->task, "json", text, strlen(text)));
fail:
    free(text);
    json_decref(root);
    return result;
}

enum status benchmark_replace(json_t *root, const struct score_protocol *protocol,
                              const struct benchmark_results *results)
{
    const json_t *shots = json_object_iter_value(json_object_iter(json_object_get(root, "n-shot")));
    int64_t count = json_is_integer(shots) ? json_integer_value(shots) : 0;
    if (!add_rows(root, protocol, count, results) || !put(root, "protocol", protocol_json(protocol)))
        return status_set(STATUS_INTERNAL, "no memory for the results");
    return STATUS_OK;
}
