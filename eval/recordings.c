/* One member at a time is in memory; what is kept of it are its ids. */
#include "eval/recordings.h"

#include "core/log.h"
#include "core/path.h"
#include "generate/prompt.h"
#include "io/audio/audio.h"

#include <stdlib.h>

enum { RECORDING_LIMIT = 1 << 30 }; /* bytes of one file */

struct pass {
    const struct components *components;
    const struct archive *archive;
    struct recordings *recordings;
    struct progress progress;
    int64_t done;
};

static enum status encode(void *context, int64_t index, const void *data, int64_t size)
{
    enum status result = STATUS_OK;
    struct pass *pass = context;
    struct prompt prompt = {.state = {-1, -1}};
    float *samples = NULL;
    int64_t count = 0;
    char name[PATH_BYTES];
    TRY(path_format(name, "%s: %s", archive_path(pass->archive), archive_name(pass->archive, index)));
    TRY(audio_read_memory(name, data, size, -1, &samples, &count));
    TRY(prompt_append_samples(pass->components, name, samples, count, &prompt));
    pass->recordings->items[index] = (struct recording){prompt.ids, prompt.count};
    prompt.ids = NULL;
    progress_update(&pass->progress, ++pass->done, "");
fail:
    if (result == STATUS_USAGE) /* the mistake is in the archive, not on the command line */
        result = pass->components->speech ? STATUS_CORRUPT : result;
    prompt_free(&prompt);
    free(samples);
    return result;
}

enum status recordings_encode(const struct components *components, struct archive *archive, const bool *wanted,
                              struct recordings *recordings)
{
    enum status result = STATUS_OK;
    struct pass pass = {.components = components, .archive = archive, .recordings = recordings};
    int64_t total = 0;
    *recordings = (struct recordings){.count = archive_count(archive)};
    recordings->items = calloc((size_t)recordings->count + 1, sizeof *recordings->items);
    if (!recordings->items)
        FAIL(STATUS_INTERNAL, "no memory for %lld recordings", (long long)recordings->count);
    for (int64_t i = 0; i < recordings->count; i++)
        total += wanted[i];
    progress_start(&pass.progress, "encoding", "recordings", total);
    TRY(archive_stream(archive, wanted, RECORDING_LIMIT, encode, &pass));
    progress_finish(&pass.progress, pass.done, "");
    return STATUS_OK;
fail:
    recordings_free(recordings);
    return result;
}

void recordings_free(struct recordings *recordings)
{
    for (int64_t i = 0; recordings->items && i < recordings->count; i++)
        free(recordings->items[i].ids);
    free(recordings->items);
    *recordings = (struct recordings){0};
}
