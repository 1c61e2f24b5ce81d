/* Fits the embedded speech tokenizer on a sample of the rows with audio. The sample is drawn by a hash of the
 * seed and the id, so it does not change with the order of manifests and rows. Clips are analysed in batches on all
 * threads and added in the sample's order, since the fit depends on the order. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"
#include "io/audio/audio.h"
#include "speech/embedded/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32 }; /* rows analysed at a time; the fit does not depend on it */

struct candidate {
    uint64_t key; /* of seed and id: the sample does not change with the order of manifests or rows */
    const struct manifest_row *row;
};

struct fit_batch {
    const struct prepare_settings *settings;
    const struct speech_fit *fit;
    const struct candidate *candidates;
    struct audio_cache *caches; /* one per thread */
    struct embedded_analysis *analyses[BATCH];
    int64_t counts[BATCH];
    char reasons[BATCH][REASON_LENGTH];
    char first_reason[4096 + REASON_LENGTH]; /* file and reason of the first clip that was left out */
    enum status status[BATCH];
    char *errors[BATCH];
};

bool prepare_fits_on(const struct prepare *prepare, const struct prepare_dataset *dataset)
{
    const struct config_list *names = &prepare->options->prepare->fit;
    if (dataset->kind == DATASET_TEXT || dataset->ready)
        return false;
    for (int64_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], dataset->name) == 0)
            return true;
    return names->count == 0;
}

static uint64_t sample_key(int64_t seed, const char *id)
{
    struct sha256_stream *stream = sha256_start();
    uint64_t key;
    sha256_add(stream, &seed, sizeof seed);
    sha256_add(stream, id, strlen(id));
    struct sha256 hash = sha256_finish(stream);
    memcpy(&key, hash.bytes, sizeof key);
    return key;
}

static int by_key(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key ? -1 : 1) : strcmp(x->row->id, y->row->id);
}

static enum status list_candidates(const struct prepare *prepare, struct candidate **candidates, int64_t *count)
{
    int64_t total = 0;
    *count = 0;
    for (int64_t i = 0; i < prepare->dataset_count; i++)
        total += prepare_fits_on(prepare, prepare->datasets + i) ? prepare->datasets[i].manifest.count : 0;
    *candidates = calloc((size_t)total + 1, sizeof **candidates);
    if (!*candidates)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < prepare->dataset_count; i++) {
        const struct manifest *manifest = &prepare->datasets[i].manifest;
        if (!prepare_fits_on(prepare, prepare->datasets + i))
            continue;
        for (int64_t j = 0; j < manifest->count; j++)
            if (!manifest->rows[j].fault)
                (*candidates)[(*count)++] = (struct candidate){
                    sample_key(prepare->options->tokenizer->seed, manifest->rows[j].id), manifest->rows + j};
    }
    qsort(*candidates, (size_t)*count, sizeof **candidates, by_key);
    return STATUS_OK;
}

static enum status measure_row(struct fit_batch *batch, int64_t task, struct audio_cache *cache)
{
    const float *samples = NULL;
    char *reason = batch->reasons[task];
    struct made_row made = {0}; /* its changes are told of when shards are made */
    enum status result = prepare_audio(cache, batch->candidates[task].row, &samples, &batch->counts[task], &made);
    memcpy(reason, made.reason, REASON_LENGTH);
    if (result != STATUS_OK || reason[0])
        return result;
    double seconds = (double)batch->counts[task] / AUDIO_RATE;
    if (seconds < batch->settings->minimum_seconds || seconds > batch->settings->maximum_seconds) {
        snprintf(reason, REASON_LENGTH, "%.3f s long", seconds);
        return STATUS_OK;
    }
    return speech_fit_analyse(batch->fit, samples, batch->counts[task], &batch->analyses[task]);
}

static void measure(void *argument, int64_t task, int worker)
{
    struct fit_batch *batch = argument;
    batch->status[task] = measure_row(batch, task, batch->caches + worker);
    if (batch->status[task] != STATUS_OK)
        batch->errors[task] = strdup(status_text());
}

static void batch_clear(struct fit_batch *batch)
{
    for (int i = 0; i < BATCH; i++) {
        speech_fit_discard(batch->analyses[i]);
        free(batch->errors[i]);
        batch->analyses[i] = NULL;
        batch->errors[i] = NULL;
        batch->reasons[i][0] = 0;
    }
}

static enum status add_batch(struct fit_batch *batch, int64_t count, struct speech_fit *fit, int64_t wanted,
                             int64_t *samples)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < count && *samples < wanted; i++) {
        const struct manifest_row *row = batch->candidates[i].row;
        if (batch->status[i] != STATUS_OK)
            FAIL(batch->status[i], "%s: %s", row->audio, batch->errors[i] ? batch->errors[i] : "out of memory");
        if (batch->reasons[i][0]) {
            log_warning("%s is left out of the fit: %s", row->audio, batch->reasons[i]);
            if (!batch->first_reason[0])
                snprintf(batch->first_reason, sizeof batch->first_reason, "%s: %s", row->audio, batch->reasons[i]);
            continue;
        }
        struct embedded_analysis *analysis = batch->analyses[i];
        batch->analyses[i] = NULL;
        TRY(speech_fit_take(fit, analysis, row->speaker));
        *samples += batch->counts[i];
    }
fail:
    return result;
}

static enum status add_candidates(struct prepare *prepare, struct fit_batch *batch, const struct candidate *candidates,
                                  int64_t count, struct speech_fit *fit)
{
    enum status result = STATUS_OK;
    struct progress progress;
    int64_t samples = 0, done = 0;
    int64_t wanted = (int64_t)(prepare->options->tokenizer->sample_hours * 3600 * AUDIO_RATE);
    progress_start(&progress, "fitting", "clips", count);
    while (done < count && samples < wanted && result == STATUS_OK) {
        int64_t size = count - done < BATCH ? count - done : BATCH;
        batch->candidates = candidates + done;
        thread_pool_run(prepare->pool, size, measure, batch);
        result = add_batch(batch, size, fit, wanted, &samples);
        batch_clear(batch);
        done += size;
        progress_update(&progress, done, "");
    }
    progress_finish(&progress, done, "");
    if (result != STATUS_OK)
        return result;
    if (samples == 0)
        return status_set(STATUS_CORRUPT,
                          "no audio of the manifests can be used, so no speech tokenizer can be fitted; the first clip "
                          "left out: %s",
                          batch->first_reason[0] ? batch->first_reason : "there is none");
    log_info("fitting the speech tokenizer on %.2f hours", (double)samples / AUDIO_RATE / 3600);
    return STATUS_OK;
}

static enum status add_sample(struct prepare *prepare, struct speech_fit *fit)
{
    enum status result = STATUS_OK;
    struct candidate *candidates = NULL;
    int64_t count = 0;
    int threads = thread_pool_threads(prepare->pool);
    struct fit_batch *batch = calloc(1, sizeof *batch);
    struct audio_cache *caches = calloc((size_t)threads, sizeof *caches);
    if (!batch || !caches)
        FAIL(STATUS_INTERNAL, "out of memory");
    batch->settings = prepare->options->prepare;
    batch->fit = fit;
    batch->caches = caches;
    TRY(list_candidates(prepare, &candidates, &count));
    TRY(add_candidates(prepare, batch, candidates, count, fit));
fail:
    for (int i = 0; caches && i < threads; i++)
        audio_cache_free(caches + i);
    free(caches);
    free(candidates);
    free(batch);
    return result;
}

enum status prepare_fit(struct prepare *prepare, const char *folder)
{
    enum status result = STATUS_OK;
    const struct tokenizer_settings *settings = prepare->options->tokenizer;
    struct speech_fit_options options = {
        .units = settings->units,
        .pitch_codes = settings->pitch_codes,
        .style_codes = settings->style_codes,
        .iterations = settings->iterations,
        .seed = (uint64_t)settings->seed,
        .kernels = prepare->options->kernels,
    };
    struct speech_fit *state = NULL;
    TRY(speech_fit_begin(&options, &state));
    TRY(add_sample(prepare, state));
    TRY(speech_fit_finish(state, prepare->pool, folder, false));
fail:
    speech_fit_free(state);
    return result;
}
