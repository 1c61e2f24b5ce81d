/* Where the words of an alignment are in a text. They are compared letter by letter; case, punctuation and the ways of
 * Unicode to write the same letter make no difference (text/unicode.h). */
#ifndef SPIRITLM_TEXT_WORD_PLACES_H
#define SPIRITLM_TEXT_WORD_PLACES_H

#include "core/status.h"

#include <stdint.h>

struct word_place {
    int32_t begin,
        end; /* bytes of the text with the punctuation that touches the word; equal for a word without a letter */
};

/* Finds the words in the text in their order; words of the text may be left out. A word is the next whole word of the
 * text that equals it, or else a part of the next one ("can" and "not" in "cannot"). *missing is the index of the first
 * word that is not there, -1 when all are. */
enum status word_places_find(const char *text, const char *const *words, int64_t count, struct word_place *places,
                             int64_t *missing);

#endif
