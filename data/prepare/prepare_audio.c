/* The samples of a row, or the reason why there are none. Long recordings are listed segment by segment, so the file
 * decoded last is kept. A file that is missing, broken or not ours to read only causes its row to be rejected and
 * does not end the run: among many recordings some always are. */
#include "data/prepare/prepare_internal.h"

#include "io/audio/audio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void audio_cache_free(struct audio_cache *cache)
{
    free(cache->path);
    free(cache->samples);
    memset(cache, 0, sizeof *cache);
}

/* The current error text without the path in front, so that rejects do not depend on where the corpus lies. */
static void reason_from_status(const char *path, char reason[REASON_LENGTH])
{
    const char *text = status_text();
    size_t length = strlen(path);
    if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    snprintf(reason, REASON_LENGTH, "audio: %s", text);
}

static enum status load(struct audio_cache *cache, const struct manifest_row *row, char reason[REASON_LENGTH])
{
    if (cache->path && cache->channel == row->channel && strcmp(cache->path, row->audio) == 0)
        return STATUS_OK;
    audio_cache_free(cache);
    enum status result = audio_read_noted(row->audio, row->channel, &cache->samples, &cache->count, cache->note);
    if (result != STATUS_OK && status_concerns_one_file(result)) {
        reason_from_status(row->audio, reason);
        cache->samples = NULL;
        return STATUS_OK;
    }
    if (result != STATUS_OK)
        return result;
    cache->channel = row->channel;
    cache->path = strdup(row->audio);
    return cache->path ? STATUS_OK : status_set(STATUS_INTERNAL, "%s: out of memory", row->audio);
}

enum status prepare_audio(struct audio_cache *cache, const struct manifest_row *row, const float **samples,
                          int64_t *count, struct made_row *made)
{
    *samples = NULL;
    *count = 0;
    enum status result = load(cache, row, made->reason);
    if (result != STATUS_OK || made->reason[0])
        return result;
    if (cache->note[0])
        made_row_change(made, "audio: %s", cache->note);
    int64_t begin = llround(row->begin * AUDIO_RATE),
            end = row->end < 0 ? cache->count : llround(row->end * AUDIO_RATE);
    /* Because of rounding, the last segment of a list often ends slightly after the file. */
    if (end > cache->count && end <= cache->count + AUDIO_RATE / 10) {
        made_row_change(made, "segment cut at the audio's end: by %.3f s", (double)(end - cache->count) / AUDIO_RATE);
        end = cache->count;
    }
    if (begin >= end || end > cache->count) {
        snprintf(made->reason, REASON_LENGTH, "segment outside the audio: %.3f s to %.3f s of %.3f s", row->begin,
                 (double)end / AUDIO_RATE, (double)cache->count / AUDIO_RATE);
        return STATUS_OK;
    }
    *samples = cache->samples + begin;
    *count = end - begin;
    return STATUS_OK;
}
