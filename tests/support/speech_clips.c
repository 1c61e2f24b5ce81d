#include "support/speech_clips.h"

#include "io/audio/audio.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const paths[SPEECH_CLIPS] = {
    "cards/001.wav",
    "cards/002.wav",
    "cards/003.wav",
    "cards/004.wav",
    "cards/005.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0880.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0890.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0920.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0930.wav",
};

void speech_clips_load(struct speech_clip clips[SPEECH_CLIPS])
{
    for (int c = 0; c < SPEECH_CLIPS; c++) {
        char path[300];
        snprintf(path, sizeof path, "/usr/share/pocketsphinx/test/data/%s", paths[c]);
        assert_ok(audio_read(path, -1, &clips[c].samples, &clips[c].count));
        clips[c].speaker = c < 5 ? "cards" : c < 9 ? "reader" : NULL;
    }
}

void speech_clips_free(struct speech_clip clips[SPEECH_CLIPS])
{
    for (int c = 0; c < SPEECH_CLIPS; c++)
        free(clips[c].samples);
}

void speech_clips_fit(const struct speech_clip *clips, int first, int end, const struct speech_fit_options *options,
                      int threads, const char *name, char *path)
{
    struct speech_fit *fit;
    struct thread_pool *pool = NULL;
    snprintf(path, 700, "%s/%s", test_directory(), name);
    assert_ok(speech_fit_begin(options, &fit));
    for (int c = first; c < end; c++)
        assert_ok(speech_fit_add(fit, clips[c].samples, clips[c].count, clips[c].speaker));
    if (threads > 0)
        assert_ok(thread_pool_create(threads, &pool));
    assert_ok(speech_fit_finish(fit, pool, path, true));
    thread_pool_destroy(pool);
    speech_fit_free(fit);
}
