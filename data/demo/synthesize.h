/* Synthetic speech by flite with the synthesiser's own word times: for the demo's corpus and for measuring the aligner.
 * flite makes no promise about threads: call it from one thread of a process only. */
#ifndef SPIRITLM_DATA_DEMO_SYNTHESIZE_H
#define SPIRITLM_DATA_DEMO_SYNTHESIZE_H

#include "core/status.h"
#include "data/aligned_word.h"

#include <stdint.h>

enum synthetic_voice { VOICE_SLT, VOICE_RMS, VOICE_AWB, SYNTHETIC_VOICES };
enum synthetic_emotion { EMOTION_NEUTRAL, EMOTION_HAPPY, EMOTION_SAD, SYNTHETIC_EMOTIONS };
extern const char *const synthetic_voice_names[SYNTHETIC_VOICES];     /* "slt", "rms", "awb" */
extern const char *const synthetic_emotion_names[SYNTHETIC_EMOTIONS]; /* "neutral", "happy", "sad" */

struct synthesis {
    float *samples; /* 16 kHz, mono */
    int64_t count;
    struct aligned_word *words; /* one per run of the text without white space; times ordered, inside the sound */
    int64_t word_count;
};

/* Speaks a text of ASCII words in one go. Happy is quicker, higher and livelier than neutral, sad slower, lower and
 * flatter (duration_stretch, int_f0_target_mean, int_f0_target_stddev). STATUS_USAGE when the synthesiser does not
 * divide the text into the same words as white space does, or finds nothing to say. */
enum status synthesize(const char *text, enum synthetic_voice voice, enum synthetic_emotion emotion,
                       struct synthesis *synthesis);
void synthesis_free(struct synthesis *synthesis);

#endif
