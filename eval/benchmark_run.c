/* From an archive to a results file, but for what is particular to a benchmark. */
#include "eval/benchmark_run.h"

#include "core/utf8.h"
#include "io/atomic_file.h"
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
    TRY(score_protocols(task->score, natural, &run->protocols));
    const char *name = protocol_name(task->score->protocol);
    run->cuts = name && !strcmp(name, "lm-eval");
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
    return recordings_encode(run->task->components, run->task->units, run->archive, run->wanted, &run->units);
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

int64_t benchmark_run_context(const struct benchmark_run *run)
{
    return run->task->model->config.maximum_positions;
}

enum status benchmark_run_add_choices(struct benchmark_run *run, const char *id, json_t *document,
                                      const struct side *context, const struct side *sides, int64_t count,
                                      int64_t answer)
{
    enum status result = STATUS_OK;
    const struct score_protocol *protocol = &run->protocols.items[0];
    struct choice_item *item;
    TRY(choice_set_add(&run->set, id, document, answer, count, &item));
    bool drop_eos = !protocol->eos && run->task->components->vocabulary.eos >= 0;
    for (int64_t c = 0; c < count; c++) {
        struct choice *choice = &item->choices[c];
        TRY(hypothesis_build(run->task->components, protocol, context, &sides[c], run->protocols.pmi, choice));
        if (run->cuts)
            TRY(choice_cut(item, choice, benchmark_run_context(run), drop_eos));
    }
fail:
    return result == STATUS_OK ? result : status_prefix(result, "%s: %s", archive_path(run->archive), id);
}

enum status benchmark_run_add(struct benchmark_run *run, const char *id, json_t *document, const struct side *context,
                              const struct side *right, const struct side *wrong)
{
    const struct side sides[2] = {*right, *wrong};
    return benchmark_run_add_choices(run, id, document, context, sides, 2, 0);
}

/* ---- results ---- */

static enum status report(struct benchmark_run *run, const struct report_input *input)
{
    enum status result = STATUS_OK;
    const struct score_protocols *protocols = &run->protocols;
    for (int i = 0; i < protocols->count; i++)
        TRY(report_make(input, &protocols->items[i], &run->results));
    benchmark_print(&run->results, run->task->report);
    TRY(make_directories(run->task->out));
    TRY(report_write_tables(input, &protocols->items[0], run->task->out));
fail:
    return result;
}

enum status benchmark_run_finish(struct benchmark_run *run, const struct benchmark_outcome *outcome)
{
    enum status result = STATUS_OK;
    const struct task *task = run->task;
    char identity[65];
    const struct report_input input = {.rule = outcome->rule,
                                       .task = outcome->name,
                                       .set = &run->set,
                                       .expected = outcome->expected,
                                       .failures = outcome->failures};
    TRY(choices_score(task->model, &task->components->vocabulary, &run->set));
    TRY(report(run, &input));
    archive_identity(run->archive, identity);
    const struct benchmark_subject subject = {.task = outcome->name,
                                              .model = task->model_name,
                                              .checkpoint = task->checkpoint,
                                              .components = task->components,
                                              .protocol = &run->protocols.items[0],
                                              .pmi = run->protocols.pmi,
                                              .rule = report_rule_name(outcome->rule),
                                              .expected = outcome->expected,
                                              .failures = outcome->failures,
                                              .shots = outcome->shots,
                                              .archive = archive_path(run->archive),
                                              .archive_identity = identity};
    TRY(benchmark_write(task->out, &subject, &run->results, &run->set));
    snprintf(task->outcome->headline, sizeof task->outcome->headline, "accuracy %.4f, n = %lld",
             run->results.rows[0].accuracy.value, (long long)run->results.rows[0].accuracy.n);
    task->outcome->holds = true;
fail:
    return result;
}
