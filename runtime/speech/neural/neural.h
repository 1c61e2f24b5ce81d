/* The neural components: networks that others have trained, read from the files that they distribute. Each can stand in a set
 * beside components of any kind (speech/component.h).
 *
 *   units   a HuBERT or wav2vec 2.0 encoder (models/encoder) up to one of its layers, and a quantizer of its frames
 *   pitch   F0 by FCPE (models/fcpe) or pYAAPT (speech/f0), and the codes of a VQ-VAE of it (models/vqvae)
 *   style   a wav2vec 2.0 classifier of each second (models/encoder/style_classifier.h)
 *   vocoder a unit HiFi-GAN (models/hifigan)
 *
 * As in Spirit LM's release, audio is cut into chunks of 100 s that know nothing of each other, and a chunk of under 1280 samples
 * gives nothing. A stream's rate is what a whole chunk gives in 100 s: a HuBERT of 25 frames per second gives 2499, since its
 * convolutions do not pad.
 *
 * A component whose size, rate and fingerprint are known already (struct neural_promise) reads its files when it is first used, and
 * refuses them then if they are others. Everything computes in f32. */
#ifndef SPIRITLM_SPEECH_NEURAL_NEURAL_H
#define SPIRITLM_SPEECH_NEURAL_NEURAL_H

#include "speech/component.h"

/* ---- where they compute, and where their files are ---- */

/* What the neural components of a set share. Every component holds a share of it. */
struct neural_base;

/* root: the folder that relative names of files start from; NULL or "": that of the environment's SPIRITLM_CHECKPOINTS_DIR. */
enum status neural_base_create(const char *root, struct neural_base **base);
void neural_base_release(struct neural_base *base); /* NULL is fine */

/* As speech_compute_on: before the first use of a component. */
void neural_base_compute_on(struct neural_base *base, const struct speech_compute *compute);

/* ---- components ---- */

/* What is known of a component before its files are read; a vocoder has a fingerprint alone. A fingerprint of zeros is not known: then
 * files of any numbers will do. */
struct neural_promise {
    struct sha256 fingerprint;
    int32_t size;
    struct rational rate;
};

/* Names are relative to the base's folder unless they begin with a slash. Strings need not outlive the call that takes them. */
struct neural_units {
    const char *encoder, *quantizer; /* files or folders that encoder_open and quantizer_open read */
    int64_t layer;                   /* whose output is quantized, from 1 on */
    bool pad;                        /* 40 zeros at both ends of a chunk, as slamkit has them */
};

struct neural_pitch {
    const char *quantizer; /* folder that vqvae_open reads */
    const char *f0;        /* file that fcpe_open reads; NULL or "": pYAAPT */
};

struct neural_style {
    const char *classifier; /* folder that style_classifier_open reads */
};

struct neural_vocoder {
    const char *vocoder; /* folder or file that hifigan_open reads */
};

/* promise NULL: the files are read now, which needs a base that was told where to compute. STATUS_USAGE names a file that is not
 * there, where it was looked for, and where one of its name is; STATUS_CORRUPT what is wrong in one. */
enum status neural_units_open(const struct neural_units *options, struct neural_base *base,
                              const struct neural_promise *promise, struct speech_encoder *encoder);
enum status neural_pitch_open(const struct neural_pitch *options, struct neural_base *base,
                              const struct neural_promise *promise, struct speech_encoder *encoder);
enum status neural_style_open(const struct neural_style *options, struct neural_base *base,
                              const struct neural_promise *promise, struct speech_encoder *encoder);
enum status neural_vocoder_open(const struct neural_vocoder *options, struct neural_base *base,
                                const struct neural_promise *promise, struct speech_vocoder *vocoder);

/* Of a vocoder that neural_vocoder_open has made: how many units it has. Reads its files. */
enum status neural_vocoder_units(const struct speech_vocoder *vocoder, int64_t *units);

#endif
