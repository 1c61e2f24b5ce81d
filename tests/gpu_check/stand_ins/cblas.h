/* The part of OpenBLAS's interface that the cpu's kernels use, for a machine without OpenBLAS: a plain product
 * (products.c). */
#ifndef SPIRITLM_GPU_CHECK_CBLAS_H
#define SPIRITLM_GPU_CHECK_CBLAS_H

typedef int blasint;
enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };

void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE a_form, enum CBLAS_TRANSPOSE b_form, blasint m, blasint n,
                 blasint k, float alpha, const float *a, blasint a_stride, const float *b, blasint b_stride, float beta,
                 float *c, blasint c_stride);
char *openblas_get_config(void);
void openblas_set_num_threads(int count);

#endif
