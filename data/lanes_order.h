/* The order in which one lane visits the rows of one source. Internal to data/lanes*.c.
 *
 * An epoch has one order of all rows, the same for every lane: the shards in a random order, and within each window of
 * ORDER_WINDOW shards the rows in a random order. The order is dealt to the lanes in consecutive parts of equal size,
 * a different part to each lane in every epoch. So within an epoch the lanes together visit every row exactly once, a
 * lane needs few shards at a time, and nothing depends on which other lanes run. Each lane goes on to the next epoch at
 * its own time. */
#ifndef SPIRITLM_DATA_LANES_ORDER_H
#define SPIRITLM_DATA_LANES_ORDER_H

#include "data/shard.h"

enum { ORDER_WINDOW = 4 };

struct row_place {
    int64_t dataset, row; /* row: its number in the dataset */
};

struct shard_place {
    int64_t dataset, first_row, rows;
};

/* All shards of one source, in the order of the datasets. */
struct row_list {
    struct shard_place *shards;
    int64_t shard_count, shard_capacity, rows;
};
enum status row_list_add(struct row_list *list, int64_t number, const struct dataset *dataset);
void row_list_free(struct row_list *list);

struct order {
    const struct row_list *list;
    uint64_t seed, source;
    int64_t lane, lanes;
    int64_t epoch, position; /* the next row's number in the epoch's order */
    /* A cache of what can be worked out again: the epoch's order of shards, and the rows of one window of it. */
    int64_t *shards, shards_epoch; /* -1: not worked out */
    struct row_place *rows;
    int64_t rows_capacity, rows_begin, rows_end;
};
void order_begin(struct order *order, const struct row_list *list, uint64_t seed, int source, int64_t lane,
                 int64_t lanes);
void order_free(struct order *order);
enum status order_next(struct order *order, struct row_place *place);

/* Goes to the place that another order of the same list had reached. STATUS_CORRUPT when this lane cannot be there. */
enum status order_seek(struct order *order, int64_t epoch, int64_t position);

#endif
