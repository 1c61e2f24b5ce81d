/* Shared by the files of the aligner with pocketsphinx. */
#ifndef SPIRITLM_DATA_ALIGN_INTERNAL_H
#define SPIRITLM_DATA_ALIGN_INTERNAL_H

#include "data/align/align_kinds.h"
#include "data/align/align_sound.h"
#include "io/audio/audio.h"
#include "text/english/spell.h"

#include <pocketsphinx.h>
#include <stdbool.h>

enum {
    FRAME_SAMPLES = AUDIO_RATE / 100, /* pocketsphinx looks at the sound every 10 ms, 25.6 ms at a time */
};

struct sphinx_aligner {
    struct aligner base;
    ps_decoder_t *dictionary; /* never decodes: its words are looked up */
    ps_decoder_t *decoder;    /* of the present utterance */
};

/* A word that leads from one state to another. Arcs are sorted by the state that they leave. */
struct arc {
    int from, to;
    int64_t word;  /* in the spoken text */
    int64_t token; /* the token of which it is a part */
};

struct grammar {
    struct spoken_text spoken;
    struct arc *arcs;
    int64_t arc_count;
    int64_t *first_arc; /* of each state; arc_count after the last */
    int states, end;    /* state 0 is the start */
};

struct segment {
    char word[SPOKEN_WORD_BYTES];
    int first, last; /* frames */
    double score;    /* nats, summed over all frames */
    bool spoken;     /* not silence or noise */
};

struct segments {
    struct segment *list;
    int64_t count, room;
};

/* ---- align_decoder.c: pocketsphinx ---- */

enum status aligner_open(struct sphinx_aligner **aligner);
void aligner_close(struct sphinx_aligner *aligner);

/* A decoder in its first state, without words: nothing that was decoded before can reach what is decoded next. */
enum status aligner_begin(struct sphinx_aligner *aligner);
void aligner_end(struct sphinx_aligner *aligner);
/* Makes sure that the decoder has the word, with all its pronunciations. */
bool aligner_know_word(struct sphinx_aligner *aligner, const char *word);
enum status aligner_load_grammar(struct sphinx_aligner *aligner, const struct grammar *grammar);
/* The best path through the grammar; no segments when there is none. */
enum status aligner_decode(struct sphinx_aligner *aligner, const float *samples, int64_t count,
                           struct segments *segments);

#endif
