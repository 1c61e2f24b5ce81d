/* log-mel against torch.stft in float64 with the filter bank of transformers (tests/oracles/make_log_mel.py). */
#include "speech/embedded/log_mel.h"

#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void read_exactly(FILE *file, void *data, size_t size)
{
    assert_int_equal(fread(data, 1, size, file), size);
}

static void test_golden(void **state)
{
    (void)state;
    FILE *file = fopen(TEST_GOLDEN_DIRECTORY "/log_mel.bin", "rb");
    assert_non_null(file);
    int cases = 0;
    double worst = 0;
    int64_t header[3];
    while (fread(header, sizeof header, 1, file) == 1) {
        int64_t count = header[0], frames = header[2];
        int bands = (int)header[1];
        assert_int_equal(log_mel_frames(count), frames);
        int16_t *raw = malloc((size_t)count * sizeof *raw);
        size_t values = (size_t)(frames * bands);
        float *expected = malloc(values * sizeof *expected);
        float *samples = guarded_allocate((size_t)count * sizeof *samples);
        float *actual = guarded_allocate(values * sizeof *actual);
        read_exactly(file, raw, (size_t)count * sizeof *raw);
        read_exactly(file, expected, values * sizeof *expected);
        for (int64_t i = 0; i < count; i++)
            samples[i] = (float)raw[i] / 32768.0f;
        struct log_mel *mel;
        assert_ok(log_mel_create(bands, &mel));
        assert_int_equal(log_mel_bands(mel), bands);
        assert_ok(log_mel_compute(mel, samples, count, actual));
        for (size_t i = 0; i < values; i++) {
            double error = fabs((double)actual[i] - (double)expected[i]);
            worst = fmax(worst, error);
            if (!(error <= 2e-6))
                fail_msg("case %d, %lld samples, frame %zu, band %zu: %.8g, expected %.8g", cases, (long long)count,
                         i / (size_t)bands, i % (size_t)bands, (double)actual[i], (double)expected[i]);
        }
        log_mel_free(mel);
        guarded_free(actual);
        guarded_free(samples);
        free(expected);
        free(raw);
        cases++;
    }
    assert_true(feof(file));
    fclose(file);
    assert_int_equal(cases, 7);
    printf("largest difference of a log-mel value: %.2g\n", worst);
}

/* A tone's strongest band is the one whose triangle holds it, and one step in time is one step in frames. */
static void test_tone_and_shift(void **state)
{
    (void)state;
    enum { COUNT = 8000, FRAMES = COUNT / LOG_MEL_HOP, BANDS = 80 };
    float *samples = malloc((COUNT + LOG_MEL_HOP) * sizeof *samples);
    float *mel = malloc(FRAMES * BANDS * sizeof *mel), *later = malloc((FRAMES + 1) * BANDS * sizeof *later);
    struct log_mel *tables;
    assert_ok(log_mel_create(BANDS, &tables));
    for (int i = 0; i < COUNT + LOG_MEL_HOP; i++)
        samples[i] = (float)(0.3 * sin(2.0 * 3.14159265358979 * 2000.0 * i / 16000.0) +
                             0.1 * sin(2.0 * 3.14159265358979 * 0.0625 * i * i / 16000.0));
    assert_ok(log_mel_compute(tables, samples + LOG_MEL_HOP, COUNT, mel));
    assert_ok(log_mel_compute(tables, samples, COUNT + LOG_MEL_HOP, later));
    /* 2000 Hz lies at mel 15 + 27 ln 2 / ln 6.4 = 25.08; a band is 45.25 / 81 mel wide. */
    double place = (15.0 + 27.0 * log(2.0) / log(6.4)) / ((15.0 + 27.0 * log(8.0) / log(6.4)) / 81.0);
    for (int t = 4; t < FRAMES - 4; t++) {
        int best = 0;
        for (int b = 1; b < BANDS; b++)
            if (mel[t * BANDS + b] > mel[t * BANDS + best])
                best = b;
        if (!(fabs(best + 1 - place) <= 0.5 + 1e-9))
            fail_msg("frame %d: band %d, the tone lies at %.2f", t, best, place - 1);
        for (int b = 0; b < BANDS; b++)
            assert_true(mel[t * BANDS + b] == later[(t + 1) * BANDS + b]);
    }
    log_mel_free(tables);
    free(samples);
    free(mel);
    free(later);
}

static void test_limits(void **state)
{
    (void)state;
    struct log_mel *mel;
    assert_fails(log_mel_create(0, &mel), STATUS_INTERNAL, "mel bands, found 0");
    assert_fails(log_mel_create(257, &mel), STATUS_INTERNAL, "mel bands, found 257");
    assert_ok(log_mel_create(1, &mel));
    float nothing = 7;
    assert_ok(log_mel_compute(mel, &nothing, 1, &nothing));
    assert_true(nothing == 7);
    log_mel_free(mel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_tone_and_shift),
                                       cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
