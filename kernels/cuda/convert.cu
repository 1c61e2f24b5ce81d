/* y = x converted, or y += x: one pass, a pack of elements per thread. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename Source, typename Destination, bool ADD, int N>
__global__ void __launch_bounds__(THREADS) convert_kernel(struct convert p)
{
    int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N, count = p.count - i;
    if (count <= 0)
        return;
    Destination *destination = static_cast<Destination *>(p.destination) + i; /* of [count] */
    float value[N], other[N];
    load_pack(value, static_cast<const Source *>(p.source) + i, count); /* of [count] */
    if (ADD) {
        load_pack(other, destination, count);
#pragma unroll
        for (int j = 0; j < N; j++)
            value[j] += other[j];
    }
    store_pack(destination, value, count);
}

/* In packs where both arrays lie on their boundaries, else element by element. */
template <typename Source, typename Destination, bool ADD>
static enum status run(const struct device_context *context, const struct convert *p)
{
    constexpr int N = pack_size<Source, Destination>::count;
    bool whole = lies_on(p->source, N * sizeof(Source)) && lies_on(p->destination, N * sizeof(Destination));
    auto kernel = whole ? convert_kernel<Source, Destination, ADD, N> : convert_kernel<Source, Destination, ADD, 1>;
    return launch(context, "convert", kernel, divide_up(p->count, int64_t(THREADS) * (whole ? N : 1)), 1, THREADS, *p);
}

template <typename Source> static enum status choose(const struct device_context *context, const struct convert *p)
{
    if (p->add)
        return run<Source, Source, true>(context, p);
    return p->destination_type == DTYPE_F32 ? run<Source, float, false>(context, p)
                                            : run<Source, cuda_bfloat16, false>(context, p);
}

extern "C" enum status cuda_convert(const struct device_context *context, const struct convert *p)
{
    return p->source_type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
