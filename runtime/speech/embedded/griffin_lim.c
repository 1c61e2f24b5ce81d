/* A round goes from spectra to a signal and back: only phases that some signal can have survive it, while the
 * magnitudes are reset to the wanted ones. Each of its three passes is cut into tiles of frames that write to places of
 * their own, and overlapping frames are added in order, so the samples do not depend on the number of threads. */
#include "speech/embedded/griffin_lim.h"

#include "core/fft.h"
#include "core/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = LOG_MEL_WINDOW,
    HOP = GRIFFIN_LIM_HOP,
    BINS = GRIFFIN_LIM_BINS,
    SIDE = (WINDOW - HOP) / 2, /* frame 0 starts this many samples before sample 0 */
    OVERLAP = WINDOW / HOP,
    TILE = 16 /* frames per task */
};

static const double MOMENTUM = 0.99, PI = 3.14159265358979323846;
enum { INVERSION_ROUNDS = 60 };

struct synthesis {
    const float *magnitudes;
    int64_t frames;
    struct fft *fft;
    double window[WINDOW];
    double complex *spectra;  /* [frames][BINS]: magnitudes with the present phases */
    double complex *previous; /* [frames][BINS]: the last consistent spectra, for the momentum */
    double *pieces;           /* [frames][WINDOW]: windowed inverse transforms */
    double *signal;           /* [(frames - 1) HOP + WINDOW] */
    double *work;             /* [threads][4 WINDOW]: a frame and the transforms' space */
    int round;
};

/* C11's CMPLX is missing from glibc's header when clang compiles it. */
static void set_complex(double complex *number, double real, double imaginary)
{
    ((double *)number)[0] = real;
    ((double *)number)[1] = imaginary;
}

static double *worker_space(struct synthesis *s, int worker, double complex **transform)
{
    double *space = s->work + (int64_t)worker * 4 * WINDOW;
    *transform = (double complex *)(space + 2 * WINDOW);
    return space;
}

static int64_t tile_end(const struct synthesis *s, int64_t task)
{
    return task * TILE + TILE < s->frames ? task * TILE + TILE : s->frames;
}

static void invert_tile(void *argument, int64_t task, int worker)
{
    struct synthesis *s = argument;
    double complex *transform;
    worker_space(s, worker, &transform);
    for (int64_t t = task * TILE; t < tile_end(s, task); t++) {
        double *piece = s->pieces + t * WINDOW;
        fft_real_inverse(s->fft, s->spectra + t * BINS, piece, transform);
        for (int i = 0; i < WINDOW; i++)
            piece[i] *= s->window[i];
    }
}

/* Samples [HOP h, HOP h + HOP) of the signal: the least-squares overlap-add of the frames that cover them, in order. */
static void overlap_tile(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct synthesis *s = argument;
    int64_t hops = s->frames - 1 + OVERLAP;
    for (int64_t h = task * TILE; h < task * TILE + TILE && h < hops; h++) {
        int64_t first = h - OVERLAP + 1 > 0 ? h - OVERLAP + 1 : 0, last = h < s->frames - 1 ? h : s->frames - 1;
        for (int64_t i = 0; i < HOP; i++) {
            double sum = 0, weight = 0;
            for (int64_t t = first; t <= last; t++) {
                int64_t at = (h - t) * HOP + i;
                sum += s->pieces[t * WINDOW + at];
                weight += s->window[at] * s->window[at];
            }
            s->signal[h * HOP + i] = sum / fmax(weight, 1e-3);
        }
    }
}

static void analyse_tile(void *argument, int64_t task, int worker)
{
    struct synthesis *s = argument;
    double complex *transform, consistent[BINS];
    double *frame = worker_space(s, worker, &transform);
    for (int64_t t = task * TILE; t < tile_end(s, task); t++) {
        for (int i = 0; i < WINDOW; i++)
            frame[i] = s->window[i] * s->signal[t * HOP + i];
        fft_real(s->fft, frame, consistent, transform);
        double complex *previous = s->previous + t * BINS, *spectrum = s->spectra + t * BINS;
        for (int k = 0; k < BINS; k++) {
            double re = creal(consistent[k]), im = cimag(consistent[k]);
            if (s->round > 0) {
                re += MOMENTUM * (re - creal(previous[k]));
                im += MOMENTUM * (im - cimag(previous[k]));
            }
            double scale = (double)s->magnitudes[t * BINS + k] / fmax(sqrt(re * re + im * im), 1e-12);
            set_complex(&spectrum[k], scale * re, scale * im);
            previous[k] = consistent[k];
        }
    }
}

static void start_phases(struct synthesis *s, uint64_t seed, uint64_t stream)
{
    struct rng rng = rng_make(seed, RNG_VOCODER, stream, 0);
    for (int64_t i = 0; i < s->frames * BINS; i++) {
        double angle = 2.0 * PI * (double)rng_u32(&rng) * 0x1p-32;
        double magnitude = (double)s->magnitudes[i];
        set_complex(&s->spectra[i], magnitude * cos(angle), magnitude * sin(angle));
    }
}

enum status griffin_lim(const float *magnitudes, int64_t count, int iterations, uint64_t seed, uint64_t stream,
                        struct thread_pool *pool, float *samples)
{
    enum status result = STATUS_OK;
    struct synthesis s = {.magnitudes = magnitudes, .frames = griffin_lim_frames(count)};
    if (count == 0)
        return STATUS_OK;
    size_t cells = (size_t)(s.frames * BINS), signal = (size_t)((s.frames - 1) * HOP + WINDOW);
    s.spectra = malloc(cells * sizeof *s.spectra);
    s.previous = malloc(cells * sizeof *s.previous);
    s.pieces = malloc((size_t)(s.frames * WINDOW) * sizeof *s.pieces);
    s.signal = malloc(signal * sizeof *s.signal);
    s.work = malloc((size_t)thread_pool_threads(pool) * 4 * WINDOW * sizeof *s.work);
    if (!s.spectra || !s.previous || !s.pieces || !s.signal || !s.work)
        FAIL(STATUS_INTERNAL, "no memory to synthesise %lld samples", (long long)count);
    TRY(fft_create(WINDOW, &s.fft));
    for (int i = 0; i < WINDOW; i++)
        s.window[i] = 0.5 - 0.5 * cos(2.0 * PI * i / WINDOW);
    start_phases(&s, seed, stream);
    int64_t tiles = (s.frames + TILE - 1) / TILE, hop_tiles = (s.frames - 1 + OVERLAP + TILE - 1) / TILE;
    for (s.round = 0; s.round <= iterations; s.round++) {
        thread_pool_run(pool, tiles, invert_tile, &s);
        thread_pool_run(pool, hop_tiles, overlap_tile, &s);
        if (s.round < iterations)
            thread_pool_run(pool, tiles, analyse_tile, &s);
    }
    for (int64_t i = 0; i < count; i++)
        samples[i] = (float)s.signal[SIDE + i];
fail:
    fft_destroy(s.fft);
    free(s.spectra);
    free(s.previous);
    free(s.pieces);
    free(s.signal);
    free(s.work);
    return result;
}

void mel_to_magnitudes(const struct log_mel *mel, const float *log_mel, float *magnitudes)
{
    enum { MAX_BANDS = 256 };
    double x[LOG_MEL_BINS] = {0}, target[LOG_MEL_BINS] = {0}, covered[LOG_MEL_BINS] = {0}, bands[MAX_BANDS];
    int count = log_mel_bands(mel);
    for (int b = 0; b < count; b++) {
        struct log_mel_band band = log_mel_band(mel, b);
        bands[b] = exp((double)log_mel[b]);
        double area = 0;
        for (int i = 0; i < band.length; i++)
            area += band.weights[i];
        for (int i = 0; i < band.length; i++) {
            target[band.first + i] += band.weights[i] * bands[b];
            x[band.first + i] += band.weights[i] * bands[b] / area;
            covered[band.first + i] += band.weights[i];
        }
    }
    for (int k = 0; k < LOG_MEL_BINS; k++)
        x[k] = covered[k] > 0 ? x[k] / covered[k] : 0;
    for (int round = 0; round < INVERSION_ROUNDS; round++) {
        double reached[LOG_MEL_BINS] = {0};
        for (int b = 0; b < count; b++) {
            struct log_mel_band band = log_mel_band(mel, b);
            double sum = 0;
            for (int i = 0; i < band.length; i++)
                sum += band.weights[i] * x[band.first + i];
            for (int i = 0; i < band.length; i++)
                reached[band.first + i] += band.weights[i] * sum;
        }
        for (int k = 0; k < LOG_MEL_BINS; k++)
            if (reached[k] > 0)
                x[k] *= target[k] / reached[k];
    }
    for (int k = 0; k < LOG_MEL_BINS; k++)
        magnitudes[k] = (float)x[k];
}
