/* How operations are cut into pieces: from shapes alone, so that no result depends on the device. The kernels' launches and
 * the sizes of their scratch both come from here. */
#ifndef SPIRITLM_KERNELS_CUDA_PIECES_H
#define SPIRITLM_KERNELS_CUDA_PIECES_H

#include "kernels/operations.h"

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- RMSNorm: the weight's gradient is summed over pieces of rows, then over the pieces ---- */

enum { NORM_PIECES = 256, NORM_ROWS = 16 }; /* at most so many pieces, of at least so many rows */

static inline int64_t norm_piece_rows(int64_t rows)
{
    return larger(NORM_ROWS, divide_up(rows, NORM_PIECES));
}
static inline int64_t norm_pieces(int64_t rows)
{
    return divide_up(rows, norm_piece_rows(rows));
}

/* ---- LayerNorm: a block reads weight and bias once for its rows ---- */

enum {
    LAYER_NORM_ROWS = 32,    /* of a block of the forward at most, of one of the backward at least */
    LAYER_NORM_TEAMS = 8,    /* rows that a block has in hand at a time */
    LAYER_NORM_BLOCKS = 256, /* that many at least, as soon as there are rows for them */
    LAYER_NORM_PIECES = 512, /* of the backward at most */
};

static inline int64_t layer_norm_rows(int64_t rows)
{
    int64_t share = divide_up(divide_up(rows, LAYER_NORM_BLOCKS), LAYER_NORM_TEAMS) * LAYER_NORM_TEAMS;
    return share < LAYER_NORM_ROWS ? larger(share, LAYER_NORM_TEAMS) : LAYER_NORM_ROWS;
}
static inline int64_t layer_norm_piece_rows(int64_t rows)
{
    return larger(LAYER_NORM_ROWS, divide_up(rows, LAYER_NORM_PIECES));
}
static inline int64_t layer_norm_pieces(int64_t rows)
{
    return divide_up(rows, layer_norm_piece_rows(rows));
}

/* ---- GroupNorm: statistics of a channel over a block of frames, then over a row's blocks, then of a group ---- */

enum { GROUP_NORM_FRAMES = 128 };

static inline int64_t group_norm_blocks(int64_t frames)
{
    return divide_up(frames, GROUP_NORM_FRAMES);
}

/* ---- waveform_normalise ---- */

enum { WAVEFORM_TILE = 8192 /* samples that a block measures */ };

static inline int64_t waveform_tiles(int64_t samples)
{
    return divide_up(samples, WAVEFORM_TILE);
}

/* ---- attention_decode: a row's keys in pieces that depend on the cache's capacity alone ---- */

enum { DECODE_PIECES = 32, DECODE_KEYS = 128, DECODE_KEYS_STEP = 32 };

static inline int64_t decode_piece_keys(int64_t capacity)
{
    int64_t share = divide_up(capacity, DECODE_PIECES);
    return larger(DECODE_KEYS, divide_up(share, DECODE_KEYS_STEP) * DECODE_KEYS_STEP);
}
/* At least one, which then may be empty. */
static inline int64_t decode_pieces(int64_t capacity)
{
    return larger(1, divide_up(capacity, decode_piece_keys(capacity)));
}

/* ---- products of few rows: a block has some columns of C, and k is split where they are too few to fill a device ---- */

enum {
    MATMUL_FEW_ROWS = 16,
    FEW_WIDE = 32,      /* columns of a block... */
    FEW_NARROW = 8,     /* ...and of one where B is transposed and C has fewer than */
    FEW_COLUMNS = 2048, /* these */
    FEW_BLOCKS = 128,   /* so many are wanted, */
    FEW_PIECE = 1024,   /* of at least this much of k */
    FEW_STEP = 256,     /* a piece is a multiple of */
};

static inline bool matmul_has_few_rows(const struct matmul *p)
{
    return p->m <= MATMUL_FEW_ROWS && !p->a_transposed;
}
static inline int64_t few_width(const struct matmul *p)
{
    return p->b_transposed && p->n < FEW_COLUMNS ? FEW_NARROW : FEW_WIDE;
}
static inline int64_t few_piece(const struct matmul *p)
{
    int64_t blocks = divide_up(p->n, few_width(p)), wanted = blocks > 0 ? divide_up(FEW_BLOCKS, blocks) : 1;
    return larger(FEW_PIECE, divide_up(divide_up(p->k, wanted), FEW_STEP) * FEW_STEP);
}
/* At least one, which then may be empty. */
static inline int64_t few_pieces(const struct matmul *p)
{
    return larger(1, divide_up(p->k, few_piece(p)));
}

/* ---- squared_norm ---- */

enum { SQUARES_TILE = 65536 };

static inline int64_t squares_tiles(int64_t count)
{
    return divide_up(count, SQUARES_TILE);
}

#endif
