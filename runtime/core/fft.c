#include "core/fft.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct fft {
    int64_t length;
    double complex *twiddle; /* exp(-2 pi i k / length), k < length / 2 */
};

enum status fft_create(int64_t length, struct fft **out)
{
    *out = NULL;
    if (length < 2 || (length & (length - 1)))
        return status_set(STATUS_INTERNAL, "FFT length %lld is not a power of two", (long long)length);
    struct fft *fft = malloc(sizeof *fft);
    double complex *twiddle = malloc((size_t)(length / 2) * sizeof *twiddle);
    if (!fft || !twiddle) {
        free(fft);
        free(twiddle);
        return status_set(STATUS_INTERNAL, "no memory for an FFT of length %lld", (long long)length);
    }
    for (int64_t k = 0; k < length / 2; k++) {
        double angle = -2.0 * 3.14159265358979323846 * (double)k / (double)length;
        twiddle[k] = CMPLX(cos(angle), sin(angle));
    }
    *fft = (struct fft){.length = length, .twiddle = twiddle};
    *out = fft;
    return STATUS_OK;
}

void fft_destroy(struct fft *fft)
{
    if (fft)
        free(fft->twiddle);
    free(fft);
}

/* In place, decimation in time. The products are written out: C's complex multiplication checks for infinities. */
static void transform(const struct fft *fft, double complex *x, bool inverse)
{
    int64_t n = fft->length;
    for (int64_t i = 1, j = 0; i < n; i++) {
        int64_t bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            double complex swap = x[i];
            x[i] = x[j];
            x[j] = swap;
        }
    }
    for (int64_t half = 1; half < n; half *= 2) {
        int64_t stride = n / (2 * half);
        for (int64_t start = 0; start < n; start += 2 * half)
            for (int64_t k = 0; k < half; k++) {
                double wr = creal(fft->twiddle[k * stride]), wi = cimag(fft->twiddle[k * stride]);
                if (inverse)
                    wi = -wi;
                double complex *a = &x[start + k], *b = &x[start + k + half];
                double br = creal(*b) * wr - cimag(*b) * wi, bi = creal(*b) * wi + cimag(*b) * wr;
                *b = CMPLX(creal(*a) - br, cimag(*a) - bi);
                *a = CMPLX(creal(*a) + br, cimag(*a) + bi);
            }
    }
}

void fft_real(const struct fft *fft, const double *input, double complex *output, double complex *work)
{
    for (int64_t i = 0; i < fft->length; i++)
        work[i] = input[i];
    transform(fft, work, false);
    for (int64_t k = 0; k <= fft->length / 2; k++)
        output[k] = work[k];
}

void fft_real_inverse(const struct fft *fft, const double complex *input, double *output, double complex *work)
{
    int64_t n = fft->length;
    for (int64_t k = 0; k <= n / 2; k++)
        work[k] = input[k];
    for (int64_t k = n / 2 + 1; k < n; k++)
        work[k] = conj(input[n - k]);
    transform(fft, work, true);
    for (int64_t i = 0; i < n; i++)
        output[i] = creal(work[i]) / (double)n;
}
