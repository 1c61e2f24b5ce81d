/* y = x converted, or y += x: one pass, a pack of elements per thread. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename Source, typename Destination, bool ADD>
__global__ void __launch_bounds__(THREADS) convert_kernel(struct convert p)
{
    int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * PACK, count = p.count - i;
    if (count <= 0)
        return;
    Destination *destination = static_cast<Destination *>(p.destination) + i; /* of [count] */
    float value[PACK], other[PACK];
    load_pack(value, static_cast<const Source *>(p.source) + i, count); /* of [count] */
    if (ADD) {
        load_pack(other, destination, count);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            value[j] += other[j];
    }
    store_pack(destination, value, count);
}

template <typename Source> static auto choose(const struct convert *p)
{
    if (p->add)
        return convert_kernel<Source, Source, true>;
    return p->destination_type == DTYPE_F32 ? convert_kernel<Source, float, false>
                                            : convert_kernel<Source, __nv_bfloat16, false>;
}

extern "C" enum status cuda_convert(const struct device_context *context, const struct convert *p)
{
    auto kernel = p->source_type == DTYPE_F32 ? choose<float>(p) : choose<__nv_bfloat16>(p);
    return launch(context, "convert", kernel, divide_up(p->count, THREADS * PACK), 1, THREADS, *p);
}
