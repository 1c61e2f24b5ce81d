/* The largest of some logits and the sum of exponentials below it, in one pass: the sum is scaled down when a larger one comes
 * (Milakov and Gimelshein 2018). */
#ifndef SPIRITLM_KERNELS_CUDA_EXPONENTIALS_CUH
#define SPIRITLM_KERNELS_CUDA_EXPONENTIALS_CUH

#include "kernels/cuda/launch.cuh"

/* What a thread, and then the block, knows of the logits that it has seen: the sum of exp(logit - largest). */
struct running {
    float largest, sum;
};

/* exp(logit - largest), where a largest of minus infinity means that there is nothing yet. */
__device__ inline float below(float logit, float largest)
{
    return expf(logit - (largest == -INFINITY ? 0.0f : largest));
}

template <int N> __device__ inline void see(struct running &running, const float (&value)[N], int64_t count)
{
    float largest = running.largest, sum = 0;
#pragma unroll
    for (int i = 0; i < N; i++)
        largest = i < count ? fmaxf(largest, value[i]) : largest;
#pragma unroll
    for (int i = 0; i < N; i++)
        sum += i < count ? below(value[i], largest) : 0.0f;
    if (largest != running.largest)
        running.sum *= below(running.largest, largest);
    running.largest = largest;
    running.sum += sum;
}

#endif
