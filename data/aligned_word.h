/* A word of a text with its place in the audio: what alignment finds, manifests give and shards store. */
#ifndef SPIRITLM_DATA_ALIGNED_WORD_H
#define SPIRITLM_DATA_ALIGNED_WORD_H

#include <stdint.h>

struct aligned_word {
    int32_t start, end;           /* samples at 16 kHz */
    int32_t text_begin, text_end; /* bytes in the row's text, punctuation that touches the word included */
};

#endif
