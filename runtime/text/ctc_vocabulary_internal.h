/* Shared by the files of the CTC vocabulary. */
#ifndef SPIRITLM_TEXT_CTC_VOCABULARY_INTERNAL_H
#define SPIRITLM_TEXT_CTC_VOCABULARY_INTERNAL_H

#include "text/ctc_vocabulary.h"

#include <stdbool.h>

struct ctc_character {
    uint32_t code;
    int32_t id;
};

struct ctc_vocabulary {
    struct ctc_character *characters; /* by code; neither blank nor delimiter */
    int64_t count;
    int32_t size, blank, delimiter; /* -1: no delimiter */
    char **tokens;                  /* [size]; NULL: an id without a token */
    bool capitals;
    struct sha256 fingerprint;
};

int32_t ctc_vocabulary_find(const struct ctc_vocabulary *vocabulary, uint32_t code); /* -1: none */

#endif
