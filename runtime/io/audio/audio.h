/* Reads sound files; io/wav.h writes them. */
#ifndef SPIRITLM_IO_AUDIO_H
#define SPIRITLM_IO_AUDIO_H

#include "core/status.h"
#include "io/wav.h"

#include <stdint.h>

/* Reads WAV, FLAC, Ogg, Opus, MP3 (libsndfile) or headerless .g722 (spandsp), averages the channels, resamples to
 * AUDIO_RATE (soxr, HQ) and returns samples in [-1, 1] that the caller frees. `channel` >= 0 takes that one channel
 * instead of the mean. STATUS_USAGE: no such file or channel; STATUS_CORRUPT: not audio, no samples, a NaN, infinity
 * or magnitude over 1e10, longer than 12 hours. */
enum status audio_read(const char *path, int channel, float **samples, int64_t *count);

#endif
