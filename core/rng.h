/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A stream is named by a seed and up to three numbers (what it is for, lane, visit); the same name gives the same
 * numbers on every machine, whatever was drawn elsewhere. */
#ifndef SPIRITLM_CORE_RNG_H
#define SPIRITLM_CORE_RNG_H

#include <stdint.h>

struct rng {
    uint32_t key[2];
    uint32_t counter[4]; /* [0..1] counts blocks, [2..3] name the stream */
    uint32_t block[4];   /* the block in use */
    uint32_t used;       /* words of the block already handed out, 0..4; 4 = none left */
};

/* What a stream is for: the first number of its name, so that two uses never share numbers. The numbers depend on the
 * value, so it never changes, and none is reused (7 belonged to a purpose that is gone). */
enum rng_purpose {
    RNG_TEST = 1,
    RNG_INITIALIZE = 2,
    RNG_DOCUMENT_ORDER = 3,
    RNG_INTERLEAVE = 4,
    RNG_SOURCE = 5,
    RNG_KMEANS = 6,
    RNG_GENERATE = 8,
    RNG_VOCODER = 9,
    RNG_CORPUS = 10,
    RNG_EVALUATE = 11,
    RNG_PEAK = 12,
};

struct rng rng_make(uint64_t seed, enum rng_purpose purpose, uint64_t a, uint64_t b);

uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
double rng_uniform(struct rng *rng);                 /* [0, 1), 53 bits */
uint64_t rng_below(struct rng *rng, uint64_t bound); /* uniform over 0..bound-1 without bias; bound > 0 */
double rng_normal(struct rng *rng);                  /* mean 0, deviation 1 (Box-Muller, two rng_u64 per number) */
void rng_permutation(struct rng *rng, int64_t *order, int64_t count); /* a uniform permutation of 0..count-1 */

/* Passes over the next `words` numbers of rng_u32, of which rng_normal takes four, in constant time: whoever makes a
 * part of a sequence need not make what lies before it. */
void rng_skip(struct rng *rng, uint64_t words);

/* One block of the bare generator, for the published test vectors. */
void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t output[4]);

#endif
