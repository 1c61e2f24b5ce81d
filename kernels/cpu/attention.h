/* What attention's forward and backward share: the cut into blocks and the range of keys of a query. */
#ifndef SPIRITLM_KERNELS_CPU_ATTENTION_H
#define SPIRITLM_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/cpu.h"

enum {
    KEY_BLOCK = 128,             /* keys whose tiles are made together; blocks begin at multiples of it */
    KEY_STRIDE = KEY_BLOCK + 16, /* of tiles with a column a key: not a power of two, which would share cache sets */
    QUERY_ROWS = 32,             /* queries whose scores against a block of keys lie in a tile of 16 KiB */
};

/* Keys [start, end); empty when start >= end. */
struct key_range {
    int64_t start, end;
};

/* What query `i` of row `b` attends to. */
static inline struct key_range attention_keys(const struct attention_forward *p, int64_t b, int64_t i)
{
    int64_t keys = p->key_lengths ? p->key_lengths[b] : p->key_length;
    return (struct key_range){p->starts ? p->starts[b * p->query_length + i] : 0,
                              p->bidirectional ? keys : maximum(0, i + 1 + keys - p->query_length)};
}

/* What lies in device memory: key lengths in range, starts from 0 on and non-decreasing in a row. False: a fault. */
bool attention_indices_fit(const struct device_context *context, const char *operation,
                           const struct attention_forward *p);

/* The union of the ranges of queries [first, first + count). */
struct key_range attention_block_keys(const struct attention_forward *p, int64_t b, int64_t first, int64_t count);

/* The columns of the block of `columns` keys from `key` on that `keys` needs, beginning at a multiple of 8. */
static inline struct key_range attention_columns(struct key_range keys, int64_t key, int64_t columns)
{
    return (struct key_range){maximum(0, keys.start - key) / 8 * 8, minimum(columns, keys.end - key)};
}

/* Scores outside a query's range become -infinity: row i of the tile is query `first` + i, column j key `key` + j; row
 * stride tile_stride(columns), whose rest lies outside too. */
void attention_mask(const struct attention_forward *p, int64_t b, int64_t first, int64_t rows, int64_t key,
                    int64_t columns, float *scores);

#endif
