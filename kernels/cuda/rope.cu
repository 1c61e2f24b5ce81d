/* Rotary positions in place, one warp per token. A lane takes packs of pairs (i, i + D/2) from head to head; where the packs of
 * half a head divide a warp, as they do for every usual size, they are always the same pairs, and the lane reads their angles
 * once. */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rope.cuh"

/* Eight pairs of bf16 at a time, 16 bytes, would take 78 registers. */
enum { THREADS = 256, WARPS = THREADS / WARP, PAIRS = 4 };

template <typename T, int N>
__global__ void __launch_bounds__(THREADS, 4) rope_kernel(struct rope p, struct cuda_fault *fault)
{
    int64_t n = int64_t(blockIdx.x) * WARPS + threadIdx.x / WARP, half = p.head_size / 2;
    if (n >= p.tokens)
        return;
    int64_t position = p.positions[n];
    if (!index_fits(fault, CUDA_rope, CUDA_FAULT_POSITION, n, p.tokens, position, 0, p.table_positions))
        return;
    T *x = static_cast<T *>(p.x) + n * p.row_stride;                                    /* [H][D] */
    const float *cosine = p.cosine + position * half, *sine = p.sine + position * half; /* [D/2] */
    unsigned int packs = (unsigned int)((half + N - 1) / N), all = (unsigned int)p.heads * packs, held = all;
    float c[N], s[N];
    for (unsigned int index = threadIdx.x % WARP; index < all; index += WARP) {
        unsigned int head = index / packs, pack = index - head * packs;
        int64_t first = int64_t(pack) * N, count = half - first;
        T *pairs = x + head * p.head_size + first;
        float a[N], b[N];
        load_pack(a, pairs, count);
        load_pack(b, pairs + half, count);
        if (pack != held)
            load_angles(c, s, cosine + first, sine + first, float(p.direction), count);
        held = pack;
        rotate_pairs(a, b, c, s);
        store_pack(pairs, a, count);
        store_pack(pairs + half, b, count);
    }
}

template <typename T> static auto choose(const struct rope *p)
{
    bool whole = p->head_size / 2 % PAIRS == 0 && p->row_stride % PAIRS == 0 && lies_on(p->x, PAIRS * sizeof(T));
    return whole ? rope_kernel<T, PAIRS> : rope_kernel<T, 1>;
}

extern "C" enum status cuda_rope(const struct device_context *context, const struct rope *p)
{
    if (p->heads * p->head_size >
        INT32_MAX) /* places within a row are 32 bits wide: nothing is slower than a division */
        return status_set(STATUS_INTERNAL, "rope: a row of %lld elements is more than the kernel takes",
                          (long long)(p->heads * p->head_size));
    auto kernel = p->type == DTYPE_F32 ? choose<float>(p) : choose<cuda_bfloat16>(p);
    return launch(context, "rope", kernel, divide_up(p->tokens, WARPS), 1, THREADS, *p, cuda_fault_word(context));
}
