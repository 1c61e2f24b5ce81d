/* One id per row of logits, one block per row. A candidate is a 64-bit key, the falling order of its logit above its id, so
 * that candidates have one order and "the first of the largest" is the smallest key. With top-k, the largest key that remains
 * is found digit by digit from counts; the candidates up to it are gathered in any order and sorted. What follows is a sum of
 * doubles in the order of the candidates, as the cpu's: all lanes of a warp add the same numbers, which they fetch 32 at a
 * time. */
#include "kernels/cuda/launch.cuh"

enum {
    THREADS = 512,
    SHARED_KEYS = 2048, /* so many candidates are sorted in shared memory, more in scratch */
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    KEY_BITS = 64,
};
typedef unsigned long long candidate_key;
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
    return candidate_key(falling) << 32 | (unsigned int)id;
}
__device__ static float logit_of(candidate_key key)
{
    unsigned int falling = (unsigned int)(key >> 32);
    return __uint_as_float(falling >> 31 ? falling : ~falling & 0x7fffffffu);
}

/* What the block knows of its row. */
struct row {
    const float *logits;    /* [V] */
    const uint8_t *allowed; /* [V] */
    int64_t columns;
};

__device__ static candidate_key candidate_at(const struct row &row, int64_t id)
{
    return row.allowed[id] ? key_of(row.logits[id], int32_t(id)) : NO_KEY;
}

/* ---- the best candidate, and how many there are ---- */

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

/* ---- top-k ---- */

/* A key that exactly `kept` (at least 1) candidates do not exceed. Each step fixes one more digit of candidate number `kept`,
 * from the highest, by counting the digits of the candidates that have those found so far; it ends when a count fits. */
__device__ static candidate_key last_key(const struct row &row, int kept)
{
    __shared__ int counts[DIGITS];
    __shared__ int chosen[3]; /* digit, how many candidates have a lower one, how many have it */
    candidate_key prefix = 0;
    for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        for (int digit = int(threadIdx.x); digit < DIGITS; digit += int(blockDim.x))
            counts[digit] = 0;
        __syncthreads();
        candidate_key fixed = shift == KEY_BITS - DIGIT_BITS ? 0 : ~0ull << (shift + DIGIT_BITS);
        for (int64_t id = threadIdx.x; id < row.columns; id += blockDim.x) {
            candidate_key key = candidate_at(row, id);
            if (key != NO_KEY && (key & fixed) == prefix)
                atomicAdd(&counts[int(key >> shift) & (DIGITS - 1)], 1);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int digit = 0, before = 0;
            while (digit < DIGITS - 1 && before + counts[digit] < kept)
                before += counts[digit++];
            chosen[0] = digit;
            chosen[1] = before;
            chosen[2] = counts[digit];
        }
        __syncthreads();
        prefix |= candidate_key(chosen[0]) << shift;
        kept -= chosen[1];
        if (kept == chosen[2])
            return prefix | ((1ull << shift) - 1);
    }
    return prefix;
}

/* Gathers the candidates up to `last`, of which there are `count`, and fills up to `length` with NO_KEY. */
__device__ static void gather(const struct row &row, candidate_key last, int count, int64_t length, candidate_key *keys)
{
    __shared__ int next;
    if (threadIdx.x == 0)
        next = 0;
    __syncthreads();
    for (int64_t id = threadIdx.x; id < row.columns; id += blockDim.x) {
        candidate_key key = candidate_at(row, id);
        if (key != NO_KEY && key <= last)
            keys[atomicAdd(&next, 1)] = key;
    }
    for (int64_t i = count + int64_t(threadIdx.x); i < length; i += blockDim.x)
        keys[i] = NO_KEY;
    __syncthreads();
}

/* Bitonic sort (Batcher 1968) of a power of two of keys, smallest first. */
__device__ static void sort_keys(candidate_key *keys, int64_t length)
{
    for (int64_t run = 2; run <= length; run *= 2)
        for (int64_t distance = run / 2; distance > 0; distance /= 2) {
            for (int64_t pair = threadIdx.x; pair < length / 2; pair += blockDim.x) {
                int64_t low = (pair & -distance) * 2 + (pair & (distance - 1)), high = low + distance;
                candidate_key a = keys[low], b = keys[high];
                if ((a > b) == ((low & run) == 0)) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
            __syncthreads();
        }
}

/* ---- the draw, by one warp ---- */

__device__ static double weight_of(candidate_key key, candidate_key best, double temperature)
{
    return exp((double(logit_of(key)) - double(logit_of(best))) / temperature);
}

/* sums[i] = weight of candidate 0 + ... + weight of candidate i, added in that order; returns the last. */
__device__ static double running_sums(const candidate_key *keys, int count, double temperature, double *sums)
{
    int lane = int(threadIdx.x) % WARP;
    double sum = 0;
    for (int first = 0; first < count; first += WARP) {
        int own = first + lane, length = min(count - first, int(WARP));
        double weight = own < count ? weight_of(keys[own], keys[0], temperature) : 0, mine = 0;
        for (int i = 0; i < length; i++) {
            sum += __shfl_sync(FULL_WARP, weight, i);
            mine = i == lane ? sum : mine;
        }
        if (own < count)
            sums[own] = mine;
    }
    return sum;
}

/* The smallest number of candidates, at least one, whose mass reaches `mass`; all when none does. */
__device__ static int mass_reached(const double *sums, int count, double mass)
{
    int low = 1, high = count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (sums[middle - 1] < mass)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The candidate whose weight takes `point` below 0 when the weights are taken off in their order. */
__device__ static int32_t candidate_under(const candidate_key *keys, int count, double temperature, double point)
{
    int lane = int(threadIdx.x) % WARP;
    for (int first = 0; first < count; first += WARP) {
        int own = first + lane, length = min(count - first, int(WARP));
        double weight = own < count ? weight_of(keys[own], keys[0], temperature) : 0;
        for (int i = 0; i < length; i++) {
            point -= __shfl_sync(FULL_WARP, weight, i);
            if (point < 0)
                return int32_t(keys[first + i]);
        }
    }
    return int32_t(keys[count - 1]);
}

/* ---- a row ---- */

__global__ void __launch_bounds__(THREADS)
    sample_kernel(struct sample p, int64_t length, candidate_key *all_keys, double *all_sums, struct cuda_fault *fault)
{
    __shared__ candidate_key shared_keys[SHARED_KEYS];
    int64_t r = blockIdx.x, mask = p.mask_rows[r];
    if (!index_fits(fault, CUDA_sample, CUDA_FAULT_MASK_ROW, r, p.rows, mask, 0, p.mask_count))
        return;
    struct row row = {p.logits + r * p.row_stride, p.masks + mask * p.columns, p.columns};
    int count;
    candidate_key best = first_candidate(row, &count), last = NO_KEY - 1;
    if (best == BAD_KEY || best == NO_KEY || p.temperature == 0) {
        if (threadIdx.x == 0)
            p.ids[r] = best == BAD_KEY || best == NO_KEY ? -1 : int32_t(best);
        return;
    }
    if (p.top_k > 0 && p.top_k < count) {
        count = int(p.top_k);
        last = last_key(row, count);
    }
    candidate_key *keys = count <= SHARED_KEYS ? shared_keys : all_keys + r * length;
    int64_t sorted = 1;
    while (sorted < count)
        sorted *= 2;
    gather(row, last, count, sorted, keys);
    sort_keys(keys, sorted);
    if (threadIdx.x >= WARP)
        return;
    double *sums = all_sums + r * p.columns;
    double sum = running_sums(keys, count, p.temperature, sums);
    __syncwarp();
    int kept = mass_reached(sums, count, p.top_p * sum);
    int32_t id = candidate_under(keys, kept, p.temperature, p.uniforms[r] * sums[kept - 1]);
    if (threadIdx.x == 0)
        p.ids[r] = id;
}

extern "C" enum status cuda_sample(const struct device_context *context, const struct sample *p)
{
    int64_t length = sort_length(p->columns);
    candidate_key *keys = static_cast<candidate_key *>(context->scratch); /* [R][length] */
    double *sums = reinterpret_cast<double *>(keys + p->rows * length);   /* [R][V] */
    return launch(context, "sample", sample_kernel, p->rows, 1, block_threads(p->columns, THREADS), *p, length, keys,
                  sums, cuda_fault_word(context));
}
