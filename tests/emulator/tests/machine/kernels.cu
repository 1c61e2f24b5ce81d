/* Kernels as nvcc writes them, for the interpreter's tests (test_machine_compiled.c compares each with the same computed in
 * C). Those with DEFECT lack a barrier, a guard or a wait: the tests want them reported, and the sound ones not.
 * Compiled by nvcc 13.0 with -ptx -arch=compute_80 -lineinfo; the folder of .file was cut off afterwards. */
#include <cuda_bf16.h>
#include <cuda_pipeline_primitives.h>
#include <stdint.h>

/* ---- RMSNorm: one block per row, 128 threads ---- */

template <int DEFECT>
__device__ void rms_norm_row(const float *x, const float *weight, float *out, int columns)
{
    __shared__ float partial[4];
    const float *row = x + (size_t)blockIdx.x * columns;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        sum = fmaf(row[i], row[i], sum);
    if (DEFECT == 2) {
        if (threadIdx.x % 32 < 16)
            for (int offset = 16; offset > 0; offset >>= 1)
                sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    } else {
        for (int offset = 16; offset > 0; offset >>= 1)
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    }
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = sum;
    if (DEFECT != 1)
        __syncthreads();
    float scale = rsqrtf((partial[0] + partial[1] + partial[2] + partial[3]) / (float)columns + 1e-5f);
    int last = DEFECT == 3 ? columns + 1 : columns;
    for (int i = threadIdx.x; i < last; i += blockDim.x)
        out[(size_t)blockIdx.x * columns + i] = row[i] * scale * weight[i < columns ? i : 0];
}

extern "C" __global__ void rms_norm(const float *x, const float *weight, float *out, int columns)
{
    rms_norm_row<0>(x, weight, out, columns);
}
extern "C" __global__ void rms_norm_without_barrier(const float *x, const float *weight, float *out, int columns)
{
    rms_norm_row<1>(x, weight, out, columns);
}
extern "C" __global__ void rms_norm_half_shuffle(const float *x, const float *weight, float *out, int columns)
{
    rms_norm_row<2>(x, weight, out, columns);
}
extern "C" __global__ void rms_norm_past_the_row(const float *x, const float *weight, float *out, int columns)
{
    rms_norm_row<3>(x, weight, out, columns);
}

/* ---- C = A B^T in bf16: a tile of 32 x 32 by 4 warps, 32 deep, two stages of cp.async ---- */

struct product {
    const __nv_bfloat16 *a, *b;
    float *c;
    int m, n, k;
};

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

__device__ inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Rows of 64 bytes; chunk c of row r stands at c ^ (r / 2 & 3). */
__device__ inline __nv_bfloat16 *chunk_of(__nv_bfloat16 *tile, int row, int chunk)
{
    return tile + row * 32 + (chunk ^ (row >> 1 & 3)) * 8;
}

__device__ inline void load_tile(__nv_bfloat16 *tile, const __nv_bfloat16 *matrix, int first, int rows, int stride,
                                 int column)
{
    int row = threadIdx.x / 4, chunk = threadIdx.x % 4;
    bool inside = first + row < rows;
    const __nv_bfloat16 *from = matrix + (size_t)(inside ? first + row : 0) * stride + column + chunk * 8;
    __pipeline_memcpy_async(chunk_of(tile, row, chunk), from, 16, inside ? 0 : 16);
}

template <int DEFECT> __device__ void product_tile(const product &p)
{
    __shared__ __align__(16) __nv_bfloat16 a_tile[2][32 * 32], b_tile[2][32 * 32];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row0 = blockIdx.y * 32, column0 = blockIdx.x * 32, steps = p.k / 32;
    float sum[2][4] = {};
    load_tile(a_tile[0], p.a, row0, p.m, p.k, 0);
    load_tile(b_tile[0], p.b, column0, p.n, p.k, 0);
    __pipeline_commit();
    for (int step = 0; step < steps; step++) {
        int stage = step & 1;
        if (step + 1 < steps) {
            load_tile(a_tile[stage ^ 1], p.a, row0, p.m, p.k, (step + 1) * 32);
            load_tile(b_tile[stage ^ 1], p.b, column0, p.n, p.k, (step + 1) * 32);
        }
        __pipeline_commit();
        __pipeline_wait_prior(DEFECT == 1 ? 2 : 1);
        __syncthreads();
        for (int depth = 0; depth < 2; depth++) {
            uint32_t a[4], b[4];
            load_matrices(a, chunk_of(a_tile[stage], warp / 2 * 16 + lane % 16, depth * 2 + lane / 16));
            load_matrices(b, chunk_of(b_tile[stage], warp % 2 * 16 + lane % 8 + lane / 16 * 8, depth * 2 + lane / 8 % 2));
            multiply(sum[0], a, b[0], b[1]);
            multiply(sum[1], a, b[2], b[3]);
        }
        if (DEFECT != 2)
            __syncthreads();
    }
    for (int i = 0; i < 8; i++) {
        int row = row0 + warp / 2 * 16 + lane / 4 + i % 4 / 2 * 8;
        int column = column0 + warp % 2 * 16 + i / 4 * 8 + lane % 4 * 2 + i % 2;
        if ((DEFECT == 3 || row < p.m) && column < p.n)
            p.c[(size_t)row * p.n + column] = sum[i / 4][i % 4];
    }
}

extern "C" __global__ void __launch_bounds__(128) product_bf16(product p)
{
    product_tile<0>(p);
}
extern "C" __global__ void __launch_bounds__(128) product_waits_too_little(product p)
{
    product_tile<1>(p);
}
extern "C" __global__ void __launch_bounds__(128) product_without_barrier(product p)
{
    product_tile<2>(p);
}
extern "C" __global__ void __launch_bounds__(128) product_without_row_guard(product p)
{
    product_tile<3>(p);
}

/* ---- divergence: steps of the Collatz sequence, a switch, a local array ---- */

extern "C" __global__ void collatz(const uint32_t *numbers, uint32_t *steps, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint64_t value = numbers[i];
    uint32_t count = 0;
    while (value != 1) {
        if (value & 1)
            value = 3 * value + 1;
        else
            value >>= 1;
        if (++count == 500)
            break;
    }
    steps[i] = count;
}

extern "C" __global__ void interpret(const uint8_t *program, const int32_t *input, int32_t *out, int length, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    int32_t stack[8], top = 0;
    stack[0] = input[i];
    for (int at = 0; at < length; at++) {
        switch (program[(at + i) % length]) {
        case 0:
            stack[top] += 3;
            break;
        case 1:
            stack[top] *= 5;
            break;
        case 2:
            if (top < 7) {
                stack[top + 1] = stack[top] ^ 0x55;
                top++;
            }
            break;
        case 3:
            if (top > 0) {
                stack[top - 1] -= stack[top];
                top--;
            }
            break;
        case 4:
            stack[top] = stack[top] < 0 ? -stack[top] : stack[top] >> 1;
            break;
        case 5:
            stack[top] = (int32_t)((int64_t)stack[top] * 1000003 >> 7);
            break;
        default:
            stack[top] = ~stack[top];
            break;
        }
    }
    out[i] = stack[top];
}

/* ---- a histogram in dynamic shared memory ---- */

extern "C" __global__ void histogram(const uint8_t *bytes, uint32_t *counts, int n, int bins)
{
    extern __shared__ uint32_t local[];
    for (int i = threadIdx.x; i < bins; i += blockDim.x)
        local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[bytes[i] % bins], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < bins; i += blockDim.x)
        atomicAdd(&counts[i], local[i]);
}

/* ---- softmax of a row by one warp, bf16 in and out ---- */

extern "C" __global__ void softmax(const __nv_bfloat16 *x, __nv_bfloat16 *out, int columns)
{
    const __nv_bfloat16 *row = x + (size_t)blockIdx.x * columns;
    float largest = -INFINITY, sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += 32)
        largest = fmaxf(largest, __bfloat162float(row[i]));
    for (int offset = 16; offset > 0; offset >>= 1)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
    for (int i = threadIdx.x; i < columns; i += 32)
        sum += __expf(__bfloat162float(row[i]) - largest);
    for (int offset = 16; offset > 0; offset >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    for (int i = threadIdx.x; i < columns; i += 32)
        out[(size_t)blockIdx.x * columns + i] = __float2bfloat16_rn(expf(__bfloat162float(row[i]) - largest) / sum);
}
