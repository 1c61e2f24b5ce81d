/* Kernels for the tests of the runtime (runtime_kernels.cu), launched by <<<>>>, and their host symbols for the calls that
 * take one. */
#ifndef SPIRITLM_EMULATOR_RUNTIME_KERNELS_H
#define SPIRITLM_EMULATOR_RUNTIME_KERNELS_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TABLE_COUNT = 8 };

struct affine {
    float *y;
    const float *x;
    float factor[2];
    long long count;
    signed char shift;
};

/* y[i] = factor x[i] */
void launch_scale(float *y, const float *x, float factor, int count, cudaStream_t stream);
/* y[i] = factor[i & 1] x[i] + shift: the struct is passed by value */
void launch_affine(struct affine affine, cudaStream_t stream);
/* x[i] = x[count - 1 - i], count <= 1024, through `count` floats of dynamic shared memory and `extra` bytes more */
void launch_reverse(float *x, int count, size_t extra, cudaStream_t stream);
/* x[i] = table[i % TABLE_COUNT] + added, a variable in constant and one in global memory; counts its launches */
void launch_table(float *x, int count, cudaStream_t stream);
/* Written for at most 128 threads per block. */
void launch_bounded(float *x, int threads, cudaStream_t stream);
/* Writes `offset` bytes from x on. */
void launch_wild(float *x, long long offset, cudaStream_t stream);
/* An instance of a template: y[i] = x[i] + N for N = 3 and 5. */
void launch_plus(float *y, const float *x, int three_or_five, int count, cudaStream_t stream);
/* A launch that no device takes: `blocks` blocks in y. */
void launch_grid_y(float *x, unsigned blocks, cudaStream_t stream);

const void *symbol_scale(void), *symbol_reverse(void), *symbol_bounded(void);
const void *symbol_table(void), *symbol_added(void), *symbol_launches(void);

#ifdef __cplusplus
}
#endif

#endif
