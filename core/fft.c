/* Real transforms by complex ones. A real transform of n samples is a complex one of n / 2 (even samples real, odd ones
 * imaginary) and one pass that takes the two apart. The complex one is Stockham's, radix 4 with a last pass of radix 2
 * where the length needs it: it goes from one buffer to the other, so that no bit reversal is needed, and keeps real
 * and imaginary parts apart, so that neighbouring numbers fill vector registers. Sines and cosines are computed once
 * per length, from angles of at most an eighth of a turn, where both are accurate to about the last bit. */
#include "core/fft.h"

#include "core/double4.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct fft {
    int64_t length;
    double *twiddle; /* of all passes in turn: cos, sin of 1, 2 and 3 times the angle, six arrays per pass */
    double *split;   /* cos, sin of 2 pi k / length, k <= length / 4: two arrays */
};

/* cos and sin of 2 pi k / n, 0 <= k < n, from an angle of at most an eighth of a turn. */
static void turn(int64_t k, int64_t n, double *cosine, double *sine)
{
    int64_t quarter = 4 * k / n, rest = 4 * k - quarter * n; /* quarters of a turn, and rest / n of one */
    bool mirrored = 2 * rest > n;
    double angle = M_PI / 2 * (double)(mirrored ? n - rest : rest) / (double)n;
    double c = mirrored ? sin(angle) : cos(angle), s = mirrored ? cos(angle) : sin(angle);
    *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
    *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
}

enum status fft_create(int64_t length, struct fft **out)
{
    *out = NULL;
    if (length < 2 || (length & (length - 1)))
        return status_set(STATUS_INTERNAL, "FFT length %lld is not a power of two", (long long)length);
    int64_t half = length / 2, kept = length / 4 + 1;
    struct fft *fft = malloc(sizeof *fft);
    double *twiddle = malloc((size_t)(2 * half + 2) * sizeof *twiddle); /* the passes' n / 4 add up to < half / 3 */
    double *split = malloc((size_t)(2 * kept) * sizeof *split);
    if (!fft || !twiddle || !split) {
        free(fft);
        free(twiddle);
        free(split);
        return status_set(STATUS_INTERNAL, "no memory for an FFT of length %lld", (long long)length);
    }
    double *pass = twiddle;
    for (int64_t n = half; n >= 4; pass += 6 * (n / 4), n /= 4)
        for (int64_t p = 0; p < n / 4; p++)
            for (int64_t times = 1; times <= 3; times++)
                turn(times * p, n, &pass[(2 * times - 2) * (n / 4) + p], &pass[(2 * times - 1) * (n / 4) + p]);
    for (int64_t k = 0; k < kept; k++)
        turn(k, length, &split[k], &split[kept + k]);
    *fft = (struct fft){.length = length, .twiddle = twiddle, .split = split};
    *out = fft;
    return STATUS_OK;
}

void fft_destroy(struct fft *fft)
{
    if (!fft)
        return;
    free(fft->twiddle);
    free(fft->split);
    free(fft);
}

/* The first pass: neighbours have their own twiddle factors, and each of their four results goes into every fourth
 * place. */
static void first_pass(int64_t quarter, const double *restrict w, const double *restrict xr, const double *restrict xi,
                       double *restrict yr, double *restrict yi)
{
    for (int64_t p = 0; p < quarter; p++) {
        double ar = xr[p] + xr[p + 2 * quarter], ai = xi[p] + xi[p + 2 * quarter];
        double br = xr[p] - xr[p + 2 * quarter], bi = xi[p] - xi[p + 2 * quarter];
        double cr = xr[p + quarter] + xr[p + 3 * quarter], ci = xi[p + quarter] + xi[p + 3 * quarter];
        double dr = xi[p + quarter] - xi[p + 3 * quarter], di = xr[p + 3 * quarter] - xr[p + quarter]; /* times -i */
        double er = br + dr, ei = bi + di, fr = ar - cr, fi = ai - ci, gr = br - dr, gi = bi - di;
        double *real = yr + 4 * p, *imaginary = yi + 4 * p;
        real[0] = ar + cr;
        imaginary[0] = ai + ci;
        real[1] = er * w[p] + ei * w[p + quarter]; /* times cos - i sin */
        imaginary[1] = ei * w[p] - er * w[p + quarter];
        real[2] = fr * w[p + 2 * quarter] + fi * w[p + 3 * quarter];
        imaginary[2] = fi * w[p + 2 * quarter] - fr * w[p + 3 * quarter];
        real[3] = gr * w[p + 4 * quarter] + gi * w[p + 5 * quarter];
        imaginary[3] = gi * w[p + 4 * quarter] - gr * w[p + 5 * quarter];
    }
}

/* A later pass: `groups` butterflies of `stride` neighbours each (a multiple of 4), which share their factors. */
static void later_pass(int64_t groups, int64_t stride, const double *twiddle, const double *xr, const double *xi,
                       double *yr, double *yi)
{
    const int64_t quarter = groups * stride;
    for (int64_t p = 0; p < groups; p++) {
        const double c1 = twiddle[p], s1 = twiddle[groups + p], c2 = twiddle[2 * groups + p],
                     s2 = twiddle[3 * groups + p], c3 = twiddle[4 * groups + p], s3 = twiddle[5 * groups + p];
        for (int64_t q = 0; q < stride; q += 4) {
            const double *ur = xr + p * stride + q, *ui = xi + p * stride + q;
            double *vr = yr + 4 * p * stride + q, *vi = yi + 4 * p * stride + q;
            const double4 r0 = *(const double4_at *)(ur), r1 = *(const double4_at *)(ur + quarter),
                          r2 = *(const double4_at *)(ur + 2 * quarter), r3 = *(const double4_at *)(ur + 3 * quarter);
            const double4 i0 = *(const double4_at *)(ui), i1 = *(const double4_at *)(ui + quarter),
                          i2 = *(const double4_at *)(ui + 2 * quarter), i3 = *(const double4_at *)(ui + 3 * quarter);
            const double4 ar = r0 + r2, ai = i0 + i2, br = r0 - r2, bi = i0 - i2, cr = r1 + r3, ci = i1 + i3;
            const double4 dr = i1 - i3, di = r3 - r1; /* times -i */
            const double4 er = br + dr, ei = bi + di, fr = ar - cr, fi = ai - ci, gr = br - dr, gi = bi - di;
            *(double4_at *)(vr) = ar + cr;
            *(double4_at *)(vi) = ai + ci;
            *(double4_at *)(vr + stride) = er * c1 + ei * s1; /* times cos - i sin */
            *(double4_at *)(vi + stride) = ei * c1 - er * s1;
            *(double4_at *)(vr + 2 * stride) = fr * c2 + fi * s2;
            *(double4_at *)(vi + 2 * stride) = fi * c2 - fr * s2;
            *(double4_at *)(vr + 3 * stride) = gr * c3 + gi * s3;
            *(double4_at *)(vi + 3 * stride) = gi * c3 - gr * s3;
        }
    }
}

static void last_radix_2(int64_t stride, const double *restrict xr, const double *restrict xi, double *restrict yr,
                         double *restrict yi)
{
    for (int64_t q = 0; q < stride; q++) {
        yr[q] = xr[q] + xr[q + stride];
        yi[q] = xi[q] + xi[q + stride];
        yr[q + stride] = xr[q] - xr[q + stride];
        yi[q + stride] = xi[q] - xi[q + stride];
    }
}

/* A buffer of `count` complex numbers: count real parts, then count imaginary parts. Transforms `data`, using `other`;
 * returns whichever holds the result. With the two parts exchanged before and after it is the inverse. */
static double *transform(const struct fft *fft, int64_t count, double *data, double *other, bool inverse)
{
    const double *twiddle = fft->twiddle;
    int64_t stride = 1, n = count, imaginary = inverse ? 0 : count, real = inverse ? count : 0;
    for (; n >= 4; twiddle += 6 * (n / 4), n /= 4, stride *= 4) {
        if (stride == 1)
            first_pass(n / 4, twiddle, data + real, data + imaginary, other + real, other + imaginary);
        else
            later_pass(n / 4, stride, twiddle, data + real, data + imaginary, other + real, other + imaginary);
        double *swap = data;
        data = other;
        other = swap;
    }
    if (n == 2) {
        last_radix_2(stride, data + real, data + imaginary, other + real, other + imaginary);
        return other;
    }
    return data;
}

const double *fft_complex_half(const struct fft *fft, double *data, double *other)
{
    return transform(fft, fft->length / 2, data, other, false);
}

void fft_real(const struct fft *fft, const double *input, double complex *output, double complex *work)
{
    int64_t half = fft->length / 2, kept = fft->length / 4 + 1;
    double *data = (double *)work;
    for (int64_t i = 0; i < half; i++) {
        data[i] = input[2 * i];
        data[half + i] = input[2 * i + 1];
    }
    const double *zr = transform(fft, half, data, data + 2 * half, false), *zi = zr + half;
    const double *cosine = fft->split, *sine = fft->split + kept;
    double *out = (double *)output; /* C11 stores a complex number as its two parts */
    output[0] = zr[0] + zi[0];
    output[half] = zr[0] - zi[0];
    /* X(k) = E(k) + exp(-2 pi i k / n) O(k), where E, O are the transforms of the even and odd samples: the parts of Z
     * that are even and odd under Z(half - k)*. */
    for (int64_t k = 1; k <= half / 2; k++) {
        int64_t m = half - k;
        double even_real = 0.5 * (zr[k] + zr[m]), even_imaginary = 0.5 * (zi[k] - zi[m]);
        double odd_real = 0.5 * (zi[k] + zi[m]), odd_imaginary = 0.5 * (zr[m] - zr[k]);
        double tr = odd_real * cosine[k] + odd_imaginary * sine[k], ti = odd_imaginary * cosine[k] - odd_real * sine[k];
        out[2 * k] = even_real + tr;
        out[2 * k + 1] = even_imaginary + ti;
        out[2 * m] = even_real - tr;
        out[2 * m + 1] = ti - even_imaginary;
    }
}

void fft_real_inverse(const struct fft *fft, const double complex *input, double *output, double complex *work)
{
    int64_t half = fft->length / 2, kept = fft->length / 4 + 1;
    const double *cosine = fft->split, *sine = fft->split + kept;
    double *zr = (double *)work, *zi = zr + half;
    zr[0] = creal(input[0]) + creal(input[half]);
    zi[0] = creal(input[0]) - creal(input[half]);
    for (int64_t k = 1; k <= half / 2; k++) {
        int64_t m = half - k;
        double even_real = creal(input[k]) + creal(input[m]), even_imaginary = cimag(input[k]) - cimag(input[m]);
        double tr = creal(input[k]) - creal(input[m]), ti = cimag(input[k]) + cimag(input[m]);
        double odd_real = tr * cosine[k] - ti * sine[k], odd_imaginary = ti * cosine[k] + tr * sine[k];
        zr[m] = even_real + odd_imaginary;
        zi[m] = odd_real - even_imaginary;
        zr[k] = even_real - odd_imaginary;
        zi[k] = odd_real + even_imaginary;
    }
    const double *result = transform(fft, half, zr, zr + 2 * half, true);
    double scale = 1 / (double)fft->length;
    for (int64_t i = 0; i < half; i++) {
        output[2 * i] = result[i] * scale;
        output[2 * i + 1] = result[half + i] * scale;
    }
}
