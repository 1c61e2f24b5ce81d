/* What kernels on tensor cores share: a tile of bf16 rows in shared memory, copies into it that go on beside the
 * arithmetic (cp.async), fragments out of it (ldmatrix), and the product of fragments (mma.sync m16n8k16). All of it is
 * found on sm_80 and every later architecture.
 *
 * A tile is [rows][D] without padding. Its unit is a chunk of 8 elements, 16 bytes, what ldmatrix and cp.async move for a
 * lane. Chunk c of row r stands at c XOR some bits of r, so that the eight rows of a matrix that ldmatrix reads lie in
 * eight different groups of four banks: no conflicts, and no bytes lost to padding. */
#ifndef SPIRITLM_KERNELS_CUDA_TENSOR_CUH
#define SPIRITLM_KERNELS_CUDA_TENSOR_CUH

#include "kernels/cuda/bf16.cuh"

#include <stdint.h>

enum { CHUNK = 8 /* elements of bf16 */, CHUNK_BYTES = 16 };

/* Byte offset of chunk `chunk` of row `row` in a tile of rows of D elements. Rows of a multiple of 128 bytes begin at the
 * same bank, and three bits of the row tell eight of them apart; rows of 64 or 192 bytes alternate between two halves of
 * the banks, and two bits of the pair's number are left to tell. */
template <int D> __device__ inline uint32_t tile_offset(int row, int chunk)
{
    static_assert(D % 32 == 0, "a row is a whole number of 64 bytes");
    const int swizzled = D % 64 == 0 ? chunk ^ (row & 7) : chunk ^ ((row >> 1) & 3);
    return (uint32_t)((row * (D / CHUNK) + swizzled) * CHUNK_BYTES);
}

/* From a lane's place, chunk 0 or 1 of some row, to the one `row` rows and `chunk` chunks further, a multiple of 8 and an even
 * number. Both are constants of unrolled loops, so that this is an XOR with a constant and an offset inside the instruction. */
template <int D> __device__ inline uint32_t tile_place(uint32_t lane_place, int row, int chunk)
{
    constexpr int SWIZZLED = D % 64 == 0 ? 7 : 3;
    return (lane_place ^ (uint32_t)((chunk & SWIZZLED) * CHUNK_BYTES)) +
           (uint32_t)(row * D * 2 + (chunk & ~SWIZZLED) * CHUNK_BYTES);
}

__device__ inline uint32_t shared_address(const void *pointer)
{
    return (uint32_t)__cvta_generic_to_shared(pointer);
}

/* 16 bytes from global to shared memory; zeros when !valid, and then `source` is not read. */
__device__ inline void copy_chunk_async(uint32_t destination, const void *source, bool valid)
{
    const int bytes = valid ? CHUNK_BYTES : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(destination), "l"(source), "r"(bytes)
                 : "memory");
}
__device__ inline void commit_copies()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* 8 bytes likewise. */
__device__ inline void copy_pair_async(uint32_t destination, const void *source, bool valid)
{
    const int bytes = valid ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(destination), "l"(source), "r"(bytes) : "memory");
}
/* Until at most `LEFT` of this thread's groups are still under way. */
template <int LEFT> __device__ inline void wait_copies()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

/* Four 8 x 8 matrices; lane l gives the address of row l % 8 of matrix l / 8. */
__device__ inline void load_matrices(uint32_t fragment[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(address)
                 : "memory");
}
__device__ inline void load_matrices_transposed(uint32_t fragment[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(address)
                 : "memory");
}

/* c[16 x 8] += a[16 x 16] b[16 x 8]. Of c a lane l holds rows l / 4 (elements 0, 1) and l / 4 + 8 (2, 3), columns
 * l % 4 * 2 and the next. */
__device__ inline void multiply_add(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Two values in one register, `low` in the half that comes first in memory. */
__device__ inline uint32_t pack_pair(float low, float high)
{
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

/* 2^x, with results below the smallest normal number flushed to zero: one instruction, where exp2f tests for those. */
__device__ inline float fast_exp2(float x)
{
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

/* Which row and chunk lane l names for ldmatrix, from the first row and chunk of a 16 x 16 block: of an A operand (and of a
 * B operand that is stored by k and transposed on the way), matrices in the order top left, bottom left, top right,
 * bottom right; of a B operand stored by n, two blocks of 8 columns: first k, second k, first k, second k. */
__device__ inline int a_lane_row(int lane)
{
    return lane & 15;
}
__device__ inline int a_lane_chunk(int lane)
{
    return lane >> 4;
}
__device__ inline int b_lane_row(int lane)
{
    return (lane & 7) + ((lane >> 4) << 3);
}
__device__ inline int b_lane_chunk(int lane)
{
    return (lane >> 3) & 1;
}

#endif
