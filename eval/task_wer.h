/* The command `evaluate wer`. */
#ifndef SPIRITLM_EVAL_TASK_WER_H
#define SPIRITLM_EVAL_TASK_WER_H

#include "eval/settings.h"

#include <stdio.h>

/* Compares two files of transcripts (eval/transcripts/transcript_file.h) in the form of evaluate.text_form, prints both rates, and writes
 * OUT/results_wer.json and OUT/samples_wer.jsonl. */
enum status task_wer(const char *reference, const char *hypothesis, const struct evaluate_settings *settings,
                     const char *out, FILE *report);

#endif
