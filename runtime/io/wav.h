/* Writes sound files; io/audio/audio.h reads them. */
#ifndef SPIRITLM_IO_WAV_H
#define SPIRITLM_IO_WAV_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

enum { AUDIO_RATE = 16000 }; /* samples per second of everything inside this toolkit, one channel */

/* Writes samples as 16-bit mono WAV at AUDIO_RATE, clipped to [-1, 1], by the protocol of atomic_file.h. Non-finite
 * samples are refused (STATUS_INTERNAL). */
enum status wav_write(const char *path, const float *samples, int64_t count);

/* The same file in memory, for the caller to free; `name` is for errors. */
enum status wav_bytes(const char *name, const float *samples, int64_t count, unsigned char **bytes, size_t *size);

#endif
