/* The embedded speech encoders and their fit on a table of kernels against the same on the host: the numbers they are made of,
 * the units of clips of many lengths, several threads at a time, and what a clip asks of a device. */
#include "package/speech_folder.h"
#include "speech/embedded/device.h"
#include "speech/embedded/fit.h"
#include "speech/embedded/kmeans.h"
#include "support/kernel_harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = 6, BANDS = 80, UNITS = 24 };

/* Samples of clips: too short for a unit, as short as one can be, and up to three seconds. */
static const int64_t lengths[CLIPS] = {159, 1279, 1280, 16000, 31999, 48001};
static float *clips[CLIPS];
static char folder[700];
static struct speech *on_host, *on_device;

/* Something like speech: tones that glide, change every tenth of a second and pause, over noise. */
static float *make_clip(struct rng *rng, int64_t count)
{
    float *samples = malloc((size_t)count * sizeof *samples);
    double phase = 0, pitch = 120, level = 0;
    for (int64_t i = 0; samples && i < count; i++) {
        if (i % 1600 == 0) {
            pitch = 90 + 150 * rng_uniform(rng);
            level = rng_below(rng, 4) == 0 ? 0 : 0.2 * rng_uniform(rng);
        }
        phase += 2 * acos(-1) * pitch / 16000;
        double voice = sin(phase) + 0.5 * sin(2 * phase) + 0.3 * sin(7 * phase);
        samples[i] = (float)(level * voice + 0.002 * rng_normal(rng));
    }
    return samples;
}

static enum status fit_on(const struct kernels *kernels, const char *name, char path[700])
{
    const struct speech_fit_options options = {
        .units = UNITS, .pitch_codes = 8, .style_codes = 4, .iterations = 3, .seed = 3, .kernels = kernels};
    struct speech_fit *fit;
    enum status result = STATUS_OK;
    snprintf(path, 700, "%s/%s", test_directory(), name);
    TRY(speech_fit_begin(&options, &fit));
    for (int c = 0; c < CLIPS && result == STATUS_OK; c++)
        result = speech_fit_add(fit, clips[c], lengths[c], c % 2 ? "one" : "other");
    if (result == STATUS_OK)
        result = speech_fit_finish(fit, NULL, path, true);
    speech_fit_free(fit);
fail:
    return result;
}

static int set_up(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int c = 0; c < CLIPS; c++)
        clips[c] = make_clip(&rng, lengths[c]);
    assert_ok(fit_on(NULL, "tokenizer", folder));
    assert_ok(speech_folder_open(folder, &on_host));
    assert_ok(speech_folder_open(folder, &on_device));
    assert_ok(speech_compute_on(on_device, &(struct speech_compute){.device = test_kernels()}));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int c = 0; c < CLIPS; c++)
        free(clips[c]);
    speech_free(on_host);
    speech_free(on_device);
    return 0;
}

/* On the cpu's table the bits of the host's code; a GPU computes in double too, in another order, and rounds once. */
static void spectra_are_those_of_the_host(void **state)
{
    (void)state;
    struct log_mel *mel;
    struct embedded_device *device;
    int64_t numbers = 0, different = 0;
    assert_ok(log_mel_create(BANDS, &mel));
    assert_ok(embedded_device_create(test_kernels(), mel, &device));
    for (int c = 0; c < CLIPS; c++) {
        int64_t count = log_mel_frames(lengths[c]) * BANDS;
        float *expected = malloc((size_t)count * sizeof *expected + 1),
              *found = malloc((size_t)count * sizeof *found + 1);
        assert_ok(log_mel_compute(mel, clips[c], lengths[c], expected));
        assert_ok(embedded_device_log_mel(device, clips[c], lengths[c], found));
        for (int64_t i = 0; i < count; i++) {
            numbers++;
            different += memcmp(&found[i], &expected[i], sizeof *found) != 0;
            if (!(fabsf(found[i] - expected[i]) <= nextafterf(fabsf(expected[i]), INFINITY) - fabsf(expected[i])))
                fail_msg("clip %d: number %lld is %.9g, expected %.9g", c, (long long)i, (double)found[i],
                         (double)expected[i]);
        }
        free(expected);
        free(found);
    }
    printf("log-mel: %lld of %lld numbers differ from the host's, each by one place\n", (long long)different,
           (long long)numbers);
    assert_true(test_kernels_cpu() ? different == 0 : different * 1000 <= numbers);
    embedded_device_free(device);
    log_mel_free(mel);
}

static void distances_have_the_hosts_bits(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct log_mel *mel;
    struct embedded_device *device;
    assert_ok(log_mel_create(BANDS, &mel));
    assert_ok(embedded_device_create(test_kernels(), mel, &device));
    const int64_t shapes[][3] = {{1, 1, 1}, {130, 20, 65}, {31, 7, 33}, {65, 33, 3}}; /* points, dimensions, clusters */
    for (int s = 0; s < 4; s++) {
        int64_t n = shapes[s][0], d = shapes[s][1], k = shapes[s][2];
        float *numbers = malloc((size_t)((n + k) * d + 2 * n * k + 2 * n) * sizeof *numbers);
        float *centroids = numbers + n * d, *expected = centroids + k * d, *found = expected + n * k;
        float *least = found + n * k, *nearest = least + n;
        int32_t *labels = malloc((size_t)(2 * n) * sizeof *labels);
        for (int64_t i = 0; i < (n + k) * d; i++)
            numbers[i] = (float)rng_normal(&rng);
        const struct distance_problem problem = {numbers, centroids, n, d, k};
        assert_ok(kmeans_distances(numbers, n, d, centroids, k, expected));
        assert_ok(embedded_device_distances(device, &problem, found));
        assert_memory_equal(found, expected, (size_t)(n * k) * sizeof *found);
        assert_ok(kmeans_assign(numbers, n, d, centroids, k, NULL, labels, least));
        assert_ok(embedded_device_assign(device, &problem, labels + n, nearest));
        assert_memory_equal(labels, labels + n, (size_t)n * sizeof *labels);
        assert_memory_equal(least, nearest, (size_t)n * sizeof *least);
        assert_ok(embedded_device_assign(device, &problem, NULL, nearest));
        assert_memory_equal(least, nearest, (size_t)n * sizeof *least);
        free(numbers);
        free(labels);
    }
    embedded_device_free(device);
    log_mel_free(mel);
}

static int64_t count_differences(const struct units *a, const struct units *b)
{
    int64_t different = 0;
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        assert_int_equal(a->count[stream], b->count[stream]);
        for (int64_t i = 0; i < a->count[stream]; i++)
            different += a->values[stream][i] != b->values[stream][i];
    }
    return different;
}

static void units_are_those_of_the_host(void **state)
{
    (void)state;
    for (int c = 0; c < CLIPS; c++) {
        struct units expected, found;
        assert_ok(speech_encode(on_host, clips[c], lengths[c], NULL, STREAMS_ALL, &expected));
        assert_ok(speech_encode(on_device, clips[c], lengths[c], NULL, STREAMS_ALL, &found));
        assert_int_equal(found.count[STREAM_HUBERT], lengths[c] / 640 * (lengths[c] >= 1280));
        assert_int_equal(count_differences(&expected, &found), 0);
        units_free(&expected);
        units_free(&found);
    }
}

struct job {
    struct units units[3 * CLIPS];
    enum status status[3 * CLIPS];
};

static void encode_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct job *job = argument;
    int64_t c = task % CLIPS;
    job->status[task] = speech_encode(on_device, clips[c], lengths[c], NULL, STREAMS_BASE, &job->units[task]);
}

/* Threads share the set, as prepare's do; each has a context of its own meanwhile. */
static void threads_encode_at_a_time(void **state)
{
    (void)state;
    struct job job = {.status = {0}};
    struct thread_pool *pool;
    assert_ok(thread_pool_create(3, &pool));
    thread_pool_run(pool, 3 * CLIPS, encode_task, &job);
    for (int t = 0; t < 3 * CLIPS; t++) {
        struct units expected;
        assert_int_equal(job.status[t], STATUS_OK);
        assert_ok(speech_encode(on_host, clips[t % CLIPS], lengths[t % CLIPS], NULL, STREAMS_BASE, &expected));
        assert_int_equal(count_differences(&expected, &job.units[t]), 0);
        units_free(&expected);
        units_free(&job.units[t]);
    }
    thread_pool_destroy(pool);
}

/* Once its workspace has grown, a clip is two operations, each between two copies of pinned memory, and two waits. */
static void a_clip_waits_twice(void **state)
{
    (void)state;
    struct test_calls before, after;
    for (int i = 0; i < 2; i++) {
        struct units units;
        bool counted = test_cuda_calls(&before);
        assert_ok(speech_encode(on_device, clips[3], lengths[3], NULL, STREAMS_BASE, &units));
        units_free(&units);
        if (!counted || i == 0)
            continue;
        test_cuda_calls(&after);
        assert_int_equal(after.synchronizes - before.synchronizes, 2);
        assert_int_equal(after.allocations - before.allocations, 0);
        assert_int_equal(after.pageable_copies - before.pageable_copies, 0);
        assert_int_equal(after.launches - before.launches, 2);
    }
}

/* A tokenizer that was fitted through the table encodes as one that was fitted on the host: the same fingerprints where the
 * spectra have the same bits, which decides everything after them. */
static void a_fit_is_that_of_the_host(void **state)
{
    (void)state;
    char path[700];
    struct speech *fitted;
    assert_ok(fit_on(test_kernels(), "fitted", path));
    assert_ok(speech_folder_open(path, &fitted));
    int64_t different = 0, all = 0;
    for (int c = 0; c < CLIPS; c++) {
        struct units expected, found;
        assert_ok(speech_encode(on_host, clips[c], lengths[c], NULL, STREAMS_ALL, &expected));
        assert_ok(speech_encode(fitted, clips[c], lengths[c], NULL, STREAMS_ALL, &found));
        different += count_differences(&expected, &found);
        all += expected.count[STREAM_HUBERT] + expected.count[STREAM_PITCH] + expected.count[STREAM_STYLE];
        units_free(&expected);
        units_free(&found);
    }
    bool same = !memcmp(&fitted->encoder[STREAM_HUBERT].fingerprint, &on_host->encoder[STREAM_HUBERT].fingerprint,
                        sizeof(struct sha256));
    printf("a fit through the table: %lld of %lld units differ; the fingerprint is %s\n", (long long)different,
           (long long)all, same ? "the same" : "another");
    assert_true(test_kernels_cpu() ? same : different * 100 <= all);
    speech_free(fitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spectra_are_those_of_the_host),
        cmocka_unit_test(distances_have_the_hosts_bits),
        cmocka_unit_test(units_are_those_of_the_host),
        cmocka_unit_test(threads_encode_at_a_time),
        cmocka_unit_test(a_clip_waits_twice),
        cmocka_unit_test(a_fit_is_that_of_the_host),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
