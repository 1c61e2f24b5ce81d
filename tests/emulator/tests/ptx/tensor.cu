/* Vectors, packed literals, asynchronous copies and matrix instructions as kernels write them in inline assembly, and
 * 16-bit arithmetic. tensor.ptx is made of it by CUDA 13.0:
 *   nvcc -ptx -arch=compute_80 tensor.cu -o tensor.ptx */
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__global__ void multiplies(float *out, const __nv_bfloat16 *a, __half2 *h)
{
    __shared__ __align__(128) __nv_bfloat16 tile[16 * 64];
    unsigned address = (unsigned)__cvta_generic_to_shared(tile) + threadIdx.x * 16, r0, r1, r2, r3;
    float d0 = 0, d1 = 0, d2 = 0, d3 = 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(address), "l"(a),
                 "r"(threadIdx.x < 8 ? 16 : 0));
    asm volatile("cp.async.commit_group;\ncp.async.wait_group 1;");
    __syncthreads();
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4+-32];"
                 : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3)
                 : "r"(address));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
                 : "r"(r0), "r"(r1), "r"(r2), "r"(r3), "r"(r0), "r"(r1));
    asm volatile("st.shared.v2.u32 [%0], {0, %1};" ::"r"(address), "r"(r0));
    h[threadIdx.x] = __hfma2(h[threadIdx.x], h[threadIdx.x + 1], __float2half2_rn(d0));
    ((float4 *)out)[threadIdx.x] = make_float4(d0, d1, d2, d3 * (float)*(double *)out + 0.1f);
}
