/* A plain product in place of OpenBLAS's: the cpu's table is a reference here and computes small models, so loops that
 * read b along its rows are fast enough. Each number of C is one chain of additions over k. */
#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>

/* sums[j] = a row of op(A), whose numbers are a_step apart, times column j of op(B). */
static void multiply_row(float *sums, enum CBLAS_TRANSPOSE b_form, blasint n, blasint k, const float *a, long a_step,
                         const float *b, long b_stride)
{
    if (b_form == CblasTrans) {
        for (blasint j = 0; j < n; j++) {
            float sum = 0;
            for (blasint l = 0; l < k; l++)
                sum += a[l * a_step] * b[j * b_stride + l];
            sums[j] = sum;
        }
        return;
    }
    for (blasint j = 0; j < n; j++)
        sums[j] = 0;
    for (blasint l = 0; l < k; l++)
        for (blasint j = 0; j < n; j++)
            sums[j] += a[l * a_step] * b[l * b_stride + j];
}

void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE a_form, enum CBLAS_TRANSPOSE b_form, blasint m, blasint n,
                 blasint k, float alpha, const float *a, blasint a_stride, const float *b, blasint b_stride, float beta,
                 float *c, blasint c_stride)
{
    bool transposed = a_form == CblasTrans;
    float *sums = malloc((size_t)n * sizeof *sums + 1);
    if (!sums || order != CblasRowMajor) /* nobody here asks for another order */
        abort();
    for (blasint i = 0; i < m; i++) {
        float *row = c + (long)i * c_stride;
        multiply_row(sums, b_form, n, k, a + (transposed ? i : (long)i * a_stride), transposed ? a_stride : 1, b,
                     b_stride);
        for (blasint j = 0; j < n; j++)
            row[j] = alpha * sums[j] + (beta != 0 ? beta * row[j] : 0);
    }
    free(sums);
}

char *openblas_get_config(void)
{
    static char text[] = "none, a plain product";
    return text;
}

void openblas_set_num_threads(int count)
{
    (void)count;
}
