/* Griffin-Lim and the inverse of the mel bank, against spectra computed here by the plain sum. */
#include "speech/embedded/griffin_lim.h"
#include "speech/embedded/tokenizer.h"

#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* Magnitudes [griffin_lim_frames(count)][GRIFFIN_LIM_BINS] of frames centred on 256 t + 128, zeros outside the signal.
 */
static float *plain_magnitudes(const float *samples, int64_t count)
{
    static double cosine[1024], sine[1024], window[1024];
    for (int i = 0; i < 1024; i++) {
        cosine[i] = cos(2 * PI * i / 1024);
        sine[i] = sin(2 * PI * i / 1024);
        window[i] = 0.5 - 0.5 * cosine[i];
    }
    int64_t frames = griffin_lim_frames(count);
    float *magnitudes = malloc((size_t)(frames * GRIFFIN_LIM_BINS) * sizeof *magnitudes);
    for (int64_t t = 0; t < frames; t++)
        for (int k = 0; k < GRIFFIN_LIM_BINS; k++) {
            double re = 0, im = 0;
            for (int64_t i = 0; i < 1024; i++) {
                int64_t at = 256 * t + 128 - 512 + i;
                double x = at >= 0 && at < count ? window[i] * (double)samples[at] : 0;
                re += x * cosine[k * i % 1024];
                im -= x * sine[k * i % 1024];
            }
            magnitudes[t * GRIFFIN_LIM_BINS + k] = (float)sqrt(re * re + im * im);
        }
    return magnitudes;
}

static float *test_signal(int64_t count)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    float *samples = malloc((size_t)count * sizeof *samples);
    for (int64_t i = 0; i < count; i++) {
        double s = (double)i / 16000, sum = 0.01 * rng_normal(&rng);
        for (int h = 1; h <= 12; h++)
            sum += 0.2 / h * cos(2 * PI * h * (120 * s + 60 * s * s) + h * h);
        samples[i] = (float)(sum * (0.6 + 0.4 * sin(2 * PI * 3 * s)));
    }
    return samples;
}

static double spectral_distance(const float *samples, int64_t count, const float *magnitudes)
{
    float *reached = plain_magnitudes(samples, count);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < griffin_lim_frames(count) * GRIFFIN_LIM_BINS; i++) {
        difference += pow((double)reached[i] - (double)magnitudes[i], 2);
        norm += pow((double)magnitudes[i], 2);
    }
    free(reached);
    return sqrt(difference / norm);
}

/* The magnitudes of a signal come back, closer with more rounds; the vocoder's number of them leaves little to gain, and a
 * fifth of it would not do. */
static void test_convergence(void **state)
{
    (void)state;
    enum { COUNT = 12001 };
    float *signal = test_signal(COUNT), *magnitudes = plain_magnitudes(signal, COUNT);
    float *samples = guarded_allocate(COUNT * sizeof *samples);
    double distance[6];
    const int rounds[6] = {0, 8, 64, VOCODER_ITERATIONS / 5, VOCODER_ITERATIONS, 200};
    for (int r = 0; r < 6; r++) {
        assert_ok(griffin_lim(magnitudes, COUNT, rounds[r], 7, 0, NULL, samples));
        distance[r] = spectral_distance(samples, COUNT, magnitudes);
    }
    printf("relative distance of the magnitudes after 0, 8, 64 rounds: %.3f %.3f %.3f\n", distance[0], distance[1],
           distance[2]);
    assert_true(distance[1] < 0.7 * distance[0]);
    assert_true(distance[2] < distance[1]);
    assert_true(distance[2] <= 0.15);
    printf("after %d, %d, %d rounds: %.3f %.3f %.3f\n", rounds[3], rounds[4], rounds[5], distance[3], distance[4],
           distance[5]);
    assert_true(distance[4] <= 0.08); /* 6 rounds leave 0.2 */
    assert_true(distance[3] > 2 * distance[4] && distance[5] > 0.4 * distance[4]);
    guarded_free(samples);
    free(signal);
    free(magnitudes);
}

static void test_threads_and_sizes(void **state)
{
    (void)state;
    const int64_t counts[] = {1, 113, 255, 256, 257, 1023, 4097, 9999};
    float *signal = test_signal(9999);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t bytes = (size_t)counts[c] * sizeof(float);
        float *magnitudes = plain_magnitudes(signal, counts[c]);
        float *first = guarded_allocate(bytes), *other = guarded_allocate(bytes);
        assert_ok(griffin_lim(magnitudes, counts[c], 5, 7, 1, NULL, first));
        for (int64_t i = 0; i < counts[c]; i++)
            assert_true(isfinite(first[i]));
        for (int threads = 1; threads <= 3; threads++) {
            struct thread_pool *pool;
            assert_ok(thread_pool_create(threads, &pool));
            memset(other, 0xFF, bytes);
            assert_ok(griffin_lim(magnitudes, counts[c], 5, 7, 1, pool, other));
            assert_memory_equal(first, other, bytes);
            thread_pool_destroy(pool);
        }
        assert_ok(griffin_lim(magnitudes, counts[c], 5, 8, 1, NULL, other));
        assert_true(memcmp(first, other, bytes) != 0);
        assert_ok(griffin_lim(magnitudes, counts[c], 5, 7, 2, NULL, other));
        assert_true(memcmp(first, other, bytes) != 0);
        guarded_free(first);
        guarded_free(other);
        free(magnitudes);
    }
    assert_ok(griffin_lim(NULL, 0, 5, 7, 1, NULL, NULL));
    free(signal);
}

/* The bands of smooth spectra, as a speech tokenizer's centroids are, are reproduced. */
static void test_mel_inverse(void **state)
{
    (void)state;
    enum { BANDS = 80 };
    struct log_mel *mel;
    assert_ok(log_mel_create(BANDS, &mel));
    for (int shape = 0; shape < 6; shape++) {
        float *magnitudes = guarded_allocate(LOG_MEL_BINS * sizeof *magnitudes), target[BANDS];
        for (int b = 0; b < BANDS; b++) {
            struct log_mel_band band = log_mel_band(mel, b);
            double sum = 0;
            for (int i = 0; i < band.length; i++) {
                double place = (double)(band.first + i) / LOG_MEL_BINS;
                sum += band.weights[i] * exp(-3 * place + 2 * cos((3 + 4 * shape) * place + shape));
            }
            target[b] = (float)log(sum);
        }
        mel_to_magnitudes(mel, target, magnitudes);
        for (int k = 0; k < LOG_MEL_BINS; k++)
            assert_true(magnitudes[k] >= 0 && isfinite(magnitudes[k]));
        for (int b = 0; b < BANDS; b++) {
            struct log_mel_band band = log_mel_band(mel, b);
            double sum = 0;
            for (int i = 0; i < band.length; i++)
                sum += band.weights[i] * (double)magnitudes[band.first + i];
            if (!(fabs(log(sum) - (double)target[b]) <= 0.02))
                fail_msg("shape %d, band %d: %.4f, expected %.4f", shape, b, log(sum), (double)target[b]);
        }
        guarded_free(magnitudes);
    }
    log_mel_free(mel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_convergence), cmocka_unit_test(test_threads_and_sizes),
                                       cmocka_unit_test(test_mel_inverse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
