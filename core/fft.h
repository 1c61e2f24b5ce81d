/* Discrete Fourier transforms in double precision, lengths that are powers of two. */
#ifndef SPIRITLM_CORE_FFT_H
#define SPIRITLM_CORE_FFT_H

#include "core/status.h"

#include <complex.h>
#include <stdint.h>

struct fft; /* twiddle factors of one length; read-only after creation, so threads may share it */

enum status fft_create(int64_t length, struct fft **fft); /* a power of two >= 2 */
void fft_destroy(struct fft *fft);

/* output[k] = sum_n input[n] exp(-2 pi i k n / length), k = 0..length/2 (the rest is its conjugate mirror).
 * `work` holds length complex numbers. */
void fft_real(const struct fft *fft, const double *input, double complex *output, double complex *work);

/* The inverse of fft_real, divided by length: from length/2+1 bins to length samples. */
void fft_real_inverse(const struct fft *fft, const double complex *input, double *output, double complex *work);

/* The complex transform of length / 2 numbers that is inside the real one. `data` holds their real parts, then their
 * imaginary parts; so does the result, which lies in `data` or in `other` (of the same size). Both are overwritten. */
const double *fft_complex_half(const struct fft *fft, double *data, double *other);

#endif
