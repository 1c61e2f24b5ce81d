/* Schedule, step guard, metrics and events: each against arithmetic done by hand or a file that TensorBoard wrote. And the
 * peak, against what a product must take at least. */
#include "support/test_kernels.h"
#include "support/test_support.h"

#include "core/log.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "kernels/cuda/sizes/cuda_sizes.h"
#include "train/events.h"
#include "train/guard.h"
#include "train/metrics.h"
#include "train/peak.h"
#include "train/report.h"
#include "train/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void schedule_warms_up_and_falls(void **state)
{
    (void)state;
    struct schedule_settings schedule = {SCHEDULE_CONSTANT, 3e-5, 0, 500};
    assert_true(fabs(schedule_rate(&schedule, 1, 1000) - 6e-8) < 1e-20);
    assert_true(schedule_rate(&schedule, 500, 1000) == 3e-5);
    assert_true(schedule_rate(&schedule, 1000, 1000) == 3e-5);
    schedule = (struct schedule_settings){SCHEDULE_COSINE, 1e-3, 1e-4, 100};
    assert_true(schedule_rate(&schedule, 100, 1100) == 1e-3);
    assert_true(fabs(schedule_rate(&schedule, 600, 1100) - 5.5e-4) < 1e-15); /* half way */
    assert_true(fabs(schedule_rate(&schedule, 1100, 1100) - 1e-4) < 1e-15);
    schedule.warmup_steps = 0;
    assert_true(fabs(schedule_rate(&schedule, 0, 1100) - 1e-3) < 1e-15);
}

static void guard_refuses_nan_and_spikes_and_is_not_poisoned(void **state)
{
    (void)state;
    struct guard *guard;
    assert_ok(guard_create(16, 6, &guard));
    struct rng rng = rng_make(test_seed(), RNG_TEST, 3, 0);
    for (int i = 0; i < 40; i++)
        assert_null(guard_judge(guard, 2 + 0.01 * rng_uniform(&rng), 1 + 0.01 * rng_uniform(&rng)));
    assert_string_equal(guard_judge(guard, NAN, 1), "the loss is not finite");
    assert_string_equal(guard_judge(guard, 2, INFINITY), "the gradient is not finite");
    assert_string_equal(guard_judge(guard, 3, 1), "the loss is a spike");
    assert_int_equal(guard_skips_in_a_row(guard), 3);
    for (int i = 0; i < 100; i++) /* a hundred bad steps must not move the median */
        assert_non_null(guard_judge(guard, 2, 50));
    assert_null(guard_judge(guard, 2.005, 1.005));
    assert_int_equal(guard_skips_in_a_row(guard), 0);

    json_t *saved = NULL, *again = NULL;
    struct guard *other;
    assert_ok(guard_save(guard, &saved));
    assert_ok(guard_create(16, 6, &other));
    assert_ok(guard_restore(other, saved));
    assert_ok(guard_save(other, &again));
    assert_true(json_equal(saved, again));
    for (int i = 0; i < 200; i++) {
        double loss = 2 + 0.02 * rng_normal(&rng), norm = 1 + 0.02 * rng_normal(&rng);
        assert_true((guard_judge(guard, loss, norm) == NULL) == (guard_judge(other, loss, norm) == NULL));
    }
    json_array_set_new(json_object_get(saved, "losses"), 0, json_string("x"));
    assert_fails(guard_restore(other, saved), STATUS_CORRUPT, "losses[0]");
    json_decref(saved);
    json_decref(again);
    guard_destroy(guard);
    guard_destroy(other);
}

static void guard_without_spike_rule_takes_any_finite_step(void **state)
{
    (void)state;
    struct guard *guard;
    assert_ok(guard_create(8, 0, &guard));
    for (int i = 0; i < 30; i++)
        assert_null(guard_judge(guard, i % 7 ? 1 : 1e30, 1));
    assert_non_null(guard_judge(guard, NAN, NAN));
    guard_destroy(guard);
}

/* Wall times differ; everything else must be the bytes that TensorBoard's own writer made
 * (tests/oracles/tensorboard_golden.py). */
static void events_equal_tensorboards_file(void **state)
{
    (void)state;
    char run[600], path[700];
    snprintf(run, sizeof run, "%s/events", test_directory());
    struct events *events;
    assert_ok(events_open(run, 0, &events));
    assert_ok(events_write(events, 1, "loss", 2.5));
    assert_ok(events_write(events, 300, "loss/text", -1e-3));
    assert_ok(events_write(events, 5000000000, "lr", 3e-5));
    assert_ok(events_sync(events));
    events_close(events);
    snprintf(path, sizeof path, "%s/tensorboard/events.out.tfevents.0000000001.spiritlm", run);
    uint8_t *ours, *golden;
    int64_t size, golden_size;
    assert_ok(file_read(path, 1 << 20, (void **)&ours, &size));
    assert_ok(file_read(TEST_GOLDEN_DIRECTORY "/train/tensorboard.events", 1 << 20, (void **)&golden, &golden_size));
    assert_int_equal(size, golden_size);
    for (int64_t at = 0; at < size;) {
        uint64_t length;
        memcpy(&length, ours + at, 8);
        assert_memory_equal(ours + at, golden + at, 12 + 1);               /* length, its checksum, the first tag */
        assert_memory_equal(ours + at + 21, golden + at + 21, length - 9); /* after the wall time */
        at += 16 + (int64_t)length;
    }
    free(ours);
    free(golden);
}

static json_t *values(double loss)
{
    return json_pack("{s:f}", "loss", loss);
}

/* Lines and events after the checkpoint's step disappear, a torn tail too, and the run goes on as if never stopped. */
static void metrics_are_cut_to_the_checkpoint(void **state)
{
    (void)state;
    char run[600], path[700];
    struct metrics *metrics;
    snprintf(run, sizeof run, "%s/metrics", test_directory());
    assert_ok(metrics_open(run, 0, &metrics));
    for (int step = 1; step <= 10; step++) {
        json_t *line = values(step);
        assert_ok(metrics_write(metrics, step, line));
        json_decref(line);
    }
    metrics_close(metrics);
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("{\"step\": 11, \"lo", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/tensorboard/events.out.tfevents.0000000001.spiritlm", run);
    file = fopen(path, "a");
    assert_non_null(file);
    fputs("torn", file);
    fclose(file);

    assert_ok(metrics_open(run, 7, &metrics));
    for (int step = 8; step <= 9; step++) {
        json_t *line = values(step);
        assert_ok(metrics_write(metrics, step, line));
        json_decref(line);
    }
    assert_ok(metrics_sync(metrics));
    metrics_close(metrics);
    char *text;
    int64_t size;
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    int expected = 1;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), expected++) {
        json_t *root;
        int64_t step;
        assert_ok(jdoc_parse("line", line, (int64_t)strlen(line), &root));
        assert_ok(jdoc_get_int("line", root, "step", 0, 100, &step));
        assert_int_equal(step, expected);
        json_decref(root);
    }
    assert_int_equal(expected, 10);
    free(text);
    /* 1 version record of 40 bytes, 9 scalars of 49: length, checksums, wall time, step, tag, value. */
    uint8_t *bytes;
    snprintf(path, sizeof path, "%s/tensorboard/events.out.tfevents.0000000001.spiritlm", run);
    assert_ok(file_read(path, 1 << 20, (void **)&bytes, &size));
    int records = 0;
    for (int64_t at = 0; at < size; records++) {
        uint64_t length;
        memcpy(&length, bytes + at, 8);
        at += 16 + (int64_t)length;
        assert_true(at <= size);
    }
    assert_int_equal(records, 10);
    free(bytes);

    assert_ok(report_write(run, "a <b> & c", ""));
    snprintf(path, sizeof path, "%s/report.html", run);
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    assert_non_null(strstr(text, "<polyline"));
    assert_non_null(strstr(text, "a &lt;b&gt; &amp; c"));
    assert_null(strstr(text, "http"));
    free(text);
}

/* ---- the peak ---- */

static struct {
    int64_t calls, largest;
    double flops, seconds; /* of the fastest product by its own clock */
} products;

static enum status watched_matmul(const struct device_context *context, const struct matmul *p)
{
    float values[64];
    double before = clock_seconds();
    enum status result = test_kernels()->matmul(context, p);
    assert_ok(test_kernels()->synchronize(context));
    double seconds = clock_seconds() - before, flops = 2.0 * (double)p->m * (double)p->n * (double)p->k;
    if (result == STATUS_OK && (products.calls == 0 || flops / seconds > products.flops / products.seconds)) {
        products.flops = flops;
        products.seconds = seconds;
    }
    products.calls++;
    products.largest = p->m > products.largest ? p->m : products.largest;
    assert_ok(test_kernels()->copy_to_host(context, QUEUE_COMPUTE, values, p->a, sizeof values));
    assert_ok(test_kernels()->synchronize(context));
    for (int i = 1; i < 64; i++) /* zeros would be multiplied faster than anything that training has */
        assert_true(values[i] != values[i - 1] && values[i] > -1 && values[i] < 1);
    return result;
}

/* At most what the fastest product shows by itself, and not much less. */
static void the_peak_is_that_of_products_of_random_numbers(void **state)
{
    (void)state;
    struct kernels kernels = *test_kernels();
    kernels.matmul = watched_matmul;
    kernels.peak_flops = NULL; /* a device that the table of peaks does not know */
    memset(&products, 0, sizeof products);
    double peak = peak_flops(&kernels, NULL, DTYPE_F32), fastest = products.flops / products.seconds;
    assert_true(isfinite(peak) && peak > 0 && peak <= fastest);
    assert_true(peak >= 0.05 * fastest);
    assert_int_equal(products.calls % 3, 0);
    assert_in_range(products.largest, 768, 6144);
}

static enum status failing_matmul(const struct device_context *context, const struct matmul *p)
{
    (void)context;
    (void)p;
    return status_set(STATUS_INTERNAL, "no products today");
}

static void a_peak_that_cannot_be_measured_is_zero(void **state)
{
    (void)state;
    struct kernels kernels = *test_kernels();
    kernels.matmul = failing_matmul;
    kernels.peak_flops = NULL;
    assert_true(peak_flops(&kernels, NULL, DTYPE_F32) == 0);
}

static double stated_peak(const struct device_context *context, enum dtype type)
{
    (void)context;
    return cuda_published_peak("NVIDIA H100 80GB HBM3", type);
}

/* Dense products, by NVIDIA's data sheets, under the names that its driver gives. */
static void known_gpus_are_not_measured(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double bf16;
    } gpus[] = {{"NVIDIA A100-SXM4-80GB", 312e12},
                {"NVIDIA A100 80GB PCIe", 312e12},
                {"NVIDIA H100 80GB HBM3", 989.4e12},
                {"NVIDIA H100 PCIe", 756e12},
                {"NVIDIA H200", 989.4e12},
                {"NVIDIA GH200 480GB", 989.4e12},
                {"NVIDIA L4", 121e12},
                {"NVIDIA L40S", 362e12},
                {"NVIDIA RTX A4000", 0},
                {"NVIDIA A10G", 0},
                {"NVIDIA H100 80GB HBM3 MIG 1g.10gb", 0},
                {"emulated sm_90", 0},
                {"", 0}};
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
        if (fabs(cuda_published_peak(gpus[i].name, DTYPE_BF16) - gpus[i].bf16) > 1e9)
            fail_msg("\"%s\": %g FLOP/s", gpus[i].name, cuda_published_peak(gpus[i].name, DTYPE_BF16));
    struct kernels kernels = *test_kernels();
    kernels.matmul = failing_matmul;
    kernels.peak_flops = stated_peak;
    assert_true(fabs(peak_flops(&kernels, NULL, DTYPE_F32) - 66.9e12) < 1e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_warms_up_and_falls),
        cmocka_unit_test(guard_refuses_nan_and_spikes_and_is_not_poisoned),
        cmocka_unit_test(guard_without_spike_rule_takes_any_finite_step),
        cmocka_unit_test(events_equal_tensorboards_file),
        cmocka_unit_test(metrics_are_cut_to_the_checkpoint),
        cmocka_unit_test(the_peak_is_that_of_products_of_random_numbers),
        cmocka_unit_test(a_peak_that_cannot_be_measured_is_zero),
        cmocka_unit_test(known_gpus_are_not_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
