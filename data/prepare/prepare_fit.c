/* The fit stage: fits the speech tokenizer on a sample of the rows with audio. The sample is drawn by a hash of the
 * seed and the id, so it does not change with the order of manifests and rows. Clips are analysed in batches on all
 * threads and added in the sample's order, since the fit depends on the order. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"
#include "io/audio/audio.h"
#include "package/speech_folder.h"
#include "speech/embedded/embedded.h"
#include "speech/embedded/fit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static bool fit_on(const struct prepare *prepare, const struct prepare_dataset *dataset)
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
        total += fit_on(prepare, prepare->datasets + i) ? prepare->datasets[i].manifest.count : 0;
    *candidates = calloc((size_t)total + 1, sizeof **candidates);
    if (!*candidates)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < prepare->dataset_count; i++) {
        const struct manifest *manifest = &prepare->datasets[i].manifest;
        if (!fit_on(prepare, prepare->datasets + i))
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

static enum status fit(struct prepare *prepare)
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
    TRY(speech_fit_finish(state, prepare->pool, settings->folder, false));
fail:
    speech_fit_free(state);
    return result;
}

/* What the fit depends on: whoever waits for another's tokenizer must have wanted the same one. */
static struct sha256 find_fit_from(const struct prepare *prepare)
{
    const struct tokenizer_settings *settings = prepare->options->tokenizer;
    char numbers[300];
    int length =
        snprintf(numbers, sizeof numbers, "%lld %lld %lld %lld %lld %.17g %.17g %.17g %d\n", (long long)settings->units,
                 (long long)settings->pitch_codes, (long long)settings->style_codes, (long long)settings->iterations,
                 (long long)settings->seed, settings->sample_hours, prepare->options->prepare->minimum_seconds,
                 prepare->options->prepare->maximum_seconds, prepare->options->kernels != NULL);
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, numbers, (size_t)length);
    for (int64_t i = 0; i < prepare->dataset_count; i++)
        if (fit_on(prepare, prepare->datasets + i))
            sha256_add(stream, &prepare->datasets[i].manifest.hash, sizeof prepare->datasets[i].manifest.hash);
    return sha256_finish(stream);
}

static bool is_missing(const char *folder)
{
    return access(folder, F_OK) != 0 && errno == ENOENT;
}

/* Fits it, unless somebody else has published it by the time that the lock is free. */
static enum status fit_once(struct prepare *prepare, bool *fitted)
{
    enum status result = STATUS_OK;
    struct file_lock *lock = NULL;
    const struct sha256 fit_from = find_fit_from(prepare);
    TRY(prepare_lock_tokenizer(prepare, &fit_from, &lock));
    *fitted = is_missing(prepare->options->tokenizer->folder);
    if (*fitted)
        TRY(fit(prepare));
fail:
    lock_release(lock);
    return result;
}

/* A folder that was fitted with different sizes is somebody's work, so it is refused rather than replaced. Only a
 * tokenizer that is fitted here has its sizes from the configuration. */
static enum status check_sizes(const struct prepare *prepare)
{
    const struct tokenizer_settings *settings = prepare->options->tokenizer;
    const struct speech_encoder *encoder = prepare->speech->encoder;
    int32_t units = encoder[STREAM_HUBERT].size, pitch = encoder[STREAM_PITCH].size, style = encoder[STREAM_STYLE].size;
    if (strcmp(prepare->speech->kind, EMBEDDED_KIND) != 0)
        return STATUS_OK;
    if (units != settings->units || pitch != settings->pitch_codes || style > settings->style_codes)
        return status_set(STATUS_USAGE,
                          "%s: a tokenizer of %d units, %d pitch and %d style codes, but the configuration says %lld, "
                          "%lld and at most %lld: change the configuration, name another tokenizer.folder, or remove "
                          "this one to fit a new one",
                          settings->folder, units, pitch, style, (long long)settings->units,
                          (long long)settings->pitch_codes, (long long)settings->style_codes);
    return STATUS_OK;
}

enum status prepare_tokenizer(struct prepare *prepare)
{
    enum status result = STATUS_OK;
    const char *folder = prepare->options->tokenizer->folder;
    bool fitting = prepare->options->stages & PREPARE_FIT;
    if (!prepare_needs_tokenizer(prepare)) {
        if (fitting)
            log_info("fit: no manifest needs a speech tokenizer");
        return STATUS_OK;
    }
    bool missing = is_missing(folder), fitted = false;
    if (missing && !fitting)
        FAIL(STATUS_USAGE, "%s: there is no speech tokenizer: run prepare --stage fit first", folder);
    double start = clock_seconds();
    if (missing)
        TRY(fit_once(prepare, &fitted));
    TRY(speech_folder_open(folder, &prepare->speech));
    TRY(check_sizes(prepare));
    TRY(speech_compute_on(prepare->speech, prepare->options->kernels));
    if (fitting)
        log_info("fit: %.1f s%s", clock_seconds() - start,
                 fitted ? "" : " (the tokenizer already existed and is whole)");
fail:
    return result;
}
