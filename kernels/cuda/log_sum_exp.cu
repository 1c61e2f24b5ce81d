/* The logarithm of the sum of exponentials over each block of the vocabulary: a block of threads per row and block of columns.
 * Blocks begin anywhere, but which thread sums a column depends on the column and on how many the row has: so warps read
 * whole sectors, and neither the other blocks nor the row's place decide a bit. Threads sum in f32, the block in double. */
#include "kernels/cuda/exponentials.cuh"

enum { THREADS = 512, AT_ONCE = 4 };

/* The columns [first, end), AT_ONCE of them per thread and turn. Those before `first` have no share. */
template <typename T> __device__ static struct running read(const T *logits, int64_t first, int64_t end)
{
    struct running running = {-INFINITY, 0};
    const int64_t step = blockDim.x;
    for (int64_t c = first - first % step + threadIdx.x; c < end; c += AT_ONCE * step) {
        float value[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            const int64_t column = c + i * step;
            value[i] = column >= first && column < end ? load_element(logits, column) : -INFINITY;
        }
        see(running, value, AT_ONCE);
    }
    return running;
}

template <typename T>
__global__ void __launch_bounds__(THREADS) log_sum_exp_kernel(struct log_sum_exp p, struct cuda_fault *fault)
{
    const int64_t r = blockIdx.x, b = blockIdx.y, target = p.targets[r];
    const T *logits = static_cast<const T *>(p.logits) + r * p.columns;
    double *sum = p.sums + r * p.block_count + b;
    const bool first = threadIdx.x == 0;
    if (!index_fits(fault, CUDA_log_sum_exp, CUDA_FAULT_TARGET, r, p.rows, target, INT32_MIN, p.columns))
        return;
    if (first && b == 0)
        p.target_logits[r] = target < 0 ? 0.0f : load_element(logits, target);
    if (target < 0) {
        if (first)
            *sum = 0;
        return;
    }
    const struct running running = read(logits, p.boundaries[b], p.boundaries[b + 1]);
    const float largest = block_maximum(running.largest);
    const double total = block_sum(double(running.sum * below(running.largest, largest)));
    if (first)
        *sum = log(total) + double(largest);
}

extern "C" enum status cuda_log_sum_exp(const struct device_context *context, const struct log_sum_exp *p)
{
    const int threads = block_threads(divide_up(p->columns, AT_ONCE), THREADS);
    return launch(context, "log_sum_exp",
                  p->type == DTYPE_F32 ? log_sum_exp_kernel<float> : log_sum_exp_kernel<cuda_bfloat16>, p->rows,
                  p->block_count, threads, *p, cuda_fault_word(context));
}
