/* The style of each second of speech: a wav2vec 2.0 encoder with Hugging Face's head for sequence classification
 * (Wav2Vec2ForSequenceClassification), applied to one second after the other as Spirit LM's release does. Of the encoder's last
 * output, through a linear layer, the mean over 50 frames goes through a second one, and the class with the highest logit is the
 * style. The last second may be shorter. */
#ifndef SPIRITLM_MODELS_ENCODER_STYLE_CLASSIFIER_H
#define SPIRITLM_MODELS_ENCODER_STYLE_CLASSIFIER_H

#include "models/encoder/encoder.h"

enum { STYLE_FRAMES = 50 };

struct style_classifier;

/* Reads a folder with config.json and weights. Where it has no preprocessor_config.json, samples are normalised to mean 0 and
 * variance 1, as those of the public wav2vec2-base are. */
enum status style_classifier_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                  struct style_classifier **classifier);
void style_classifier_close(struct style_classifier *classifier); /* NULL is fine */

const struct encoder *style_classifier_encoder(const struct style_classifier *classifier);
int64_t style_classifier_size(const struct style_classifier *classifier);
const struct sha256 *style_classifier_fingerprint(const struct style_classifier *classifier);

/* Styles that so many samples give. */
int64_t style_classifier_count(const struct style_classifier *classifier, int64_t samples);

/* styles[i][styles of clip i] in host memory, of a workspace of the classifier's encoder. logits [all styles of all clips, one
 * clip after the other][size] or NULL. */
enum status style_classifier_run(const struct style_classifier *classifier, struct encoder_workspace *workspace,
                                 const struct encoder_clip *clips, int64_t count, int32_t *const *styles,
                                 double *logits);

#endif
