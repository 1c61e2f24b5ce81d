/* One member at a time is in memory; what is kept of it are its ids. */
#include "eval/recordings.h"

#include "core/log.h"
#include "core/path.h"
#include "generate/prompt.h"
#include "io/audio/audio.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDING_LIMIT = 1 << 30 }; /* bytes of one file */

/* ---- decoding ---- */

struct pass {
    const struct archive *archive;
    recording_visit *visit;
    void *context;
    struct progress progress;
    int64_t done;
};

static enum status decode(void *context, int64_t index, const void *data, int64_t size)
{
    enum status result = STATUS_OK;
    struct pass *pass = context;
    float *samples = NULL;
    int64_t count = 0;
    char name[PATH_BYTES];
    TRY(path_format(name, "%s: %s", archive_path(pass->archive), archive_name(pass->archive, index)));
    TRY(audio_read_memory((struct audio_memory){name, data, size}, -1, &samples, &count));
    TRY(pass->visit(pass->context, index, name, samples, count));
    progress_update(&pass->progress, ++pass->done, "");
fail:
    free(samples);
    return result;
}

enum status recordings_stream(struct archive *archive, const bool *wanted, recording_visit *visit, void *context)
{
    enum status result = STATUS_OK;
    struct pass pass = {.archive = archive, .visit = visit, .context = context};
    int64_t total = 0;
    for (int64_t i = 0; i < archive_count(archive); i++)
        total += wanted[i];
    progress_start(&pass.progress, "encoding", "recordings", total);
    TRY(archive_stream(archive, wanted, RECORDING_LIMIT, decode, &pass));
    progress_finish(&pass.progress, pass.done, "");
fail:
    return result;
}

/* ---- units ---- */

/* The ids that the cache has for these samples, copied; false: none. */
static enum status take_cached(const struct unit_cache *cache, const struct sha256 *key, struct unit_ids *units,
                               bool *found)
{
    const int32_t *ids;
    int64_t count;
    *found = unit_cache_find(cache, key, &ids, &count);
    if (!*found)
        return STATUS_OK;
    *units = (struct unit_ids){malloc((size_t)(count + 1) * sizeof *ids), count};
    if (!units->ids)
        return status_set(STATUS_INTERNAL, "no memory for units");
    memcpy(units->ids, ids, (size_t)count * sizeof *ids);
    return STATUS_OK;
}

enum status unit_ids_encode(const struct components *components, struct unit_cache *cache, const char *name,
                            const float *samples, int64_t count, struct unit_ids *units)
{
    enum status result = STATUS_OK;
    struct prompt prompt = {.state = {-1, -1}};
    struct sha256 key = {{0}};
    bool found = false;
    if (cache) {
        key = sha256_of(samples, (size_t)count * sizeof *samples);
        TRY(take_cached(cache, &key, units, &found));
    }
    if (found)
        return STATUS_OK;
    TRY(prompt_append_samples(components, name, samples, count, &prompt));
    TRY(unit_cache_add(cache, &key, prompt.ids, prompt.count));
    *units = (struct unit_ids){prompt.ids, prompt.count};
    return STATUS_OK;
fail:
    prompt_free(&prompt);
    /* Without a speech tokenizer the mistake is the command's, otherwise it lies in the archive. */
    return result == STATUS_USAGE && components->speech ? STATUS_CORRUPT : result;
}

void unit_ids_free(struct unit_ids *units, int64_t count)
{
    for (int64_t i = 0; units && i < count; i++)
        free(units[i].ids);
    free(units);
}

struct encoding {
    const struct components *components;
    struct unit_cache *cache;
    struct unit_ids *units;
};

static enum status encode(void *context, int64_t index, const char *name, const float *samples, int64_t count)
{
    struct encoding *encoding = context;
    return unit_ids_encode(encoding->components, encoding->cache, name, samples, count, &encoding->units[index]);
}

enum status recordings_encode(const struct components *components, struct unit_cache *cache, struct archive *archive,
                              const bool *wanted, struct unit_ids **out)
{
    enum status result = STATUS_OK;
    struct encoding encoding = {.components = components, .cache = cache};
    encoding.units = calloc((size_t)archive_count(archive) + 1, sizeof *encoding.units);
    if (!encoding.units)
        FAIL(STATUS_INTERNAL, "no memory for %lld recordings", (long long)archive_count(archive));
    TRY(recordings_stream(archive, wanted, encode, &encoding));
    *out = encoding.units;
    return STATUS_OK;
fail:
    unit_ids_free(encoding.units, archive_count(archive));
    return result;
}
