/* The weights are made in double, bin by bin, by the formula of the triangle: two lines, of which the lower one counts. */
#include "core/mel_bank.h"

#include <math.h>

double mel_of_hertz(double hertz)
{
    return hertz < 1000.0 ? 3.0 * hertz / 200.0 : 15.0 + 27.0 * log(hertz / 1000.0) / log(6.4);
}

double hertz_of_mel(double mel)
{
    return mel < 15.0 ? 200.0 * mel / 3.0 : 1000.0 * exp((mel - 15.0) * log(6.4) / 27.0);
}

void mel_bank_fill(const struct mel_bank *bank, int64_t band, double *weights, int32_t *first, int32_t *length)
{
    double bottom = mel_of_hertz(bank->lowest), top = mel_of_hertz(bank->highest);
    double step = (top - bottom) / (double)(bank->bands + 1);
    double left = hertz_of_mel(bottom + step * (double)band), middle = hertz_of_mel(bottom + step * (double)(band + 1)),
           right = hertz_of_mel(bottom + step * (double)(band + 2));
    int64_t begin = 0, end = 0;
    for (int64_t k = 0; k < bank->bins; k++) {
        double hertz = (double)k * bank->hertz_per_bin;
        double rise = (hertz - left) / (middle - left), fall = (right - hertz) / (right - middle);
        double height = fmin(rise, fall);
        weights[k] = height > 0 ? height * 2.0 / (right - left) : 0;
        if (height > 0) {
            if (!end)
                begin = k;
            end = k + 1;
        }
    }
    *first = (int32_t)begin;
    *length = (int32_t)(end ? end - begin : 0);
}
