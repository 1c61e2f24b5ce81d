/* What the files of choices share. */
#ifndef SPIRITLM_EVAL_SCORING_CHOICES_INTERNAL_H
#define SPIRITLM_EVAL_SCORING_CHOICES_INTERNAL_H

#include "eval/scoring/choices.h"

void choice_free_ids(struct choice *choice);

/* The sums of a choice's own segments, or of it alone: {"context": {...}, "hypothesis": {...}} or {"alone": {...}}; NULL: no memory.
 * The reverse is STATUS_CORRUPT, naming `where`, for anything else. */
json_t *choice_scores_json(const struct choice *choice, bool alone);
enum status choice_scores_from_json(const char *where, const json_t *json, bool alone, struct choice *choice);

#endif
