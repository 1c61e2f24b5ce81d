/* The metrics and the folders are all there is to know: nothing is remembered beside them, so a run that was killed, continued
 * or cut back to an earlier checkpoint finds its best one again. */
#include "train/best.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A validated step of which there is a checkpoint. A line that is torn or of something else is none. */
static bool read_candidate(const char *run, const char *line, int64_t length, int64_t *step, double *loss)
{
    static const char key[] = "validation/loss";
    json_t *values = NULL;
    char path[PATH_BYTES];
    struct stat information;
    bool found = strstr(line, key) && jdoc_parse(run, line, length, &values) == STATUS_OK && jdoc_has(values, key) &&
                 jdoc_get_int(run, values, "step", 0, INT64_MAX, step) == STATUS_OK &&
                 jdoc_get_number(run, values, key, loss) == STATUS_OK && isfinite(*loss) &&
                 path_format(path, "%s/checkpoints/step_%08lld", run, (long long)*step) == STATUS_OK &&
                 stat(path, &information) == 0;
    json_decref(values);
    return found;
}

enum status best_checkpoint(const char *run, int64_t *best, double *best_loss)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *line = NULL;
    size_t capacity = 0;
    FILE *file = NULL;
    *best = -1;
    *best_loss = INFINITY;
    TRY(path_format(path, "%s/metrics.jsonl", run));
    TRY(file_open_to_read(path, &file));
    if (!file)
        return STATUS_OK;
    int64_t step;
    double loss;
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0;)
        if (read_candidate(run, line, length, &step, &loss) && loss < *best_loss) {
            *best = step;
            *best_loss = loss;
        }
    if (ferror(file))
        result = status_set(STATUS_IO, "cannot read %s", path);
fail:
    free(line);
    if (file)
        fclose(file);
    return result;
}
