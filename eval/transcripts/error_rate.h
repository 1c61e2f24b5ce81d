/* Word and character error rates by the rules of jiwer 4 with its default transformations.
 *
 * Words are separated by U+0020 and by runs of at least two white space characters of any kind; a lone tab or no-break space
 * is part of a word. Characters are code points; white space at both ends is left out, white space inside counts and is not
 * merged. Errors are the fewest substitutions, deletions (only in the reference) and insertions (only in the hypothesis).
 *
 * Their sum does not depend on which of the equally short alignments is taken, the three numbers do. Here the common beginning
 * and the common end are hits, and between them the alignment is traced from the end backwards, which at each step takes a
 * deletion where one is possible, else a substitution, else an insertion, and a hit where nothing else is possible: the order
 * of rapidfuzz, which jiwer uses, so that the three numbers are jiwer's too, up to some 2,000 words or characters that differ; with
 * more, rapidfuzz divides the texts first. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_ERROR_RATE_H
#define SPIRITLM_EVAL_TRANSCRIPTS_ERROR_RATE_H

#include "core/statistics.h"
#include "core/status.h"

#include <stdint.h>

struct error_counts {
    int64_t substitutions, deletions, insertions, hits;
};

int64_t error_sum(const struct error_counts *counts);        /* S + D + I */
int64_t error_reference(const struct error_counts *counts);  /* S + D + H: the reference's words or characters */
int64_t error_hypothesis(const struct error_counts *counts); /* S + I + H: those of the hypothesis */

/* A pair's rate: errors per word of the reference. With an empty reference it is the number of insertions, as in jiwer. */
double error_rate_of(const struct error_counts *counts);

/* The errors of one pair of NUL-terminated texts. Memory grows with the lengths, time with their product: where the product
 * of what lies between common beginning and end exceeds ERROR_RATE_CELLS (half an hour of computing) the pair is refused with
 * STATUS_USAGE. A text that is not UTF-8 is STATUS_CORRUPT; the error says which of the two and the byte. */
#define ERROR_RATE_CELLS INT64_C(1000000000000)
enum status error_rate_words(const char *reference, const char *hypothesis, struct error_counts *counts);
enum status error_rate_characters(const char *reference, const char *hypothesis, struct error_counts *counts);

/* The rates of many pairs. */
struct error_rate {
    struct error_counts total;
    struct estimate corpus; /* all errors per word of all references; the ratio estimator's standard error over pairs */
    struct estimate mean;   /* of the pairs' own rates (error_rate_of) */
    int64_t empty_references; /* pairs without a word in the reference: their insertions count in `corpus` */
};

/* Without any word in any reference, corpus.value is the number of insertions, as in jiwer, and it has no standard error (NaN).
 * Without any pair both values are NaN. */
enum status error_rate_estimate(const struct error_counts *counts, int64_t count, struct error_rate *rate);

#endif
