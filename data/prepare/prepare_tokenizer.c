/* The fit stage: makes the speech tokenizer's folder unless it is there. What is embedded is fitted on a sample of the rows; what is
 * neural is opened, so that the folder can say what it is. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"
#include "core/path.h"
#include "package/speech_composed.h"
#include "package/speech_folder.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct speech_options *speech_options(const struct prepare *prepare)
{
    static const struct speech_options embedded;
    return prepare->options->speech ? prepare->options->speech : &embedded;
}

/* Rows are encoded by the threads that make them. */
static struct speech_compute where_to_compute(const struct prepare *prepare)
{
    return (struct speech_compute){.device = prepare->options->kernels, .networks = prepare->options->networks};
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
    const struct sha256 speech = speech_options_hash(speech_options(prepare));
    sha256_add(stream, &speech, sizeof speech);
    sha256_add(stream, numbers, (size_t)length);
    for (int64_t i = 0; i < prepare->dataset_count; i++)
        if (prepare_fits_on(prepare, prepare->datasets + i))
            sha256_add(stream, &prepare->datasets[i].manifest.hash, sizeof prepare->datasets[i].manifest.hash);
    return sha256_finish(stream);
}

static bool is_missing(const char *folder)
{
    return access(folder, F_OK) != 0 && errno == ENOENT;
}

/* With neural components beside it, the embedded tokenizer has a folder of its own, FOLDER.embedded, whose files the whole one gets a
 * copy of. It stays, so that the neural half can be changed without fitting again. */
static enum status make_folder(struct prepare *prepare)
{
    enum status result = STATUS_OK;
    const struct speech_options *speech = speech_options(prepare);
    const char *folder = prepare->options->tokenizer->folder;
    const struct speech_compute compute = where_to_compute(prepare);
    const bool fit = speech_options_need_fit(speech);
    char embedded[PATH_BYTES];
    if (speech_options_all_embedded(speech))
        return prepare_fit(prepare, folder);
    TRY(path_format(embedded, "%s.embedded", folder));
    if (fit && is_missing(embedded))
        TRY(prepare_fit(prepare, embedded));
    TRY(speech_compose_folder(speech, fit ? embedded : NULL, &compute, folder));
fail:
    return result;
}

/* Makes it, unless somebody else has published it by the time that the lock is free. */
static enum status make_once(struct prepare *prepare, bool *made)
{
    enum status result = STATUS_OK;
    struct file_lock *lock = NULL;
    const struct sha256 fit_from = find_fit_from(prepare);
    TRY(prepare_lock_tokenizer(prepare, &fit_from, &lock));
    *made = is_missing(prepare->options->tokenizer->folder);
    if (*made)
        TRY(make_folder(prepare));
fail:
    lock_release(lock);
    return result;
}

/* The size of a stream as far as the configuration decides it: only what is fitted here has its size from there. */
static int32_t fitted_size(const struct prepare *prepare, enum unit_stream stream, int64_t wanted)
{
    return speech_options_embed(speech_options(prepare), stream) ? prepare->speech->encoder[stream].size
                                                                 : (int32_t)wanted;
}

/* A folder that was fitted with different sizes is somebody's work, so it is refused rather than replaced. */
static enum status check_sizes(const struct prepare *prepare)
{
    const struct tokenizer_settings *settings = prepare->options->tokenizer;
    const int32_t units = fitted_size(prepare, STREAM_HUBERT, settings->units),
                  pitch = fitted_size(prepare, STREAM_PITCH, settings->pitch_codes),
                  style = fitted_size(prepare, STREAM_STYLE, settings->style_codes);
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
    bool missing = is_missing(folder), made = false;
    if (missing && !fitting)
        FAIL(STATUS_USAGE, "%s: there is no speech tokenizer: run prepare --stage fit first", folder);
    double start = clock_seconds();
    if (missing)
        TRY(make_once(prepare, &made));
    TRY(speech_folder_open(folder, &prepare->speech));
    TRY(speech_options_match(speech_options(prepare), folder));
    TRY(check_sizes(prepare));
    const struct speech_compute compute = where_to_compute(prepare);
    TRY(speech_compute_on(prepare->speech, &compute));
    if (fitting)
        log_info("fit: %.1f s%s", clock_seconds() - start, made ? "" : " (the tokenizer already existed and is whole)");
fail:
    return result;
}
