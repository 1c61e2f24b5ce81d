/* Real recordings for the tests of the speech tokenizer: the ten clips of pocketsphinx-testdata. */
#ifndef SPIRITLM_TESTS_SPEECH_CLIPS_H
#define SPIRITLM_TESTS_SPEECH_CLIPS_H

#include "speech/embedded/fit.h"

#include <stddef.h>
#include <stdint.h>

enum { SPEECH_CLIPS = 10 };

struct speech_clip {
    float *samples;
    int64_t count;
    const char *speaker; /* "cards" for 0..4, "reader" for 5..8, NULL for the last */
};

void speech_clips_load(struct speech_clip clips[SPEECH_CLIPS]);
void speech_clips_free(struct speech_clip clips[SPEECH_CLIPS]);

/* Fits a tokenizer on the clips first..end - 1 into test_directory()/name and puts that path into `path` [700]. threads
 * 0: no pool. */
void speech_clips_fit(const struct speech_clip *clips, int first, int end, const struct speech_fit_options *options,
                      int threads, const char *name, char *path);

#endif
