/* Results are written when everything has been computed, each file atomically, so that a results file that exists is
 * complete. They contain the model, the inputs and all fingerprints beside the numbers: a number without them cannot be
 * compared with another. */
#include "eval/scoring/results.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status results_add(json_t *metrics, const char *name, struct estimate estimate)
{
    json_t *value = json_pack("{s:o, s:o, s:I}", "value", jdoc_number(estimate.value), "standard_error",
                              jdoc_number(estimate.standard_error), "n", (json_int_t)estimate.n);
    const char *caveat = isfinite(estimate.standard_error) ? estimate_caveat(estimate) : NULL; /* null says it */
    bool noted = !caveat || json_object_set_new(value, "note", json_string(caveat)) == 0;
    if (json_object_set_new(metrics, name, value) != 0 || !noted) /* takes no NULL */
        return status_set(STATUS_INTERNAL, "no memory for the result \"%s\"", name);
    return STATUS_OK;
}

enum status results_file_name(const char *task, const char *path, const char *ending, char *name, int64_t size)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *end = strrchr(base, '.');
    int length = end && end > base && !strcmp(end, ending) ? (int)(end - base) : (int)strlen(base);
    int used = snprintf(name, (size_t)size, "%s_%.*s", task, length, base);
    if (length == 0 || used < 0 || used >= size)
        return status_set(STATUS_USAGE, "%s: cannot make a name for the results of this path", path);
    return STATUS_OK;
}

static enum status write_file(const char *folder, const char *kind, const char *name, const char *ending,
                              const char *text, size_t size)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%s_%s.%s", folder, kind, name, ending);
    return result == STATUS_OK ? atomic_write(path, text, (int64_t)size) : result;
}

static enum status write_samples(const char *folder, const char *name, const json_t *samples)
{
    char *text = jdoc_lines(samples);
    if (!text)
        return status_set(STATUS_INTERNAL, "no memory for the samples");
    enum status result = write_file(folder, "samples", name, "jsonl", text, strlen(text));
    free(text);
    return result;
}

enum status results_write(const char *folder, const struct results_subject *subject, const json_t *metrics,
                          const json_t *samples)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    json_t *fingerprints = components_fingerprints_json(subject->components), *root = NULL;
    if (!fingerprints)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    root = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:O}", "task", subject->task, "protocol", subject->protocol,
                     "model", subject->model, "checkpoint", subject->checkpoint, "metrics", metrics, "inputs",
                     subject->inputs, "fingerprints", fingerprints);
    text = root ? jdoc_text(root, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the results, or the model's path is not UTF-8");
    TRY(make_directories(folder));
    TRY(write_file(folder, "results", subject->name, "json", text, strlen(text)));
    if (samples)
        TRY(write_samples(folder, subject->name, samples));
fail:
    free(text);
    json_decref(root);
    json_decref(fingerprints);
    return result;
}
