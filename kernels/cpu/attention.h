/* What attention's forward and backward share: the cut into blocks and the range of keys of a query. */
#ifndef SPIRITLM_KERNELS_CPU_ATTENTION_H
#define SPIRITLM_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/cpu.h"

enum { QUERY_BLOCK = 64, KEY_BLOCK = 64 };

/* Keys [start, end) that query `i` of row `b` attends to; empty when start >= end. */
struct key_range {
    int64_t start, end;
};

static inline struct key_range attention_keys(const struct attention_forward *p, int64_t b, int64_t i)
{
    int64_t keys = p->key_lengths ? p->key_lengths[b] : p->key_length;
    return (struct key_range){p->starts ? p->starts[b * p->query_length + i] : 0,
                              maximum(0, i + 1 + keys - p->query_length)};
}

/* The union of the ranges of queries [first, first + count). */
struct key_range attention_block_keys(const struct attention_forward *p, int64_t b, int64_t first, int64_t count);

/* Scores outside a query's range become -infinity: row i of the tile is query `first` + i, column j key `key` + j.
 * Columns from `columns` to the stride lie outside too. */
void attention_mask(const struct attention_forward *p, int64_t b, int64_t first, int64_t rows, int64_t key,
                    int64_t columns, float *scores, int64_t stride);

#endif
