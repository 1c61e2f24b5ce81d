#include "support/damage.h"

#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t below(struct rng *rng, int64_t bound)
{
    return (int64_t)rng_below(rng, (uint64_t)bound);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static uint8_t *exact_copy(const uint8_t *bytes, int64_t size)
{
    uint8_t *copy = malloc(size > 0 ? (size_t)size : 1);
    if (!copy)
        fail_msg("no memory for %lld bytes", (long long)size);
    if (size > 0)
        memcpy(copy, bytes, (size_t)size);
    return copy;
}

/* ---- in place: one function per kind; each needs size > 0 ---- */

static void flip_bit(struct rng *rng, uint8_t *bytes, int64_t size, char *what)
{
    int64_t at = below(rng, size), bit = below(rng, 8);
    bytes[at] ^= (uint8_t)(1 << bit);
    snprintf(what, DAMAGE_TEXT, "bit %lld of byte %lld", (long long)bit, (long long)at);
}

static void change_byte(struct rng *rng, uint8_t *bytes, int64_t size, char *what)
{
    int64_t at = below(rng, size);
    bytes[at] = (uint8_t)rng_u32(rng);
    snprintf(what, DAMAGE_TEXT, "byte %lld is now 0x%02x", (long long)at, (unsigned)bytes[at]);
}

/* Noise, zeros or ones, up to a disk's sector long. */
static void change_run(struct rng *rng, uint8_t *bytes, int64_t size, char *what)
{
    static const char *const names[] = {"noise", "zeros", "ones"};
    int64_t at = below(rng, size), count = 1 + below(rng, least(512, size - at)), kind = below(rng, 3);
    for (int64_t i = at; i < at + count; i++)
        bytes[i] = kind == 0 ? (uint8_t)rng_u32(rng) : kind == 1 ? 0 : 0xff;
    snprintf(what, DAMAGE_TEXT, "%s in %lld bytes from %lld", names[kind], (long long)count, (long long)at);
}

/* What one's-complement sums, such as fletcher32, do not notice. */
static void swap_zeros_and_ones(struct rng *rng, uint8_t *bytes, int64_t size, char *what)
{
    int64_t words = size / 2, first = words ? below(rng, words) : 0;
    for (int64_t i = 0; i < words; i++) {
        uint8_t *word = bytes + (first + i) % words * 2;
        if (word[0] != word[1] || (word[0] != 0 && word[0] != 0xff))
            continue;
        word[0] = word[1] = (uint8_t)~word[0];
        snprintf(what, DAMAGE_TEXT, "the word at byte %lld turned from 0x%02x%02x", (long long)(word - bytes),
                 (unsigned)(uint8_t)~word[0], (unsigned)(uint8_t)~word[0]);
        return;
    }
}

static void swap_blocks(struct rng *rng, uint8_t *bytes, int64_t size, char *what)
{
    int64_t count = 1 + below(rng, least(4096, size / 2 + 1));
    if (size < 2 * count)
        return;
    int64_t first = below(rng, size - 2 * count + 1);
    int64_t second = first + count + below(rng, size - first - 2 * count + 1);
    for (int64_t i = 0; i < count; i++) {
        uint8_t kept = bytes[first + i];
        bytes[first + i] = bytes[second + i];
        bytes[second + i] = kept;
    }
    snprintf(what, DAMAGE_TEXT, "%lld bytes at %lld and %lld changed places", (long long)count, (long long)first,
             (long long)second);
}

uint8_t *damage_in_place(struct rng *rng, const uint8_t *bytes, int64_t size, char what[DAMAGE_TEXT])
{
    static void (*const kinds[])(struct rng *, uint8_t *, int64_t, char *) = {flip_bit, change_byte, change_run,
                                                                              swap_zeros_and_ones, swap_blocks};
    uint8_t *copy = exact_copy(bytes, size);
    /* Some kinds of damage may by chance change nothing. */
    while (size > 0 && memcmp(copy, bytes, (size_t)size) == 0)
        kinds[rng_below(rng, sizeof kinds / sizeof *kinds)](rng, copy, size, what);
    return copy;
}

/* ---- other sizes ---- */

static uint8_t *shorten(struct rng *rng, const uint8_t *bytes, int64_t size, int64_t *damaged_size, char *what)
{
    *damaged_size = rng_below(rng, 4) ? below(rng, size) : size - 1;
    snprintf(what, DAMAGE_TEXT, "cut from %lld to %lld bytes", (long long)size, (long long)*damaged_size);
    return exact_copy(bytes, *damaged_size);
}

static uint8_t *lengthen(struct rng *rng, const uint8_t *bytes, int64_t size, int64_t *damaged_size, char *what)
{
    static const uint8_t fillers[] = {0, 0xff, ' ', '\n'};
    int64_t count = rng_below(rng, 2) ? 1 : 1 + below(rng, 600);
    uint64_t kind = rng_below(rng, sizeof fillers + 1);
    uint8_t *longer = malloc((size_t)(size + count));
    if (!longer)
        fail_msg("no memory for %lld bytes", (long long)(size + count));
    if (size > 0)
        memcpy(longer, bytes, (size_t)size);
    for (int64_t i = size; i < size + count; i++)
        longer[i] = kind < sizeof fillers ? fillers[kind] : (uint8_t)rng_u32(rng);
    *damaged_size = size + count;
    snprintf(what, DAMAGE_TEXT, "%lld bytes appended, the last 0x%02x", (long long)count,
             (unsigned)longer[size + count - 1]);
    return longer;
}

/* Removes a part, or doubles it. */
static uint8_t *shift(struct rng *rng, const uint8_t *bytes, int64_t size, int64_t *damaged_size, char *what)
{
    int64_t at = below(rng, size), count = 1 + below(rng, least(512, size - at));
    bool doubled = rng_below(rng, 2);
    *damaged_size = doubled ? size + count : size - count;
    uint8_t *shifted = malloc((size_t)*damaged_size + 1);
    if (!shifted)
        fail_msg("no memory for %lld bytes", (long long)*damaged_size);
    memcpy(shifted, bytes, (size_t)(doubled ? at + count : at));
    int64_t to = doubled ? at + count : at, from = doubled ? at : at + count;
    memcpy(shifted + to, bytes + from, (size_t)(size - from));
    snprintf(what, DAMAGE_TEXT, "%lld bytes at %lld %s", (long long)count, (long long)at,
             doubled ? "doubled" : "taken out");
    uint8_t *fitted = exact_copy(shifted, *damaged_size);
    free(shifted);
    return fitted;
}

uint8_t *damage_bytes(struct rng *rng, const uint8_t *bytes, int64_t size, int64_t *damaged_size,
                      char what[DAMAGE_TEXT])
{
    uint64_t kind = rng_below(rng, 10);
    if (size == 0)
        return lengthen(rng, bytes, size, damaged_size, what);
    if (kind == 0)
        return shorten(rng, bytes, size, damaged_size, what);
    if (kind == 1)
        return lengthen(rng, bytes, size, damaged_size, what);
    if (kind == 2)
        return shift(rng, bytes, size, damaged_size, what);
    *damaged_size = size;
    return damage_in_place(rng, bytes, size, what);
}
