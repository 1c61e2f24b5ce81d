/* The task storycloze-text: the written StoryCloze (Mostafazadeh et al. 2016), four sentences and two endings, from its table as its authors send it. */
#include "eval/task.h"

#include "core/path.h"
#include "eval/benchmark_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_LIMIT = 256 << 20, SENTENCES = 4, COLUMNS = 8 };

/* Which columns have what, in the order: id, sentences, endings, the number of the right one. */
static const char *const columns[COLUMNS] = {
    "InputStoryid",   "InputSentence1",           "InputSentence2",           "InputSentence3",
    "InputSentence4", "RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2", "AnswerRightEnding"};

/* The one table in the archive; a second one would be another set. */
static enum status find_table(const struct benchmark_run *run, int64_t *member)
{
    *member = -1;
    for (int64_t i = 0; i < run->count; i++) {
        const char *ending = strrchr(run->names[i], '.');
        if (!ending || (strcmp(ending, ".csv") != 0 && strcmp(ending, ".tsv") != 0))
            continue;
        if (*member >= 0)
            return status_set(STATUS_CORRUPT, "%s: expected one table, found %s and %s", archive_path(run->archive),
                              run->names[*member], run->names[i]);
        *member = i;
    }
    return *member >= 0
               ? STATUS_OK
               : status_set(STATUS_CORRUPT, "%s: there is no .csv and no .tsv in it", archive_path(run->archive));
}

static enum status read_table(const struct benchmark_run *run, struct csv *table, int64_t places[COLUMNS])
{
    enum status result = STATUS_OK;
    int64_t member, size;
    char where[PATH_BYTES];
    void *data = NULL;
    TRY(find_table(run, &member));
    TRY(path_format(where, "%s: %s", archive_path(run->archive), run->names[member]));
    TRY(archive_read(run->archive, member, TABLE_LIMIT, &data, &size));
    char separator = strcmp(strrchr(run->names[member], '.'), ".tsv") == 0 ? '\t' : ',';
    TRY(csv_parse(where, data, size, (struct csv_format){separator, true}, table));
    for (int c = 0; c < COLUMNS; c++)
        TRY(csv_column(table, columns[c], &places[c]));
fail:
    return result;
}

static enum status add_story(struct benchmark_run *run, const struct csv *table, int64_t row,
                             const int64_t places[COLUMNS])
{
    enum status result = STATUS_OK;
    const char *fields[COLUMNS];
    char *context = NULL;
    for (int c = 0; c < COLUMNS; c++)
        fields[c] = csv_field(table, row, places[c]);
    const char *answer = fields[COLUMNS - 1];
    if (strcmp(answer, "1") != 0 && strcmp(answer, "2") != 0)
        FAIL(STATUS_CORRUPT, "%s:%lld: expected the right ending 1 or 2, found \"%.40s\"", table->where,
             (long long)csv_line(table, row), answer);
    if (asprintf(&context, "%s %s %s %s", fields[1], fields[2], fields[3], fields[4]) < 0) {
        context = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a story");
    }
    const struct side before = {.text = context}, sides[2] = {{.text = fields[5]}, {.text = fields[6]}};
    TRY(benchmark_run_add_choices(run, fields[0], json_pack("{s:s}", "story", fields[0]), &before, sides, 2,
                                  *answer - '1'));
fail:
    free(context);
    return result;
}

enum status task_story_text(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct benchmark_run run = {0};
    struct csv table = {0};
    int64_t places[COLUMNS];
    TRY(benchmark_run_open(task, path, SCOPE_WHOLE, &run));
    TRY(read_table(&run, &table, places));
    int64_t count = benchmark_run_limit(&run, table.row_count);
    for (int64_t row = 0; row < count; row++)
        TRY(add_story(&run, &table, row, places));
    TRY(benchmark_run_finish(
        &run, &(struct benchmark_outcome){.name = "storycloze_text", .rule = REPORT_MEAN, .expected = count}));
fail:
    csv_free(&table);
    benchmark_run_free(&run);
    return result;
}
