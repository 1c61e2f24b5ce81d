/* Forced alignment of a transcript to speech with pocketsphinx: times for every word, and a score that says whether the
 * transcript was spoken at all. Numbers are spelled out; words outside the dictionary get letter-to-sound
 * pronunciations from flite. */
#ifndef SPIRITLM_DATA_PREPARE_ALIGN_H
#define SPIRITLM_DATA_PREPARE_ALIGN_H

#include "core/hash.h"
#include "core/status.h"
#include "data/aligned_word.h"

#include <stdint.h>

struct aligner; /* one decoder; not shared between threads, but several may live at once */

enum status aligner_create(struct aligner **aligner);
void aligner_destroy(struct aligner *aligner);

/* Over what decides an alignment beside audio and text: our version, the acoustic model and the dictionary. */
enum status aligner_fingerprint(struct sha256 *fingerprint);

/* The threshold on `score` below which a transcript is taken to be wrong (measured: tests/data/test_align_corpus.c). */
extern const double ALIGNER_DEFAULT_THRESHOLD;

/* The reason of audio without sound. */
#define ALIGNER_NO_SOUND "no sound"

struct alignment {
    struct aligned_word *words; /* every word of the text, in order; times ordered, inside the audio; white space,
                                 * dashes and ellipses divide the text into words */
    int64_t word_count;
    double score; /* higher is better: 0.6 times the mean acoustic score of a 10 ms frame, in nats below the best state
                   * of the moment, plus 0.4 times that of the worst stretch of whole words or pauses of at least
                   * 200 ms */
};

/* samples: 16 kHz mono, at most 20 minutes. *reason is NULL when the text was aligned; otherwise it is a static text
 * that says why not ("no path through the audio", "no words", ALIGNER_NO_SOUND, "the text covers a small part of the sound"
 * ...), and the alignment is empty. *reason says nothing about the score. The status reports only failures of the
 * machinery; where pocketsphinx gets no memory, the program ends. Where a token has several readings
 * (text/english/spell.h), the audio decides. Equal audio and text give equal results, whatever was aligned before. */
enum status aligner_align(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                          struct alignment *alignment, const char **reason);
void alignment_free(struct alignment *alignment);

#endif
