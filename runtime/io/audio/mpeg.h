/* MPEG audio (MP3 and its older layers), decoded by libmpg123. */
#ifndef SPIRITLM_IO_AUDIO_MPEG_H
#define SPIRITLM_IO_AUDIO_MPEG_H

#include "core/status.h"
#include "io/audio/containers.h"

struct mpeg;

/* Counts the frames and starts to decode; the view must stay. STATUS_CORRUPT: no MPEG audio, or fewer frames than its
 * length header announces. */
enum status mpeg_open(const char *path, struct view *view, struct mpeg **mpeg, int *rate, int *channels,
                      char note[AUDIO_NOTE_BYTES]);
/* Up to `room` frames of interleaved samples; *count 0 at the end. */
enum status mpeg_read(struct mpeg *mpeg, float *frames, int64_t room, int64_t *count);
void mpeg_close(struct mpeg *mpeg); /* may be NULL */

#endif
