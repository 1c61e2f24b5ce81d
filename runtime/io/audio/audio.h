/* Reads sound files; io/wav.h writes them. */
#ifndef SPIRITLM_IO_AUDIO_H
#define SPIRITLM_IO_AUDIO_H

#include "core/status.h"
#include "io/wav.h"

#include <stdint.h>

enum { AUDIO_NOTE_BYTES = 256 };

/* Reads WAV, FLAC, Ogg, Opus (libsndfile), MP3 (libmpg123) or headerless .g722 (spandsp), averages the channels, resamples
 * to AUDIO_RATE (soxr, HQ) and returns samples in [-1, 1] that the caller frees. `channel` >= 0 takes that one channel
 * instead of the mean. The number of samples is counted, whatever a header announces. STATUS_USAGE: no such file or
 * channel; STATUS_CORRUPT: not audio, no samples, damaged or truncated, a NaN, infinity or magnitude over 1e10, more than
 * a tenth of the samples beyond full scale, longer than 12 hours. A warning says what was not as it should be in a file
 * that could be read all the same: a wrong length, a missing end, clipped samples. */
enum status audio_read(const char *path, int channel, float **samples, int64_t *count);
/* The same with the warning as a note without the path; "": nothing. */
enum status audio_read_noted(const char *path, int channel, float **samples, int64_t *count,
                             char note[AUDIO_NOTE_BYTES]);

/* A sound file that lies in memory, as a member of an archive does. The name stands for its path: in errors and warnings, and
 * for the endings .g722 and .mp3. */
struct audio_memory {
    const char *name;
    const void *data;
    int64_t size;
};

/* The same samples, errors and warnings as from a file with these bytes. */
enum status audio_read_memory(struct audio_memory file, int channel, float **samples, int64_t *count);
enum status audio_read_memory_noted(struct audio_memory file, int channel, float **samples, int64_t *count,
                                    char note[AUDIO_NOTE_BYTES]);

#endif
