/* The squared norm in double: one block per tile of 65,536 values, then one block over the tiles; each thread's values, and
 * the tree over the threads, are the same whatever the device. The square of a finite f32 is finite in double, and so is any
 * sum of them here, so the sum itself shows whether a value was NaN or infinite. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256, VALUES = pack_size<float>::count };

__global__ void __launch_bounds__(THREADS) tile_kernel(struct squared_norm p, double *partial /* [tiles] */)
{
    int64_t first = int64_t(blockIdx.x) * SQUARES_TILE, end = min(first + SQUARES_TILE, p.count);
    double sum = 0;
#pragma unroll 4
    for (int64_t i = first + int64_t(threadIdx.x) * VALUES; i < end; i += THREADS * VALUES) {
        float value[VALUES];
        load_pack(value, p.x + i, end - i);
#pragma unroll
        for (int j = 0; j < VALUES; j++)
            sum = fma(double(value[j]), double(value[j]), sum);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(THREADS)
    total_kernel(struct squared_norm p, int64_t tiles, const double *partial /* [tiles] */)
{
    double sum = 0;
    for (int64_t tile = threadIdx.x; tile < tiles; tile += THREADS)
        sum += partial[tile];
    sum = block_sum(sum);
    if (threadIdx.x != 0)
        return;
    if (!isfinite(sum))
        *p.nonfinite = 1;
    *p.result = p.accumulate ? *p.result + sum : sum;
}

extern "C" enum status cuda_squared_norm(const struct device_context *context, const struct squared_norm *p)
{
    int64_t tiles = squares_tiles(p->count);
    double *partial = static_cast<double *>(context->scratch);
    enum status result = launch(context, "squared_norm", tile_kernel, tiles, 1, THREADS, *p, partial);
    return result == STATUS_OK ? launch(context, "squared_norm", total_kernel, 1, 1, THREADS, *p, tiles, partial)
                               : result;
}
