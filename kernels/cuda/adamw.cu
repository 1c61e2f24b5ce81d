/* AdamW over a bucket of parameters in one pass. A first kernel, one warp, looks whether the table of segments is in order; the
 * second updates nothing in a context that has a fault. Its blocks own fixed runs of elements: each finds the first segment that
 * reaches into its run and follows the table from there, so the work is even however small the segments are. An element is
 * computed by itself, with its multiply-adds written out, so where a segment is cut shows in no bit. */
#include "kernels/cuda/launch.cuh"

#include <math.h>

enum { THREADS = 256, RUN = THREADS * PACK };

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

/* Elements [i, i + count), at most a pack. */
template <typename T>
__device__ static void update_pack(const struct adamw &p, struct corrections corrections, float scale, float decay,
                                   int64_t i, int64_t count)
{
    float gradient[PACK], first[PACK], second[PACK], master[PACK];
    load_pack(gradient, p.gradient + i, count);
    load_pack(first, p.first_moment + i, count);
    load_pack(second, p.second_moment + i, count);
    load_pack(master, p.master + i, count);
#pragma unroll
    for (int j = 0; j < PACK; j++) {
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
    if (p.weights)
        store_pack(static_cast<T *>(p.weights) + i, master, count);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    adamw_kernel(struct adamw p, struct corrections corrections, const struct cuda_fault *fault)
{
    if (*p.skip != 0 || fault->what != CUDA_FAULT_NONE)
        return;
    float scale = *p.scale;
    int64_t run = int64_t(blockIdx.x) * RUN, run_end = min(run + RUN, p.count);
    int64_t mine = run + int64_t(threadIdx.x) * PACK, mine_end = min(mine + PACK, p.count);
    for (int64_t s = first_segment(p, run); s < p.segment_count; s++) {
        struct adamw_segment segment = p.segments[s];
        if (segment.begin >= run_end)
            break;
        int64_t begin = max(mine, segment.begin), end = min(mine_end, segment.begin + segment.count);
        if (begin < end)
            update_pack<T>(p, corrections, scale, segment.weight_decay, begin, end - begin);
    }
}

extern "C" enum status cuda_adamw(const struct device_context *context, const struct adamw *p)
{
    struct cuda_fault *fault = cuda_fault_word(context);
    struct corrections corrections = {float(1.0 / (1.0 - pow(double(p->beta1), double(p->step)))),
                                      float(1.0 / (1.0 - pow(double(p->beta2), double(p->step))))};
    if (p->segment_count == 0)
        return STATUS_OK;
    enum status result = launch(context, "adamw", segments_kernel, 1, 1, WARP, *p, fault);
    if (result != STATUS_OK)
        return result;
    auto kernel = p->weights_type == DTYPE_F32 ? adamw_kernel<float> : adamw_kernel<__nv_bfloat16>;
    return launch(context, "adamw", kernel, divide_up(p->count, RUN), 1, THREADS, *p, corrections, fault);
}
