/* Cross-entropy and its gradient, one block per row. The first pass keeps in each thread the largest logit so far and the sum of
 * exponentials below it, scaled down when a larger one comes (Milakov and Gimelshein 2018), so that the row is read once for
 * both; the second writes the gradient. Where a row fits into shared memory, the first pass leaves it there, else the second
 * reads it again: the numbers are the same. Threads sum in f32, the block in double. The sums over groups follow in a kernel of
 * one block, a thread per group, because their order is that of the rows. */
#include "kernels/cuda/exponentials.cuh"

enum { THREADS = 512, GROUP_THREADS = 256 };

/* T: type of the logits, G: of the gradient, N: elements at a time. */
template <typename T, typename G, int N> struct row {
    const T *logits;                       /* [V] */
    G *grad;                               /* [V], may be the logits */
    typename pack_words<T, N>::word *kept; /* [divide_up(V, N)] in shared memory, or NULL */
    int64_t columns;

    /* This thread's part. It is the only one that reads what it keeps. */
    __device__ struct running read() const
    {
        struct running running = {-INFINITY, 0};
#pragma unroll 2
        for (int64_t c = int64_t(threadIdx.x) * N; c < columns; c += int64_t(blockDim.x) * N) {
            pack_words<T, N> pack;
            float value[N];
            load_words(pack, logits + c, columns - c);
            if (kept)
                kept[c / N] = pack.words[0];
#pragma unroll
            for (int i = 0; i < N; i++)
                value[i] = load_element(pack.elements, i);
            see(running, value, columns - c);
        }
        return running;
    }

    /* grad = exp(logit - largest) * factor, but `of_target` at the target. */
    __device__ void write(float largest, float factor, float of_target, int64_t target) const
    {
        for (int64_t c = int64_t(threadIdx.x) * N; c < columns; c += int64_t(blockDim.x) * N) {
            pack_words<T, N> pack;
            float value[N];
            if (kept)
                pack.words[0] = kept[c / N];
            else
                load_words(pack, logits + c, columns - c);
#pragma unroll
            for (int i = 0; i < N; i++)
                value[i] = c + i == target ? of_target : expf(load_element(pack.elements, i) - largest) * factor;
            store_pack(grad + c, value, columns - c);
        }
    }

    __device__ void write_zeros() const
    {
        const float zeros[N] = {0};
        for (int64_t c = int64_t(threadIdx.x) * N; c < columns; c += int64_t(blockDim.x) * N)
            store_pack(grad + c, zeros, columns - c);
    }
};

template <typename T, typename G, int N>
__global__ void __launch_bounds__(THREADS)
    cross_entropy_kernel(struct cross_entropy p, bool keep, float *losses /* [R] */, struct cuda_fault *fault)
{
    extern __shared__ uint4 memory[];
    typedef typename pack_words<T, N>::word word;
    int64_t r = blockIdx.x, target = p.targets[r];
    const row<T, G, N> row = {static_cast<const T *>(p.logits) + r * p.columns,
                              p.grad ? static_cast<G *>(p.grad) + r * p.columns : nullptr,
                              keep ? reinterpret_cast<word *>(memory) : nullptr, p.columns};
    if (!index_fits(fault, CUDA_cross_entropy, CUDA_FAULT_TARGET, r, p.rows, target, INT32_MIN, p.columns))
        return;
    if (target < 0) {
        if (threadIdx.x == 0)
            losses[r] = 0;
        if (row.grad)
            row.write_zeros();
        return;
    }
    float logit = load_element(row.logits, target);
    struct running running = row.read();
    float largest = block_maximum(running.largest);
    double sum = block_sum(double(running.sum * below(running.largest, largest)));
    if (threadIdx.x == 0)
        losses[r] = float(log(sum) + double(largest) - double(logit));
    if (!row.grad)
        return;
    /* softmax - 1 cancels when the target is nearly certain: it is taken in double */
    double probability = double(expf(logit - largest)) / sum;
    row.write(largest, float(double(p.grad_scale) / sum), float((probability - 1.0) * double(p.grad_scale)), target);
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
        if (owner) {
#pragma unroll 8
            for (int i = 0; i < count; i++)
                if (group[i] == int(threadIdx.x))
                    sum += double(loss[i]);
        }
        __syncthreads();
    }
    if (owner)
        p.group_sums[threadIdx.x] = sum;
}

template <typename T, typename G, int N>
static enum status run(const struct device_context *context, const struct cross_entropy *p, float *losses)
{
    int64_t packs = divide_up(p->columns, N);
    size_t bytes = size_t(packs) * N * sizeof(T);
    bool keep = p->grad && bytes + CUDA_STATIC_SHARED <= cuda_shared_limit(context);
    return launch_shared(context, "cross_entropy", cross_entropy_kernel<T, G, N>, p->rows, 1,
                         block_threads(packs, THREADS), keep ? bytes : 0, *p, keep, losses, cuda_fault_word(context));
}

/* Which elements a thread sums depends on the number of columns alone, whether their packs are aligned or not. */
template <typename T, typename G>
static enum status choose(const struct device_context *context, const struct cross_entropy *p, float *losses)
{
    constexpr int N = pack_size<T, G>::count;
    return p->columns % N == 0 ? run<T, G, N>(context, p, losses) : run<T, G, 1>(context, p, losses);
}

extern "C" enum status cuda_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    float *losses = p->losses ? p->losses : static_cast<float *>(context->scratch);
    enum status result;
    if (p->type == DTYPE_BF16)
        result = choose<cuda_bfloat16, cuda_bfloat16>(context, p, losses);
    else if (p->grad && p->grad_type == DTYPE_BF16)
        result = choose<float, cuda_bfloat16>(context, p, losses);
    else
        result = choose<float, float>(context, p, losses);
    if (result != STATUS_OK || !p->group_sums || p->rows == 0)
        return result;
    return launch(context, "cross_entropy", group_kernel, 1, 1, GROUP_THREADS, *p, losses, cuda_fault_word(context));
}
