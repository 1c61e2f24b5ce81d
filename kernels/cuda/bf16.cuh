/* bf16 on the device: the type and its two conversions, which is all that the kernels need of CUDA's cuda_bf16.h. That header
 * takes a third of the time in which a kernel's file is compiled. */
#ifndef SPIRITLM_KERNELS_CUDA_BF16_CUH
#define SPIRITLM_KERNELS_CUDA_BF16_CUH

struct __align__(2) cuda_bfloat16
{
    unsigned short bits;
};

__device__ inline float bf16_value(cuda_bfloat16 element)
{
    return __uint_as_float((unsigned int)element.bits << 16);
}

/* The nearest, ties to even; NaN stays NaN. */
__device__ inline cuda_bfloat16 bf16_nearest(float value)
{
    cuda_bfloat16 element;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(element.bits) : "f"(value));
    return element;
}

#endif
