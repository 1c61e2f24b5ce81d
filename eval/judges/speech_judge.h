/* A judge of speech: a folder of Hugging Face's Wav2Vec2ForSequenceClassification or HubertForSequenceClassification with config.json,
 * weights and, where samples are not to be normalised, preprocessor_config.json. */
#ifndef SPIRITLM_EVAL_JUDGES_SPEECH_JUDGE_H
#define SPIRITLM_EVAL_JUDGES_SPEECH_JUDGE_H

#include "eval/judges/judgement.h"
#include "models/encoder/encoder.h"

enum { SPEECH_JUDGE_RATE = 16000 };

struct speech_judge;

/* Kernels and context are borrowed until the judge is closed. STATUS_CORRUPT for a model of another rate too. One thread at a
 * time. */
enum status speech_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                              struct speech_judge **judge);
void speech_judge_close(struct speech_judge *judge); /* NULL is fine */

int64_t speech_judge_size(const struct speech_judge *judge);
const char *speech_judge_label(const struct speech_judge *judge, int64_t index); /* in lower case */
/* Over weights, configuration and labels. */
const struct sha256 *speech_judge_fingerprint(const struct speech_judge *judge);

/* Clips of mono samples at SPEECH_JUDGE_RATE, finite. Each is a pass of its own, so that what it gives depends on no other. A clip
 * too short for a frame (of 400 samples, in the usual models) has the label JUDGEMENT_NONE and logits 0. logits [count][size], or
 * NULL. */
enum status speech_judge_run(struct speech_judge *judge, const struct encoder_clip *clips, int64_t count,
                             struct judgement *judgements, double *logits);

#endif
