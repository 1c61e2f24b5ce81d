/* What speed.c times: four kernels that stress one part of the emulator each. They are plain forms of what GPU programs
 * do most; their results do not matter here, only that no checker has anything to report.
 * Compiled by nvcc 13.0 with -ptx -arch=compute_80 -lineinfo; the folder of .file was cut off afterwards. */
#include <cuda_bf16.h>
#include <cuda_pipeline_primitives.h>
#include <stdint.h>

/* Arithmetic alone. */
extern "C" __global__ void multiply_add(const float *x, float *out, int steps)
{
    float a[8], b = x[threadIdx.x], c = x[threadIdx.x + 1];
#pragma unroll
    for (int i = 0; i < 8; i++)
        a[i] = b * (float)i;
    for (int step = 0; step < steps; step++) {
#pragma unroll
        for (int i = 0; i < 8; i++)
            a[i] = fmaf(a[i], b, c);
    }
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum += a[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/* C = A B in f32, a tile of 64 x 64 by 256 threads, 16 deep, through shared memory; m, n, k are multiples of these. */
extern "C" __global__ void __launch_bounds__(256) product_f32(const float *a, const float *b, float *c, int n, int k)
{
    __shared__ float a_tile[16][68], b_tile[16][64];
    int x = threadIdx.x % 16, y = threadIdx.x / 16;
    int row0 = blockIdx.y * 64, column0 = blockIdx.x * 64;
    float sum[4][4] = {};
    for (int first = 0; first < k; first += 16) {
        for (int i = threadIdx.x; i < 1024; i += 256) {
            a_tile[i % 16][i / 16] = a[(size_t)(row0 + i / 16) * k + first + i % 16];
            b_tile[i / 64][i % 64] = b[(size_t)(first + i / 64) * n + column0 + i % 64];
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < 16; depth++) {
            float left[4], right[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                left[i] = a_tile[depth][y * 4 + i];
                right[i] = b_tile[depth][x + 16 * i];
            }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            c[(size_t)(row0 + y * 4 + i) * n + column0 + x + 16 * j] = sum[i][j];
}

/* ---- attention of 64 queries by 4 warps, heads of 64, tiles of 32 keys, on tensor cores ---- */

enum { D = 64, KEYS = 32 };

__device__ inline uint32_t shared_address(const void *pointer)
{
    return (uint32_t)__cvta_generic_to_shared(pointer);
}
__device__ inline void load_matrices(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}
__device__ inline void load_transposed(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}
__device__ inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline uint32_t pair(float low, float high)
{
    __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<uint32_t &>(both);
}
/* Rows of 128 bytes; chunk c of row r stands at c ^ (r & 7). */
__device__ inline __nv_bfloat16 *chunk_of(__nv_bfloat16 *tile, int row, int chunk)
{
    return tile + row * D + (chunk ^ (row & 7)) * 8;
}
__device__ inline void load_tile(__nv_bfloat16 *tile, const __nv_bfloat16 *from, int rows)
{
    for (int i = threadIdx.x; i < rows * 8; i += 128)
        __pipeline_memcpy_async(chunk_of(tile, i / 8, i % 8), from + (size_t)(i / 8) * D + i % 8 * 8, 16);
}

struct softmax {
    float most[2], sum[2];
};

__device__ inline void rescale(softmax &state, float (&scores)[KEYS / 8][4], float (&out)[D / 8][4])
{
    for (int half = 0; half < 2; half++) {
        float most = state.most[half];
        for (int n = 0; n < KEYS / 8; n++)
            most = fmaxf(most, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        float factor = exp2f(state.most[half] - most), sum = 0.0f;
        for (int n = 0; n < KEYS / 8; n++)
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                scores[n][i] = exp2f(scores[n][i] - most);
                sum += scores[n][i];
            }
        state.most[half] = most;
        state.sum[half] = state.sum[half] * factor + sum;
        for (int n = 0; n < D / 8; n++)
            for (int i = 2 * half; i < 2 * half + 2; i++)
                out[n][i] *= factor;
    }
}

extern "C" __global__ void __launch_bounds__(128)
    attention(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v, float *result, int length)
{
    __shared__ __align__(16) __nv_bfloat16 queries[64 * D], keys[2][KEYS * D], values[2][KEYS * D];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, tiles = length / KEYS;
    float out[D / 8][4] = {};
    softmax state = {{-1e30f, -1e30f}, {0.0f, 0.0f}};
    load_tile(queries, q + (size_t)blockIdx.x * 64 * D, 64);
    load_tile(keys[0], k, KEYS);
    load_tile(values[0], v, KEYS);
    __pipeline_commit();
    for (int tile = 0; tile < tiles; tile++) {
        int stage = tile & 1;
        if (tile + 1 < tiles) {
            load_tile(keys[stage ^ 1], k + (size_t)(tile + 1) * KEYS * D, KEYS);
            load_tile(values[stage ^ 1], v + (size_t)(tile + 1) * KEYS * D, KEYS);
        }
        __pipeline_commit();
        __pipeline_wait_prior(1);
        __syncthreads();
        float scores[KEYS / 8][4] = {};
#pragma unroll
        for (int depth = 0; depth < D / 16; depth++) {
            uint32_t a[4], b[4];
            load_matrices(a, chunk_of(queries, warp * 16 + lane % 16, depth * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                load_matrices(b, chunk_of(keys[stage], n * 16 + lane % 8 + lane / 16 * 8, depth * 2 + lane / 8 % 2));
                multiply(scores[2 * n], a, b[0], b[1]);
                multiply(scores[2 * n + 1], a, b[2], b[3]);
            }
        }
        rescale(state, scores, out);
#pragma unroll
        for (int depth = 0; depth < KEYS / 16; depth++) {
            uint32_t b[4], a[4] = {pair(scores[2 * depth][0], scores[2 * depth][1]),
                                   pair(scores[2 * depth][2], scores[2 * depth][3]),
                                   pair(scores[2 * depth + 1][0], scores[2 * depth + 1][1]),
                                   pair(scores[2 * depth + 1][2], scores[2 * depth + 1][3])};
#pragma unroll
            for (int n = 0; n < D / 16; n++) {
                load_transposed(b, chunk_of(values[stage], depth * 16 + lane % 16, n * 2 + lane / 16));
                multiply(out[2 * n], a, b[0], b[1]);
                multiply(out[2 * n + 1], a, b[2], b[3]);
            }
        }
        __syncthreads();
    }
    for (int half = 0; half < 2; half++) {
        float sum = state.sum[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        int row = blockIdx.x * 64 + warp * 16 + lane / 4 + 8 * half;
        for (int n = 0; n < D / 8; n++)
            for (int i = 0; i < 2; i++)
                result[(size_t)row * D + n * 8 + lane % 4 * 2 + i] = out[n][2 * half + i] / sum;
    }
}

/* A row by 256 threads; vectors of bf16 in, bf16 out. */
extern "C" __global__ void __launch_bounds__(256) rms_norm(const uint4 *x, const uint4 *weight, uint4 *out, int vectors)
{
    __shared__ float partial[8];
    const uint4 *row = x + (size_t)blockIdx.x * vectors;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < vectors; i += 256) {
        uint4 vector = row[i];
        const __nv_bfloat162 *pairs = reinterpret_cast<const __nv_bfloat162 *>(&vector);
        for (int j = 0; j < 4; j++) {
            float2 values = __bfloat1622float2(pairs[j]);
            sum += values.x * values.x + values.y * values.y;
        }
    }
    for (int offset = 16; offset > 0; offset >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0.0f;
    for (int i = 0; i < 8; i++)
        sum += partial[i];
    float scale = rsqrtf(sum / (float)(8 * vectors) + 1e-5f);
    for (int i = threadIdx.x; i < vectors; i += 256) {
        uint4 vector = row[i], factors = weight[i], result;
        const __nv_bfloat162 *pairs = reinterpret_cast<const __nv_bfloat162 *>(&vector);
        const __nv_bfloat162 *weights = reinterpret_cast<const __nv_bfloat162 *>(&factors);
        __nv_bfloat162 *results = reinterpret_cast<__nv_bfloat162 *>(&result);
        for (int j = 0; j < 4; j++) {
            float2 values = __bfloat1622float2(pairs[j]), by = __bfloat1622float2(weights[j]);
            results[j] = __floats2bfloat162_rn(values.x * scale * by.x, values.y * scale * by.y);
        }
        out[(size_t)blockIdx.x * vectors + i] = result;
    }
}
