/* The product of long kernels of stride 1, such as the positional convolution's 128 taps: the frames that a tile's rows see are
 * a window hardly longer than the tile, and lie in shared memory as a whole. Row t of the left side begins one frame after
 * row t - 1 there too, so fragments are read from the window at every tap's place, and only the weights are walked along.
 * Frames in the window are 16 bytes further apart than their channels take, an odd number of chunks, so that the eight
 * rows of a matrix lie in different banks. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_WINDOW_CUH
#define SPIRITLM_KERNELS_CUDA_CONV1D_WINDOW_CUH

#include "kernels/cuda/conv1d.cuh"

enum { WINDOW_COLUMNS = 64, WINDOW_INNER = 64 /* channels at most, whole sixteens */, WINDOW_LIMIT = 99 * 1024 };

using window_shape = tile_shape<cuda_bfloat16, WINDOW_COLUMNS>;

/* Frames of a window for `taps` taps `apart` frames apart, and bytes from one to the next. */
__host__ __device__ inline int64_t window_frames(int64_t taps, int64_t apart)
{
    return TILE_ROWS + (taps - 1) * apart;
}
__host__ __device__ inline int window_pitch(int64_t inner)
{
    return (int)inner * 2 + CHUNK_BYTES;
}

/* Bytes of shared memory that a block needs, as much as WINDOW_LIMIT and more where the kernel is none for a window. */
static inline int64_t window_shared(int64_t taps, int64_t apart, int64_t inner)
{
    const int64_t bytes = window_frames(taps, apart) * window_pitch(inner) + 2 * window_shape::B_BYTES;
    return bytes > window_shape::SUM_BYTES ? bytes : window_shape::SUM_BYTES;
}

/* Whether a product with this depth and these columns of a group goes by windows: operands that move by 16 bytes are the
 * caller's to ask for. */
static inline bool window_fits(const struct conv1d_forward *p, int64_t inner, int64_t columns)
{
    return p->type == DTYPE_BF16 && p->input_activation == ACTIVATION_NONE && p->stride == 1 && p->kernel > 1 &&
           inner % 16 == 0 && inner <= WINDOW_INNER && columns <= WINDOW_COLUMNS &&
           window_shared(p->kernel, p->dilation, inner) <= WINDOW_LIMIT;
}

/* Copies the window of A, which begins at the earliest frame that any tap of the tile's first row meets. */
static __device__ inline void copy_window(const rows_operand<cuda_bfloat16> &a, int64_t taps, unsigned char *window)
{
    const int64_t apart = a.tap_step < 0 ? -a.tap_step : a.tap_step;
    const int64_t back = a.tap_step < 0 ? (taps - 1) * apart : 0, row_stride = a.row_stride;
    const int chunks = (int)a.inner / CHUNK, count = (int)window_frames(taps, apart) * chunks;
    const cuda_bfloat16 *first = a.first - back * row_stride;
    for (int i = (int)threadIdx.x; i < count; i += window_shape::THREADS) {
        const int frame = i / chunks, chunk = i % chunks;
        const bool present = (uint64_t)(a.frame - back + frame) < (uint64_t)a.frames;
        copy_chunk_async(shared_address(window) + (uint32_t)(frame * window_pitch(a.inner) + chunk * CHUNK_BYTES),
                         present ? first + frame * row_stride + chunk * CHUNK : a.first, present);
    }
}

/* tile_product, with A from a window. `columns`: those that exist. */
template <bool B_BY_DEPTH, typename Copy>
static __device__ inline void window_product(unsigned char *memory, const rows_operand<cuda_bfloat16> &a, int64_t taps,
                                             int64_t columns, Copy &&copy)
{
    warp_sums<cuda_bfloat16> sums = {};
    const int lane = (int)threadIdx.x % WARP, pitch = window_pitch(a.inner), inner = (int)a.inner;
    const int tap_bytes = (int)a.tap_step * pitch;
    unsigned char *stage = memory, *other = memory + window_shape::B_BYTES,
                  *window = memory + 2 * window_shape::B_BYTES;
    uint32_t left_place = shared_address(window) + (uint32_t)((warp_row() + a_lane_row(lane)) * pitch) +
                          (uint32_t)(a_lane_chunk(lane) * CHUNK_BYTES);
    if (tap_bytes < 0)
        left_place -= (uint32_t)((int)(taps - 1) * tap_bytes);
    copy_window(a, taps, window);
    copy(stage);
    commit_copies();
    const bool needed = warp_row() < a.rows;
    int place = 0; /* within the tap */
    for (int64_t left = a.depth; left > 0; left -= window_shape::DEPTH) {
        wait_copies<0>();
        __syncthreads(); /* this step has come, and nobody reads the one before any more */
        if (left > window_shape::DEPTH)
            copy(other);
        commit_copies();
#pragma unroll
        for (int k = 0; k < window_shape::DEPTH / 16; k++) {
            if (!needed || k * 16 >= left)
                break;
            uint32_t fragments[WARP_ROWS / 16][4];
#pragma unroll
            for (int m = 0; m < WARP_ROWS / 16; m++)
                load_matrices(fragments[m], left_place + (uint32_t)(m * 16 * pitch));
#pragma unroll
            for (int n = 0; n < WARP_COLUMNS / 8; n += 2)
                if (warp_column() + n * 8 < columns)
                    multiply_right<B_BY_DEPTH, WINDOW_COLUMNS>(sums.values, fragments, shared_address(stage),
                                                               warp_column(), n, k, lane);
            place += 16;
            left_place += 32;
            if (place == inner) {
                place = 0;
                left_place += (uint32_t)(tap_bytes - inner * 2);
            }
        }
        unsigned char *swap = stage;
        stage = other;
        other = swap;
    }
    wait_copies<0>();
    __syncthreads(); /* the sums take the window's place */
    leave_sums<false, B_BY_DEPTH, WINDOW_COLUMNS>(sums, reinterpret_cast<float *>(memory));
    __syncthreads();
}

#endif
