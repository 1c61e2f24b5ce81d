// Kernels that use what a runtime has to provide: scalars and a struct by value, static and dynamic shared memory,
// variables in constant and global memory, templates, launch bounds. Their arithmetic is trivial on purpose.
#include "emulator/tests/runtime_kernels.h"

static __constant__ float table[TABLE_COUNT];
static __device__ float added;
static __device__ int launches;

static __global__ void scale(float *y, const float *x, float factor, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        y[i] = factor * x[i];
}

static __global__ void apply_affine(struct affine affine)
{
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < affine.count)
        affine.y[i] = affine.factor[i & 1] * affine.x[i] + affine.shift;
}

static __global__ void reverse(float *x, int count)
{
    extern __shared__ float values[];
    int i = threadIdx.x;
    values[i] = x[i];
    __syncthreads();
    x[i] = values[count - 1 - i];
}

static __global__ void from_table(float *x, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0)
        launches += 1;
    if (i < count)
        x[i] = table[i % TABLE_COUNT] + added;
}

static __global__ void __launch_bounds__(128) bounded(float *x)
{
    x[threadIdx.x] = 1.0f;
}

static __global__ void wild(float *x, long long offset)
{
    *(float *)((char *)x + offset) = 1.0f;
}

template <int N> static __global__ void plus(float *y, const float *x, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        y[i] = x[i] + N;
}

static __global__ void nothing(float *x)
{
    if (!x)
        __trap();
}

void launch_scale(float *y, const float *x, float factor, int count, cudaStream_t stream)
{
    scale<<<(count + 127) / 128, 128, 0, stream>>>(y, x, factor, count);
}

void launch_affine(struct affine affine, cudaStream_t stream)
{
    apply_affine<<<(unsigned)((affine.count + 63) / 64), 64, 0, stream>>>(affine);
}

void launch_reverse(float *x, int count, size_t extra, cudaStream_t stream)
{
    reverse<<<1, count, count * sizeof(float) + extra, stream>>>(x, count);
}

void launch_table(float *x, int count, cudaStream_t stream)
{
    from_table<<<(count + 63) / 64, 64, 0, stream>>>(x, count);
}

void launch_bounded(float *x, int threads, cudaStream_t stream)
{
    bounded<<<1, threads, 0, stream>>>(x);
}

void launch_wild(float *x, long long offset, cudaStream_t stream)
{
    wild<<<1, 1, 0, stream>>>(x, offset);
}

void launch_plus(float *y, const float *x, int three_or_five, int count, cudaStream_t stream)
{
    if (three_or_five == 3)
        plus<3><<<(count + 63) / 64, 64, 0, stream>>>(y, x, count);
    else
        plus<5><<<(count + 63) / 64, 64, 0, stream>>>(y, x, count);
}

void launch_grid_y(float *x, unsigned blocks, cudaStream_t stream)
{
    nothing<<<dim3(1, blocks), 32, 0, stream>>>(x);
}

const void *symbol_scale(void)
{
    return (const void *)scale;
}

const void *symbol_reverse(void)
{
    return (const void *)reverse;
}

const void *symbol_bounded(void)
{
    return (const void *)bounded;
}

const void *symbol_table(void)
{
    return &table;
}

const void *symbol_added(void)
{
    return &added;
}

const void *symbol_launches(void)
{
    return &launches;
}
