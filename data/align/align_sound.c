/* Where an utterance has sound, and whether the words lie there. A path through the grammar exists for nearly every
 * audio, and its score compares the words with other sounds of speech, not with silence: a text on silence scores like a
 * fair one. Levels are of frames of 10 ms without their mean, so that a constant is silence. */
#include "data/align/align_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOUD_FRAMES = 10, /* a click is shorter than 100 ms and does not decide what is loud */
    WORD_FRAMES = 80, /* no word lasts longer than these and so many for each letter */
    LETTER_FRAMES = 15,
};

/* Root mean squares. Speech in the quietest of usable recordings has frames above -60 dB; 16-bit zeros with dither have -96. */
static const double silence = 0.0005;     /* -66 dB of full scale */
static const double quiet = 0.0316;       /* a frame 30 dB below the loud ones counts as a pause */
static const double smallest_share = 0.3; /* of the sound, covered by words */
static const double most_silent = 0.25;   /* of the words, without any sound */

static float level(const float *samples, int64_t count)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += samples[i];
        squares += (double)samples[i] * samples[i];
    }
    double variance = (squares - sum * sum / (double)count) / (double)count;
    return variance > 0 ? (float)sqrt(variance) : 0;
}

static int descending(const void *a, const void *b)
{
    float left = *(const float *)a, right = *(const float *)b;
    return (left < right) - (left > right);
}

enum status sound_find(const float *samples, int64_t count, struct sound *sound)
{
    enum status result = STATUS_OK;
    int64_t frames = count / FRAME_SAMPLES;
    float *levels = malloc(2 * (size_t)frames * sizeof *levels + 1), *sorted = levels + frames;
    *sound = (struct sound){.frames = calloc((size_t)frames + 1, sizeof *sound->frames), .count = frames};
    if (levels == NULL || sound->frames == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for the levels of %lld frames", (long long)frames);
    for (int64_t i = 0; i < frames; i++)
        sorted[i] = levels[i] = level(samples + i * FRAME_SAMPLES, FRAME_SAMPLES);
    qsort(sorted, (size_t)frames, sizeof *sorted, descending);
    double limit = frames > 0 ? quiet * sorted[frames > LOUD_FRAMES ? LOUD_FRAMES - 1 : frames - 1] : 0;
    limit = limit > silence ? limit : silence;
    for (int64_t i = 0; i < frames; i++) {
        sound->frames[i] = levels[i] >= limit;
        sound->sounding += sound->frames[i];
    }
fail:
    free(levels);
    if (result != STATUS_OK)
        sound_free(sound);
    return result;
}

void sound_free(struct sound *sound)
{
    free(sound->frames);
    *sound = (struct sound){0};
}

static int64_t sounding_frames(const struct sound *sound, const struct segment *segment)
{
    int64_t sounding = 0;
    for (int64_t f = segment->first; f <= segment->last && f < sound->count; f++)
        sounding += sound->frames[f];
    return sounding;
}

const char *sound_against(const struct sound *sound, const struct segments *segments)
{
    int64_t words = 0, silent = 0, covered = 0;
    bool endless = false;
    for (int64_t s = 0; s < segments->count; s++) {
        const struct segment *segment = &segments->list[s];
        if (!segment->spoken)
            continue;
        int64_t sounding = sounding_frames(sound, segment);
        int64_t longest = WORD_FRAMES + LETTER_FRAMES * (int64_t)strlen(segment->word);
        words++;
        silent += sounding == 0;
        covered += sounding;
        endless = endless || segment->last - segment->first + 1 > longest;
    }
    if ((double)covered < smallest_share * (double)sound->sounding)
        return "the text covers a small part of the sound";
    if ((double)silent > most_silent * (double)words)
        return "words where there is no sound";
    return endless ? "a word that lasts too long" : NULL;
}
