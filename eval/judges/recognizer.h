/* What was said, by a CTC model: a folder of Hugging Face's Wav2Vec2ForCTC or HubertForCTC with config.json, weights, vocab.json and
 * its tokenizer's and preprocessor's configuration. Greedy: of every frame the character with the greatest logit, runs of one
 * character once, blanks (the pad token; text/ctc_vocabulary.h) left out, the word delimiter ("|") a space, spaces at both ends
 * left out. Any other entry of the vocabulary that the model writes ("<unk>") stands as it is spelled, as in transformers' decoding;
 * an id without an entry is nothing.
 *
 * A clip of more than CTC_WINDOW_FRAMES frames (40 s) is computed in windows (models/encoder/ctc_model.h), whose ends transformers,
 * which would compute it whole, does not have. */
#ifndef SPIRITLM_EVAL_JUDGES_RECOGNIZER_H
#define SPIRITLM_EVAL_JUDGES_RECOGNIZER_H

#include "core/hash.h"
#include "kernels/kernels.h"

enum { RECOGNIZER_RATE = 16000 };

struct recognizer;

/* Kernels and context are borrowed until the recognizer is closed. STATUS_CORRUPT for a model of another rate too, and for one with
 * fewer characters than its vocabulary. One thread at a time. */
enum status recognizer_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                            struct recognizer **recognizer);
void recognizer_close(struct recognizer *recognizer); /* NULL is fine */

/* Over weights, configuration and vocabulary. */
const struct sha256 *recognizer_fingerprint(const struct recognizer *recognizer);

/* Of mono samples at RECOGNIZER_RATE, finite. *text ends with NUL and is allocated for the caller; "" where nothing was heard, and for
 * a clip too short for a frame. */
enum status recognizer_run(struct recognizer *recognizer, const float *samples, int64_t count, char **text);

#endif
