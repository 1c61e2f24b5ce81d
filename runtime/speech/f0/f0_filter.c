/* The band-pass in front of every other stage: a voice's fundamental and the harmonics that reveal it lie between 50
 * and 1500 Hz. It is computed as a sum over its taps and not by an FFT, whose rounding would leave a trace of sound in
 * digital silence, and silence is recognised by being exactly 0. */
#include "speech/f0/f0_stages.h"

#include "core/double4.h"

#include <math.h>

static double taps[F0_TAPS];

/* Window design: the ideal band-pass response times a Hamming window, scaled to gain 1 in the middle of the band. */
void f0_filter_prepare(void)
{
    const double low = 50.0 / (F0_RATE / 2.0), high = 1500.0 / (F0_RATE / 2.0), middle = (low + high) / 2;
    double gain = 0;
    for (int n = 0; n < F0_TAPS; n++) {
        double m = n - (F0_TAPS - 1) / 2.0;
        double ideal = m == 0 ? high - low : (sin(M_PI * high * m) - sin(M_PI * low * m)) / (M_PI * m);
        taps[n] = ideal * (0.54 - 0.46 * cos(2 * M_PI * n / (F0_TAPS - 1)));
        gain += taps[n] * cos(M_PI * middle * m);
    }
    for (int n = 0; n < F0_TAPS; n++)
        taps[n] /= gain;
}

/* The sum for each output runs over the taps in order, a block of neighbouring outputs at a time. Silence stays
 * exactly silent, which an FFT would not give. */
void f0_filter(const double *input, int64_t count, double *output)
{
    enum { BLOCK = 16 };
    int64_t n = 0;
    for (; n < F0_TAPS - 1 && n < count; n++) {
        double sum = 0;
        for (int64_t k = 0; k <= n; k++)
            sum += taps[k] * input[n - k];
        output[n] = sum;
    }
    for (; n + BLOCK <= count; n += BLOCK) {
        double4 a = {0}, b = {0}, c = {0}, d = {0};
        for (int k = 0; k < F0_TAPS; k++) {
            const double4_at *from = (const double4_at *)(input + n - k);
            a += from[0] * taps[k];
            b += from[1] * taps[k];
            c += from[2] * taps[k];
            d += from[3] * taps[k];
        }
        double4_at *to = (double4_at *)(output + n);
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
    for (; n < count; n++) {
        double sum = 0;
        for (int k = 0; k < F0_TAPS; k++)
            sum += taps[k] * input[n - k];
        output[n] = sum;
    }
}
