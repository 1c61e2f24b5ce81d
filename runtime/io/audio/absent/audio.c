/* Replaces audio.c in a build without the sound libraries (-DSPIRITLM_PREPARE=OFF): cluster nodes that only train do
 * not need them. */
#include "io/audio/audio.h"

#include <stddef.h>

enum status audio_read_noted(const char *path, int channel, float **samples, int64_t *count,
                             char note[AUDIO_NOTE_BYTES])
{
    (void)channel;
    note[0] = '\0';
    *samples = NULL;
    *count = 0;
    return status_set(STATUS_USAGE,
                      "%s: this build cannot read sound files, because it was configured with -DSPIRITLM_PREPARE=OFF; "
                      "pass units instead",
                      path);
}

enum status audio_read(const char *path, int channel, float **samples, int64_t *count)
{
    char note[AUDIO_NOTE_BYTES];
    return audio_read_noted(path, channel, samples, count, note);
}
