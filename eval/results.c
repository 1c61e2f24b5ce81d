#include "eval/results.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void results_add(json_t *metrics, const char *name, struct estimate estimate)
{
    json_object_set_new(metrics, name,
                        json_pack("{s:o, s:o, s:I}", "value", number(estimate.value), "standard_error",
                                  number(estimate.standard_error), "n", (json_int_t)estimate.n));
}

static enum status write_samples(const char *folder, const char *task, const json_t *samples)
{
    enum status result = STATUS_OK;
    char path[4096], *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for the samples");
    for (size_t i = 0; i < json_array_size(samples); i++) {
        char *line = json_text(json_array_get(samples, i), 0);
        if (line)
            fputs(line, stream);
        free(line);
    }
    if (fclose(stream) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the samples");
    snprintf(path, sizeof path, "%s/samples_%s.jsonl", folder, task);
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    free(text);
    return result;
}

enum status results_write(const char *folder, const char *task, const char *model, const struct components *components,
                          const json_t *metrics, const json_t *samples)
{
    enum status result = STATUS_OK;
    char path[4096], *text = NULL;
    json_t *fingerprints = json_object(), *root = NULL;
    TRY(make_directories(folder));
    for (int c = 0; c < COMPONENT_COUNT; c++) {
        char hex[65];
        sha256_hex(&components->fingerprints[c], hex);
        json_object_set_new(fingerprints, component_name((enum component)c), json_string(hex));
    }
    root = json_pack("{s:s, s:s, s:O, s:O}", "task", task, "model", model, "metrics", metrics, "fingerprints",
                     fingerprints);
    text = root ? json_text(root, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    snprintf(path, sizeof path, "%s/results_%s.json", folder, task);
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
    if (samples)
        TRY(write_samples(folder, task, samples));
fail:
    free(text);
    json_decref(root);
    json_decref(fingerprints);
    return result;
}
