/* Speech components that follow a script and count their calls: they show that code that uses a tokenizer goes through
 * its components and assumes nothing about their implementation. */
#ifndef SPIRITLM_TESTS_SCRIPTED_SPEECH_H
#define SPIRITLM_TESTS_SCRIPTED_SPEECH_H

#include "speech/component.h"

/* What several scripted encoders share about an utterance. */
struct scripted_family {
    int made, destroyed;
};

/* What one component should do, and how it was called. Not thread-safe. */
struct script {
    int64_t hop;                    /* samples per unit: n samples give n / hop units, the i-th of them i % size */
    int32_t size;                   /* of an encoder */
    uint8_t mark;                   /* every byte of the fingerprint */
    struct scripted_family *family; /* NULL: none */
    const char *speaker;            /* the one speaker whom it knows; NULL: none */
    enum status failure;            /* what encode returns after it has allocated its values */
    bool lies;                      /* the last unit is out of range: `size` */
    int calls, destroyed;
    const char *heard; /* the speaker of the last call */
    int turn;          /* the number of encoder calls before its last one, over all scripts */
};

/* The script is borrowed and must outlive the component. */
struct speech_encoder scripted_encoder(enum unit_stream stream, struct script *script);

/* Produces `hop` samples of value hubert / 100 for each unit, repeated for its duration (once without durations). Made
 * for the units of the given fingerprint. */
struct speech_vocoder scripted_vocoder(struct script *script, struct sha256 units);

struct sha256 scripted_fingerprint(uint8_t mark);

#endif
