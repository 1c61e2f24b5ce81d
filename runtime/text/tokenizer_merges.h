/* The merges of a SentencePiece BPE model, which its file does not list: they follow from pieces and scores. */
#ifndef SPIRITLM_TEXT_TOKENIZER_MERGES_H
#define SPIRITLM_TEXT_TOKENIZER_MERGES_H

#include "text/sentencepiece_internal.h"

struct merge {
    int32_t piece; /* what the two halves make */
    int32_t left;  /* bytes of the left half */
};

/* All pairs of normal pieces that make a normal piece, best first. *merges is allocated for the caller. */
enum status tokenizer_merges(const struct sentencepiece *text, struct merge **merges, int64_t *count);

#endif
