/* What `evaluate` does without a model: commands that stand in the place of a task. */
#ifndef SPIRITLM_EVAL_COMMANDS_H
#define SPIRITLM_EVAL_COMMANDS_H

#include "eval/settings.h"

#include <stdio.h>

/* COMMAND(NAME, name, number of arguments (-1: one or more), help) */
#define COMMAND_LIST(COMMAND)                                                                                          \
    COMMAND(RESCORE, rescore, 1,                                                                                       \
            "rescore OUT           other protocols (score.*) for the samples in OUT, without the model")               \
    COMMAND(REPORT, report, -1, "report OUT ...        a table of all results beside the published numbers")           \
    COMMAND(SUBMISSION, submission, 2,                                                                                 \
            "submission sLM21 OUT  the scores of swuggy and sblimp in OUT as the challenge takes them (submission.*)") \
    COMMAND(WHERE, where, 1, "where TASK|all        where a benchmark's archive comes from, its licence and layout")   \
    COMMAND(JUDGE, judge, 2,                                                                                           \
            "judge PREDICTIONS REFERENCE  the accuracy of predicted sentiments for a manifest of STSP")                \
    COMMAND(WER, wer, 2, "wer REFERENCE HYPOTHESIS  word and character error rates of two files of transcripts")

struct command_input {
    const struct score_settings *score;
    const struct evaluate_settings *evaluate;
    const struct submission_settings *submission;
    bool protocol_named; /* score.protocol was given */
    const char *out;     /* folder of the results of `wer` and `judge` */
    FILE *report;
};

/* Whether the first argument is a command; then *code is how it ended. STATUS_USAGE for a wrong number of arguments. */
bool command_run(const char *const *arguments, int64_t count, const struct command_input *input, enum status *code);

#endif
