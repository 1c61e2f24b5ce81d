/* The task salmon: of two recordings the natural one should be likelier, for each part of the benchmark. Its overall number is the plain mean
 * of the parts. */
#include "eval/task.h"

#include "eval/benchmark_run.h"
#include "eval/zero_shot/salmon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_part(const struct salmon_pair *a, const struct salmon_pair *b)
{
    return a->part_length == b->part_length && !strncmp(a->part, b->part, (size_t)a->part_length);
}

static bool part_wanted(const struct config_list *parts, const struct salmon_pair *pair)
{
    for (int64_t i = 0; i < parts->count; i++)
        if ((int64_t)strlen(parts->items[i]) == pair->part_length &&
            !strncmp(parts->items[i], pair->part, (size_t)pair->part_length))
            return true;
    return parts->count == 0;
}

/* Keeps the parts of evaluate.parts, and of each the first pairs of evaluate.limit. */
static enum status choose_pairs(const struct benchmark_run *run, struct salmon *salmon)
{
    int64_t kept = 0, in_part = 0, limit = run->task->evaluate->limit;
    for (int64_t i = 0; i < salmon->count; i++) {
        const struct salmon_pair *pair = &salmon->pairs[i];
        if (!part_wanted(&run->task->evaluate->parts, pair))
            continue;
        in_part = kept > 0 && same_part(&salmon->pairs[kept - 1], pair) ? in_part + 1 : 1;
        if (limit == 0 || in_part <= limit)
            salmon->pairs[kept++] = *pair;
    }
    salmon->count = kept;
    return kept > 0
               ? STATUS_OK
               : status_set(STATUS_USAGE, "evaluate.parts: %s has none of these parts", archive_path(run->archive));
}

static enum status add_pairs(struct benchmark_run *run, const struct salmon *salmon)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < salmon->count; i++)
        for (int side = 0; side < 2; side++)
            run->wanted[salmon->pairs[i].members[side]] = true;
    TRY(benchmark_run_encode(run));
    for (int64_t i = 0; i < salmon->count; i++) {
        const struct salmon_pair *pair = &salmon->pairs[i];
        const struct side natural = speech_side(&run->units[pair->members[0]]);
        const struct side disturbed = speech_side(&run->units[pair->members[1]]);
        char id[512];
        snprintf(id, sizeof id, "%.*s/%lld", (int)pair->part_length, pair->part, (long long)pair->number);
        json_t *document =
            json_pack("{s:s%, s:I}", "part", pair->part, (size_t)pair->part_length, "number", (json_int_t)pair->number);
        TRY(benchmark_run_add(run, id, document, NULL, &natural, &disturbed));
    }
fail:
    return result;
}

enum status task_salmon(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct benchmark_run run = {0};
    struct salmon salmon = {0};
    TRY(benchmark_run_open(task, path, SCOPE_WHOLE, &run));
    TRY(salmon_read(path, run.names, run.count, benchmark_run_skips(&run), &salmon));
    TRY(choose_pairs(&run, &salmon));
    TRY(add_pairs(&run, &salmon));
    TRY(benchmark_run_finish(&run, &(struct benchmark_outcome){.name = "salmon",
                                                               .rule = REPORT_PARTS,
                                                               .expected = salmon.count + salmon.lone,
                                                               .failures = salmon.lone}));
fail:
    salmon_free(&salmon);
    benchmark_run_free(&run);
    return result;
}
