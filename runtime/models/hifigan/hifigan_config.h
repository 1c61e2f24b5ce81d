/* The shape of a unit HiFi-GAN (Polyak et al. 2021, after Kong et al. 2020), as the config.json beside its weights describes it.
 * Read are those of Spirit LM's release and of the vocoders of TWIST and textlesslib. */
#ifndef SPIRITLM_MODELS_HIFIGAN_CONFIG_H
#define SPIRITLM_MODELS_HIFIGAN_CONFIG_H

#include "core/status.h"

#include <stdint.h>

enum {
    HIFIGAN_STAGES = 8,    /* at most; of upsampling */
    HIFIGAN_BLOCKS = 8,    /* at most; residual blocks side by side in a stage */
    HIFIGAN_DILATIONS = 3, /* exactly; of a residual block */
    HIFIGAN_INPUT_KERNEL = 7,
    HIFIGAN_OUTPUT_KERNEL = 7,
    HIFIGAN_DURATION_KERNEL = 3,
};

/* The embeddings that a frame is made of, in the order of their channels. */
enum hifigan_table { HIFIGAN_UNIT, HIFIGAN_PITCH, HIFIGAN_STYLE_CODE, HIFIGAN_SPEAKER, HIFIGAN_STYLE, HIFIGAN_TABLES };

struct hifigan_config {
    int64_t rows[HIFIGAN_TABLES]; /* of each embedding; 0: the model has none of that kind */
    int64_t width;                /* numbers per embedding */
    int64_t channels;             /* after the first convolution; each stage halves them */
    int64_t stages, rates[HIFIGAN_STAGES], kernels[HIFIGAN_STAGES];
    int64_t blocks, block_kernels[HIFIGAN_BLOCKS], dilations[HIFIGAN_BLOCKS][HIFIGAN_DILATIONS];
    int64_t duration_channels; /* of the duration predictor; 0: none */
    int64_t sample_rate;
    int64_t frame_samples;                      /* of one unit that lasts one frame: the product of the rates */
    int64_t pitch_repetition, style_repetition; /* frames that a code lasts where codes have rates of their own */
};

/* STATUS_CORRUPT names the key that is missing, does not fit the others, or asks for what this vocoder does not compute. */
enum status hifigan_config_read(const char *path, struct hifigan_config *config);

/* Channels of a frame: those of all embeddings. */
int64_t hifigan_config_inputs(const struct hifigan_config *config);
/* Frames on either side of a frame that a stage's residual blocks look at, at that stage's rate. */
int64_t hifigan_config_reach(const struct hifigan_config *config);

#endif
