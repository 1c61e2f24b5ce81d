/* Each line is appended by a single write, and both files are cut, never rewritten: a run that is killed at any moment leaves
 * whole lines and at most one torn one, which the next start removes. */
#include "train/metrics.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "train/events.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct metrics {
    char path[PATH_BYTES];
    int descriptor;
    struct events *events;
};

/* Whether a whole line ends here, of a step that is wanted. */
static bool is_kept(const char *path, const char *text, int64_t length, int64_t last_step)
{
    json_t *line = NULL;
    int64_t step = 0;
    bool kept = text[length - 1] == '\n' && jdoc_parse(path, text, length - 1, &line) == STATUS_OK &&
                jdoc_get_int(path, line, "step", 0, INT64_MAX, &step) == STATUS_OK && step <= last_step;
    json_decref(line);
    return kept;
}

/* Keeps the leading lines whose step is at most last_step. A line at a time: the file grows as long as the run does. */
static enum status cut_lines(const char *path, int64_t last_step)
{
    enum status result = STATUS_OK;
    FILE *file = NULL;
    char *line = NULL;
    size_t capacity = 0;
    int64_t kept = 0;
    TRY(file_open_to_read(path, &file));
    if (!file)
        return STATUS_OK;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) > 0 && is_kept(path, line, length, last_step))
        kept += length;
    if (ferror(file))
        FAIL(STATUS_IO, "cannot read %s", path);
    if (length > 0)
        TRY(file_truncate(path, kept));
fail:
    free(line);
    if (file)
        fclose(file);
    return result;
}

enum status metrics_open(const char *run, int64_t last_step, struct metrics **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return status_set(STATUS_INTERNAL, "no memory for metrics");
    metrics->descriptor = -1;
    TRY(make_directories(run));
    TRY(path_format(metrics->path, "%s/metrics.jsonl", run));
    TRY(cut_lines(metrics->path, last_step));
    metrics->descriptor = open(metrics->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (metrics->descriptor < 0) {
        result = status_set_errno(STATUS_IO, errno, "cannot open %s", metrics->path);
        goto fail;
    }
    TRY(sync_folder(run)); /* its name, if it is new */
    TRY(events_open(run, last_step, &metrics->events));
    *out = metrics;
    return STATUS_OK;
fail:
    metrics_close(metrics);
    return result;
}

enum status metrics_write(struct metrics *metrics, int64_t step, const json_t *values)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    const char *key;
    json_t *value, *line = json_pack("{s:I}", "step", (json_int_t)step);
    if (json_object_update(line, (json_t *)values) != 0 || !(text = jdoc_text(line, 0)))
        FAIL(STATUS_INTERNAL, "no memory for a line of metrics");
    TRY(append_whole(metrics->descriptor, metrics->path, text, (int64_t)strlen(text)));
    json_object_foreach((json_t *)values, key, value) /* which wants a mutable object and changes nothing */
    {
        if (json_is_number(value))
            TRY(events_write(metrics->events, step, key, json_number_value(value)));
    }
    TRY(events_flush(metrics->events));
fail:
    free(text);
    json_decref(line);
    return result;
}

enum status metrics_sync(struct metrics *metrics)
{
    if (fsync(metrics->descriptor) != 0)
        return status_set_errno(STATUS_IO, errno, "cannot write %s", metrics->path);
    return events_sync(metrics->events);
}

void metrics_close(struct metrics *metrics)
{
    if (!metrics)
        return;
    if (metrics->descriptor >= 0)
        close(metrics->descriptor);
    events_close(metrics->events);
    free(metrics);
}
