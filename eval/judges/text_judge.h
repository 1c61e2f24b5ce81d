/* A judge of texts, of their emotion for example: a folder of Hugging Face's RobertaForSequenceClassification with config.json, weights
 * (model.safetensors or pytorch_model.bin) and its tokenizer (judge_tokenizer.h). */
#ifndef SPIRITLM_EVAL_JUDGES_TEXT_JUDGE_H
#define SPIRITLM_EVAL_JUDGES_TEXT_JUDGE_H

#include "core/hash.h"
#include "eval/judges/judgement.h"
#include "kernels/kernels.h"

struct text_judge;

/* Kernels and context are borrowed until the judge is closed. STATUS_USAGE when a file is missing, STATUS_CORRUPT when one cannot be
 * used; the text names it. One thread at a time. */
enum status text_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                            struct text_judge **judge);
void text_judge_close(struct text_judge *judge); /* NULL is fine */

int64_t text_judge_size(const struct text_judge *judge);                     /* labels */
const char *text_judge_label(const struct text_judge *judge, int64_t index); /* in lower case */
int64_t text_judge_limit(const struct text_judge *judge); /* pieces of a text, <s> and </s> included */
/* Over weights, configuration, labels, vocabulary and merges. */
const struct sha256 *text_judge_fingerprint(const struct text_judge *judge);

/* `texts` end with NUL; any bytes, "" too. A text longer than the model's positions is cut behind as many pieces as they hold, and
 * its judgement says so. logits [count][size], or NULL. What a text gives, to the bit, depends on no other. */
enum status text_judge_run(struct text_judge *judge, const char *const *texts, int64_t count,
                           struct judgement *judgements, double *logits);

#endif
