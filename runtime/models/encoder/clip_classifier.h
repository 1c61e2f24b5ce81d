/* The class of a whole clip: Hugging Face's Wav2Vec2ForSequenceClassification or HubertForSequenceClassification, in a folder with
 * config.json, preprocessor_config.json and weights. Of the encoder's last output, or with use_weighted_layer_sum of the sum of what
 * enters each layer and of the last output, weighed by the softmax of layer_weights, through a linear layer (projector), the mean
 * over all frames goes through a second one (classifier), which gives one logit per class. */
#ifndef SPIRITLM_MODELS_ENCODER_CLIP_CLASSIFIER_H
#define SPIRITLM_MODELS_ENCODER_CLIP_CLASSIFIER_H

#include "models/encoder/encoder.h"

struct clip_classifier;

/* Where the folder has no preprocessor_config.json, samples are normalised, as its default is. Kernels and context are borrowed
 * until the classifier is closed. STATUS_CORRUPT names what is missing or does not fit. */
enum status clip_classifier_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                                 struct clip_classifier **classifier);
void clip_classifier_close(struct clip_classifier *classifier); /* NULL is fine */

const struct encoder *clip_classifier_encoder(const struct clip_classifier *classifier);
int64_t clip_classifier_size(const struct clip_classifier *classifier);
const struct sha256 *clip_classifier_fingerprint(const struct clip_classifier *classifier);

/* logits [size]; *frames: how many there were. None: the clip is too short, and the logits are left alone. The workspace is one of
 * the classifier's encoder. */
enum status clip_classifier_run(const struct clip_classifier *classifier, struct encoder_workspace *workspace,
                                const struct encoder_clip *clip, double *logits, int64_t *frames);

#endif
