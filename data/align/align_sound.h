/* Where audio has sound. */
#ifndef SPIRITLM_DATA_ALIGN_SOUND_H
#define SPIRITLM_DATA_ALIGN_SOUND_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

/* For each 10 ms: whether there is sound. */
struct sound {
    bool *frames;
    int64_t count, sounding;
};

enum status sound_find(const float *samples, int64_t count, struct sound *sound);
void sound_free(struct sound *sound);

struct segments;
/* What speaks against the segments although there is a path, whatever its score; NULL: nothing. */
const char *sound_against(const struct sound *sound, const struct segments *segments);

#endif
