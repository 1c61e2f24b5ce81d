/* A file of samples begins with a line that says what its items are and how they were scored; the rules of eval/reports.h, which
 * made the numbers of the run, make the new ones from the items behind it. */
#include "eval/rescore.h"

#include "core/path.h"
#include "eval/samples.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = sizeof "samples_" - 1, SUFFIX = sizeof ".jsonl" - 1 };

/* ---- writing ---- */

static enum status write_results(const char *out, const struct samples *samples, const struct score_protocol *protocol,
                                 const struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    char *text = NULL;
    TRY(path_format(path, "%s/results_%s.json", out, samples->task));
    TRY(jdoc_read(path, &root));
    TRY(benchmark_replace(root, protocol, results));
    text = jdoc_text(root, 2);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the results of %s", samples->task);
    TRY(path_format(path, "%s/rescored_%s.json", out, samples->task));
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    free(text);
    json_decref(root);
    return result;
}

static enum status rescore_file(const char *out, const char *path, const struct score_settings *settings, bool named,
                                FILE *report)
{
    enum status result = STATUS_OK;
    struct samples samples = {0};
    struct score_protocols protocols;
    struct benchmark_results results = {0};
    TRY(samples_read(path, &samples));
    TRY(score_protocols_over(settings, named ? NULL : &samples.protocol, samples.protocol.scope, &protocols));
    const struct report_input input = {.rule = samples.rule,
                                       .task = samples.task,
                                       .set = &samples.set,
                                       .expected = samples.expected,
                                       .failures = samples.failures};
    for (int i = 0; i < protocols.count; i++) {
        TRY(protocol_check_rescore(&samples.protocol, samples.pmi, &protocols.items[i]));
        TRY(report_make(&input, &protocols.items[i], &results));
    }
    benchmark_print(&results, report);
    TRY(write_results(out, &samples, &protocols.items[0], &results));
fail:
    if (result == STATUS_USAGE)
        status_prefix(result, "%s", path);
    benchmark_free(&results);
    samples_free(&samples);
    return result;
}

/* ---- all files of a folder ---- */

/* Whether the file begins with the line of a benchmark: other tasks leave samples too. */
static bool is_benchmark(const char *path)
{
    char line[4096] = "";
    FILE *file = fopen(path, "r");
    bool found = file && fgets(line, sizeof line, file) && strstr(line, "\"rule\"") && strstr(line, "\"protocol\"");
    if (file)
        fclose(file);
    return found;
}

static int is_samples(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > PREFIX + SUFFIX && !strncmp(entry->d_name, "samples_", PREFIX) &&
           !strcmp(entry->d_name + length - SUFFIX, ".jsonl");
}

enum status rescore(const char *out, const struct score_settings *settings, bool named, FILE *report)
{
    enum status result = STATUS_OK;
    struct dirent **entries = NULL;
    int count = scandir(out, &entries, is_samples, alphasort), done = 0;
    if (count < 0)
        return status_set(STATUS_USAGE, "%s: cannot be read as a folder of results", out);
    for (int i = 0; i < count && result == STATUS_OK; i++) {
        char path[PATH_BYTES];
        result = path_format(path, "%s/%s", out, entries[i]->d_name);
        if (result != STATUS_OK || !is_benchmark(path))
            continue;
        result = rescore_file(out, path, settings, named, report);
        done++;
    }
    if (result == STATUS_OK && done == 0)
        result = status_set(STATUS_USAGE, "%s: there are no samples of a benchmark (samples_TASK.jsonl) in it", out);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}
