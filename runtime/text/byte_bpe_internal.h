/* The parts of a byte-level BPE model, and how its readers put them in one by one: pieces first, then merges. */
#ifndef SPIRITLM_TEXT_BYTE_BPE_INTERNAL_H
#define SPIRITLM_TEXT_BYTE_BPE_INTERNAL_H

#include "text/byte_bpe.h"
#include "text/word_cutter.h"

enum {
    BYTE_BPE_PIECE_SIZE_LIMIT = 8000,
    BYTE_BPE_COUNT_LIMIT = 1 << 21, /* of pieces and of merges; the largest models have a tenth of it */
};

struct byte_bpe_piece {
    uint32_t start; /* in the arena */
    int32_t size;
    uint8_t type;
    bool literal; /* its text stands for itself; else it was spelled in GPT-2's alphabet, and these are its bytes */
};

struct byte_bpe_merge {
    int32_t left, right, piece;
};

struct byte_bpe {
    enum word_pattern pattern;
    bool ignore_merges;
    int32_t bos, eos;
    int32_t count, tag_count; /* pieces of the text; tags and units behind them */
    struct byte_bpe_piece *pieces;
    char *arena; /* the bytes of all pieces */
    int64_t arena_size, arena_room;
    int32_t *piece_table; /* open addressing: id + 1, 0 is free */
    uint32_t piece_mask;
    struct byte_bpe_merge *merges; /* by rank */
    int32_t merge_count;
    int32_t *merge_table; /* open addressing: rank + 1, 0 is free */
    uint32_t merge_mask;
    int32_t byte_ids[256]; /* -1: dropped */
    int32_t missing_bytes;
    const char *note;
};

/* A model of `count` unused pieces, which byte_bpe_put_piece fills. */
enum status byte_bpe_start(const char *name, int64_t count, struct byte_bpe **model);
enum status byte_bpe_put_piece(const char *name, struct byte_bpe *model, int64_t id, struct byte_bpe_text text,
                               uint8_t type);
/* The pieces are all there; room for merges. */
enum status byte_bpe_finish_pieces(const char *name, struct byte_bpe *model, int64_t merge_count);
enum status byte_bpe_put_merge(const char *name, struct byte_bpe *model, struct byte_bpe_text left,
                               struct byte_bpe_text right);
enum status byte_bpe_put_merge_line(const char *name, struct byte_bpe *model, struct byte_bpe_text line); /* "a b" */

/* The piece with these bytes, or this text where literal; -1: none. */
int32_t byte_bpe_lookup(const struct byte_bpe *model, const char *bytes, int64_t size, bool literal);

/* The piece that a file spells this way, whether literal or not; -1: none. */
int32_t byte_bpe_lookup_spelled(const struct byte_bpe *model, struct byte_bpe_text text);

static inline uint32_t byte_bpe_pair_hash(int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    pair *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(pair >> 32);
}

/* The rank of a merge; -1: none. */
static inline int32_t byte_bpe_rank(const struct byte_bpe *model, int32_t left, int32_t right)
{
    for (uint32_t slot = byte_bpe_pair_hash(left, right) & model->merge_mask;; slot = (slot + 1) & model->merge_mask) {
        int32_t rank = model->merge_table[slot] - 1;
        if (rank < 0 || (model->merges[rank].left == left && model->merges[rank].right == right))
            return rank;
    }
}

#endif
