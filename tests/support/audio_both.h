/* Reads a sound file by its path and once more from memory, and fails the test unless both give the same: status, text, samples
 * and note. Otherwise as the functions of io/audio/audio.h. */
#ifndef SPIRITLM_TESTS_AUDIO_BOTH_H
#define SPIRITLM_TESTS_AUDIO_BOTH_H

#include "io/audio/audio.h"

enum status audio_read_both(const char *path, int channel, float **samples, int64_t *count);
enum status audio_read_both_noted(const char *path, int channel, float **samples, int64_t *count,
                                  char note[AUDIO_NOTE_BYTES]);

#endif
