/* Small byte-level BPE models made of a few merges, and files of them. */
#ifndef SPIRITLM_TESTS_BYTE_BPE_MODELS_H
#define SPIRITLM_TESTS_BYTE_BPE_MODELS_H

#include "text/byte_bpe.h"

enum { SMALL_MODEL_PIECES = 400, SMALL_MODEL_MERGES = 64 };

/* All 256 bytes in order, what the merges make, and what add_piece adds. Pointers lead into static memory, which the next
 * model takes: one model at a time. */
struct small_model {
    struct byte_bpe_pieces pieces;
    struct byte_bpe_text *texts; /* of pieces, not const; the same for the rest */
    uint8_t *types;
    struct byte_bpe_text *lefts, *rights;
};

/* merges: "a b", ends with NULL. */
struct small_model small_byte_bpe(const char *pre_tokenizer, const char *const *merges);
void add_piece(struct small_model *small, const char *text, enum byte_bpe_type type);

/* A .gguf file or a tokenizer.json. */
struct byte_bpe *open_byte_bpe(const char *path);

#endif
