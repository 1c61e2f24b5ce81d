/* No order is stored. The permutation of an epoch's shards and that of a window's rows are worked out again from the
 * seed when a lane gets there, so that a place in the order is two numbers, and memory is needed only for the list of
 * shards and the rows of one window. */
#include "data/lanes_order.h"

#include "core/array.h"
#include "core/rng.h"

#include <assert.h>
#include <stdlib.h>

enum status row_list_add(struct row_list *list, int64_t number, const struct dataset *dataset)
{
    int64_t count = dataset_shards(dataset);
    enum status result = array_grow(&list->shards, &list->shard_capacity, list->shard_count + count, "shards");
    if (result != STATUS_OK)
        return result;
    for (int64_t i = 0; i < count; i++) {
        int64_t begin = dataset_shard_begin(dataset, i), end = dataset_shard_begin(dataset, i + 1);
        list->shards[list->shard_count++] = (struct shard_place){number, begin, end - begin};
        list->rows += end - begin;
    }
    return STATUS_OK;
}

void row_list_free(struct row_list *list)
{
    free(list->shards);
    *list = (struct row_list){0};
}

/* Where part `part` of the epoch's order begins. */
static int64_t part_begin(const struct order *order, int64_t part)
{
    return (int64_t)((__int128)order->list->rows * part / order->lanes);
}

static int64_t own_part(const struct order *order)
{
    return (order->lane + order->epoch % order->lanes) % order->lanes;
}

void order_begin(struct order *order, const struct row_list *list, uint64_t seed, int source, int64_t lane,
                 int64_t lanes)
{
    *order = (struct order){
        .list = list, .seed = seed, .source = (uint64_t)source, .lane = lane, .lanes = lanes, .shards_epoch = -1};
    order->position = part_begin(order, own_part(order));
}

void order_free(struct order *order)
{
    free(order->shards);
    free(order->rows);
    order->shards = NULL;
    order->rows = NULL;
}

/* The random streams of an epoch: 0 permutes the shards, n + 1 the rows of window n. */
static struct rng order_rng(const struct order *order, uint64_t stream)
{
    return rng_make(order->seed, RNG_DOCUMENT_ORDER, (uint64_t)order->epoch << 8 | order->source, stream);
}

static enum status permute_shards(struct order *order)
{
    int64_t count = order->list->shard_count;
    if (!order->shards)
        order->shards = calloc((size_t)count + 1, sizeof *order->shards);
    if (!order->shards)
        return status_set(STATUS_INTERNAL, "no memory for the order of %lld shards", (long long)count);
    struct rng rng = order_rng(order, 0);
    rng_permutation(&rng, order->shards, count);
    order->shards_epoch = order->epoch;
    order->rows_begin = order->rows_end = 0;
    return STATUS_OK;
}

/* Lists the rows of the `count` shards from place `first` of the epoch's order on, in their random order. */
static enum status permute_rows(struct order *order, int64_t first, int64_t count, int64_t rows)
{
    assert(rows > 0); /* the window holds the order's position */
    int64_t *numbers = malloc((size_t)(rows + 1) * sizeof *numbers);
    if (rows > order->rows_capacity) {
        struct row_place *larger = realloc(order->rows, (size_t)rows * sizeof *larger);
        order->rows = larger ? larger : order->rows;
        order->rows_capacity = larger ? rows : order->rows_capacity;
    }
    if (!numbers || rows > order->rows_capacity) {
        free(numbers);
        return status_set(STATUS_INTERNAL, "no memory for a window of %lld rows", (long long)rows);
    }
    struct rng rng = order_rng(order, (uint64_t)(first / ORDER_WINDOW) + 1);
    rng_permutation(&rng, numbers, rows);
    for (int64_t i = 0, number = 0; i < count; i++) {
        const struct shard_place *shard = &order->list->shards[order->shards[first + i]];
        for (int64_t row = 0; row < shard->rows; row++)
            order->rows[numbers[number++]] = (struct row_place){shard->dataset, shard->first_row + row};
    }
    free(numbers);
    return STATUS_OK;
}

/* Lists the rows of the window that holds order->position. */
static enum status permute_window(struct order *order)
{
    int64_t begin = 0, rows = 0, first = 0, count = 0;
    for (;; first += ORDER_WINDOW, begin += rows) {
        rows = 0;
        count = order->list->shard_count - first < ORDER_WINDOW ? order->list->shard_count - first : ORDER_WINDOW;
        for (int64_t i = 0; i < count; i++)
            rows += order->list->shards[order->shards[first + i]].rows;
        if (order->position < begin + rows)
            break;
    }
    enum status result = permute_rows(order, first, count, rows);
    if (result == STATUS_OK) {
        order->rows_begin = begin;
        order->rows_end = begin + rows;
    }
    return result;
}

enum status order_next(struct order *order, struct row_place *place)
{
    enum status result;
    /* With fewer rows than lanes a part can be empty; every lane gets a row within `lanes` epochs. */
    while (order->position >= part_begin(order, own_part(order) + 1)) {
        order->epoch++;
        order->position = part_begin(order, own_part(order));
    }
    if (order->shards_epoch != order->epoch && (result = permute_shards(order)) != STATUS_OK)
        return result;
    if ((order->position < order->rows_begin || order->position >= order->rows_end) &&
        (result = permute_window(order)) != STATUS_OK)
        return result;
    *place = order->rows[order->position - order->rows_begin];
    order->position++;
    return STATUS_OK;
}

enum status order_seek(struct order *order, int64_t epoch, int64_t position)
{
    order->epoch = epoch;
    order->position = position;
    order->shards_epoch = -1;
    int64_t begin = part_begin(order, own_part(order)), end = part_begin(order, own_part(order) + 1);
    if (position < begin || position > end)
        return status_set(STATUS_CORRUPT, "position %lld of epoch %lld is impossible: this lane's part is %lld to %lld",
                          (long long)position, (long long)epoch, (long long)begin, (long long)end);
    return STATUS_OK;
}
