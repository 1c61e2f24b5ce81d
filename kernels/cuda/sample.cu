/* One id per row of logits, one block per row. A candidate is a 64-bit key, the falling order of its logit above its id, so
 * that candidates have one order and "the first of the largest" is the smallest key.
 *
 * What is sought is always the first candidate at which a running sum over the candidates in their order passes a limit: of
 * ones for top-k, of weights for top-p and for the draw. Long rows are never sorted: the key of that candidate is found
 * digit by digit, from sums per digit over those candidates that have the digits found so far, so a row is read some eight
 * times, from the second on out of the cache. Short rows are sorted in shared memory and summed once.
 *
 * Weights are exp((logit - best) / temperature) in double, as whole multiples of a power of two so small that all of a row
 * fit 62 bits: sums of whole numbers have no order, so threads may add in any. Two candidates would have to be closer to a
 * limit than 2^-33 of the best one's weight for the id to differ from that of sums in double. */
#include "kernels/cuda/launch.cuh"

enum {
    THREADS = 512,
    BLOCKS = 2, /* a processor holds: 64 registers per thread */
    DIGIT_BITS = 11,
    DIGITS = 1 << DIGIT_BITS,
    LOGIT_BITS = 32, /* the upper part of a key; the lower is the id */
    SORTED = 1024,   /* rows of at most so many are sorted */
};
typedef unsigned long long candidate_key;
typedef unsigned long long mass;
#define NO_KEY 0xffffffffffffffffull /* behind all keys */
#define BAD_KEY 0ull                 /* an allowed logit that is NaN or plus infinity */

/* NO_KEY for minus infinity. The upper half grows as the logit falls; both zeros are one. */
__device__ static candidate_key key_of(float logit, int32_t id)
{
    if (!(logit < INFINITY))
        return BAD_KEY;
    if (logit == -INFINITY)
        return NO_KEY;
    unsigned int bits = __float_as_uint(logit + 0.0f), falling = bits >> 31 ? bits : ~bits & 0x7fffffffu;
    return candidate_key(falling) << LOGIT_BITS | (unsigned int)id;
}
__device__ static float logit_of(candidate_key key)
{
    unsigned int falling = (unsigned int)(key >> LOGIT_BITS);
    return __uint_as_float(falling >> 31 ? falling : ~falling & 0x7fffffffu);
}

/* What the block knows of its row. */
struct row {
    const float *logits;    /* [V] */
    const uint8_t *allowed; /* [V] */
    int64_t columns;
    double best, temperature;
    double unit; /* what the best weight is a whole multiple of: so many units make 1 */
};

__device__ static candidate_key candidate_at(const struct row &row, int64_t id)
{
    return row.allowed[id] ? key_of(row.logits[id], int32_t(id)) : NO_KEY;
}

__device__ static mass mass_of(const struct row &row, candidate_key key)
{
    return mass(exp((double(logit_of(key)) - row.best) / row.temperature) * row.unit + 0.5);
}

/* ---- the best candidate, and how many there are ---- */

/* Between two calls the block waits. */
__device__ static candidate_key block_minimum(candidate_key value)
{
    __shared__ candidate_key smallest[MOST_WARPS];
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
    for (int step = 0; step < 2; step++) {
        for (int distance = WARP / 2; distance > 0; distance /= 2)
            value = min(value, __shfl_xor_sync(FULL_WARP, value, distance));
        if (step == 1)
            break;
        if (lane == 0)
            smallest[warp] = value;
        __syncthreads();
        value = lane < int(blockDim.x) / WARP ? smallest[lane] : NO_KEY;
    }
    return value;
}

/* BAD_KEY, or the first of the largest allowed logits, or NO_KEY; and the number of candidates. */
__device__ static candidate_key first_candidate(const struct row &row, int *count)
{
    candidate_key best = NO_KEY;
    int found = 0;
    for (int64_t id = threadIdx.x; id < row.columns; id += blockDim.x) {
        candidate_key key = candidate_at(row, id);
        best = min(best, key);
        found += key != NO_KEY;
    }
    *count = block_sum(found);
    return block_minimum(best);
}

/* ---- running sums over a block ---- */

/* The sum of the values of all threads up to this one's, its own included. Between two calls the block waits. */
__device__ static mass running_sum(mass value)
{
    __shared__ mass sums[MOST_WARPS];
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP, warps = int(blockDim.x) / WARP;
    for (int distance = 1; distance < WARP; distance *= 2) {
        mass other = __shfl_up_sync(FULL_WARP, value, distance);
        value += lane >= distance ? other : 0;
    }
    if (lane == WARP - 1)
        sums[warp] = value;
    __syncthreads();
    mass before = 0;
    for (int w = 0; w < warps; w++)
        before += w < warp ? sums[w] : 0;
    return before + value;
}

/* ---- long rows: digits ---- */

/* What is summed over the candidates whose key is at most `last`. */
struct measure {
    candidate_key last;
    bool ones; /* each counts one; else its mass */
};

/* The search for the first candidate at which the running sum exceeds a limit. */
struct search {
    candidate_key prefix; /* digits found, from the highest */
    int shift;            /* bits below them */
    mass before;          /* sum of the candidates in front of those that begin with the prefix */
    mass here;            /* of those that do */
};

/* sums[d] = the sum over the candidates that begin with the prefix and have `d` as their next `bits` bits. Whoever has read what
 * was there before has waited for the block since (take_digit). */
__device__ static void sum_digits(const struct row &row, const struct measure &measure, const struct search &search,
                                  int bits, mass *sums)
{
    int shift = search.shift - bits;
    candidate_key fixed = search.shift == 2 * LOGIT_BITS ? 0 : ~0ull << search.shift;
    for (int digit = int(threadIdx.x); digit < DIGITS; digit += int(blockDim.x))
        sums[digit] = 0;
    __syncthreads();
    for (int64_t id = threadIdx.x; id < row.columns; id += blockDim.x) {
        candidate_key key = candidate_at(row, id);
        if (key == NO_KEY || key > measure.last || (key & fixed) != search.prefix)
            continue;
        mass value = measure.ones ? 1 : mass_of(row, key);
        if (value != 0)
            atomicAdd(&sums[int(key >> shift) & ((1 << bits) - 1)], value);
    }
    __syncthreads();
}

/* Takes the digit in which the running sum passes the limit, which the sum of all exceeds. */
__device__ static void take_digit(struct search &search, int bits, const mass *sums, mass limit)
{
    __shared__ struct search found;
    int each = DIGITS / int(blockDim.x), first = int(threadIdx.x) * each;
    mass own = 0;
    for (int i = 0; i < each; i++)
        own += sums[first + i];
    mass after = search.before + running_sum(own), before = after - own;
    if (before <= limit && limit < after) { /* one thread's */
        int digit = first;
        while (before + sums[digit] <= limit)
            before += sums[digit++];
        found.shift = search.shift - bits;
        found.prefix = search.prefix | candidate_key(digit) << found.shift;
        found.before = before;
        found.here = sums[digit];
    }
    __syncthreads();
    search = found; /* the next call's running sum waits before it is replaced */
}

/* Bits of the next digit: the two halves of a key end with digits of their own. */
__device__ static int digit_bits(int shift)
{
    int left = shift > LOGIT_BITS ? shift - LOGIT_BITS : shift;
    return min(left, int(DIGIT_BITS));
}

__device__ static void find_digits(const struct row &row, const struct measure &measure, struct search &search,
                                   mass limit, int least_shift, mass *sums)
{
    while (search.shift > least_shift) {
        int bits = digit_bits(search.shift);
        sum_digits(row, measure, search, bits, sums);
        take_digit(search, bits, sums, limit);
    }
}

/* The key of candidate number `kept` (from 1) of more. */
__device__ static candidate_key last_key(const struct row &row, int kept, mass *sums)
{
    struct measure ones = {NO_KEY - 1, true};
    struct search search = {0, 2 * LOGIT_BITS, 0, 0};
    while (search.shift > 0 &&
           search.before + search.here != mass(kept)) { /* all that begin with the prefix are kept */
        int bits = digit_bits(search.shift);
        sum_digits(row, ones, search, bits, sums);
        take_digit(search, bits, sums, mass(kept) - 1);
    }
    return search.prefix | ((1ull << search.shift) - 1);
}

/* Of candidates with equal logits, which is where a search that has found all of a logit's digits ends: how many lie in front
 * of the one that passes the limit. */
__device__ static mass equal_ones_before(const struct row &row, const struct search &search, mass limit)
{
    return (limit - search.before) / mass_of(row, search.prefix);
}

/* The whole draw of a long row; top_k is 0 where all candidates are left. */
__device__ static int32_t draw_by_digits(const struct row &row, int64_t top_k, double top_p, double uniform)
{
    __shared__ mass first_sums[DIGITS], sums[DIGITS];
    candidate_key last = top_k > 0 ? last_key(row, int(top_k), sums) : NO_KEY - 1;
    struct measure weights = {last, false};
    const struct search all = {0, 2 * LOGIT_BITS, 0, 0};
    struct search search = all;
    sum_digits(row, weights, search, DIGIT_BITS, first_sums);
    mass total = 0;
    for (int digit = int(threadIdx.x); digit < DIGITS; digit += int(blockDim.x))
        total += first_sums[digit];
    total = block_sum(total);
    if (top_p < 1) { /* what is kept: all up to the candidate with which the sum reaches top_p of the total */
        mass wanted = min(total, mass(ceil(top_p * double(total)))), limit = wanted > 0 ? wanted - 1 : 0;
        take_digit(search, DIGIT_BITS, first_sums, limit);
        find_digits(row, weights, search, limit, LOGIT_BITS, sums);
        total = search.before + (equal_ones_before(row, search, limit) + 1) * mass_of(row, search.prefix);
    }
    mass limit = min(total - 1, mass(uniform * double(total)));
    search = all;
    take_digit(search, DIGIT_BITS, first_sums, limit);
    find_digits(row, weights, search, limit, LOGIT_BITS, sums);
    /* Of the candidates with that logit, the one with this number, by their ids. */
    if (search.here == mass_of(row, search.prefix)) {
        candidate_key found = NO_KEY;
        for (int64_t id = threadIdx.x; id < row.columns; id += blockDim.x) {
            candidate_key key = candidate_at(row, id);
            if (key != NO_KEY && key >> LOGIT_BITS == search.prefix >> LOGIT_BITS)
                found = key;
        }
        return int32_t(block_minimum(found));
    }
    find_digits(row, weights, search, limit, 0, sums);
    return int32_t(search.prefix);
}

/* ---- short rows: sorted ---- */

/* Bitonic sort (Batcher 1968) of a power of two of keys, smallest first. */
__device__ static void sort_keys(candidate_key *keys, int length)
{
    for (int run = 2; run <= length; run *= 2)
        for (int distance = run / 2; distance > 0; distance /= 2) {
            for (int pair = int(threadIdx.x); pair < length / 2; pair += int(blockDim.x)) {
                int low = (pair & -distance) * 2 + (pair & (distance - 1)), high = low + distance;
                candidate_key a = keys[low], b = keys[high];
                if ((a > b) == ((low & run) == 0)) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
            __syncthreads();
        }
}

/* How many of the first `count` running sums do not exceed the limit. */
__device__ static int sums_up_to(const mass *sums, int count, mass limit)
{
    int found = 0;
    for (int i = int(threadIdx.x); i < count; i += int(blockDim.x))
        found += sums[i] <= limit;
    return block_sum(found);
}

__device__ static int32_t draw_by_sorting(const struct row &row, int kept, double top_p, double uniform)
{
    __shared__ candidate_key keys[SORTED];
    __shared__ mass sums[SORTED];
    int length = 1;
    while (length < row.columns)
        length *= 2;
    for (int id = int(threadIdx.x); id < length; id += int(blockDim.x))
        keys[id] = id < row.columns ? candidate_at(row, id) : NO_KEY;
    __syncthreads();
    sort_keys(keys, length);
    mass before = 0;
    for (int first = 0; first < kept; first += int(blockDim.x)) {
        int i = first + int(threadIdx.x);
        mass sum = before + running_sum(i < kept ? mass_of(row, keys[i]) : 0);
        if (i < kept)
            sums[i] = sum;
        __syncthreads();
        before = sums[min(kept, first + int(blockDim.x)) - 1];
    }
    if (top_p < 1) {
        mass wanted = min(before, mass(ceil(top_p * double(before))));
        kept = sums_up_to(sums, kept, wanted > 0 ? wanted - 1 : 0) + 1;
    }
    mass total = sums[kept - 1];
    int found = sums_up_to(sums, kept, min(total - 1, mass(uniform * double(total))));
    return int32_t(keys[found]);
}

/* ---- a row ---- */

template <bool SORTS>
__global__ void __launch_bounds__(THREADS, BLOCKS) sample_kernel(struct sample p, double unit, struct cuda_fault *fault)
{
    int64_t r = blockIdx.x, mask = p.mask_rows[r];
    if (!index_fits(fault, CUDA_sample, CUDA_FAULT_MASK_ROW, r, p.rows, mask, 0, p.mask_count))
        return;
    struct row row = {p.logits + r * p.row_stride, p.masks + mask * p.columns, p.columns, 0, p.temperature, unit};
    int count;
    candidate_key best = first_candidate(row, &count);
    int32_t id = best == BAD_KEY || best == NO_KEY ? -1 : int32_t(best);
    if (id >= 0 && p.temperature != 0) {
        bool cuts = p.top_k > 0 && p.top_k < count;
        row.best = double(logit_of(best));
        if (SORTS)
            id = draw_by_sorting(row, cuts ? int(p.top_k) : count, p.top_p, p.uniforms[r]);
        else
            id = draw_by_digits(row, cuts ? p.top_k : 0, p.top_p, p.uniforms[r]);
    }
    if (threadIdx.x == 0)
        p.ids[r] = id;
}

extern "C" enum status cuda_sample(const struct device_context *context, const struct sample *p)
{
    /* A power of two of units to the best candidate's weight, at most what a double can tell apart, so that all V weights
     * together stay below 2^62. */
    double unit = 1;
    for (int bits = 0; bits < 52 && unit * 2 * double(p->columns) <= 4611686018427387904.0; bits++)
        unit *= 2;
    bool sorts = p->columns <= SORTED;
    return launch(context, "sample", sorts ? sample_kernel<true> : sample_kernel<false>, p->rows, 1,
                  sorts ? block_threads(p->columns, THREADS) : THREADS, *p, unit, cuda_fault_word(context));
}
