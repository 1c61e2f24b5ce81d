/* Rows are collected first, so that the page and the text say the same. */
#include "eval/comparison.h"

#include "core/array.h"
#include "core/path.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Per cent, of Spirit LM Base and Expressive (Nguyen et al. 2024). The paper does not say whether sLM21's are of dev or of test. */
static const struct {
    const char *name;
    double base, expressive;
} published[] = {
    {"swuggy_dev", 69.0, 65.0},
    {"swuggy_test", 69.0, 65.0},
    {"sblimp_dev", 58.3, 54.2},
    {"sblimp_test", 58.3, 54.2},
    {"wuggy_text_dev", 80.3, 75.8},
    {"wuggy_text_test", 80.3, 75.8},
    {"blimp_text_dev", 73.3, 73.6},
    {"blimp_text_test", 73.3, 73.6},
    {"topic_storycloze_t", 98.0, 97.9},
    {"topic_storycloze_s", 82.9, 75.4},
    {"topic_storycloze_ts", 72.7, 61.6},
    {"topic_storycloze_st", 88.6, 73.2},
    {"storycloze_t", 79.4, 78.9},
    {"storycloze_s", 61.0, 56.9},
    {"storycloze_ts", 59.5, 54.6},
    {"storycloze_st", 64.6, 58.8},
    {"mmlu_test", 36.9, 33.3},
    {"asr_test-clean", 21.9, NAN},
    {"asr_test-other", 29.2, NAN},
    {"intent_test", 71.9, NAN},
    {"stsp_test_t2t_0", 65, 63},
    {"stsp_test_t2s_0", 33, 38},
    {"stsp_test_s2s_0", 33, 54},
    {"stsp_test_s2t_0", 34, 36},
    {"stsp_test_mean_of_directions_0", 41, 48},
    {"stsp_test_t2t_9", NAN, 64},
    {"stsp_test_t2s_9", NAN, 38},
    {"stsp_test_s2s_9", NAN, 40},
    {"stsp_test_s2t_9", NAN, 37},
    {"stsp_test_mean_of_directions_9", NAN, 45},
};

/* What a task may have measured: accuracies, and rates of errors, of which the smaller are the better. */
static const struct {
    const char *key, *name;
} measures[] = {{"acc", "accuracy"}, {"exact_match", "exact match"}, {"wer", "WER"}, {"cer", "CER"}};
enum { MEASURES = sizeof measures / sizeof *measures };

struct row {
    char folder[256], task[128], normalize[16];
    const char *measure;
    double value, error; /* error: NAN where there is none */
    int64_t n, expected, ties;
};

struct table {
    struct row *rows;
    int64_t count, capacity;
};

/* ---- reading ---- */

static enum status add_row(struct table *table, const char *folder, const char *task, int measure,
                           const char *normalize, const json_t *metrics)
{
    char key[3][64];
    enum status result = array_grow(&table->rows, &table->capacity, table->count + 1, "rows");
    if (result != STATUS_OK)
        return result;
    snprintf(key[0], sizeof key[0], "%s,%s", measures[measure].key, normalize);
    snprintf(key[1], sizeof key[1], "%s_stderr,%s", measures[measure].key, normalize);
    snprintf(key[2], sizeof key[2], "ties,%s", normalize);
    struct row *row = &table->rows[table->count++];
    const json_t *error = json_object_get(metrics, key[1]);
    *row = (struct row){.measure = measures[measure].name,
                        .value = json_number_value(json_object_get(metrics, key[0])),
                        .error = json_is_number(error) ? json_number_value(error) : NAN,
                        .n = json_integer_value(json_object_get(metrics, "sample_len")),
                        .expected = json_integer_value(json_object_get(metrics, "expected")),
                        .ties = json_integer_value(json_object_get(metrics, key[2]))};
    snprintf(row->folder, sizeof row->folder, "%s", folder);
    snprintf(row->task, sizeof row->task, "%s", task);
    snprintf(row->normalize, sizeof row->normalize, "%s", normalize);
    return STATUS_OK;
}

/* Of "wer,none"; -1: a key of another kind, such as "wer_stderr,none". Means of items' own rates are left out. */
static int find_measure(const char *key)
{
    size_t length = strcspn(key, ",");
    if (!key[length] || !strcmp(key + length, ",mean"))
        return -1;
    for (int m = 0; m < MEASURES; m++)
        if (strlen(measures[m].key) == length && !strncmp(key, measures[m].key, length))
            return m;
    return -1;
}

/* The tasks of a file, but not their parts: those that "configs" names. */
static enum status add_file(struct table *table, const char *folder, const json_t *root)
{
    enum status result = STATUS_OK;
    const char *task, *key;
    json_t *config, *value;
    json_object_foreach(json_object_get(root, "configs"), task, config)
    {
        json_t *metrics = json_object_get(json_object_get(root, "results"), task);
        json_object_foreach(metrics, key, value)
        {
            int measure = find_measure(key);
            if (measure >= 0 && json_is_number(value))
                TRY(add_row(table, folder, task, measure, strchr(key, ',') + 1, metrics));
        }
    }
fail:
    return result;
}

static int is_results(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return !strncmp(entry->d_name, "results_", 8) && length > 13 && !strcmp(entry->d_name + length - 5, ".json");
}

static enum status add_folder(struct table *table, const char *folder)
{
    enum status result = STATUS_OK;
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_results, alphasort);
    if (count < 0)
        return status_set(STATUS_USAGE, "%s: cannot be read as a folder of results", folder);
    for (int i = 0; i < count && result == STATUS_OK; i++) {
        char path[PATH_BYTES];
        json_t *root = NULL;
        result = path_format(path, "%s/%s", folder, entries[i]->d_name);
        if (result == STATUS_OK)
            result = jdoc_read(path, &root);
        if (result == STATUS_OK)
            result = add_file(table, folder, root);
        json_decref(root);
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}

/* ---- writing ---- */

static const char *const header[] = {
    "results",  "task", "measure",        "normalize",           "%", "standard error", "n",
    "expected", "ties", "published Base", "published Expressive"};
enum { COLUMNS = sizeof header / sizeof *header, CELL = 264 };

static void make_cells(const struct row *row, char cells[COLUMNS][CELL])
{
    memset(cells, 0, COLUMNS * CELL);
    snprintf(cells[0], CELL, "%s", row->folder);
    snprintf(cells[1], CELL, "%s", row->task);
    snprintf(cells[2], CELL, "%s", row->measure);
    snprintf(cells[3], CELL, "%s", strcmp(row->normalize, "none") ? row->normalize : "");
    snprintf(cells[4], CELL, "%.2f", 100 * row->value);
    if (!isnan(row->error))
        snprintf(cells[5], CELL, "%.2f", 100 * row->error);
    snprintf(cells[6], CELL, "%lld", (long long)row->n);
    snprintf(cells[7], CELL, "%lld", (long long)row->expected);
    snprintf(cells[8], CELL, "%lld", (long long)row->ties);
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (!strcmp(published[i].name, row->task) && strcmp(row->measure, "CER") != 0) {
            if (!isnan(published[i].base))
                snprintf(cells[9], CELL, "%.1f", published[i].base);
            if (!isnan(published[i].expressive))
                snprintf(cells[10], CELL, "%.1f", published[i].expressive);
        }
}

static void put_markdown(const struct table *table, FILE *out)
{
    char cells[COLUMNS][CELL];
    for (int c = 0; c < COLUMNS; c++)
        fprintf(out, "| %s ", header[c]);
    fputs("|\n", out);
    for (int c = 0; c < COLUMNS; c++)
        fputs(c < 4 ? "|---" : "|---:", out);
    fputs("|\n", out);
    for (int64_t r = 0; r < table->count; r++) {
        make_cells(&table->rows[r], cells);
        for (int c = 0; c < COLUMNS; c++)
            utf8_print(out, "| %s ", cells[c]);
        fputs("|\n", out);
    }
}

static void put_escaped(const char *text, FILE *out)
{
    for (; *text; text++)
        if (*text == '<' || *text == '>' || *text == '&')
            fputs(*text == '<' ? "&lt;" : *text == '>' ? "&gt;" : "&amp;", out);
        else
            fputc(*text, out);
}

static void put_page(const struct table *table, FILE *out)
{
    char cells[COLUMNS][CELL];
    fputs("<!doctype html>\n<meta charset=\"utf-8\">\n<title>Benchmarks</title>\n<style>body{font:15px "
          "sans-serif;margin:2em}"
          "td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right}td:nth-child(-n+4),th:nth-child(-n+4)"
          "{text-align:left}</style>\n<h1>Benchmarks</h1>\n<table>\n<tr>",
          out);
    for (int c = 0; c < COLUMNS; c++)
        fprintf(out, "<th>%s", header[c]);
    for (int64_t r = 0; r < table->count; r++) {
        fputs("\n<tr>", out);
        make_cells(&table->rows[r], cells);
        for (int c = 0; c < COLUMNS; c++) {
            fputs("<td>", out);
            put_escaped(cells[c], out);
        }
    }
    fputs("\n</table>\n<p>Published: Spirit LM, per cent. It is not said whether sWUGGY's and sBLIMP's are of dev or "
          "of test.</p>\n",
          out);
}

static enum status write_file(const char *folder, const char *name, const struct table *table,
                              void (*put)(const struct table *table, FILE *out))
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "no memory for %s", name);
    put(table, out);
    bool broken = ferror(out) != 0;
    if (fclose(out) != 0 || broken)
        FAIL(STATUS_INTERNAL, "no memory for %s", name);
    TRY(path_format(path, "%s/%s", folder, name));
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    free(text);
    return result;
}

enum status comparison_write(const char *const *folders, int64_t count, FILE *report)
{
    enum status result = STATUS_OK;
    struct table table = {0};
    for (int64_t i = 0; i < count; i++)
        TRY(add_folder(&table, folders[i]));
    if (table.count == 0)
        FAIL(STATUS_USAGE, "%s: there are no results of a benchmark (results_TASK.json) in it", folders[0]);
    put_markdown(&table, report);
    TRY(write_file(folders[0], "report.md", &table, put_markdown));
    TRY(write_file(folders[0], "report.html", &table, put_page));
fail:
    free(table.rows);
    return result;
}
