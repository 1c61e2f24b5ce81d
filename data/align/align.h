/* Forced alignment of a transcript to speech: times for every word, and a score that says whether the transcript was spoken at
 * all. Two aligners: pocketsphinx, for English, which needs no weights and knows how numbers are read aloud; and a CTC model
 * (models/encoder/ctc_model.h), for any language whose characters it has. */
#ifndef SPIRITLM_DATA_ALIGN_H
#define SPIRITLM_DATA_ALIGN_H

#include "core/hash.h"
#include "core/status.h"
#include "data/aligned_word.h"
#include "kernels/kernels.h"

#include <stdint.h>

enum aligner_kind { ALIGNER_POCKETSPHINX, ALIGNER_CTC, ALIGNER_KINDS };

struct aligner_options {
    enum aligner_kind kind;
    const char *folder;            /* of the CTC model */
    const struct kernels *kernels; /* where it is computed: borrowed until the model is closed */
};

/* What all threads share: the weights. */
struct aligner_model;
enum status aligner_model_open(const struct aligner_options *options, struct aligner_model **model);
void aligner_model_close(struct aligner_model *model); /* NULL is fine */
/* Over what decides an alignment beside audio and text: our version, the acoustic model and the dictionary or the characters. */
const struct sha256 *aligner_model_fingerprint(const struct aligner_model *model);

struct aligner; /* not shared between threads, but several may live at once */

/* `model` is borrowed; NULL: pocketsphinx, which reads its own. */
enum status aligner_create(const struct aligner_model *model, struct aligner **aligner);
void aligner_destroy(struct aligner *aligner); /* NULL is fine */

/* The threshold on `score` below which a transcript is taken to be wrong: measured by tests/data/test_align_corpus.c
 * (pocketsphinx) and test_align_ctc_speech.c (CTC). */
extern const double ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_KINDS];

/* The reason of audio without sound. */
#define ALIGNER_NO_SOUND "no sound"

struct alignment {
    /* Every word of the text, in order; times ordered, inside the audio. White space divides the text into words, for pocketsphinx
     * dashes and ellipses too. */
    struct aligned_word *words;
    double *word_scores; /* of each, a mean over its frames as below; NULL: pocketsphinx */
    int64_t word_count;
    /* Higher is better. pocketsphinx: 0.6 times the mean acoustic score of a 10 ms frame, in nats below the best state of the
     * moment, plus 0.4 times that of the worst stretch of whole words or pauses of at least 200 ms. CTC: the mean over all frames
     * of what the path's label (a letter or the blank) is less likely than the label that the model finds likeliest in that frame, in
     * nats, and the same mean over the worst second; half of each. So the score of a right text is near 0 however sure of itself
     * the model is. */
    double score;
};

/* samples: 16 kHz mono, at most 20 minutes (pocketsphinx) or 4 hours (CTC). *reason is NULL when the text was aligned; otherwise
 * it is a static text that says why not ("no path through the audio", "no words", ALIGNER_NO_SOUND, "the text covers a small part
 * of the sound" ...), and the alignment is empty. *reason says nothing about the score. The status reports only failures of the
 * machinery; where pocketsphinx gets no memory, the program ends. Where a token has several readings (text/english/spell.h),
 * pocketsphinx lets the audio decide; what a CTC model has no character for, digits mostly, is a wildcard to it. Equal audio and text
 * give equal results, whatever was aligned before. */
enum status aligner_align(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                          struct alignment *alignment, const char **reason);
void alignment_free(struct alignment *alignment);

#endif
