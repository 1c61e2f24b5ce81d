/* In place of audio.c where the build was configured without the sound libraries (-DSPIRITLM_PREPARE=OFF): cluster nodes
 * that train have no use for them. */
#include "io/audio/audio.h"

#include <stddef.h>

enum status audio_read(const char *path, int channel, float **samples, int64_t *count)
{
    (void)channel;
    *samples = NULL;
    *count = 0;
    return status_set(STATUS_USAGE,
                      "%s: this build reads no sound files: it was configured with -DSPIRITLM_PREPARE=OFF; "
                      "pass units instead",
                      path);
}
