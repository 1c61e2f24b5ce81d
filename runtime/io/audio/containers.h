/* What the containers of sound announce, held against what the file has. */
#ifndef SPIRITLM_IO_AUDIO_CONTAINERS_H
#define SPIRITLM_IO_AUDIO_CONTAINERS_H

#include "core/status.h"
#include "io/audio/audio.h"
#include "io/audio/view.h"

#include <stdbool.h>

enum container {
    CONTAINER_WAV,
    CONTAINER_FLAC,
    CONTAINER_OGG,
    CONTAINER_AIFF,
    CONTAINER_AU,
    CONTAINER_SPHERE,
    CONTAINER_MPEG,
    CONTAINER_OTHER
};

/* Sets the view on the sound, without tags in front, and says what it is. `path`: for the name's end. */
enum container container_find(const char *path, struct view *view);

/* Ends the view before ID3v1, APE and Lyrics3 tags, whose bytes can look like sound. */
void container_leave_out_tags(struct view *view);

/* What is known about the number of frames. */
struct container_length {
    int64_t frames; /* announced; -1: nothing, or not to be believed */
    bool cut;       /* the end is missing: what libsndfile says of it is no further fault */
};

/* Each refuses what is damaged (STATUS_CORRUPT), and otherwise changes the view so that libsndfile reads all that is there; a
 * note says what was not as announced. */
enum status wav_check(const char *path, struct view *view, char note[AUDIO_NOTE_BYTES]);
enum status aiff_check(const char *path, const struct view *view, char note[AUDIO_NOTE_BYTES]);
enum status au_check(const char *path, const struct view *view, char note[AUDIO_NOTE_BYTES]);
void sphere_check(const struct view *view, struct container_length *length);
enum status flac_check(const char *path, struct view *view, struct container_length *length);
enum status ogg_check(const char *path, struct view *view, struct container_length *length,
                      char note[AUDIO_NOTE_BYTES]); /* ogg_pages.c */

#endif
