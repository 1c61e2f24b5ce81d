/* Cross-entropy and its gradient: one block per row, which it passes over three times, for the maximum, for the sum of
 * exponentials and for the gradient; a row of logits stays in the cache meanwhile. Threads sum in f32, the block in double.
 * The sums over groups follow in a kernel of one block, a thread per group, because their order is that of the rows. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 512, GROUP_THREADS = 256 };

template <typename T> __device__ static float row_maximum(const T *logits, int64_t columns)
{
    float largest = -INFINITY;
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < columns; c += int64_t(blockDim.x) * PACK) {
        float value[PACK];
        load_pack(value, logits + c, columns - c);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            largest = c + i < columns ? fmaxf(largest, value[i]) : largest;
    }
    return block_maximum(largest);
}

template <typename T> __device__ static double row_sum(const T *logits, float largest, int64_t columns)
{
    float sum = 0;
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < columns; c += int64_t(blockDim.x) * PACK) {
        float value[PACK];
        load_pack(value, logits + c, columns - c);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            sum += c + i < columns ? expf(value[i] - largest) : 0.0f;
    }
    return block_sum(double(sum));
}

/* grad = exp(logit - largest) * factor, but `of_target` at the target. A thread reads each pack before it writes it, so grad
 * may be the logits. */
template <typename T, typename G>
__device__ static void row_gradient(const T *logits, G *grad, float largest, float factor, float of_target,
                                    int64_t target, int64_t columns)
{
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < columns; c += int64_t(blockDim.x) * PACK) {
        float value[PACK];
        load_pack(value, logits + c, columns - c);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            value[i] = c + i == target ? of_target : expf(value[i] - largest) * factor;
        store_pack(grad + c, value, columns - c);
    }
}

template <typename G> __device__ static void zero_row(G *grad, int64_t columns)
{
    const float zeros[PACK] = {0};
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < columns; c += int64_t(blockDim.x) * PACK)
        store_pack(grad + c, zeros, columns - c);
}

/* T: type of the logits, G: of the gradient. */
template <typename T, typename G>
__global__ void __launch_bounds__(THREADS)
    cross_entropy_kernel(struct cross_entropy p, float *losses /* [R] */, struct cuda_fault *fault)
{
    int64_t r = blockIdx.x, target = p.targets[r];
    const T *logits = static_cast<const T *>(p.logits) + r * p.columns;    /* [V] */
    G *grad = p.grad ? static_cast<G *>(p.grad) + r * p.columns : nullptr; /* [V] */
    if (!index_fits(fault, CUDA_cross_entropy, CUDA_FAULT_TARGET, r, p.rows, target, INT32_MIN, p.columns))
        return;
    if (target < 0) {
        if (threadIdx.x == 0)
            losses[r] = 0;
        if (grad)
            zero_row(grad, p.columns);
        return;
    }
    float logit = load_element(logits, target), largest = row_maximum(logits, p.columns);
    double sum = row_sum(logits, largest, p.columns);
    if (threadIdx.x == 0)
        losses[r] = float(log(sum) + double(largest) - double(logit));
    if (!grad)
        return;
    /* softmax - 1 cancels when the target is nearly certain: it is taken in double */
    double probability = double(expf(logit - largest)) / sum;
    row_gradient(logits, grad, largest, float(double(p.grad_scale) / sum),
                 float((probability - 1.0) * double(p.grad_scale)), target, p.columns);
}

/* Adds the losses to the sums of their groups, unless something is wrong with these rows or was before. */
__global__ void __launch_bounds__(GROUP_THREADS)
    group_kernel(struct cross_entropy p, const float *losses /* [R] */, struct cuda_fault *fault)
{
    __shared__ float loss[GROUP_THREADS];
    __shared__ int group[GROUP_THREADS]; /* -1: not counted */
    for (int64_t r = threadIdx.x; r < p.rows; r += GROUP_THREADS)
        index_fits(fault, CUDA_cross_entropy, CUDA_FAULT_GROUP, r, p.rows, p.groups[r], 0, p.group_count);
    __syncthreads();
    if (fault->what != CUDA_FAULT_NONE)
        return;
    bool owner = threadIdx.x < p.group_count;
    double sum = owner ? p.group_sums[threadIdx.x] : 0;
    for (int64_t first = 0; first < p.rows; first += GROUP_THREADS) {
        int64_t r = first + threadIdx.x;
        bool counted = r < p.rows && p.targets[r] >= 0;
        group[threadIdx.x] = counted ? p.groups[r] : -1;
        loss[threadIdx.x] = counted ? losses[r] : 0.0f;
        __syncthreads();
        int count = int(min(p.rows - first, int64_t(GROUP_THREADS)));
        for (int i = 0; i < count; i++)
            if (group[i] == int(threadIdx.x))
                sum += double(loss[i]);
        __syncthreads();
    }
    if (owner)
        p.group_sums[threadIdx.x] = sum;
}

extern "C" enum status cuda_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    struct cuda_fault *fault = cuda_fault_word(context);
    float *losses = p->losses ? p->losses : static_cast<float *>(context->scratch);
    auto kernel = cross_entropy_kernel<__nv_bfloat16, __nv_bfloat16>;
    if (p->type == DTYPE_F32)
        kernel = p->grad && p->grad_type == DTYPE_BF16 ? cross_entropy_kernel<float, __nv_bfloat16>
                                                       : cross_entropy_kernel<float, float>;
    enum status result = launch(context, "cross_entropy", kernel, p->rows, 1,
                                block_threads(divide_up(p->columns, PACK), THREADS), *p, losses, fault);
    if (result != STATUS_OK || !p->group_sums || p->rows == 0)
        return result;
    return launch(context, "cross_entropy", group_kernel, 1, 1, GROUP_THREADS, *p, losses, fault);
}
