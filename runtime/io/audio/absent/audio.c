/* Replaces audio.c in a build without the sound libraries (-DSPIRITLM_PREPARE=OFF): cluster nodes that only train do
 * not need them. */
#include "io/audio/audio.h"

#include <stddef.h>

static enum status refuse(const char *name, float **samples, int64_t *count)
{
    *samples = NULL;
    *count = 0;
    return status_set(STATUS_USAGE,
                      "%s: this build cannot read sound files, because it was configured with -DSPIRITLM_PREPARE=OFF; "
                      "pass units instead",
                      name);
}

enum status audio_read_noted(const char *path, int channel, float **samples, int64_t *count,
                             char note[AUDIO_NOTE_BYTES])
{
    (void)channel;
    note[0] = '\0';
    return refuse(path, samples, count);
}

enum status audio_read(const char *path, int channel, float **samples, int64_t *count)
{
    (void)channel;
    return refuse(path, samples, count);
}

enum status audio_read_memory_noted(struct audio_memory file, int channel, float **samples, int64_t *count,
                                    char note[AUDIO_NOTE_BYTES])
{
    (void)channel;
    note[0] = '\0';
    return refuse(file.name, samples, count);
}

enum status audio_read_memory(struct audio_memory file, int channel, float **samples, int64_t *count)
{
    (void)channel;
    return refuse(file.name, samples, count);
}
