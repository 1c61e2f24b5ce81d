/* Products of at most 16 rows, which generation makes one of for every weight of every token: the time goes into reading the
 * weights, so each is read once, in words of 16 bytes, and used for all rows.
 *
 * A block has 8 or 32 columns of C and eight warps, which share the k of its piece: each takes every eighth step, and their
 * sums are added as a tree. With B transposed (weights stored [out][in]) four lanes read 64 bytes of a column's weights and
 * eight such groups eight columns. What they hold is at once a B operand of mma.sync, because a sum over k may be taken in any
 * order that A shares: element j of a lane's 16 bytes of A meets element j of its 16 bytes of B. So bf16 goes from memory to
 * the tensor cores without shared memory between; f32 is multiplied by FMA in the same places.
 *
 * A row's sum has one order whatever the number of rows, and whatever the alignment, which only decides how words are read.
 * Where the columns alone would leave a device idle, k is cut into pieces by the shape; their sums go to scratch and are
 * added in their order. Whatever is to be added joins in f32, so the result is rounded once. */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tensor.cuh"

extern "C" {
#include "kernels/cuda/products.h"
}

namespace
{

enum {
    THREADS = 256,
    WARPS = THREADS / WARP,
    GROUP = 4,             /* lanes that read one column's weights together */
    GROUPS = WARP / GROUP, /* columns that a warp reads at a time */
    PAD = 8,               /* floats behind a row of sums, so that eight rows begin in different banks */
    FINISH_THREADS = 256,
};

struct few {
    int64_t m, n, k;
    const void *a, *b, *addend, *bias;
    void *c;
    bool c_f32; /* the type of C, addend and bias; known at run time, since few loads and stores depend on it */
    int64_t a_stride, b_stride, c_stride, a_batch, b_batch, c_batch;
    float alpha;
    bool reads_c;
    bool a_aligned, b_aligned; /* every row begins at a multiple of 16 bytes */
    int64_t blocks;            /* of columns */
    int64_t piece, pieces;     /* of k */
    float *sums;               /* [pieces][batch][m][n], when there is more than one */
};

/* ---- places ---- */

/* What a block computes: columns from `column` on, of batch `batch`, over k in [start, end). */
struct place {
    int64_t column, batch, start, end;
};

__device__ struct place place_of(const struct few &p, int width)
{
    int64_t block = int64_t(blockIdx.x) % p.blocks, start = int64_t(blockIdx.x) / p.blocks * p.piece;
    struct place place = {block * width, int64_t(blockIdx.y), start, min(p.k, start + p.piece)};
    return place;
}

template <typename T> __device__ const T *matrix_of(const void *matrices, int64_t batch, int64_t stride)
{
    return static_cast<const T *>(matrices) + batch * stride;
}

/* Elements [first, first + 16 bytes) of a row that ends at `end`, and zeros behind it. */
template <typename T> __device__ uint4 load_words(const T *row, int64_t first, int64_t end, bool aligned)
{
    constexpr int LENGTH = int(sizeof(uint4) / sizeof(T));
    if (aligned && first + LENGTH <= end)
        return __ldg(reinterpret_cast<const uint4 *>(row + first));
    union pack {
        T elements[LENGTH];
        uint4 words;
        __device__ pack()
        {
        }
    } loaded;
    loaded.words = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < LENGTH; i++)
        if (first + i < end)
            loaded.elements[i] = row[first + i];
    return loaded.words;
}

/* ---- results ---- */

__device__ float load_like_c(const struct few &p, const void *array, int64_t index)
{
    return p.c_f32 ? load_element(static_cast<const float *>(array), index)
                   : load_element(static_cast<const cuda_bfloat16 *>(array), index);
}

__device__ void finish(const struct few &p, int64_t batch, int64_t row, int64_t column, float sum)
{
    int64_t at = batch * p.c_batch + row * p.c_stride + column;
    float value = p.alpha * sum;
    if (p.reads_c)
        value += load_like_c(p, p.c, at);
    if (p.addend)
        value += load_like_c(p, p.addend, at);
    if (p.bias)
        value += load_like_c(p, p.bias, column);
    if (p.c_f32)
        store_element(static_cast<float *>(p.c), at, value);
    else
        store_element(static_cast<cuda_bfloat16 *>(p.c), at, value);
}

/* Adds the warps' sums [WARPS][ROWS][WIDTH + PAD] as a tree, to C or, with several pieces, to scratch. */
template <int ROWS, int WIDTH>
__device__ void finish_block(const struct few &p, const struct place &place, const float *warp_sums)
{
    __syncthreads();
    for (int index = int(threadIdx.x); index < int(p.m) * WIDTH; index += THREADS) {
        int row = index / WIDTH, column = index % WIDTH;
        const float *own = warp_sums + row * (WIDTH + PAD) + column;
        float sums[WARPS];
#pragma unroll
        for (int warp = 0; warp < WARPS; warp++)
            sums[warp] = own[warp * ROWS * (WIDTH + PAD)];
#pragma unroll
        for (int distance = 1; distance < WARPS; distance *= 2)
#pragma unroll
            for (int warp = 0; warp < WARPS; warp += 2 * distance)
                sums[warp] += sums[warp + distance];
        int64_t at = place.column + column;
        if (at >= p.n)
            continue;
        if (p.pieces == 1)
            finish(p, place.batch, row, at, sums[0]);
        else
            p.sums[((place.start / p.piece * gridDim.y + place.batch) * p.m + row) * p.n + at] = sums[0];
    }
}

/* One thread per element: the sums of the pieces in their order. */
__global__ void __launch_bounds__(FINISH_THREADS) finish_pieces(struct few p)
{
    int64_t element = int64_t(blockIdx.x) * FINISH_THREADS + threadIdx.x, count = p.m * p.n;
    if (element >= count)
        return;
    float sum = 0;
    for (int64_t piece = 0; piece < p.pieces; piece++)
        sum += p.sums[(piece * gridDim.y + blockIdx.y) * count + element];
    finish(p, blockIdx.y, element / p.n, element % p.n, sum);
}

/* ---- B transposed, bf16: tensor cores ---- */

/* ROWS is 8 or 16: of the 16 rows that an mma has, the upper eight may stay empty. */
template <int ROWS, int WIDTH> __global__ void __launch_bounds__(THREADS, 2) few_by_tensor(struct few p)
{
    constexpr int TILES = WIDTH / GROUPS, STEP = GROUP * CHUNK;
    __shared__ float warp_sums[WARPS][ROWS][WIDTH + PAD];
    struct place place = place_of(p, WIDTH);
    int warp = int(threadIdx.x) / WARP, group = int(threadIdx.x) % WARP / GROUP, lane = int(threadIdx.x) % GROUP;
    const cuda_bfloat16 *a = matrix_of<cuda_bfloat16>(p.a, place.batch, p.a_batch) + group * p.a_stride;
    const cuda_bfloat16 *b =
        matrix_of<cuda_bfloat16>(p.b, place.batch, p.b_batch) + (place.column + group) * p.b_stride;
    const uint4 nothing = make_uint4(0, 0, 0, 0);
    float sums[TILES][4] = {};
#pragma unroll 2
    for (int64_t first = place.start + warp * STEP; first < place.end; first += WARPS * STEP) {
        int64_t k = first + lane * CHUNK;
        uint4 weights[TILES];
#pragma unroll
        for (int t = 0; t < TILES; t++)
            weights[t] = place.column + t * GROUPS + group < p.n
                             ? load_words(b + t * GROUPS * p.b_stride, k, place.end, p.b_aligned)
                             : nothing;
        uint4 low = group < p.m ? load_words(a, k, place.end, p.a_aligned) : nothing, high = nothing;
        if (ROWS > GROUPS && group + GROUPS < p.m)
            high = load_words(a + GROUPS * p.a_stride, k, place.end, p.a_aligned);
        const uint32_t lower[4] = {low.x, high.x, low.y, high.y}, upper[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            multiply_add(sums[t], lower, weights[t].x, weights[t].y);
            multiply_add(sums[t], upper, weights[t].z, weights[t].w);
        }
    }
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int half = 0; half < ROWS / GROUPS; half++)
            *reinterpret_cast<float2 *>(&warp_sums[warp][half * GROUPS + group][t * GROUPS + lane * 2]) =
                make_float2(sums[t][2 * half], sums[t][2 * half + 1]);
    finish_block<ROWS, WIDTH>(p, place, &warp_sums[0][0][0]);
}

/* ---- B transposed, f32 ---- */

template <int ROWS, int WIDTH> __global__ void __launch_bounds__(THREADS, 2) few_by_groups(struct few p)
{
    constexpr int TILES = WIDTH / GROUPS, LENGTH = 4, STEP = GROUP * LENGTH;
    __shared__ float warp_sums[WARPS][ROWS][WIDTH + PAD];
    struct place place = place_of(p, WIDTH);
    int warp = int(threadIdx.x) / WARP, group = int(threadIdx.x) % WARP / GROUP, lane = int(threadIdx.x) % GROUP;
    const float *a = matrix_of<float>(p.a, place.batch, p.a_batch);
    const float *b = matrix_of<float>(p.b, place.batch, p.b_batch) + (place.column + group) * p.b_stride;
    float sums[ROWS][TILES] = {};
    for (int64_t first = place.start + warp * STEP; first < place.end; first += WARPS * STEP) {
        int64_t k = first + lane * LENGTH;
        uint4 weights[TILES];
#pragma unroll
        for (int t = 0; t < TILES; t++)
            weights[t] = place.column + t * GROUPS + group < p.n
                             ? load_words(b + t * GROUPS * p.b_stride, k, place.end, p.b_aligned)
                             : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            if (row >= p.m)
                break;
            uint4 x = load_words(a + row * p.a_stride, k, place.end, p.a_aligned);
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                float sum = fmaf(__uint_as_float(x.x), __uint_as_float(weights[t].x), sums[row][t]);
                sum = fmaf(__uint_as_float(x.y), __uint_as_float(weights[t].y), sum);
                sum = fmaf(__uint_as_float(x.z), __uint_as_float(weights[t].z), sum);
                sums[row][t] = fmaf(__uint_as_float(x.w), __uint_as_float(weights[t].w), sum);
            }
        }
    }
#pragma unroll
    for (int row = 0; row < ROWS; row++)
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            float sum = sums[row][t];
            for (int distance = GROUP / 2; distance > 0; distance /= 2)
                sum += __shfl_xor_sync(FULL_WARP, sum, distance);
            if (lane == 0)
                warp_sums[warp][row][t * GROUPS + group] = sum;
        }
    finish_block<ROWS, WIDTH>(p, place, &warp_sums[0][0][0]);
}

/* ---- B as it is ---- */

enum { COLUMNS = 4 }; /* neighbours, which a lane has */

/* COLUMNS elements of a row of B from `column` on, and zeros behind its end. */
__device__ float4 load_columns(const float *row, int64_t column, int64_t end, bool aligned)
{
    uint4 words = load_words(row, column, end, aligned);
    return make_float4(__uint_as_float(words.x), __uint_as_float(words.y), __uint_as_float(words.z),
                       __uint_as_float(words.w));
}
__device__ float4 load_columns(const cuda_bfloat16 *row, int64_t column, int64_t end, bool aligned)
{
    float values[COLUMNS];
    uint2 words;
    if (aligned && column + COLUMNS <= end) {
        words = __ldg(reinterpret_cast<const uint2 *>(row + column));
        return make_float4(__uint_as_float(words.x << 16), __uint_as_float(words.x & 0xffff0000u),
                           __uint_as_float(words.y << 16), __uint_as_float(words.y & 0xffff0000u));
    }
#pragma unroll
    for (int i = 0; i < COLUMNS; i++)
        values[i] = column + i < end ? load_element(row, column + i) : 0.0f;
    return make_float4(values[0], values[1], values[2], values[3]);
}

/* Eight lanes have the block's 32 columns, the warp's four groups of them and its fellows every 32nd k. */
template <typename In, int ROWS> __global__ void __launch_bounds__(THREADS, 2) few_by_columns(struct few p)
{
    constexpr int WIDTH = FEW_WIDE, LANES = WIDTH / COLUMNS, STEP = WARP / LANES;
    __shared__ float warp_sums[WARPS][ROWS][WIDTH + PAD];
    struct place place = place_of(p, WIDTH);
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP, column = lane % LANES * COLUMNS;
    const In *a = matrix_of<In>(p.a, place.batch, p.a_batch), *b = matrix_of<In>(p.b, place.batch, p.b_batch);
    float4 sums[ROWS] = {};
#pragma unroll 2
    for (int64_t k = place.start + warp * STEP + lane / LANES; k < place.end; k += WARPS * STEP) {
        float4 weights = load_columns(b + k * p.b_stride, place.column + column, p.n, p.b_aligned);
#pragma unroll
        for (int row = 0; row < ROWS; row++) {
            if (row >= p.m)
                break;
            float x = load_element(a, row * p.a_stride + k);
            sums[row].x = fmaf(x, weights.x, sums[row].x);
            sums[row].y = fmaf(x, weights.y, sums[row].y);
            sums[row].z = fmaf(x, weights.z, sums[row].z);
            sums[row].w = fmaf(x, weights.w, sums[row].w);
        }
    }
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        for (int distance = WARP / 2; distance >= LANES; distance /= 2) {
            sums[row].x += __shfl_xor_sync(FULL_WARP, sums[row].x, distance);
            sums[row].y += __shfl_xor_sync(FULL_WARP, sums[row].y, distance);
            sums[row].z += __shfl_xor_sync(FULL_WARP, sums[row].z, distance);
            sums[row].w += __shfl_xor_sync(FULL_WARP, sums[row].w, distance);
        }
        if (lane < LANES)
            *reinterpret_cast<float4 *>(&warp_sums[warp][row][column]) = sums[row];
    }
    finish_block<ROWS, WIDTH>(p, place, &warp_sums[0][0][0]);
}

/* ---- the choice: rows decide how many sums a thread keeps, never their order ---- */

typedef void few_kernel(struct few);

few_kernel *choose_tensor(int64_t m, bool wide)
{
    if (m <= GROUPS)
        return wide ? few_by_tensor<8, FEW_WIDE> : few_by_tensor<8, FEW_NARROW>;
    return wide ? few_by_tensor<16, FEW_WIDE> : few_by_tensor<16, FEW_NARROW>;
}

few_kernel *choose_groups(int64_t m, bool wide)
{
    if (m == 1)
        return wide ? few_by_groups<1, FEW_WIDE> : few_by_groups<1, FEW_NARROW>;
    if (m <= 4)
        return wide ? few_by_groups<4, FEW_WIDE> : few_by_groups<4, FEW_NARROW>;
    return wide ? few_by_groups<16, FEW_WIDE> : few_by_groups<16, FEW_NARROW>;
}

template <typename In> few_kernel *choose_columns(int64_t m)
{
    return m <= 4 ? few_by_columns<In, 4> : few_by_columns<In, 16>;
}

few_kernel *choose(const struct matmul *p)
{
    bool wide = few_width(p) == FEW_WIDE, f32 = p->a_type == DTYPE_F32;
    if (p->b_transposed)
        return f32 ? choose_groups(p->m, wide) : choose_tensor(p->m, wide);
    return f32 ? choose_columns<float>(p->m) : choose_columns<cuda_bfloat16>(p->m);
}

bool rows_are_aligned(const void *matrix, int64_t stride, int64_t batch_stride, enum dtype type)
{
    uint64_t size = dtype_size(type);
    return (reinterpret_cast<uintptr_t>(matrix) | uint64_t(stride) * size | uint64_t(batch_stride) * size) %
               sizeof(uint4) ==
           0;
}

} // namespace

enum status cuda_matmul_few(const struct device_context *context, const struct matmul *p)
{
    struct few few = {p->m,
                      p->n,
                      p->k,
                      p->a,
                      p->b,
                      p->addend,
                      p->bias,
                      p->c,
                      p->c_type == DTYPE_F32,
                      p->a_row_stride,
                      p->b_row_stride,
                      p->c_row_stride,
                      p->a_batch_stride,
                      p->b_batch_stride,
                      p->c_batch_stride,
                      p->alpha,
                      p->beta != 0,
                      rows_are_aligned(p->a, p->a_row_stride, p->batch > 1 ? p->a_batch_stride : 0, p->a_type),
                      rows_are_aligned(p->b, p->b_row_stride, p->batch > 1 ? p->b_batch_stride : 0, p->b_type),
                      divide_up(p->n, few_width(p)),
                      few_piece(p),
                      few_pieces(p),
                      static_cast<float *>(context->scratch)};
    enum status result = launch(context, "matmul", choose(p), few.blocks * few.pieces, p->batch, THREADS, few);
    if (result != STATUS_OK || few.pieces == 1)
        return result;
    return launch(context, "matmul", finish_pieces, divide_up(p->m * p->n, FINISH_THREADS), p->batch, FINISH_THREADS,
                  few);
}
