/* Shards that no index vouches for, made by somebody who knows the format: every checksum of HDF5's metadata is right,
 * but what it covers is not. In every case nothing crashes and nothing outside the image is read. */
#include "support/dataset_builder.h"
#include "support/hdf5_metadata.h"
#include "support/test_support.h"

#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libhdf5 1.10.8 leaks about 400 bytes of its own with every file that it refuses to open. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5_serial\n";
}

static void craft(uint8_t *data, int64_t file_size, const struct metadata_block *block, struct rng *rng)
{
    const uint64_t edges[] = {
        0, 1, 0xff, 0x7fffffff, INT64_MAX, UINT64_MAX, (uint64_t)file_size, (uint64_t)file_size - 8};
    /* Changes only what follows the signatures, which the checksum covers too. */
    size_t place = block->begin + 5 + (size_t)rng_below(rng, block->size - 5);
    size_t left = block->begin + block->size - place, width = (size_t)1 << rng_below(rng, 4);
    if (rng_below(rng, 2))
        data[place] ^= (uint8_t)(1 << rng_below(rng, 8));
    else if (width <= left)
        memcpy(data + place, edges + rng_below(rng, 8), width);
    else
        data[place] = (uint8_t)rng_u32(rng);
    metadata_seal(data, block);
}

static void crafted_metadata_never_crashes(void **state)
{
    (void)state;
    enum { TRIALS = 4000 };
    const struct shard_row row = small_speech_row("id");
    char folder[600], path[700];
    uint8_t *data, *copy;
    int64_t size;
    struct metadata_block blocks[METADATA_BLOCKS];
    snprintf(folder, sizeof folder, "%s/dataset", test_directory());
    build_dataset(folder, DATASET_SPEECH, &row, 1, 1);
    snprintf(path, sizeof path, "%s/shard_00000.h5", folder);
    assert_ok(file_read(path, SHARD_MAX_BYTES, (void **)&data, &size));
    int count = metadata_find_blocks(data, (size_t)size, blocks), accepted = 0;
    for (int i = 0; i < count; i++)
        assert_true(metadata_is_sealed(data, blocks + i)); /* the block was found correctly */
    assert_true(count > 20);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 35, 0);
    for (int i = 0; i < TRIALS; i++) {
        /* Of exact size, so that the sanitizer sees a read past the end. */
        copy = malloc((size_t)size);
        assert_non_null(copy);
        memcpy(copy, data, (size_t)size);
        for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0; changes--)
            craft(copy, size, blocks + rng_below(&rng, (uint64_t)count), &rng);
        struct shard *shard = NULL;
        enum status status = shard_open_memory("crafted.h5", copy, size, NULL, &shard);
        free(copy);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        accepted += status == STATUS_OK;
        for (int64_t j = 0; shard && j < shard_rows(shard); j++) {
            struct shard_row read;
            shard_row_get(shard, j, &read);
            assert_int_equal(read.id_length, 2);
        }
        shard_close(shard);
    }
    printf("%d of %d crafted images were harmless, the others were refused\n", accepted, TRIALS);
    struct shard *shard = NULL;
    assert_ok(shard_open_memory("whole.h5", data, size, NULL, &shard));
    shard_close(shard);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(crafted_metadata_never_crashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
