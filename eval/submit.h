/* `evaluate submission sLM21 OUT`: the scores of earlier runs as a folder that the challenge's own program validates and scores. */
#ifndef SPIRITLM_EVAL_SUBMIT_H
#define SPIRITLM_EVAL_SUBMIT_H

#include "eval/settings.h"

#include <stdio.h>

/* Writes OUT/submission from OUT/samples_{swuggy,sblimp}_{dev,test}.jsonl, of which at least one must be there, with the scores of the first
 * protocol; an older submission is replaced. What else the challenge asks of a submission comes from `settings`. Errors as for
 * submission_write. */
enum status submit_slm21(const char *out, const struct score_settings *score, bool protocol_named,
                         const struct submission_settings *settings, FILE *report);

#endif
