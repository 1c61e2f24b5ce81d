/* pYAAPT from samples to track: the stages of f0_stages.h in order. Frames whose NCCF cannot change the result are
 * found beforehand and left out; the rest of a stage is computed as if they were there. */
#include "speech/f0/f0.h"

#include "speech/f0/f0_stages.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Tables that every call shares, made by the first and kept as long as the process lives. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct fft *transform;

static void prepare(void)
{
    f0_filter_prepare();
    f0_energy_prepare();
    f0_harmonics_prepare();
    if (fft_create(F0_SHC_FFT, &transform) != STATUS_OK)
        transform = NULL;
}

struct work {
    int64_t frames, length;           /* length: samples with the padding */
    double *input, *signal, *squared; /* padded; then filtered, and filtered after squaring */
    double *energy, *track, *pitch;   /* of each frame */
    uint8_t *needed;                  /* frames whose NCCF can change the result */
    struct f0_candidate *harmonic;    /* frames x F0_SHC_CANDIDATES */
    struct f0_candidate *rows;        /* frames x F0_ROWS */
    struct f0_harmonics *harmonics;
};

static void work_free(struct work *work)
{
    free(work->input);
    free(work->signal);
    free(work->squared);
    free(work->energy);
    free(work->track);
    free(work->pitch);
    free(work->needed);
    free(work->harmonic);
    free(work->rows);
    f0_harmonics_destroy(work->harmonics);
}

static enum status work_allocate(struct work *work, int64_t frames)
{
    *work = (struct work){.frames = frames, .length = frames * F0_HOP + 2 * F0_PADDING};
    size_t count = (size_t)frames,
           samples = (size_t)(work->length + F0_SHC_FRAME); /* the last frames look past the end */
    work->input = calloc(samples, sizeof *work->input);
    work->signal = calloc(samples, sizeof *work->signal);
    work->squared = calloc(samples, sizeof *work->squared);
    work->energy = calloc(count, sizeof *work->energy);
    work->track = calloc(count, sizeof *work->track);
    work->pitch = calloc(count, sizeof *work->pitch);
    work->needed = calloc(count, sizeof *work->needed);
    work->harmonic = calloc(count * F0_SHC_CANDIDATES, sizeof *work->harmonic);
    work->rows = calloc(count * F0_ROWS, sizeof *work->rows);
    if (!work->input || !work->signal || !work->squared || !work->energy || !work->track || !work->pitch ||
        !work->needed || !work->harmonic || !work->rows)
        return status_set(STATUS_INTERNAL, "no memory for the pitch of %lld frames", (long long)frames);
    return f0_harmonics_create(transform, &work->harmonics);
}

/* Scales to a peak of 0.95, pads, filters. False: samples[*bad] is not a finite number. */
static bool filter_input(struct work *work, const float *samples, int64_t *bad)
{
    int64_t count = work->frames * F0_HOP;
    double peak = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(samples[i])) {
            *bad = i;
            return false;
        }
        double size = fabs((double)samples[i]);
        peak = size > peak ? size : peak;
    }
    double *padded = work->input + F0_PADDING;
    for (int64_t i = 0; i < count; i++)
        padded[i] = (peak > 0 ? samples[i] / peak : 0) * 0.95;
    f0_filter(work->input, work->length, work->signal);
    for (int64_t i = 0; i < count; i++)
        padded[i] *= padded[i];
    f0_filter(work->input, work->length, work->squared);
    return true;
}

static void find_harmonics(struct work *work, const uint8_t *voiced)
{
    for (int64_t f = 0; f < work->frames; f++)
        if (voiced[f])
            f0_harmonics_find(work->harmonics, work->squared + f * F0_HOP, work->harmonic + f * F0_SHC_CANDIDATES);
}

/* A frame of hardly any energy ends up without pitch candidates whatever its NCCF shows; its NCCF matters only to the
 * medians around voiced frames. */
static void mark_needed(struct work *work, const uint8_t *voiced)
{
    const int64_t reach = F0_REFINE_MEDIAN / 2;
    for (int64_t f = 0; f < work->frames; f++) {
        if (!(work->energy[f] <= F0_SILENT_ENERGY))
            work->needed[f] = 1;
        if (!voiced[f])
            continue;
        for (int64_t i = f - reach; i <= f + reach; i++)
            if (i >= 0 && i < work->frames)
                work->needed[i] = 1;
    }
}

static enum status extract(struct work *work, const float *samples, uint8_t *voiced)
{
    enum status result = STATUS_OK;
    int64_t frames = work->frames, bad = 0;
    double deviation;
    if (!filter_input(work, samples, &bad))
        FAIL(STATUS_CORRUPT, "cannot extract pitch: sample %lld is not a finite number", (long long)bad);
    if (!f0_energy(work->signal, frames, work->energy))
        return STATUS_OK; /* silence: no pitch, nothing voiced */
    for (int64_t f = 0; f < frames; f++)
        voiced[f] = work->energy[f] > F0_VOICED_ENERGY;
    find_harmonics(work, voiced);
    TRY(f0_spectral_track(work->harmonic, frames, work->track, &deviation));
    mark_needed(work, voiced);
    f0_nccf_track(work->signal, work->track, deviation, frames, work->needed, work->rows);
    f0_nccf_track(work->squared, work->track, deviation, frames, work->needed, work->rows + F0_NCCF_CANDIDATES);
    TRY(f0_refine(work->rows, work->track, work->energy, voiced, frames));
    TRY(f0_final_path(work->rows, work->energy, frames, work->pitch));
fail:
    return result;
}

/* Straight lines between the frames with a pitch, the first and last held to the ends. */
static void interpolate(const double *pitch, int64_t frames, float *interpolated)
{
    int64_t last = -1, pitched = 0;
    for (int64_t f = 0; f < frames; f++)
        pitched += pitch[f] > 0;
    if (pitched < 2)
        return;
    for (int64_t f = 0; f < frames; f++) {
        if (!(pitch[f] > 0))
            continue;
        for (int64_t i = last + 1; i < f; i++) {
            double share = last < 0 ? 1 : (double)(i - last) / (double)(f - last);
            interpolated[i] = (float)(last < 0 ? pitch[f] : pitch[last] + (pitch[f] - pitch[last]) * share);
        }
        interpolated[f] = (float)pitch[f];
        last = f;
    }
    for (int64_t i = last + 1; i < frames; i++)
        interpolated[i] = (float)pitch[last];
}

enum status f0_extract(const float *samples, int64_t count, struct f0_track *track)
{
    enum status result = STATUS_OK;
    struct work work = {0};
    *track = (struct f0_track){.count = count / F0_HOP};
    size_t room = track->count > 0 ? (size_t)track->count : 1;
    track->f0 = calloc(room, sizeof *track->f0);
    track->interpolated = calloc(room, sizeof *track->interpolated);
    track->voiced = calloc(room, sizeof *track->voiced);
    if (!track->f0 || !track->interpolated || !track->voiced)
        FAIL(STATUS_INTERNAL, "no memory for a pitch track of %lld frames", (long long)track->count);
    if (track->count == 0)
        return STATUS_OK;
    pthread_once(&once, prepare);
    if (!transform)
        FAIL(STATUS_INTERNAL, "no memory for the pitch extractor's tables");
    TRY(work_allocate(&work, track->count));
    TRY(extract(&work, samples, track->voiced));
    for (int64_t f = 0; f < track->count; f++)
        track->f0[f] = (float)work.pitch[f];
    interpolate(work.pitch, track->count, track->interpolated);
fail:
    work_free(&work);
    if (result != STATUS_OK)
        f0_track_free(track);
    return result;
}

void f0_track_free(struct f0_track *track)
{
    free(track->f0);
    free(track->interpolated);
    free(track->voiced);
    *track = (struct f0_track){0};
}
