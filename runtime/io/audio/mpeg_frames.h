/* The frames of MPEG audio, without decoding them. */
#ifndef SPIRITLM_IO_AUDIO_MPEG_FRAMES_H
#define SPIRITLM_IO_AUDIO_MPEG_FRAMES_H

#include "io/audio/view.h"

#include <stdbool.h>

struct mpeg_frames {
    int rate, channels; /* of the first frame; rate 0: there is no frame */
    int samples;        /* of a channel in a frame */
    int64_t begin, end; /* of the frames in the view, the header's one without sound excluded */
    int64_t count;      /* whole frames between */
    int64_t info;       /* where the frame with the header is; -1: none */
    int64_t announced;  /* frames, by that header; -1: it does not say */
    int64_t skipped;    /* bytes between frames that belong to none */
    bool cut;           /* the last frame is not whole and not counted */
    bool free_format;   /* frames of a rate that is in no table: they were not counted */
};

void mpeg_frames_find(const struct view *view, struct mpeg_frames *frames);

#endif
