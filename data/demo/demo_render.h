/* The synthetic speech of the demo's corpus: passages spoken by flite (data/demo/synthesize.h), in several
 * processes. */
#ifndef SPIRITLM_DATA_DEMO_RENDER_H
#define SPIRITLM_DATA_DEMO_RENDER_H

#include "data/demo/demo_passages.h"
#include "data/demo/synthesize.h"

struct demo_render {
    int64_t passage; /* index in the list of passages */
    enum synthetic_voice voice;
    enum synthetic_emotion emotion;
};

/* Writes FOLDER/synthetic/NNNN.wav and its manifest row, synthetic/NNNN.json, for each of the renders in their order.
 * What is written does not depend on `workers`, the number of processes that share the work (limited to 1 to 64).
 * samples[i] becomes the length of sound i; 0: the voice reads the text as different words, and nothing is written. */
enum status demo_render_all(const char *folder, const struct demo_passages *passages, const struct demo_render *renders,
                            int64_t count, int64_t workers, int64_t *samples);

#endif
