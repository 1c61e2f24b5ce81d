/* What sm_90a adds to the grammar: names joined by ::, an address with the coordinates of a tensor, a sink in a pair, and
 * long lists of registers. hopper.ptx is made of it by CUDA 13.0:
 *   nvcc -ptx -arch=compute_90a hopper.cu -o hopper.ptx */
#include <stdint.h>

struct __align__(64) tensor_map
{
    uint64_t words[16];
};

__global__ void copies_a_tile(const __grid_constant__ struct tensor_map map, float *out, uint64_t a, uint64_t b)
{
    extern __shared__ __align__(1024) unsigned char tile[];
    __shared__ uint64_t barrier;
    unsigned arrived = (unsigned)__cvta_generic_to_shared(&barrier), place = (unsigned)__cvta_generic_to_shared(tile);
    float d0 = 0, d1 = 0, d2 = 0, d3 = 0;
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(arrived), "r"(4096));
    asm volatile("{ .reg .pred chosen; elect.sync _|chosen, 0xffffffff;\n"
                 "@chosen cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, 64}], [%3]; }" ::"r"(place),
                 "l"(&map), "r"(threadIdx.x), "r"(arrived));
    asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, -1, 0, 1;"
                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
                 : "l"(a), "l"(b));
    out[threadIdx.x] = d0 + d1 + d2 + d3;
}
