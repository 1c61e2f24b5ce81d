/* What goes into a speech encoder and what its features become: normalised waveforms and log-mel spectra; against
 * definitions in double, and to the bit against the embedded tokenizer's own code. */
#include "speech/embedded/log_mel.h"
#include "support/kernel_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3};
enum { GAP = 5 };

/* Rows of samples `samples` + GAP apart about a mean, NaN between them and behind their lengths. */
static struct tensor make_rows(struct rng *rng, int64_t batch, int64_t samples, const int64_t *lengths, double mean)
{
    struct tensor x = tensor_normal(rng, DTYPE_F32, batch * (samples + GAP), 0.1);
    for (int64_t i = 0; i < x.count; i++)
        tensor_set(&x, i, i % (samples + GAP) < lengths[i / (samples + GAP)] ? x.values[i] + mean : NAN);
    return x;
}

static struct tensor length_tensor(int64_t batch, const int64_t *lengths)
{
    struct tensor tensor = tensor_zero(DTYPE_I32, batch);
    for (int64_t b = 0; b < batch; b++)
        tensor_set(&tensor, b, (double)lengths[b]);
    return tensor;
}

/* ---- waveform_normalise ---- */

static void normalise_reference(const struct tensor *x, int64_t batch, int64_t samples, const int64_t *lengths,
                                double epsilon, double *expected)
{
    for (int64_t b = 0; b < batch; b++) {
        const double *row = x->values + b * (samples + GAP);
        double sum = 0, squares = 0, count = (double)lengths[b];
        for (int64_t i = 0; i < lengths[b]; i++)
            sum += row[i];
        for (int64_t i = 0; i < lengths[b]; i++)
            squares += pow(row[i] - sum / count, 2);
        for (int64_t i = 0; i < samples + GAP; i++)
            expected[b * (samples + GAP) + i] = i >= samples ? 7
                                                : i < lengths[b]
                                                    ? (row[i] - sum / count) / sqrt(squares / count + epsilon)
                                                    : 0;
    }
}

static void waveforms_are_normalised(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t sizes[] = {1,   2,   3,   7,   8,   9,   15,  16,   17,   31,   32,   33,   63,    64,    65,     127,
                             128, 129, 255, 257, 511, 513, 999, 2049, 4095, 8191, 8193, 9000, 16384, 16385, 270000, 0};
    for (int s = 0; s < 64; s++) {
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        int64_t samples = sizes[s / 2], lengths[3] = {samples, samples / 3, samples > 0};
        struct tensor x = make_rows(&rng, 3, samples, lengths, s % 4 ? 0.01 : 100);
        struct tensor row_lengths = length_tensor(3, lengths), first = {0};
        double *expected = doubles(x.count), epsilon = s % 3 ? 1e-5 : 1e-7;
        normalise_reference(&x, 3, samples, lengths, epsilon, expected);
        for (int i = 0; i < 4; i++) { /* at last in place */
            if (i < 3 && i >= test_repeats(3))
                continue;
            struct tensor y = i == 3 && type == DTYPE_F32 ? tensor_copy(&x) : tensor_zero(type, x.count);
            tensor_fill_gaps(&y, samples, samples + GAP, 7);
            struct waveform_normalise p = {.batch = 3,
                                           .samples = samples,
                                           .x = tensor_device(i == 3 && type == DTYPE_F32 ? &y : &x),
                                           .output = tensor_device(&y),
                                           .x_stride = samples + GAP,
                                           .output_stride = samples + GAP,
                                           .lengths = tensor_device(&row_lengths),
                                           .epsilon = epsilon,
                                           .type = type};
            size_t scratch = test_kernels()->waveform_normalise_scratch_size(&p);
            assert_ok(test_kernels()->waveform_normalise(test_context(thread_counts[i % 3], scratch), &p));
            tensor_check_gaps("waveform", &y, samples, samples + GAP, 7);
            assert_tensor("waveform", &y, expected, 2e-6, 1.01);
            if (i == 0) {
                first = y;
                continue;
            }
            assert_same_bits("waveform", &first, &y);
            tensor_free(&y);
        }
        tensor_free(&first);
        tensor_free(&x);
        tensor_free(&row_lengths);
        free(expected);
    }
}

/* ---- log_mel_spectrum ---- */

struct spectrum {
    int64_t batch, samples, window_size, hop, padding, bands, frames;
    int64_t lengths[3];
    bool magnitude, mirrored;
    double offset, floor;
    struct tensor x, window, weights, first, length, place, row_lengths;
};

static struct log_mel_spectrum describe(struct spectrum *q, struct tensor *output)
{
    return (struct log_mel_spectrum){.batch = q->batch,
                                     .samples = q->samples,
                                     .frames = q->frames,
                                     .bands = q->bands,
                                     .window_size = q->window_size,
                                     .hop = q->hop,
                                     .padding = q->padding,
                                     .x = tensor_device(&q->x),
                                     .x_stride = q->samples + GAP,
                                     .lengths = tensor_device(&q->row_lengths),
                                     .window = tensor_device(&q->window),
                                     .weights = tensor_device(&q->weights),
                                     .weight_count = q->weights.count,
                                     .band_first = tensor_device(&q->first),
                                     .band_length = tensor_device(&q->length),
                                     .band_offset = tensor_device(&q->place),
                                     .output = output ? tensor_device(output) : NULL,
                                     .offset = q->offset,
                                     .floor = q->floor,
                                     .magnitude = q->magnitude,
                                     .mirrored = q->mirrored};
}

static void free_spectrum(struct spectrum *q)
{
    struct tensor *all[] = {&q->x, &q->window, &q->weights, &q->first, &q->length, &q->place, &q->row_lengths};
    for (int i = 0; i < 7; i++)
        tensor_free(all[i]);
}

/* Frames whose samples lie in [-padding, length + padding). */
static int64_t frames_of(const struct spectrum *q, int64_t length)
{
    int64_t frames = 0;
    while (length > 0 && frames * q->hop - q->padding + q->window_size <= length + q->padding)
        frames++;
    return frames;
}

/* Bands of all widths, from none to the whole spectrum, with random weights. */
static struct spectrum make_spectrum(struct rng *rng, int64_t window_size, int64_t samples, int variant)
{
    struct spectrum q = {.batch = 3,
                         .samples = samples,
                         .window_size = window_size,
                         .hop = 100 - 7 * variant,
                         .bands = variant == 3 ? 131 /* more than a block has threads */ : 5 + variant};
    int64_t bins = window_size / 2 + 1, lengths[3] = {samples, samples / 2, 90};
    q.padding = variant & 1 ? window_size / 2 : (window_size - q.hop) / 3;
    q.mirrored = variant & 2;
    q.magnitude = variant & 4;
    q.offset = variant & 4 ? 1e-9 : 0;
    q.floor = variant & 1 ? 1e-5 : 1e-10;
    q.frames = frames_of(&q, samples);
    memcpy(q.lengths, lengths, sizeof lengths);
    q.x = make_rows(rng, 3, samples, lengths, 0.05);
    q.row_lengths = length_tensor(3, lengths);
    q.window = tensor_normal(rng, DTYPE_F64, window_size, 1);
    q.first = tensor_zero(DTYPE_I32, q.bands);
    q.length = tensor_zero(DTYPE_I32, q.bands);
    q.place = tensor_zero(DTYPE_I32, q.bands);
    q.weights = tensor_normal(rng, DTYPE_F64, 3 * bins, 1);
    for (int64_t i = 0; i < 3 * bins; i++)
        tensor_set(&q.weights, i, fabs(q.weights.values[i]));
    for (int64_t m = 0; m < q.bands; m++) {
        int64_t length = m == 0 ? 0 : m == 1 ? bins : 1 + (int64_t)rng_below(rng, (uint64_t)bins);
        tensor_set(&q.length, m, (double)length);
        tensor_set(&q.first, m, (double)rng_below(rng, (uint64_t)(bins - length + (length > 0))));
        tensor_set(&q.place, m, (double)rng_below(rng, (uint64_t)(3 * bins - length + 1)));
    }
    return q;
}

static double sample_of(const struct spectrum *q, int64_t b, int64_t index)
{
    const double *row = q->x.values + b * (q->samples + GAP);
    int64_t count = q->lengths[b];
    if (index >= 0 && index < count)
        return row[index];
    if (!q->mirrored || count <= q->padding)
        return 0;
    return index < 0 ? row[-index] : row[count - 1 - (index - (count - 1))];
}

/* By the transform's definition. */
static void reference_spectrum(const struct spectrum *q, double *expected)
{
    int64_t size = q->window_size, bins = size / 2 + 1;
    double *turn = doubles(size), *power = doubles(bins);
    for (int64_t i = 0; i < size; i++)
        turn[i] = cos(2 * acos(-1) * (double)i / (double)size);
    for (int64_t b = 0; b < q->batch; b++)
        for (int64_t t = 0; t < frames_of(q, q->lengths[b]); t++) {
            for (int64_t k = 0; k < bins; k++) {
                double re = 0, im = 0;
                for (int64_t i = 0; i < size; i++) {
                    double x = q->window.values[i] * sample_of(q, b, t * q->hop - q->padding + i);
                    re += x * turn[k * i % size];
                    im -= x * turn[(k * i + 3 * size / 4) % size]; /* cos(a - pi/2) = sin(a) */
                }
                power[k] = re * re + im * im + q->offset;
                power[k] = q->magnitude ? sqrt(power[k]) : power[k];
            }
            for (int64_t m = 0; m < q->bands; m++) {
                double sum = 0;
                for (int64_t i = 0; i < (int64_t)q->length.values[m]; i++)
                    sum += q->weights.values[(int64_t)q->place.values[m] + i] * power[(int64_t)q->first.values[m] + i];
                expected[(b * q->frames + t) * q->bands + m] = log(sum > q->floor ? sum : q->floor);
            }
        }
    free(turn);
    free(power);
}

static void spectra_equal_the_definition(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int variant = 0; variant < 8; variant++)
        for (int64_t size = 256; size <= 2048; size *= 2) {
            struct spectrum q = make_spectrum(&rng, size, size + 613 - 31 * variant, variant);
            struct tensor first = {0};
            double *expected = doubles(q.batch * q.frames * q.bands);
            reference_spectrum(&q, expected);
            for (int i = 0; i < test_repeats(3); i++) {
                struct tensor y = tensor_make(DTYPE_F32, q.batch * q.frames * q.bands);
                struct log_mel_spectrum p = describe(&q, &y);
                size_t scratch = test_kernels()->log_mel_spectrum_scratch_size(&p);
                assert_ok(test_kernels()->log_mel_spectrum(test_context(thread_counts[i], scratch), &p));
                assert_tensor("spectrum", &y, expected, 2e-6, 0);
                if (i == 0) {
                    first = y;
                    continue;
                }
                assert_same_bits("spectrum", &first, &y);
                tensor_free(&y);
            }
            tensor_free(&first);
            free_spectrum(&q);
            free(expected);
        }
}

/* The embedded tokenizer's spectra, to the bit, also of recordings shorter than a window; CUDA may round another way. */
static void spectra_have_the_tokenizers_bits(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    const int64_t counts[] = {159, 160, 400, 432, 433, 1000, 12345, 16000};
    struct log_mel *mel;
    assert_ok(log_mel_create(80, &mel));
    for (int c = 0; c < 8; c++) {
        struct spectrum q = {.batch = 1,
                             .samples = counts[c],
                             .window_size = LOG_MEL_WINDOW,
                             .hop = LOG_MEL_HOP,
                             .padding = (LOG_MEL_WINDOW - LOG_MEL_HOP) / 2,
                             .bands = 80,
                             .lengths = {counts[c]},
                             .magnitude = true,
                             .mirrored = true,
                             .offset = 1e-9,
                             .floor = 1e-5};
        q.frames = frames_of(&q, q.samples);
        assert_int_equal(q.frames, log_mel_frames(q.samples));
        q.x = make_rows(&rng, 1, q.samples, q.lengths, 0.001);
        q.row_lengths = length_tensor(1, q.lengths);
        q.window = tensor_zero(DTYPE_F64, LOG_MEL_WINDOW);
        for (int i = 0; i < LOG_MEL_WINDOW; i++)
            tensor_set(&q.window, i, 0.5 - 0.5 * cos(2.0 * 3.14159265358979323846 * i / LOG_MEL_WINDOW));
        q.weights = tensor_zero(DTYPE_F64, 80 * LOG_MEL_BINS);
        q.first = tensor_zero(DTYPE_I32, 80);
        q.length = tensor_zero(DTYPE_I32, 80);
        q.place = tensor_zero(DTYPE_I32, 80);
        for (int m = 0; m < 80; m++) {
            struct log_mel_band band = log_mel_band(mel, m);
            tensor_set(&q.first, m, band.first);
            tensor_set(&q.length, m, band.length);
            tensor_set(&q.place, m, m * LOG_MEL_BINS);
            for (int i = 0; i < band.length; i++)
                tensor_set(&q.weights, m * LOG_MEL_BINS + i, band.weights[i]);
        }
        struct tensor y = tensor_make(DTYPE_F32, q.frames * 80), theirs;
        float *expected = malloc((size_t)q.frames * 80 * sizeof(float) + 1);
        assert_ok(log_mel_compute(mel, tensor_host(&q.x), q.samples, expected));
        theirs = tensor_from(DTYPE_F32, q.frames * 80, expected);
        struct log_mel_spectrum p = describe(&q, &y);
        assert_ok(test_kernels()->log_mel_spectrum(test_context(2, 0), &p));
        if (test_kernels_cpu())
            assert_same_bits("log-mel", &theirs, &y);
        else
            assert_tensor("log-mel", &y, theirs.values, 1e-6, 0);
        free(expected);
        tensor_free(&theirs);
        tensor_free(&y);
        free_spectrum(&q);
    }
    log_mel_free(mel);
}

/* ---- strides and traffic ---- */

/* Two rows of `count` numbers, the second WIDE elements after the first, with nothing between them. */
static const int64_t WIDE = (INT64_C(1) << 31) + 64;

static float *wide_rows(const float *rows, int64_t count)
{
    const struct device_context *context = test_context(1, 0);
    float *memory = test_sparse_memory((size_t)(WIDE + count) * sizeof *memory);
    for (int64_t b = 0; memory && rows && b < 2; b++)
        assert_ok(test_kernels()->copy_to_device(context, QUEUE_COMPUTE, memory + b * WIDE, rows + b * count,
                                                 (size_t)count * sizeof *rows));
    assert_ok(test_kernels()->synchronize(context));
    return memory;
}

static void assert_wide_rows(const float *memory, const double *expected, int64_t count)
{
    const struct device_context *context = test_context(1, 0);
    float *found = calloc((size_t)count, sizeof *found);
    for (int64_t b = 0; b < 2; b++) {
        assert_ok(test_kernels()->copy_to_host(context, QUEUE_COMPUTE, found, memory + b * WIDE,
                                               (size_t)count * sizeof *found));
        assert_ok(test_kernels()->synchronize(context));
        for (int64_t i = 0; i < count; i++)
            if (!(fabs((double)found[i] - expected[b * count + i]) <= 2e-6))
                fail_msg("row %lld, number %lld is %.9g, expected %.9g", (long long)b, (long long)i, (double)found[i],
                         expected[b * count + i]);
    }
    free(found);
}

/* Rows more than 2^31 elements apart give what they give side by side. */
static void strides_are_64_bits_wide(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct rng rng = test_rng(8);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 2 * COUNT, 1), y = tensor_make(DTYPE_F32, 2 * COUNT);
    float *from = wide_rows(tensor_host(&x), COUNT), *to = wide_rows(NULL, COUNT);
    for (int wide = 0; from && to && wide < 2; wide++) { /* the first time fills what is expected */
        struct waveform_normalise p = {.batch = 2,
                                       .samples = COUNT,
                                       .x = wide ? from : tensor_device(&x),
                                       .output = wide ? to : tensor_device(&y),
                                       .x_stride = wide ? WIDE : COUNT,
                                       .output_stride = wide ? WIDE : COUNT,
                                       .epsilon = 1e-5};
        size_t scratch = test_kernels()->waveform_normalise_scratch_size(&p);
        assert_ok(test_kernels()->waveform_normalise(test_context(1, scratch), &p));
    }
    if (from && to) {
        assert_wide_rows(to, tensor_read(&y), COUNT);
        test_sparse_release(from);
        test_sparse_release(to);
    }
    tensor_free(&x);
    tensor_free(&y);
}

/* Read for the statistics, read for the output, written. */
static void samples_are_moved_once(void **state)
{
    (void)state;
    enum { SAMPLES = 64 << 10 };
    struct rng rng = test_rng(9);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 2 * SAMPLES, 1), y = tensor_make(DTYPE_F32, 2 * SAMPLES);
    struct waveform_normalise p = {.batch = 2,
                                   .samples = SAMPLES,
                                   .x = tensor_device(&x),
                                   .output = tensor_device(&y),
                                   .x_stride = SAMPLES,
                                   .output_stride = SAMPLES,
                                   .epsilon = 1e-5};
    const struct device_context *context = test_context(1, test_kernels()->waveform_normalise_scratch_size(&p));
    test_traffic_begin();
    assert_ok(test_kernels()->waveform_normalise(context, &p));
    assert_traffic("waveform_normalise", 2 * SAMPLES * 12.0, 1.05);
    tensor_free(&x);
    tensor_free(&y);
}

/* ---- what is refused ---- */

static void wrong_indices_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    const char *const texts[] = {
        "log_mel_spectrum: length 1 of 3 is 870, outside 0..869",
        "log_mel_spectrum: band's first bin 2 of 5 is 129, outside 0..128",
        "log_mel_spectrum: band's length 1 of 5 is 130, outside 0..129",
        "log_mel_spectrum: band's offset 3 of 5 is -1, outside 0..387",
    };
    for (int i = 0; i < 4; i++) {
        struct spectrum q = make_spectrum(&rng, 256, 869, 0);
        struct tensor y = tensor_make(DTYPE_F32, q.batch * q.frames * q.bands);
        tensor_set(&q.place, 1, 0);
        struct tensor *which[] = {&q.row_lengths, &q.first, &q.length, &q.place};
        const int64_t places[] = {1, 2, 1, 3};
        const double values[] = {870, 129, 130, -1};
        tensor_set(which[i], places[i], values[i]);
        const struct log_mel_spectrum p0 = describe(&q, &y);
        assert_faults(log_mel_spectrum, p0, (void)p, texts[i]);
        tensor_free(&y);
        free_spectrum(&q);
    }
    int64_t lengths[2] = {3, 11};
    struct tensor x = tensor_zero(DTYPE_F32, 20), y = tensor_zero(DTYPE_F32, 20), l = length_tensor(2, lengths);
    const struct waveform_normalise good = {.batch = 2,
                                            .samples = 10,
                                            .x = tensor_device(&x),
                                            .output = tensor_device(&y),
                                            .x_stride = 10,
                                            .output_stride = 10,
                                            .lengths = tensor_device(&l)};
    assert_faults(waveform_normalise, good, (void)p, "waveform_normalise: length 1 of 2 is 11, outside 0..10");
    tensor_free(&x);
    tensor_free(&y);
    tensor_free(&l);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    const struct device_context *context = test_context(1, 0);
    struct spectrum q = make_spectrum(&rng, 256, 869, 0);
    struct tensor y = tensor_make(DTYPE_F32, q.batch * q.frames * q.bands);
    const struct log_mel_spectrum good = describe(&q, &y);
    assert_refused(log_mel_spectrum, good, p.window_size = 300, "a window of 300");
    assert_refused(log_mel_spectrum, good, p.window_size = 4096, "a window of 4096");
    assert_refused(log_mel_spectrum, good, p.hop = 0, "hop 0");
    assert_refused(log_mel_spectrum, good, p.padding = 256, "padding 256");
    assert_refused(log_mel_spectrum, good, p.frames++, "frames");
    assert_refused(log_mel_spectrum, good, p.bands = 0, "0 bands");
    assert_refused(log_mel_spectrum, good, p.x_stride = 800, "stride");
    assert_refused(log_mel_spectrum, good, p.floor = 0, "floor");
    assert_refused(log_mel_spectrum, good, p.offset = NAN, "offset");
    assert_refused(log_mel_spectrum, good, p.weight_count = -1, "-1 weights");
    assert_refused(log_mel_spectrum, good, p.window = NULL, "null");
    const struct waveform_normalise wave = {
        .batch = 1, .samples = 8, .x = good.x, .output = good.output, .x_stride = 8, .output_stride = 8};
    assert_refused(waveform_normalise, wave, p.samples = -1, "-1 samples");
    assert_refused(waveform_normalise, wave, p.x_stride = 7, "strides of 7");
    assert_refused(waveform_normalise, wave, p.epsilon = -1, "epsilon");
    assert_refused(waveform_normalise, wave, p.type = DTYPE_F64, "type");
    assert_refused(waveform_normalise, wave, p.x = NULL, "null");
    assert_refused(waveform_normalise, wave, p.x = p.output; p.type = DTYPE_BF16, "in x's place");
    tensor_free(&y);
    free_spectrum(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waveforms_are_normalised),         cmocka_unit_test(spectra_equal_the_definition),
        cmocka_unit_test(spectra_have_the_tokenizers_bits), cmocka_unit_test(strides_are_64_bits_wide),
        cmocka_unit_test(samples_are_moved_once),           cmocka_unit_test(wrong_indices_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
