/* From units to sound: each unit's mean spectrum for as long as the unit lasts, blending into the next one's around
 * their border, and Griffin-Lim for the phases. Without that transition the spectrum would jump 25 times per second. */
#include "speech/embedded/tokenizer.h"

#include "speech/embedded/griffin_lim.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Long speech is synthesised in sections, so that memory does not grow with it: each with some units of its neighbours
 * on both sides, joined by a cross-fade over one unit around the border. Their phases have nothing in common, so powers
 * are faded, not amplitudes. */
enum { SECTION = 500, CONTEXT = 10, FADE = UNIT_HOP };

static const int64_t LONGEST = (int64_t)12 * 3600 * 25; /* units */

/* The spectrum moves from one unit's to the next's over this share of a unit, around their border. */
static const double TRANSITION = 0.5;

/* The log magnitudes of frame `frame` of a section that begins with units[0]. */
static void frame_magnitudes(const struct embedded_tokenizer *tokenizer, const int32_t *units, int64_t count,
                             int64_t frame, float *magnitudes)
{
    double place = ((double)frame * GRIFFIN_LIM_HOP + 0.5 * GRIFFIN_LIM_HOP - 0.5 * UNIT_HOP) / UNIT_HOP;
    place = fmin(fmax(place, 0), (double)(count - 1));
    int64_t left = (int64_t)place, right = left + 1 < count ? left + 1 : left;
    double share = fmin(fmax((place - (double)left - 0.5) / TRANSITION + 0.5, 0), 1);
    const float *from = tokenizer->log_magnitudes + (int64_t)units[left] * LOG_MEL_BINS;
    const float *to = tokenizer->log_magnitudes + (int64_t)units[right] * LOG_MEL_BINS;
    for (int k = 0; k < LOG_MEL_BINS; k++)
        magnitudes[k] = (float)exp((1 - share) * (double)from[k] + share * (double)to[k]);
}

/* Adds units [begin, end) of the whole, with their fades, to output. */
static enum status add_section(const struct embedded_tokenizer *tokenizer, const int32_t *units, int64_t count,
                               int64_t section, struct thread_pool *pool, float *output)
{
    enum status result = STATUS_OK;
    int64_t begin = section * SECTION, end = begin + SECTION < count ? begin + SECTION : count;
    int64_t from = begin > CONTEXT ? begin - CONTEXT : 0, to = end + CONTEXT < count ? end + CONTEXT : count;
    int64_t samples = (to - from) * UNIT_HOP, frames = griffin_lim_frames(samples);
    float *magnitudes = malloc((size_t)(frames * LOG_MEL_BINS) * sizeof *magnitudes);
    float *piece = malloc((size_t)samples * sizeof *piece);
    if (!magnitudes || !piece)
        FAIL(STATUS_INTERNAL, "no memory to synthesise %lld units", (long long)(to - from));
    for (int64_t t = 0; t < frames; t++)
        frame_magnitudes(tokenizer, units + from, to - from, t, magnitudes + t * LOG_MEL_BINS);
    TRY(griffin_lim(magnitudes, samples, tokenizer->vocoder_iterations, tokenizer->vocoder_seed, (uint64_t)section,
                    pool, piece));
    int64_t first = begin * UNIT_HOP - (begin > 0 ? FADE / 2 : 0), last = end * UNIT_HOP + (end < count ? FADE / 2 : 0);
    for (int64_t i = first; i < last; i++) {
        double weight = 1;
        if (begin > 0)
            weight = fmin(weight, ((double)(i - first) + 0.5) / FADE);
        if (end < count)
            weight = fmin(weight, ((double)(last - i) - 0.5) / FADE);
        output[i] += (float)(sqrt(weight) * (double)piece[i - from * UNIT_HOP]);
    }
fail:
    free(magnitudes);
    free(piece);
    return result;
}

/* The units, each repeated for as long as it lasts. */
static enum status repeat_units(const struct embedded_tokenizer *tokenizer, const struct spoken_unit *spoken,
                                const int32_t *durations, int64_t spoken_count, int32_t **units, int64_t *count)
{
    int64_t total = 0;
    *units = NULL;
    *count = 0;
    for (int pass = 0; pass < 2; pass++) {
        total = 0;
        for (int64_t i = 0; i < spoken_count; i++) {
            int32_t unit = spoken[i].hubert;
            if (unit < 0 || unit >= tokenizer->units.units)
                return status_set(STATUS_USAGE,
                                  "unit %lld of %lld to synthesise: expected a unit below %lld, found [Hu%d]",
                                  (long long)i, (long long)spoken_count, (long long)tokenizer->units.units, (int)unit);
            int64_t lasts = durations ? durations[i] : lround(fmax((double)tokenizer->units.run_lengths[unit], 1));
            if (lasts < 1 || lasts > LONGEST - total)
                return status_set(STATUS_USAGE,
                                  "unit %lld of %lld to synthesise: expected a duration of at least 1 and at most 12 "
                                  "hours in total, found %lld times 40 ms",
                                  (long long)i, (long long)spoken_count, (long long)lasts);
            assert(pass == 0 || *units);
            for (int64_t r = 0; pass == 1 && r < lasts; r++)
                (*units)[total + r] = unit;
            total += lasts;
        }
        if (pass == 0 && total > 0 && !(*units = malloc((size_t)total * sizeof **units)))
            return status_set(STATUS_INTERNAL, "no memory to synthesise %lld units of speech", (long long)total);
    }
    *count = total;
    return STATUS_OK;
}

enum status embedded_vocode(const struct embedded_tokenizer *tokenizer, const struct spoken_unit *spoken,
                            const int32_t *durations, int64_t spoken_count, struct thread_pool *pool, float **samples,
                            int64_t *count)
{
    enum status result = STATUS_OK;
    int32_t *units = NULL;
    int64_t total = 0;
    float *output = NULL;
    *samples = NULL;
    *count = 0;
    TRY(repeat_units(tokenizer, spoken, durations, spoken_count, &units, &total));
    if (total == 0)
        return STATUS_OK;
    if (!(output = calloc((size_t)(total * UNIT_HOP), sizeof *output)))
        FAIL(STATUS_INTERNAL, "no memory to synthesise %lld units of speech", (long long)total);
    for (int64_t section = 0; section * SECTION < total; section++)
        TRY(add_section(tokenizer, units, total, section, pool, output));
    *samples = output;
    *count = total * UNIT_HOP;
    output = NULL;
fail:
    free(units);
    free(output);
    return result;
}
