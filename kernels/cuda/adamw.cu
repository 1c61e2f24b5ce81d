/* AdamW over a bucket of parameters in one pass. A first kernel, one warp, looks whether the table of segments is in order; the
 * second updates nothing in a context that has a fault. Its blocks own fixed runs of elements: one thread finds the first segment
 * that reaches into the run, and all follow the table from there, so the work is even however small the segments are. An element
 * is computed by itself, with its multiply-adds written out, so where a segment is cut shows in no bit. */
#include "kernels/cuda/launch.cuh"

#include <math.h>

enum { THREADS = 256, ROUNDS = 4 /* packs that a thread updates one after the other */ };

/* What the host computes once. */
struct corrections {
    float first, second; /* 1 / (1 - beta^step) */
};

/* The lowest segment that overlaps the one before it or leaves the arrays is the fault. */
__global__ void segments_kernel(struct adamw p, struct cuda_fault *fault)
{
    int lane = int(threadIdx.x);
    for (int64_t first = 0; first < p.segment_count; first += WARP) {
        int64_t s = first + lane, begin = 0, count = 0, end = 0;
        if (s < p.segment_count) {
            begin = p.segments[s].begin;
            count = p.segments[s].count;
            end = s > 0 ? p.segments[s - 1].begin + p.segments[s - 1].count : 0;
        }
        bool fits = begin >= end && count >= 0 && count <= p.count - begin;
        unsigned int wrong = __ballot_sync(FULL_WARP, s < p.segment_count && !fits);
        if (wrong == 0)
            continue;
        if (lane == __ffs(int(wrong)) - 1)
            keep_fault(fault, CUDA_adamw, CUDA_FAULT_SEGMENT, s, p.segment_count, begin, end, p.count, count);
        return;
    }
}

/* The first segment that ends behind `element`; segment_count when none does. Segments are in order and disjoint. */
__device__ static int64_t first_segment(const struct adamw &p, int64_t element)
{
    int64_t low = 0, high = p.segment_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (p.segments[middle].begin + p.segments[middle].count > element)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- stochastic rounding ---- */

/* Philox4x32-10 (core/rng.h), whose four words serve four consecutive elements. */
__device__ static void philox(uint64_t seed, uint64_t low, uint64_t high, uint32_t (&words)[4])
{
    uint32_t key[2] = {uint32_t(seed), uint32_t(seed >> 32)};
    words[0] = uint32_t(low);
    words[1] = uint32_t(low >> 32);
    words[2] = uint32_t(high);
    words[3] = uint32_t(high >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint64_t a = uint64_t(0xD2511F53u) * words[0], b = uint64_t(0xCD9E8D57u) * words[2];
        words[0] = uint32_t(b >> 32) ^ words[1] ^ key[0];
        words[1] = uint32_t(b);
        words[2] = uint32_t(a >> 32) ^ words[3] ^ key[1];
        words[3] = uint32_t(a);
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
}

/* Values of elements [i, i + count) as bf16 numbers, rounded as operations.h says. */
template <int N> __device__ static void round_stochastically(const struct adamw &p, int64_t i, float (&values)[N])
{
    uint32_t words[4];
    uint64_t drawn = ~uint64_t(0);
#pragma unroll
    for (int j = 0; j < N; j++) {
        uint64_t index = uint64_t(p.first_index + i + j);
        if (index / 4 != drawn)
            philox(p.seed, index / 4, uint64_t(p.step), words);
        drawn = index / 4;
        uint32_t place = uint32_t(index % 4),
                 word = place < 2 ? (place == 0 ? words[0] : words[1]) : (place == 2 ? words[2] : words[3]);
        if (isfinite(values[j]))
            values[j] = __uint_as_float((__float_as_uint(values[j]) + (word & 0xFFFFu)) & 0xFFFF0000u);
    }
}

/* ---- the update ---- */

/* Elements [i, i + count), at most a pack. */
template <typename T, int N, bool STOCHASTIC>
__device__ static void update_pack(const struct adamw &p, struct corrections corrections, float scale, float decay,
                                   int64_t i, int64_t count)
{
    float gradient[N], first[N], second[N], master[N];
    load_pack(gradient, p.gradient + i, count);
    load_pack(first, p.first_moment + i, count);
    load_pack(second, p.second_moment + i, count);
    load_pack(master, p.master + i, count);
#pragma unroll
    for (int j = 0; j < N; j++) {
        float g = gradient[j] * scale;
        first[j] = __fmaf_rn(p.beta1, first[j], __fmul_rn(1.0f - p.beta1, g));
        second[j] = __fmaf_rn(p.beta2, second[j], __fmul_rn(__fmul_rn(1.0f - p.beta2, g), g));
        float root = __fadd_rn(__fsqrt_rn(__fmul_rn(second[j], corrections.second)), p.epsilon);
        float step = __fdiv_rn(__fmul_rn(first[j], corrections.first), root);
        master[j] = __fmaf_rn(-p.learning_rate, __fmaf_rn(decay, master[j], step), master[j]);
    }
    store_pack(p.first_moment + i, first, count);
    store_pack(p.second_moment + i, second, count);
    store_pack(p.master + i, master, count);
    if (!p.weights)
        return;
    if (STOCHASTIC)
        round_stochastically(p, i, master);
    store_pack(static_cast<T *>(p.weights) + i, master, count);
}

template <typename T, int N, bool STOCHASTIC>
__global__ void __launch_bounds__(THREADS)
    adamw_kernel(struct adamw p, struct corrections corrections, const struct cuda_fault *fault)
{
    constexpr int RUN = THREADS * N * ROUNDS;
    __shared__ int64_t first;
    __shared__ float scale;
    int64_t run = int64_t(blockIdx.x) * RUN, run_end = min(run + RUN, p.count);
    if (threadIdx.x == 0) {
        scale = *p.scale;
        first = *p.skip != 0 || fault->what != CUDA_FAULT_NONE ? p.segment_count : first_segment(p, run);
    }
    __syncthreads();
    for (int64_t s = first; s < p.segment_count; s++) {
        struct adamw_segment segment = p.segments[s];
        if (segment.begin >= run_end)
            break;
        int64_t end = min(run_end, segment.begin + segment.count);
        for (int round = 0; round < ROUNDS; round++) {
            int64_t mine = run + (int64_t(round) * THREADS + threadIdx.x) * N;
            int64_t from = max(mine, segment.begin), to = min(mine + N, end);
            if (from < to)
                update_pack<T, N, STOCHASTIC>(p, corrections, scale, segment.weight_decay, from, to - from);
        }
    }
}

/* ---- the choice ---- */

template <typename T, bool STOCHASTIC>
static enum status run(const struct device_context *context, const struct adamw *p, struct corrections corrections)
{
    constexpr int N = pack_size<float>::count;
    bool whole = lies_on(p->master, 16) && lies_on(p->first_moment, 16) && lies_on(p->second_moment, 16) &&
                 lies_on(p->gradient, 16) && lies_on(p->weights, N * sizeof(T));
    int64_t elements = int64_t(THREADS) * ROUNDS * (whole ? N : 1);
    auto kernel = whole ? adamw_kernel<T, N, STOCHASTIC> : adamw_kernel<T, 1, STOCHASTIC>;
    return launch(context, "adamw", kernel, divide_up(p->count, elements), 1, THREADS, *p, corrections,
                  cuda_fault_word(context));
}

extern "C" enum status cuda_adamw(const struct device_context *context, const struct adamw *p)
{
    struct corrections corrections = {float(1.0 / (1.0 - pow(double(p->beta1), double(p->step)))),
                                      float(1.0 / (1.0 - pow(double(p->beta2), double(p->step))))};
    if (p->segment_count == 0)
        return STATUS_OK;
    enum status result = launch(context, "adamw", segments_kernel, 1, 1, WARP, *p, cuda_fault_word(context));
    if (result != STATUS_OK)
        return result;
    if (p->weights_type == DTYPE_F32)
        return run<float, false>(context, p, corrections);
    return p->stochastic ? run<cuda_bfloat16, true>(context, p, corrections)
                         : run<cuda_bfloat16, false>(context, p, corrections);
}
