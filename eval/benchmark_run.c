/* From an archive to a results file, but for what is particular to a benchmark. */
#include "eval/benchmark_run.h"

#include "core/utf8.h"
#include "text/white_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 16 << 20 }; /* bytes of a member that is a text */

enum status benchmark_run_open(const struct task *task, const char *path, enum score_scope natural,
                               struct benchmark_run *run)
{
    enum status result = STATUS_OK;
    *run = (struct benchmark_run){.task = task};
    TRY(score_protocol(task->score, natural, &run->protocol));
    TRY(archive_open(path, &run->archive));
    run->count = archive_count(run->archive);
    run->names = calloc((size_t)run->count + 1, sizeof(char *));
    run->wanted = calloc((size_t)run->count + 1, sizeof *run->wanted);
    if (!run->names || !run->wanted)
        FAIL(STATUS_INTERNAL, "no memory for %lld members of %s", (long long)run->count, path);
    for (int64_t i = 0; i < run->count; i++)
        run->names[i] = archive_name(run->archive, i);
fail:
    return result;
}

void benchmark_run_free(struct benchmark_run *run)
{
    benchmark_free(&run->results);
    choice_set_free(&run->set);
    unit_ids_free(run->units, run->count);
    free(run->names);
    free(run->wanted);
    archive_close(run->archive);
    *run = (struct benchmark_run){0};
}

bool benchmark_run_skips(const struct benchmark_run *run)
{
    return run->task->evaluate->incomplete == INCOMPLETE_SKIP;
}

int64_t benchmark_run_limit(const struct benchmark_run *run, int64_t count)
{
    int64_t limit = run->task->evaluate->limit;
    return limit > 0 && limit < count ? limit : count;
}

/* ---- sides ---- */

enum status benchmark_run_encode(struct benchmark_run *run)
{
    return recordings_encode(run->task->components, run->archive, run->wanted, &run->units);
}

struct side speech_side(const struct unit_ids *units)
{
    return (struct side){.units = units->ids, .unit_count = units->count};
}

enum status benchmark_run_text(const struct benchmark_run *run, int64_t member, char **out)
{
    enum status result = STATUS_OK;
    void *data = NULL;
    char *text = NULL;
    int64_t size, begin = 0;
    TRY(archive_read(run->archive, member, TEXT_LIMIT, &data, &size));
    text = data;
    for (int64_t i = 0; i < size;) {
        size_t length = utf8_character(text + i, (size_t)(size - i));
        if (length == 0 || text[i] == 0)
            FAIL(STATUS_CORRUPT, "%s: %s: byte %lld is not UTF-8", archive_path(run->archive), run->names[member],
                 (long long)i);
        i += (int64_t)length;
    }
    trim_white_space(text, &begin, &size);
    memmove(text, text + begin, (size_t)(size - begin));
    text[size - begin] = 0;
    *out = text;
    return STATUS_OK;
fail:
    free(data);
    return result;
}

enum status benchmark_run_add(struct benchmark_run *run, const char *id, json_t *document, const struct side *context,
                              const struct side *right, const struct side *wrong)
{
    enum status result = STATUS_OK;
    bool pmi = run->protocol.normalize == NORMALIZE_PMI && context;
    struct choice_item *item;
    TRY(choice_set_add(&run->set, id, document, 0, 2, &item));
    TRY(hypothesis_build(run->task->components, &run->protocol, context, right, pmi, &item->choices[0]));
    TRY(hypothesis_build(run->task->components, &run->protocol, context, wrong, pmi, &item->choices[1]));
fail:
    return result == STATUS_OK ? result : status_prefix(result, "%s: %s", archive_path(run->archive), id);
}

/* ---- scores ---- */

enum status benchmark_run_score(struct benchmark_run *run)
{
    return choices_score(run->task->model, &run->task->components->vocabulary, &run->set);
}

enum status benchmark_run_decide(const struct benchmark_run *run, int64_t first, int64_t count, double *won,
                                 int64_t *ties)
{
    enum status result = STATUS_OK;
    *ties = 0;
    for (int64_t i = 0; i < count; i++) {
        bool tied;
        TRY(choice_decide(&run->set.items[first + i], &run->protocol, &won[i], &tied));
        *ties += tied;
    }
fail:
    return result;
}

enum status benchmark_run_finish(const struct benchmark_run *run, const char *name, const json_t *inputs)
{
    const struct task *task = run->task;
    char identity[65];
    archive_identity(run->archive, identity);
    const struct benchmark_subject subject = {.task = name,
                                              .model = task->model_name,
                                              .checkpoint = task->checkpoint,
                                              .components = task->components,
                                              .protocol = &run->protocol,
                                              .pmi = run->protocol.normalize == NORMALIZE_PMI,
                                              .archive = archive_path(run->archive),
                                              .archive_identity = identity,
                                              .inputs = inputs};
    benchmark_print(&run->results, &run->protocol, task->report);
    snprintf(task->outcome->headline, sizeof task->outcome->headline, "accuracy %.4f, n = %lld",
             run->results.rows[0].accuracy.value, (long long)run->results.rows[0].accuracy.n);
    task->outcome->holds = true;
    return benchmark_write(task->out, &subject, &run->results, &run->set);
}
