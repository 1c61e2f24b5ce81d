/* Fundamental frequency by pYAAPT (Kasi and Zahorian 2002, "Yet another algorithm for pitch tracking") as AMFM_decompy
 * 1.0.12 computes it with 20 ms frames every 5 ms, 60-400 Hz: the extractor of Spirit LM's data. */
#ifndef SPIRITLM_SPEECH_F0_H
#define SPIRITLM_SPEECH_F0_H

#include "core/status.h"

#include <stdint.h>

enum { F0_HOP = 80 }; /* samples at 16 kHz between frames: 200 frames per second */

struct f0_track {
    float *f0;           /* Hz; 0 where no pitch was found */
    float *interpolated; /* Hz; zeros replaced linearly between neighbours, ends held; all 0 with < 2 pitched frames */
    uint8_t *voiced; /* 1 where the frame's low-frequency energy means voiced (NLFER > 0.75): not the same as f0 > 0 */
    int64_t count;   /* floor(samples / F0_HOP) */
};

/* samples: 16 kHz mono, finite. Fewer than F0_HOP samples give an empty track. Thread-safe. */
enum status f0_extract(const float *samples, int64_t count, struct f0_track *track);
void f0_track_free(struct f0_track *track);

#endif
