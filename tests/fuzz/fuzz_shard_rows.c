/* The columns of a shard, as a correct libhdf5 returns them from a file with false contents. libhdf5 itself and the
 * gate before it are left out (CMakeLists.txt wraps them; fuzz_shard.c tests them), which allows a hundred times as
 * many inputs. Every CRC32C is recomputed wherever the offsets allow it, so that the checks behind it are reached. */
#include "fuzz/fuzz.h"
#include "fuzz/shard_checks.h"

#include <stdlib.h>
#include <string.h>

static struct shard_columns columns; /* what "the file" holds */

/* ---- in place of libhdf5 and the gate ---- */

enum status __wrap_shard_image_check(const char *name, const void *image, int64_t size);
enum status __wrap_shard_image_parse(const char *name, const void *image, int64_t size, struct shard_columns *parsed);

enum status __wrap_shard_image_check(const char *name, const void *image, int64_t size)
{
    (void)name;
    (void)image;
    (void)size;
    return STATUS_OK;
}

enum status __wrap_shard_image_parse(const char *name, const void *image, int64_t size, struct shard_columns *parsed)
{
    (void)name;
    (void)image;
    (void)size;
    *parsed = columns;
    memset(&columns, 0, sizeof columns);
    return STATUS_OK;
}

/* Whether every slice of the ragged column lies within its data. */
static bool offsets_hold(int data, int offset, int64_t rows)
{
    const int64_t *offsets = columns.data[offset];
    if (columns.count[offset] == 0)
        return columns.count[data] == 0;
    if (columns.count[offset] != rows + 1 || offsets[0] < 0)
        return false;
    for (int64_t i = 0; i < rows; i++)
        if (offsets[i + 1] < offsets[i] || offsets[i + 1] > columns.count[data])
            return false;
    return true;
}

static bool rows_hold(int64_t rows)
{
    static const int ragged[] = {COLUMN_ID,     COLUMN_SPEAKER, COLUMN_META, COLUMN_TEXT,
                                 COLUMN_HUBERT, COLUMN_PITCH,   COLUMN_STYLE};
    bool hold = true;
    for (size_t i = 0; i < sizeof ragged / sizeof *ragged; i++)
        hold = hold && offsets_hold(ragged[i], ragged[i] + 1, rows);
    for (int word = COLUMN_WORD_START; word <= COLUMN_WORD_TEXT_END; word++)
        hold = hold && offsets_hold(word, COLUMN_WORD_OFFSET, rows);
    if (columns.count[COLUMN_DURATION] > 0)
        hold = hold && columns.count[COLUMN_DURATION] >= rows && columns.count[COLUMN_SCORE] >= rows &&
               columns.count[COLUMN_SOURCE] >= rows * SHARD_SOURCE_BYTES;
    return hold;
}

static void seal(void)
{
    int64_t rows = columns.count[COLUMN_ID_OFFSET] - 1;
    uint32_t *crcs = columns.data[COLUMN_CRC];
    if (rows < 0 || rows > SHARD_ROWS || columns.count[COLUMN_CRC] != rows + 1)
        return;
    crcs[rows] = shard_header_crc(&columns, rows);
    for (int64_t r = 0; rows_hold(rows) && r < rows; r++) {
        struct shard_row row;
        shard_columns_row(&columns, r, &row);
        struct aligned_word *words = calloc((size_t)row.word_count + 1, sizeof *words);
        if (!words)
            return;
        shard_columns_words(&columns, r, words);
        row.words = words;
        crcs[r] = shard_row_crc(&row);
        free(words);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard *shard = NULL;
    columns_from_bytes(data, size, &columns);
    seal();
    enum status status = shard_open_memory("fuzz.h5", "\211HDF\r\n\032\n", 8, NULL, &shard);
    if (status != STATUS_OK)
        fuzz_require_refusal(status, "fuzz.h5");
    else
        shard_check(shard);
    shard_close(shard);
    return 0;
}

/* ---- the mutator: one column at a time ---- */

/* Changes one element slightly or to an edge value, or leaves the mutation to libFuzzer. */
static void change_element(struct shard_columns *held, int column, struct rng *rng)
{
    const int64_t edges[] = {0, 1, -1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 512, 513, 65535, 1000001};
    size_t width = shard_element_size[shard_layout[column].element];
    uint8_t *element = (uint8_t *)held->data[column] + rng_below(rng, (uint64_t)held->count[column]) * width;
    int64_t value = 0;
    memcpy(&value, element, width);
    switch (rng_below(rng, 3)) {
    case 0:
        value = edges[rng_below(rng, sizeof edges / sizeof *edges)];
        break;
    case 1:
        value = (int64_t)((uint64_t)value + rng_below(rng, 9) - 4);
        break;
    default:
        LLVMFuzzerMutate((uint8_t *)&value, width, width);
    }
    memcpy(element, &value, width);
}

/* Adds or removes one element, or removes all. */
static void change_count(struct shard_columns *held, int column, struct rng *rng)
{
    size_t width = shard_element_size[shard_layout[column].element];
    int64_t count = held->count[column];
    count = rng_below(rng, 8) == 0 ? 0 : rng_below(rng, 2) && count > 0 ? count - 1 : count + 1;
    void *data = realloc(held->data[column], (size_t)(count + 1) * width);
    if (!data)
        return;
    held->data[column] = data;
    if (count > held->count[column])
        memset((uint8_t *)data + (size_t)held->count[column] * width, 0, width);
    held->count[column] = count;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 6, 0);
    struct shard_columns held;
    if (rng_below(&rng, 16) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    columns_from_bytes(data, size, &held);
    for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0; changes--) {
        int column = (int)rng_below(&rng, COLUMN_COUNT);
        if (held.count[column] > 0 && rng_below(&rng, 4))
            change_element(&held, column, &rng);
        else
            change_count(&held, column, &rng);
    }
    size_t changed = columns_to_bytes(&held, data, limit);
    shard_columns_free(&held);
    return changed ? changed : size;
}
