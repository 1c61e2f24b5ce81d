/* The tables of window and bands are made once and shared by all threads; of a band only the bins under its triangle
 * are visited. Everything is computed in double and rounded once at the end, so that a result differs from another
 * implementation's by one rounding and not by an accumulation of many. */
#include "speech/embedded/log_mel.h"

#include "core/fft.h"
#include "core/mel_bank.h"

#include <math.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846;
enum { RATE = 16000, SIDE = (LOG_MEL_WINDOW - LOG_MEL_HOP) / 2, MAX_BANDS = 256 };

struct log_mel {
    int bands;
    struct fft *fft;
    double window[LOG_MEL_WINDOW];
    double *weights; /* [bands][LOG_MEL_BINS] */
    int32_t *first, *length;
};

static void fill_bank(struct log_mel *mel)
{
    const struct mel_bank bank = {
        .bands = mel->bands, .bins = LOG_MEL_BINS, .hertz_per_bin = (double)RATE / LOG_MEL_WINDOW, .highest = RATE / 2};
    for (int b = 0; b < mel->bands; b++)
        mel_bank_fill(&bank, b, mel->weights + (int64_t)b * LOG_MEL_BINS, &mel->first[b], &mel->length[b]);
}

enum status log_mel_create(int bands, struct log_mel **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    if (bands < 1 || bands > MAX_BANDS)
        return status_set(STATUS_INTERNAL, "expected 1 to %d mel bands, found %d", MAX_BANDS, bands);
    struct log_mel *mel = calloc(1, sizeof *mel);
    if (!mel)
        return status_set(STATUS_INTERNAL, "no memory for a mel filter bank");
    mel->bands = bands;
    mel->weights = calloc((size_t)bands * LOG_MEL_BINS, sizeof *mel->weights);
    mel->first = calloc((size_t)bands, sizeof *mel->first);
    mel->length = calloc((size_t)bands, sizeof *mel->length);
    if (!mel->weights || !mel->first || !mel->length)
        FAIL(STATUS_INTERNAL, "no memory for a filter bank of %d mel bands", bands);
    TRY(fft_create(LOG_MEL_WINDOW, &mel->fft));
    for (int i = 0; i < LOG_MEL_WINDOW; i++)
        mel->window[i] = 0.5 - 0.5 * cos(2.0 * PI * i / LOG_MEL_WINDOW);
    fill_bank(mel);
    *out = mel;
    return STATUS_OK;
fail:
    log_mel_free(mel);
    return result;
}

void log_mel_free(struct log_mel *mel)
{
    if (!mel)
        return;
    fft_destroy(mel->fft);
    free(mel->weights);
    free(mel->first);
    free(mel->length);
    free(mel);
}

int log_mel_bands(const struct log_mel *mel)
{
    return mel->bands;
}

const double *log_mel_window(const struct log_mel *mel)
{
    return mel->window;
}

struct log_mel_band log_mel_band(const struct log_mel *mel, int band)
{
    return (struct log_mel_band){mel->first[band], mel->length[band],
                                 mel->weights + (int64_t)band * LOG_MEL_BINS + mel->first[band]};
}

/* Sample `index` of the signal continued at both ends. */
static double extended_sample(const float *samples, int64_t count, int64_t index)
{
    if (index >= 0 && index < count)
        return (double)samples[index];
    if (count <= SIDE)
        return 0;
    return (double)samples[index < 0 ? -index : 2 * (count - 1) - index];
}

enum status log_mel_compute(const struct log_mel *mel, const float *samples, int64_t count, float *output)
{
    double *frame = malloc(LOG_MEL_WINDOW * sizeof *frame);
    double *magnitude = malloc(LOG_MEL_BINS * sizeof *magnitude);
    double complex *spectrum = malloc(LOG_MEL_BINS * sizeof *spectrum);
    double complex *work = malloc(LOG_MEL_WINDOW * sizeof *work);
    enum status result = STATUS_OK;
    if (!frame || !magnitude || !spectrum || !work)
        FAIL(STATUS_INTERNAL, "no memory for a spectrum");
    int64_t frames = log_mel_frames(count);
    for (int64_t t = 0; t < frames; t++) {
        int64_t start = t * LOG_MEL_HOP - SIDE;
        for (int64_t i = 0; i < LOG_MEL_WINDOW; i++)
            frame[i] = mel->window[i] * extended_sample(samples, count, start + i);
        fft_real(mel->fft, frame, spectrum, work);
        for (int k = 0; k < LOG_MEL_BINS; k++) {
            double re = creal(spectrum[k]), im = cimag(spectrum[k]);
            magnitude[k] = sqrt(re * re + im * im + LOG_MEL_OFFSET);
        }
        for (int b = 0; b < mel->bands; b++) {
            struct log_mel_band band = log_mel_band(mel, b);
            double sum = 0;
            for (int i = 0; i < band.length; i++)
                sum += band.weights[i] * magnitude[band.first + i];
            output[t * mel->bands + b] = (float)log(fmax(sum, LOG_MEL_FLOOR));
        }
    }
fail:
    free(frame);
    free(magnitude);
    free(spectrum);
    free(work);
    return result;
}
