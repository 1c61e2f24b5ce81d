/* A wav2vec 2.0 or HuBERT encoder with a head that names characters: Hugging Face's Wav2Vec2ForCTC or HubertForCTC, in a folder with
 * config.json, preprocessor_config.json and weights. Of every frame's last output, a linear layer (lm_head) gives a number for
 * each character; their log-softmax are the emissions.
 *
 * A clip of at most CTC_WINDOW_FRAMES frames is computed at once. A longer one is computed in windows of so many frames, the last
 * of which may be shorter; each begins CTC_WINDOW_FRAMES - 2 CTC_CONTEXT_FRAMES frames after the one before it and is a clip of its
 * own, with the samples that its frames see (the last one with all that are left), normalised by itself where the model
 * normalises. Of the 2 CTC_CONTEXT_FRAMES
 * frames that two windows share, the earlier ones have the first half and the later ones the second: every frame is taken from where
 * it has at least CTC_CONTEXT_FRAMES frames on both sides, unless the clip itself ends there. */
#ifndef SPIRITLM_MODELS_ENCODER_CTC_MODEL_H
#define SPIRITLM_MODELS_ENCODER_CTC_MODEL_H

#include "models/encoder/encoder.h"

enum { CTC_WINDOW_FRAMES = 2000, CTC_CONTEXT_FRAMES = 250 };

struct ctc_model;

/* Where the folder has no preprocessor_config.json, samples are normalised, as its default is. Kernels and context are borrowed
 * until the model is closed. */
enum status ctc_model_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                           struct ctc_model **model);
void ctc_model_close(struct ctc_model *model); /* NULL is fine */

const struct encoder_config *ctc_model_config(const struct ctc_model *model);
int32_t ctc_model_size(const struct ctc_model *model); /* characters, the blank included */
const struct sha256 *ctc_model_fingerprint(const struct ctc_model *model);

/* Memory for one thread's passes, on a context of its own or the model's. */
struct ctc_workspace;
enum status ctc_workspace_create(const struct ctc_model *model, struct device_context *context,
                                 struct ctc_workspace **workspace);
void ctc_workspace_destroy(struct ctc_workspace *workspace); /* NULL is fine */

/* Which emissions are wanted. Beside characters there may be columns of
 * - CTC_ANY: log(1 - p(blank)), some character, whichever;
 * - CTC_GREATEST: the greatest of the frame, the blank's included: what the model itself would say. */
enum { CTC_ANY = -1, CTC_GREATEST = -2 };

struct ctc_columns {
    const int32_t *ids;
    int64_t count;
    int32_t blank;
};

/* emissions [encoder_config_frames(samples)][columns->count]. Samples must be finite. */
enum status ctc_model_run(struct ctc_workspace *workspace, const struct encoder_clip *clip,
                          const struct ctc_columns *columns, float *emissions);

/* best [encoder_config_frames(samples)]: of every frame the character with the greatest logit, the first of equal ones. */
enum status ctc_model_greedy(struct ctc_workspace *workspace, const struct encoder_clip *clip, int32_t *best);

#endif
