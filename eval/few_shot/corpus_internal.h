/* What the readers of corpora share. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_CORPUS_INTERNAL_H
#define SPIRITLM_EVAL_FEW_SHOT_CORPUS_INTERNAL_H

#include "eval/few_shot/corpus.h"

/* Copies all texts. */
enum status corpus_add(struct corpus *corpus, const char *id, const char *part, const char *speaker, const char *answer,
                       int64_t member);

/* Sorts by id; refuses an empty corpus and an id that is there twice. */
enum status corpus_sort(const char *path, struct corpus *corpus);

#endif
