/* What `evaluate wer REFERENCE HYPOTHESIS` computes: word and character error rates of two files of transcripts. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_WER_REPORT_H
#define SPIRITLM_EVAL_TRANSCRIPTS_WER_REPORT_H

#include "core/hash.h"
#include "eval/transcripts/error_rate.h"
#include "eval/transcripts/text_form.h"
#include "eval/transcripts/transcript_file.h"

#include <jansson.h>

struct wer_options {
    enum text_form form;
    const char *spellings; /* as for text_normalizer_open */
    bool skip;             /* duplicates, and transcripts that one file lacks, are counted instead of refused */
    struct transcript_keys reference_keys, hypothesis_keys;
};

struct wer_report {
    struct error_rate words, characters;
    int64_t n;          /* pairs that were compared */
    int64_t n_expected; /* references */
    int64_t missing;    /* references without a hypothesis: n_expected - n */
    int64_t surplus;    /* hypotheses without a reference */
    int64_t duplicates; /* ids that occur again, in both files together */
    struct sha256 reference_hash, hypothesis_hash;
    const char *protocol; /* the text form in words */

    /* In the order of the reference: {"id", "reference", "hypothesis", "words", "characters"}, the last two with substitutions,
     * deletions, insertions, hits and rate. With a text form also "reference_form" and "hypothesis_form", what was compared. */
    json_t *samples;
};

/* Files without a common id are refused, also with `skip`. The caller frees with wer_report_free, also after a failure. */
enum status wer_evaluate(const char *reference, const char *hypothesis, const struct wer_options *options,
                         struct wer_report *report);
void wer_report_free(struct wer_report *report);

#endif
