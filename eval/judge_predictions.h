/* The command `evaluate judge PREDICTIONS REFERENCE`: the accuracy of sentiments that somebody else has predicted. */
#ifndef SPIRITLM_EVAL_JUDGE_PREDICTIONS_H
#define SPIRITLM_EVAL_JUDGE_PREDICTIONS_H

#include "core/status.h"

#include <stdio.h>

/* PREDICTIONS has a row {"id", "pred"} for each row of REFERENCE, a manifest of STSP, and no other; ids are compared as texts.
 * Prints the accuracy with its standard error, that of each sentiment and the confusions, and writes OUT/results_judge.json.
 * STATUS_CORRUPT names what is missing or surplus; then nothing is written. */
enum status judge_predictions(const char *predictions, const char *reference, const char *out, FILE *report);

#endif
