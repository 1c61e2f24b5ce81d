/* What the convolution's kernels share: a tile of a matrix product whose operands are read where they lie. A block computes
 * ROWS x COLUMNS sums over a depth that it walks along STEP_BYTES at a time; the next step's operands are under way
 * (cp.async) while this one's are multiplied, in bf16 on tensor cores, in f32 with fused multiply-adds.
 *
 * An operand reaches shared memory in one of two layouts, as it lies in global memory:
 *   by row    [rows][depth]: neighbours in memory follow each other along the depth. x and the weights in the forward pass: the
 *             depth is the taps of the kernel and the channels of each. Rows of x overlap there, nothing is unfolded.
 *   by depth  [depth][rows]: neighbours in memory are neighbouring rows. The weights as the gradient of x needs them,
 *             and both operands of the weight's gradient, whose depth is the frames.
 * Chunks of 16 bytes are swizzled (tensor.cuh), which serves both types: a chunk is 8 elements of bf16 or 4 of f32.
 *
 * Sums are left in shared memory as [ROWS][COLUMNS] of f32, from where every kernel's end takes four columns of a row at a
 * time, so that global memory is written in whole sectors. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_TILE_CUH
#define SPIRITLM_KERNELS_CUDA_CONV1D_TILE_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/tensor.cuh"

enum {
    TILE_ROWS = 128,
    STEP_BYTES = 128, /* of a row's depth at a time */
    STEP_CHUNKS = STEP_BYTES / CHUNK_BYTES,
    WARP_ROWS = 64,
    WARP_COLUMNS = 32,
    QUAD = 4, /* columns that a thread takes from the sums */
};

/* Whether elements reach shared memory by 16 bytes, or one by one because they lie elsewhere than on 16-byte boundaries. */
enum tile_source { SOURCE_CHUNKS, SOURCE_ELEMENTS, SOURCE_WINDOW /* by 16 bytes, conv1d_window.cuh */ };

template <typename T, int COLUMNS> struct tile_shape {
    static constexpr int ELEMENTS = CHUNK_BYTES / (int)sizeof(T); /* of a chunk */
    static constexpr int DEPTH = STEP_BYTES / (int)sizeof(T);     /* of a step */
    static constexpr int THREADS = TILE_ROWS / WARP_ROWS * (COLUMNS / WARP_COLUMNS) * WARP;
    static constexpr int A_BYTES = TILE_ROWS * STEP_BYTES, B_BYTES = COLUMNS * STEP_BYTES;
    static constexpr int SUM_BYTES = TILE_ROWS * COLUMNS * (int)sizeof(float);
    static constexpr int SHARED = 2 * (A_BYTES + B_BYTES) > SUM_BYTES ? 2 * (A_BYTES + B_BYTES) : SUM_BYTES;
};

/* ---- operands ---- */

/* By row: element `inner` of tap `tap` of row `row` is first[row * row_stride + tap * tap_stride + inner]. It is of frame
 * frame + row * row_step + tap * tap_step, and 0 where there is no such frame, and behind the last row. */
template <typename T> struct rows_operand {
    const T *first;
    int64_t row_stride, tap_stride, inner;
    int64_t depth; /* taps * inner */
    int64_t rows;
    int64_t frame, row_step, tap_step, frames;
};

/* One thread's part of the copies of an operand of ROWS rows: one chunk of each step, of every STRIDE-th row. */
template <typename T, int ROWS, int THREADS> struct rows_copy {
    static constexpr int ELEMENTS = CHUNK_BYTES / (int)sizeof(T), DEPTH = STEP_BYTES / (int)sizeof(T);
    static constexpr int STRIDE = THREADS / STEP_CHUNKS, COUNT = ROWS / STRIDE;
    const T *source; /* of this thread's first row, at `inner` of its tap */
    int64_t inner, left, frame;
    int row;

    __device__ explicit rows_copy(const rows_operand<T> &o)
    {
        const int place = (int)threadIdx.x % STEP_CHUNKS * ELEMENTS;
        row = (int)threadIdx.x / STEP_CHUNKS;
        source = o.first + row * o.row_stride;
        frame = o.frame + row * o.row_step;
        inner = 0;
        left = o.depth;
        advance(o, place);
    }
    __device__ void advance(const rows_operand<T> &o, int places)
    {
        source += places;
        inner += places;
        left -= places;
        while (inner >= o.inner && left > 0) {
            inner -= o.inner;
            source += o.tap_stride - o.inner;
            frame += o.tap_step;
        }
    }
    __device__ bool valid(const rows_operand<T> &o, int i) const
    {
        const int64_t own = frame + i * STRIDE * o.row_step;
        return left > 0 && row + i * STRIDE < o.rows && (uint64_t)own < (uint64_t)o.frames;
    }
    __device__ uint32_t place(int i) const
    {
        return tile_offset<STEP_BYTES / 2>(row + i * STRIDE, (int)threadIdx.x % STEP_CHUNKS);
    }
    template <enum tile_source SOURCE> __device__ void copy(const rows_operand<T> &o, unsigned char *tile)
    {
        if (SOURCE == SOURCE_CHUNKS) {
#pragma unroll
            for (int i = 0; i < COUNT; i++) {
                const bool present = valid(o, i);
                copy_chunk_async(shared_address(tile) + place(i),
                                 present ? source + i * STRIDE * o.row_stride : o.first, present);
            }
            advance(o, DEPTH);
        } else {
            copy_elements(o, tile);
            advance(o, DEPTH - ELEMENTS);
        }
    }
    /* Multiplies what is negative of this thread's copies, which have come, by `slope`. */
    __device__ void rectify(unsigned char *tile, float slope) const
    {
#pragma unroll 1
        for (int i = 0; i < COUNT; i++) {
            union {
                T elements[ELEMENTS];
                uint4 word;
            } chunk;
            uint4 *at = reinterpret_cast<uint4 *>(tile + place(i));
            chunk.word = *at;
#pragma unroll
            for (int e = 0; e < ELEMENTS; e++) {
                const float x = load_element(chunk.elements, e);
                store_element(chunk.elements, e, x <= 0.0f ? (slope == 0.0f ? 0.0f : x * slope) : x);
            }
            *at = chunk.word;
        }
    }
    __device__ void copy_elements(const rows_operand<T> &o, unsigned char *tile)
    {
        union {
            T elements[ELEMENTS];
            uint4 word;
        } chunks[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            chunks[i].word = make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int e = 0; e < ELEMENTS; e++) {
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                if (valid(o, i))
                    chunks[i].elements[e] = source[i * STRIDE * o.row_stride];
            advance(o, 1);
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            *reinterpret_cast<uint4 *>(tile + place(i)) = chunks[i].word;
    }
};

/* By depth: the depth is `outers` times `inners`, counted on from `begin`. Element `inner` of outer part `outer` of column
 * tap * width + channel is first[outer * outer_stride + inner * inner_stride + tap * tap_stride + channel]. It is 0 from the
 * outer part's limit on, and where its frame, frame + tap * tap_step + inner * inner_step, is not one of the outer part's. */
template <typename T> struct depth_operand {
    const T *first;
    int64_t outer_stride, inner_stride, tap_stride;
    int64_t inners, begin, depth;   /* depth: counted from begin on */
    int64_t columns, width, column; /* column: that of the tile's first */
    int64_t frame, tap_step, inner_step;
};

/* What all columns of an outer part share: how many of its inner parts count, and how many frames it has. */
struct outer_limits {
    int64_t inners, frames;
};

/* One thread's part of the copies: one chunk of columns, of every STRIDE-th number of the depth. `Limits` gives the limits of
 * an outer part. */
template <typename T, int COLUMNS, int THREADS, typename Limits> struct depth_copy {
    static constexpr int ELEMENTS = CHUNK_BYTES / (int)sizeof(T), DEPTH = STEP_BYTES / (int)sizeof(T);
    static constexpr int ACROSS = COLUMNS / ELEMENTS, STRIDE = THREADS / ACROSS, COUNT = DEPTH / STRIDE;
    const T *source; /* at this thread's first column */
    int64_t outer, inner, left, tap, channel;
    struct outer_limits limits;

    __device__ depth_copy(const depth_operand<T> &o, const Limits &of)
    {
        const int64_t column = o.column + (int)threadIdx.x % ACROSS * ELEMENTS;
        tap = column / o.width;
        channel = column % o.width;
        outer = o.begin / o.inners;
        inner = o.begin % o.inners;
        left = o.depth;
        source = o.first + outer * o.outer_stride + inner * o.inner_stride + tap * o.tap_stride + channel;
        if (left > 0)
            limits = of(outer);
        advance(o, of, (int)threadIdx.x / ACROSS);
    }
    __device__ void advance(const depth_operand<T> &o, const Limits &of, int places)
    {
        source += places * o.inner_stride;
        inner += places;
        left -= places;
        if (inner < o.inners || left <= 0)
            return;
        do {
            inner -= o.inners;
            outer++;
            source += o.outer_stride - o.inners * o.inner_stride;
        } while (inner >= o.inners);
        limits = of(outer);
    }
    __device__ bool valid(const depth_operand<T> &o, int64_t own_tap, int64_t own_column) const
    {
        const int64_t frame = o.frame + own_tap * o.tap_step + inner * o.inner_step;
        return left > 0 && inner < limits.inners && own_column < o.columns && (uint64_t)frame < (uint64_t)limits.frames;
    }
    template <enum tile_source SOURCE>
    __device__ void copy(const depth_operand<T> &o, const Limits &of, unsigned char *tile)
    {
        const int chunk = (int)threadIdx.x % ACROSS, row = (int)threadIdx.x / ACROSS;
        const int64_t column = o.column + chunk * ELEMENTS;
#pragma unroll 1 /* nothing waits for a copy, so copies side by side would gain little and be compiled for long */
        for (int i = 0; i < COUNT; i++) {
            const uint32_t to = tile_offset<COLUMNS *(int)sizeof(T) / 2>(row + i * STRIDE, chunk);
            if (SOURCE == SOURCE_CHUNKS) {
                const bool present = valid(o, tap, column);
                copy_chunk_async(shared_address(tile) + to, present ? source : o.first, present);
            } else {
                *reinterpret_cast<uint4 *>(tile + to) = gather(o, column);
            }
            advance(o, of, STRIDE);
        }
    }
    __device__ uint4 gather(const depth_operand<T> &o, int64_t column) const
    {
        union {
            T elements[ELEMENTS];
            uint4 word;
        } result;
        result.word = make_uint4(0, 0, 0, 0);
        const T *from = source;
        int64_t own_tap = tap, own_channel = channel;
#pragma unroll
        for (int e = 0; e < ELEMENTS; e++) {
            if (valid(o, own_tap, column + e))
                result.elements[e] = *from;
            from++;
            own_channel++;
            if (own_channel == o.width) {
                own_channel = 0;
                own_tap++;
                from += o.tap_stride - o.width;
            }
        }
        return result.word;
    }
};

/* ---- products ---- */

/* A warp's 64 x 32 sums. */
template <typename T> struct warp_sums;

template <> struct warp_sums<cuda_bfloat16> {
    float values[WARP_ROWS / 16][WARP_COLUMNS / 8][4];
};
template <> struct warp_sums<float> {
    float values[8][8];
};

/* Which of the warp's rows the sums values[i][..] of a lane in f32 belong to; columns likewise, with 4 lanes beside each other
 * instead of 8. By row the lanes take neighbouring rows, and by depth four neighbouring ones each, a chunk. */
template <bool BY_DEPTH, int LANES_BESIDE> __device__ inline int sum_place(int lane_place, int i)
{
    return BY_DEPTH ? lane_place * 4 + i / 4 * (4 * LANES_BESIDE) + i % 4 : lane_place + i * LANES_BESIDE;
}

/* The warp's part of a sixteenth of the depth of A as fragments, and that of B times them. `row` and `column`: where the warp's
 * sums begin. */
template <bool A_BY_DEPTH>
__device__ inline void load_left(uint32_t (&left)[WARP_ROWS / 16][4], uint32_t a, int row, int k, int lane)
{
#pragma unroll
    for (int m = 0; m < WARP_ROWS / 16; m++)
        if (A_BY_DEPTH)
            load_matrices_transposed(left[m], a + tile_offset<TILE_ROWS>(k * 16 + b_lane_row(lane),
                                                                         row / CHUNK + m * 2 + b_lane_chunk(lane)));
        else
            load_matrices(left[m],
                          a + tile_offset<STEP_BYTES / 2>(row + m * 16 + a_lane_row(lane), k * 2 + a_lane_chunk(lane)));
}
template <bool B_BY_DEPTH, int COLUMNS>
__device__ inline void multiply_right(float (&sums)[WARP_ROWS / 16][WARP_COLUMNS / 8][4],
                                      const uint32_t (&left)[WARP_ROWS / 16][4], uint32_t b, int column, int n, int k,
                                      int lane)
{
    uint32_t right[4];
    if (B_BY_DEPTH)
        load_matrices_transposed(
            right, b + tile_offset<COLUMNS>(k * 16 + a_lane_row(lane), column / CHUNK + n + a_lane_chunk(lane)));
    else
        load_matrices(right,
                      b + tile_offset<STEP_BYTES / 2>(column + n * 8 + b_lane_row(lane), k * 2 + b_lane_chunk(lane)));
#pragma unroll
    for (int m = 0; m < WARP_ROWS / 16; m++) {
        multiply_add(sums[m][n], left[m], right[0], right[1]);
        multiply_add(sums[m][n + 1], left[m], right[2], right[3]);
    }
}
template <bool A_BY_DEPTH, bool B_BY_DEPTH, int COLUMNS>
__device__ inline void multiply_sixteen(warp_sums<cuda_bfloat16> &sums, uint32_t a, uint32_t b, int row, int column,
                                        int k, int lane)
{
    uint32_t left[WARP_ROWS / 16][4];
    load_left<A_BY_DEPTH>(left, a, row, k, lane);
#pragma unroll
    for (int n = 0; n < WARP_COLUMNS / 8; n += 2)
        multiply_right<B_BY_DEPTH, COLUMNS>(sums.values, left, b, column, n, k, lane);
}

/* Four of the depth in f32. */
template <bool A_BY_DEPTH, bool B_BY_DEPTH, int COLUMNS>
__device__ inline void multiply_four(warp_sums<float> &sums, const unsigned char *a, const unsigned char *b, int row,
                                     int column, int k, int lane)
{
    float left[8][4];
#pragma unroll
    for (int i = 0; i < 8; i += A_BY_DEPTH ? 4 : 1)
#pragma unroll
        for (int j = 0; j < (A_BY_DEPTH ? 4 : 1); j++) {
            const int place = row + sum_place<A_BY_DEPTH, 8>(lane / 4, i);
            const float4 four =
                *reinterpret_cast<const float4 *>(a + (A_BY_DEPTH ? tile_offset<TILE_ROWS * 2>(k * 4 + j, place / 4)
                                                                  : tile_offset<STEP_BYTES / 2>(place, k)));
            const float parts[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (A_BY_DEPTH)
                    left[i + e][j] = parts[e];
                else
                    left[i][e] = parts[e];
        }
#pragma unroll
    for (int n = 0; n < 8; n += B_BY_DEPTH ? 4 : 1)
#pragma unroll
        for (int j = 0; j < (B_BY_DEPTH ? 4 : 1); j++) {
            const int place = column + sum_place<B_BY_DEPTH, 4>(lane % 4, n);
            const float4 four =
                *reinterpret_cast<const float4 *>(b + (B_BY_DEPTH ? tile_offset<COLUMNS * 2>(k * 4 + j, place / 4)
                                                                  : tile_offset<STEP_BYTES / 2>(place, k)));
            const float parts[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (int e = 0; e < 4; e++)
#pragma unroll
                for (int i = 0; i < 8; i++)
                    if (B_BY_DEPTH)
                        sums.values[i][n + e] = fmaf(left[i][j], parts[e], sums.values[i][n + e]);
                    else
                        sums.values[i][n] = fmaf(left[i][e], parts[e], sums.values[i][n]);
        }
}

/* The warp of this thread's place in the tile. */
__device__ inline int warp_row()
{
    return (int)threadIdx.x / WARP % (TILE_ROWS / WARP_ROWS) * WARP_ROWS;
}
__device__ inline int warp_column()
{
    return (int)threadIdx.x / WARP / (TILE_ROWS / WARP_ROWS) * WARP_COLUMNS;
}

/* sums += the product of the first `depth` of a step. */
template <bool A_BY_DEPTH, bool B_BY_DEPTH, int COLUMNS>
__device__ inline void multiply_tiles(warp_sums<cuda_bfloat16> &sums, const unsigned char *a, const unsigned char *b,
                                      int64_t depth)
{
    const int lane = (int)threadIdx.x % WARP;
    const uint32_t left = shared_address(a), right = shared_address(b);
    if (depth >= tile_shape<cuda_bfloat16, COLUMNS>::DEPTH) {
#pragma unroll
        for (int k = 0; k < tile_shape<cuda_bfloat16, COLUMNS>::DEPTH / 16; k++)
            multiply_sixteen<A_BY_DEPTH, B_BY_DEPTH, COLUMNS>(sums, left, right, warp_row(), warp_column(), k, lane);
    } else {
#pragma unroll 1
        for (int k = 0; k * 16 < depth; k++)
            multiply_sixteen<A_BY_DEPTH, B_BY_DEPTH, COLUMNS>(sums, left, right, warp_row(), warp_column(), k, lane);
    }
}
template <bool A_BY_DEPTH, bool B_BY_DEPTH, int COLUMNS>
__device__ inline void multiply_tiles(warp_sums<float> &sums, const unsigned char *a, const unsigned char *b,
                                      int64_t depth)
{
    const int lane = (int)threadIdx.x % WARP;
    const int count = (int)(depth >= tile_shape<float, COLUMNS>::DEPTH ? tile_shape<float, COLUMNS>::DEPTH : depth);
#pragma unroll 1
    for (int k = 0; k * 4 < count; k++)
        multiply_four<A_BY_DEPTH, B_BY_DEPTH, COLUMNS>(sums, a, b, warp_row(), warp_column(), k, lane);
}

/* ---- sums in shared memory ---- */

/* Where the sum of a row and a column lies: [ROWS][COLUMNS], or transposed [COLUMNS][ROWS] where A is by depth. Fours are kept
 * together. The lanes that write together, eight rows of four columns, four pairs, or fours of columns of two rows,
 * meet as many banks; transposed, the same with rows and columns exchanged. */
template <bool TRANSPOSED, int COLUMNS> __device__ inline int sum_index(int row, int column)
{
    return TRANSPOSED ? column * TILE_ROWS + (row ^ ((column >> 1 ^ column >> 3) & 3) << 3)
                      : row * COLUMNS + (column ^ ((row & 1) << 4 | (row & 2) << 2 | (row & 4)));
}

template <bool A_BY_DEPTH, bool B_BY_DEPTH, int COLUMNS>
__device__ inline void leave_sums(const warp_sums<cuda_bfloat16> &sums, float *tile)
{
    const int lane = (int)threadIdx.x % WARP;
#pragma unroll
    for (int m = 0; m < WARP_ROWS / 16; m++)
#pragma unroll
        for (int n = 0; n < WARP_COLUMNS / 8; n++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const int row = warp_row() + m * 16 + lane / 4 + 8 * r, column = warp_column() + n * 8 + lane % 4 * 2;
                const float first = sums.values[m][n][2 * r], second = sums.values[m][n][2 * r + 1];
                if (A_BY_DEPTH) {
                    tile[sum_index<true, COLUMNS>(row, column)] = first;
                    tile[sum_index<true, COLUMNS>(row, column + 1)] = second;
                } else {
                    *reinterpret_cast<float2 *>(tile + sum_index<false, COLUMNS>(row, column)) =
                        make_float2(first, second);
                }
            }
}
template <bool A_BY_DEPTH, bool B_BY_DEPTH, int COLUMNS>
__device__ inline void leave_sums(const warp_sums<float> &sums, float *tile)
{
    const int lane = (int)threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < 8; i += A_BY_DEPTH ? 4 : 1) {
        const int row = warp_row() + sum_place<A_BY_DEPTH, 8>(lane / 4, i);
#pragma unroll
        for (int n = 0; n < 8; n += B_BY_DEPTH && !A_BY_DEPTH ? 4 : 1) {
            const int column = warp_column() + sum_place<B_BY_DEPTH, 4>(lane % 4, n);
            float *to = tile + sum_index<A_BY_DEPTH, COLUMNS>(row, column);
            if (A_BY_DEPTH)
                *reinterpret_cast<float4 *>(to) =
                    make_float4(sums.values[i][n], sums.values[i + 1][n], sums.values[i + 2][n], sums.values[i + 3][n]);
            else if (B_BY_DEPTH)
                *reinterpret_cast<float4 *>(to) =
                    make_float4(sums.values[i][n], sums.values[i][n + 1], sums.values[i][n + 2], sums.values[i][n + 3]);
            else
                *to = sums.values[i][n];
        }
    }
}

/* The walk along the depth. `copy(a, b)` puts the next step of both operands into shared memory; `prepare(a)` may change what this
 * thread has brought of the left one when it has come. Afterwards the sums of the tile lie in `memory`, for all threads; they are 0
 * where a whole warp's lie outside the `rows` and `columns` that exist. */
template <typename T, int COLUMNS, bool A_BY_DEPTH, bool B_BY_DEPTH, typename Copy, typename Prepare>
__device__ inline void tile_product(unsigned char *memory, int64_t depth, int64_t rows, int64_t columns, Copy &&copy,
                                    Prepare &&prepare)
{
    using shape = tile_shape<T, COLUMNS>;
    constexpr int STAGE = shape::A_BYTES + shape::B_BYTES;
    warp_sums<T> sums;
    float *values = reinterpret_cast<float *>(&sums);
    const bool needed = warp_row() < rows && warp_column() < columns;
#pragma unroll
    for (int i = 0; i < (int)(sizeof sums / sizeof(float)); i++)
        values[i] = 0;
    if (depth > 0)
        copy(memory, memory + shape::A_BYTES);
    commit_copies();
    unsigned char *stage = memory, *other = memory + STAGE;
    for (int64_t left = depth; left > 0; left -= shape::DEPTH) {
        wait_copies<0>();
        prepare(stage);
        __syncthreads(); /* this step has come, and nobody reads the one before any more */
        if (left > shape::DEPTH)
            copy(other, other + shape::A_BYTES);
        commit_copies();
        if (needed)
            multiply_tiles<A_BY_DEPTH, B_BY_DEPTH, COLUMNS>(sums, stage, stage + shape::A_BYTES, left);
        unsigned char *swap = stage;
        stage = other;
        other = swap;
    }
    wait_copies<0>();
    __syncthreads(); /* the sums take the steps' place */
    leave_sums<A_BY_DEPTH, B_BY_DEPTH, COLUMNS>(sums, reinterpret_cast<float *>(memory));
    __syncthreads();
}

template <typename T, int COLUMNS, bool A_BY_DEPTH, bool B_BY_DEPTH, typename Copy>
__device__ inline void tile_product(unsigned char *memory, int64_t depth, int64_t rows, int64_t columns, Copy &&copy)
{
    tile_product<T, COLUMNS, A_BY_DEPTH, B_BY_DEPTH>(memory, depth, rows, columns, copy, [](unsigned char *) {});
}

/* ---- four columns of a row ---- */

/* True when QUAD elements lie at `address` on a boundary of as many bytes. */
template <typename T> __device__ inline bool moves_as_quad(const T *address, int64_t count)
{
    return count >= QUAD && reinterpret_cast<uintptr_t>(address) % (QUAD * sizeof(T)) == 0;
}
__device__ inline void load_whole(float (&values)[QUAD], const float *source)
{
    const float4 four = *reinterpret_cast<const float4 *>(source);
    values[0] = four.x, values[1] = four.y, values[2] = four.z, values[3] = four.w;
}
__device__ inline void load_whole(float (&values)[QUAD], const cuda_bfloat16 *source)
{
    const uint2 two = *reinterpret_cast<const uint2 *>(source);
    values[0] = __uint_as_float(two.x << 16), values[1] = __uint_as_float(two.x & 0xffff0000u);
    values[2] = __uint_as_float(two.y << 16), values[3] = __uint_as_float(two.y & 0xffff0000u);
}
__device__ inline void store_whole(float *to, const float (&values)[QUAD])
{
    *reinterpret_cast<float4 *>(to) = make_float4(values[0], values[1], values[2], values[3]);
}
__device__ inline void store_whole(cuda_bfloat16 *to, const float (&values)[QUAD])
{
    *reinterpret_cast<uint2 *>(to) = make_uint2(pack_pair(values[0], values[1]), pack_pair(values[2], values[3]));
}

/* The first min(QUAD, count) elements at `source`, and 0 for the rest. */
template <typename T> __device__ inline void load_quad(float (&values)[QUAD], const T *source, int64_t count)
{
    if (moves_as_quad(source, count))
        load_whole(values, source);
    else
#pragma unroll
        for (int i = 0; i < QUAD; i++)
            values[i] = i < count ? load_element(source, i) : 0.0f;
}
/* Writes the first min(QUAD, count) values. */
template <typename T> __device__ inline void store_quad(T *to, const float (&values)[QUAD], int64_t count)
{
    if (moves_as_quad(to, count))
        store_whole(to, values);
    else
#pragma unroll
        for (int i = 0; i < QUAD; i++)
            if (i < count)
                store_element(to, i, values[i]);
}

#endif
