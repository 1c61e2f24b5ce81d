/* Philox computes a block of random words from a key and a counter, with no state carried between blocks. So a stream
 * can be entered at any place, and a run that was resumed draws the same numbers as one that was not. The numbers that
 * name a stream are small and consecutive; splitmix64's finaliser spreads them over the whole key and counter before
 * they are used. */
#include "core/rng.h"

#include <math.h>

void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t output[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    output[0] = c0;
    output[1] = c1;
    output[2] = c2;
    output[3] = c3;
}

/* The finaliser of splitmix64: spreads a name's numbers over all bits. */
static uint64_t mix(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

struct rng rng_make(uint64_t seed, enum rng_purpose purpose, uint64_t a, uint64_t b)
{
    uint64_t key = mix(mix(seed) + (uint64_t)purpose);
    uint64_t name = mix(mix(key ^ a) + b);
    return (struct rng){.key = {(uint32_t)key, (uint32_t)(key >> 32)},
                        .counter = {0, 0, (uint32_t)name, (uint32_t)(name >> 32)},
                        .used = 4};
}

uint32_t rng_u32(struct rng *rng)
{
    if (rng->used >= 4) {
        philox4x32(rng->key, rng->counter, rng->block);
        if (++rng->counter[0] == 0)
            rng->counter[1]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

void rng_skip(struct rng *rng, uint64_t words)
{
    uint64_t left = 4 - rng->used; /* of the block in use */
    if (words <= left) {
        rng->used += (uint32_t)words;
        return;
    }
    words -= left;
    uint64_t block = (rng->counter[0] | (uint64_t)rng->counter[1] << 32) + words / 4;
    rng->counter[0] = (uint32_t)block;
    rng->counter[1] = (uint32_t)(block >> 32);
    rng->used = 4;
    for (uint64_t i = 0; i < words % 4; i++)
        (void)rng_u32(rng);
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t low = rng_u32(rng);
    return low | (uint64_t)rng_u32(rng) << 32;
}

double rng_uniform(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    uint64_t reject = (0 - bound) % bound; /* 2^64 mod bound: values below it would favour some results */
    uint64_t value;
    do
        value = rng_u64(rng);
    while (value < reject);
    return value % bound;
}

double rng_normal(struct rng *rng)
{
    double u = 1.0 - rng_uniform(rng), v = rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

void rng_permutation(struct rng *rng, int64_t *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t j = (int64_t)rng_below(rng, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}
