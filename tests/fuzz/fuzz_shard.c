/* Shards that no index vouches for. libhdf5 sees only what the gate in front of it accepts. The mutator changes what
 * HDF5's own checksums cover and recomputes them. */
#include "fuzz/fuzz.h"
#include "fuzz/shard_checks.h"
#include "support/hdf5_metadata.h"

#include "data/shard_layout.h"

#include <string.h>

/* libhdf5 1.10.8 leaks about 400 bytes of its own with every file that it refuses to open. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard *shard = NULL;
    enum status status = shard_open_memory("fuzz.h5", data, (int64_t)size, NULL, &shard);
    if (status != STATUS_OK) {
        fuzz_require(shard == NULL, "a refused shard is not given out");
        fuzz_require_refusal(status, "fuzz.h5");
        return 0;
    }
    shard_check(shard);
    shard_close(shard);
    return 0;
}

/* ---- the mutator ---- */

static void change(uint8_t *data, size_t size, const struct metadata_block *block, struct rng *rng)
{
    /* The last two overflow to small numbers when they are added to. */
    const uint64_t edges[] = {0,
                              1,
                              0xff,
                              0x7fffffff,
                              INT64_MAX,
                              UINT64_MAX,
                              (uint64_t)size,
                              (uint64_t)size - 8,
                              UINT64_MAX - rng_below(rng, 16),
                              UINT64_MAX - rng_below(rng, size)};
    size_t place = block->begin + 5 + (size_t)rng_below(rng, block->size - 5);
    size_t left = block->begin + block->size - place, width = (size_t)1 << rng_below(rng, 4);
    uint64_t kind = rng_below(rng, 4);
    if (kind == 0)
        data[place] ^= (uint8_t)(1 << rng_below(rng, 8));
    else if (kind == 1 && width <= left)
        memcpy(data + place, edges + rng_below(rng, sizeof edges / sizeof *edges), width);
    else if (kind == 2)
        data[place] = (uint8_t)(data[place] + rng_below(rng, 9) - 4);
    else
        LLVMFuzzerMutate(data + place, left, left);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 5, 0);
    struct metadata_block blocks[METADATA_BLOCKS];
    int count = metadata_find_blocks(data, size, blocks);
    if (count == 0 || rng_below(&rng, 8) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0; changes--) {
        const struct metadata_block *block = blocks + rng_below(&rng, (uint64_t)count);
        change(data, size, block, &rng);
        metadata_seal(data, block);
    }
    return size;
}
