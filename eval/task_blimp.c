/* The task blimp: of two sentences of BLiMP (Warstadt et al. 2020) the grammatical one should be likelier. Files data/UID.jsonl
 * with "sentence_good" and "sentence_bad"; the number is the mean over the files. */
#include "eval/task.h"

#include "core/path.h"
#include "eval/benchmark_run.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

static enum status add_line(struct benchmark_run *run, const char *part, const char *where, int64_t number,
                            const json_t *line)
{
    enum status result = STATUS_OK;
    const char *good, *bad;
    char id[256];
    TRY(jdoc_get_string(where, line, "sentence_good", &good));
    TRY(jdoc_get_string(where, line, "sentence_bad", &bad));
    snprintf(id, sizeof id, "%s/%lld", part, (long long)number);
    const struct side sides[2] = {{.text = good}, {.text = bad}};
    TRY(benchmark_run_add(run, id, json_pack("{s:s, s:s, s:s}", "part", part, "good", good, "bad", bad), NULL,
                          &sides[0], &sides[1]));
fail:
    return result;
}

static enum status add_file(struct benchmark_run *run, int64_t member)
{
    enum status result = STATUS_OK;
    const char *name = run->names[member], *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    char where[PATH_BYTES], place[PATH_BYTES + 32], part[128];
    void *data = NULL;
    json_t *line = NULL;
    int64_t size, number = 0, limit = run->task->evaluate->limit;
    snprintf(part, sizeof part, "%.*s", (int)(strrchr(base, '.') - base), base);
    TRY(path_format(where, "%s: %s", archive_path(run->archive), name));
    TRY(archive_read(run->archive, member, FILE_LIMIT, &data, &size));
    char *text = data;
    for (char *at = text, *end; at < text + size && (limit == 0 || number < limit); at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + size - at));
        end = end ? end : text + size;
        if (end == at)
            continue;
        snprintf(place, sizeof place, "%s:%lld", where, (long long)++number);
        TRY(jdoc_parse(place, at, end - at, &line));
        TRY(add_line(run, part, place, number - 1, line));
        json_decref(line);
        line = NULL;
    }
fail:
    json_decref(line);
    free(data);
    return result;
}

enum status task_blimp(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct benchmark_run run = {0};
    TRY(benchmark_run_open(task, path, SCOPE_WHOLE, &run));
    for (int64_t i = 0; i < run.count; i++) {
        const char *ending = strrchr(run.names[i], '.');
        if (ending && !strcmp(ending, ".jsonl"))
            TRY(add_file(&run, i));
    }
    if (run.set.count == 0)
        FAIL(STATUS_CORRUPT, "%s: there is no UID.jsonl with sentences in it", path);
    TRY(benchmark_run_finish(
        &run, &(struct benchmark_outcome){.name = "blimp", .rule = REPORT_PARTS, .expected = run.set.count}));
fail:
    benchmark_run_free(&run);
    return result;
}
