/* Long transforms against the plain sum in long double, at some of the bins, and there and back. */
#include "support/test_support.h"

#include "core/fft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void long_transforms_equal_the_plain_sum(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 0);
    for (int64_t n = 2; n <= 65536; n *= 2) {
        struct fft *fft;
        assert_ok(fft_create(n, &fft));
        double *x = guarded_allocate((size_t)n * sizeof *x), *back = guarded_allocate((size_t)n * sizeof *back);
        double complex *y = guarded_allocate((size_t)(n / 2 + 1) * sizeof *y);
        double complex *work = guarded_allocate((size_t)n * sizeof *work);
        double norm = 0, worst = 0;
        for (int64_t i = 0; i < n; i++) {
            x[i] = rng_normal(&rng);
            norm += x[i] * x[i];
        }
        norm = sqrt(norm);
        fft_real(fft, x, y, work);
        for (int bin = 0; bin < 24; bin++) {
            int64_t k = bin == 0   ? 0
                        : bin == 1 ? n / 2
                        : bin == 2 ? n / 4
                                   : (int64_t)rng_below(&rng, (uint64_t)(n / 2 + 1));
            long double re = 0, im = 0;
            for (int64_t i = 0; i < n; i++) {
                long double angle = -2 * M_PIl * (long double)(i * k % n) / (long double)n;
                re += x[i] * cosl(angle);
                im += x[i] * sinl(angle);
            }
            double error = hypot(creal(y[k]) - (double)re, cimag(y[k]) - (double)im) / norm;
            worst = fmax(worst, error);
            if (!(error <= 2e-15))
                fail_msg("length %lld, bin %lld: error %.3g of the norm", (long long)n, (long long)k, error);
        }
        fft_real_inverse(fft, y, back, work);
        for (int64_t i = 0; i < n; i++)
            if (!(fabs(back[i] - x[i]) <= 1e-14))
                fail_msg("length %lld: sample %lld came back as %.17g, expected %.17g", (long long)n, (long long)i,
                         back[i], x[i]);
        printf("length %6lld: worst error %.2g of the norm\n", (long long)n, worst);
        guarded_free(x);
        guarded_free(back);
        guarded_free(y);
        guarded_free(work);
        fft_destroy(fft);
    }
}

/* The imaginary parts of the first and the middle bin of a real signal are 0: the inverse may not read them. */
static void inverse_ignores_what_a_real_signal_cannot_have(void **state)
{
    (void)state;
    struct fft *fft;
    assert_ok(fft_create(16, &fft));
    double complex bins[9] = {3 + 5 * I, 1 + 2 * I, 0, -2 * I, 0, 0, 0, 0, 1 + 7 * I}, work[16];
    double x[16], y[16];
    fft_real_inverse(fft, bins, x, work);
    bins[0] = 3;
    bins[8] = 1;
    fft_real_inverse(fft, bins, y, work);
    assert_memory_equal(x, y, sizeof x);
    fft_destroy(fft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_transforms_equal_the_plain_sum),
        cmocka_unit_test(inverse_ignores_what_a_real_signal_cannot_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
