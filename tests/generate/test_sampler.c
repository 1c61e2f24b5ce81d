/* Masks and sampling against sets and frequencies computed plainly. */
#include "support/test_kernels.h"
#include "support/test_support.h"

#include "core/rng.h"
#include "core/thread_pool.h"
#include "generate/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 100 }; /* rows of a draw */

static struct vocabulary small_vocabulary(void)
{
    struct vocabulary vocabulary;
    assert_ok(vocabulary_create(320, 1, 2, 0, 60, 20, 10, true, &vocabulary));
    return vocabulary;
}

/* ---- the draw, as generation asks the device for it ---- */

struct device {
    struct thread_pool *pool;
    struct device_context context;
    int64_t rows, columns;
    void *logits, *mask, *mask_rows, *uniforms, *ids;
};

static void *allocate(struct device *device, int64_t bytes)
{
    void *memory;
    assert_ok(test_kernels()->allocate(&device->context, (size_t)bytes, &memory));
    return memory;
}

static void device_open(struct device *device, int64_t rows, int64_t columns)
{
    const struct sample largest = {.rows = rows, .columns = columns, .temperature = 1};
    *device = (struct device){.rows = rows, .columns = columns};
    assert_ok(thread_pool_create(2, &device->pool));
    assert_ok(device_context_create(test_kernels(), device->pool, test_kernels()->sample_scratch_size(&largest),
                                    &device->context));
    device->logits = allocate(device, rows * columns * (int64_t)sizeof(float));
    device->mask = allocate(device, columns);
    device->mask_rows = allocate(device, rows * (int64_t)sizeof(int32_t)); /* zeros: the first mask */
    device->uniforms = allocate(device, rows * (int64_t)sizeof(double));
    device->ids = allocate(device, rows * (int64_t)sizeof(int32_t));
}

static void device_close(struct device *device)
{
    void *const memories[] = {device->logits, device->mask, device->mask_rows, device->uniforms, device->ids};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        test_kernels()->release(&device->context, memories[i]);
    device_context_destroy(test_kernels(), &device->context);
    thread_pool_destroy(device->pool);
}

static void send_rows(struct device *device, void *to, const void *from, int64_t bytes)
{
    assert_ok(test_kernels()->copy_to_device(&device->context, QUEUE_COMPUTE, to, from, (size_t)bytes));
    assert_ok(test_kernels()->synchronize(&device->context));
}

/* One id for each row of logits, with uniform numbers of `rng`. */
static void draw(struct device *device, const struct sampling *sampling, const float *logits, const uint8_t *allowed,
                 struct rng *rng, int32_t *ids)
{
    int64_t rows = device->rows, columns = device->columns;
    double uniforms[BATCH];
    for (int64_t i = 0; i < rows; i++)
        uniforms[i] = rng_uniform(rng);
    send_rows(device, device->logits, logits, rows * columns * (int64_t)sizeof *logits);
    send_rows(device, device->mask, allowed, columns);
    send_rows(device, device->uniforms, uniforms, rows * (int64_t)sizeof *uniforms);
    assert_ok(test_kernels()->sample(&device->context, &(struct sample){.rows = rows,
                                                                        .columns = columns,
                                                                        .logits = device->logits,
                                                                        .row_stride = columns,
                                                                        .masks = device->mask,
                                                                        .mask_rows = device->mask_rows,
                                                                        .mask_count = 1,
                                                                        .uniforms = device->uniforms,
                                                                        .temperature = sampling->temperature,
                                                                        .top_k = sampling->top_k,
                                                                        .top_p = sampling->top_p,
                                                                        .ids = device->ids}));
    assert_ok(
        test_kernels()->copy_to_host(&device->context, QUEUE_COMPUTE, ids, device->ids, (size_t)rows * sizeof *ids));
    assert_ok(test_kernels()->synchronize(&device->context));
}

static void check_id(const struct vocabulary *vocabulary, enum output_modality mode, int32_t id, int *seen)
{
    assert_in_range(id, 0, vocabulary->size - 1); /* never a padding row */
    assert_true(id != vocabulary->bos && id != vocabulary->unk);
    enum token_kind kind = vocabulary_kind(vocabulary, id);
    seen[kind]++;
    if (mode == OUTPUT_TEXT)
        assert_int_equal(kind, TOKEN_TEXT);
    if (mode == OUTPUT_SPEECH)
        assert_true(id == vocabulary->eos || kind == TOKEN_HUBERT || kind == TOKEN_PITCH || kind == TOKEN_STYLE);
}

/* Ten thousand tokens a mode from random logits with huge values on the banned ids: none may come out. */
static void masks_hold_for_ten_thousand_tokens_a_mode(void **state)
{
    (void)state;
    struct vocabulary vocabulary = small_vocabulary();
    int64_t columns = vocabulary.padded_size;
    float *logits = malloc((size_t)(BATCH * columns) * sizeof *logits);
    uint8_t *allowed = guarded_allocate((size_t)columns);
    struct device device;
    device_open(&device, BATCH, columns);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 4, 0);
    for (int mode = OUTPUT_TEXT; mode <= OUTPUT_ANY; mode++) {
        int seen[TOKEN_KINDS] = {0};
        output_mask(NULL, &vocabulary, (enum output_modality)mode, allowed);
        for (int i = 0; i < test_count(10000, 1200) / BATCH; i++) {
            int32_t ids[BATCH];
            for (int64_t j = 0; j < BATCH * columns; j++)
                logits[j] = (float)(3 * rng_normal(&rng)) + (allowed[j % columns] ? 0.0f : 1000.0f);
            struct sampling sampling = {i % 3 ? 0.9 : 0.0, i % 5 ? 50 : 0, i % 2 ? 0.95 : 1.0};
            draw(&device, &sampling, logits, allowed, &rng, ids);
            for (int j = 0; j < BATCH; j++)
                check_id(&vocabulary, (enum output_modality)mode, ids[j], seen);
        }
        assert_true(seen[TOKEN_TEXT] > 0); /* EOS at least stays possible */
        assert_int_equal(seen[TOKEN_PADDING], 0);
        if (mode == OUTPUT_ANY)
            assert_true(seen[TOKEN_TAG] > 0 && seen[TOKEN_HUBERT] > 0 && seen[TOKEN_PITCH] > 0 &&
                        seen[TOKEN_STYLE] > 0);
    }
    device_close(&device);
    free(logits);
    guarded_free(allowed);
}

enum { IDS = 6 };

/* By hand: exp of the logits over the temperature, the k largest, then the smallest set that holds p of the mass. */
static void frequencies_are_the_distributions(void **state)
{
    (void)state;
    static const float logits[IDS] = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f, 9.0f};
    static const uint8_t allowed[IDS] = {1, 1, 1, 1, 1, 0};
    static const struct {
        struct sampling sampling;
        double expected[IDS]; /* unnormalised */
    } cases[] = {
        {{1.0, 0, 1.0}, {2.718281828, 20.08553692, 7.389056099, 0.3678794412, 12.18249396, 0}},
        {{0.5, 0, 1.0}, {7.389056099, 403.4287935, 54.59815003, 0.1353352832, 148.4131591, 0}},
        {{1.0, 2, 1.0}, {0, 20.08553692, 0, 0, 12.18249396, 0}},
        /* mass 20.086/42.743 = 0.47, with the second 0.755, with the third 0.928 */
        {{1.0, 0, 0.5}, {0, 20.08553692, 0, 0, 12.18249396, 0}},
        {{1.0, 0, 0.8}, {0, 20.08553692, 7.389056099, 0, 12.18249396, 0}},
        {{1.0, 2, 0.6}, {0, 1, 0, 0, 0, 0}}, /* of the two that top-k leaves the first has 0.622 */
    };
    const int64_t draws = test_count(60000, 4000);
    float rows[BATCH * IDS];
    struct device device;
    device_open(&device, BATCH, IDS);
    for (int i = 0; i < BATCH * IDS; i++)
        rows[i] = logits[i % IDS];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, 5, c);
        int counts[IDS] = {0};
        double total = 0;
        for (int i = 0; i < draws / BATCH; i++) {
            int32_t ids[BATCH];
            draw(&device, &cases[c].sampling, rows, allowed, &rng, ids);
            for (int j = 0; j < BATCH; j++) {
                assert_in_range(ids[j], 0, IDS - 1);
                counts[ids[j]]++;
            }
        }
        for (int id = 0; id < IDS; id++)
            total += cases[c].expected[id];
        for (int id = 0; id < IDS; id++) {
            double p = cases[c].expected[id] / total, deviation = sqrt((double)draws * p * (1 - p));
            if (!(fabs(counts[id] - (double)draws * p) <= 5 * deviation))
                fail_msg("case %zu id %d: %d draws, expected %.0f +- %.0f", c, id, counts[id], (double)draws * p,
                         deviation);
        }
    }
    device_close(&device);
}

static int32_t draw_one(struct device *device, const struct sampling *sampling, const float *logits,
                        const uint8_t *allowed)
{
    struct rng rng = rng_make(1, RNG_TEST, 0, 0);
    int32_t id;
    draw(device, sampling, logits, allowed, &rng, &id);
    return id;
}

static void greedy_takes_the_first_of_the_largest_and_nan_is_refused(void **state)
{
    (void)state;
    float logits[IDS] = {1, 5, 5, -INFINITY, 0, 0};
    static const uint8_t allowed[IDS] = {1, 1, 1, 1, 1, 1}, some[IDS] = {1, 1, 1, 0, 1, 1};
    static const struct sampling greedy = {0, 0, 1}, drawn = {1, 0, 1}, *const both[] = {&greedy, &drawn};
    struct device device;
    device_open(&device, 1, IDS);
    assert_int_equal(draw_one(&device, &greedy, logits, allowed), 1);
    /* One allowed NaN or plus infinity condemns all; a banned one, or minus infinity, condemns none. */
    for (int i = 0; i < 2; i++) {
        static const float bad[] = {NAN, INFINITY};
        for (int b = 0; b < 2; b++) {
            logits[3] = bad[b];
            assert_in_range(draw_one(&device, both[i], logits, some), 0, IDS - 1);
            assert_int_equal(draw_one(&device, both[i], logits, allowed), -1);
        }
        logits[3] = -INFINITY;
        assert_in_range(draw_one(&device, both[i], logits, allowed), 0, IDS - 1);
    }
    for (int i = 0; i < IDS; i++)
        logits[i] = -INFINITY;
    assert_int_equal(draw_one(&device, &greedy, logits, allowed), -1);
    logits[IDS - 1] = 0;
    assert_int_equal(draw_one(&device, &drawn, logits, allowed), IDS - 1);
    device_close(&device);
}

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    static const struct sampling good = {0.9, 50, 0.95};
    assert_ok(sampling_check(&good));
    struct sampling bad = {-1, 0, 1};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "temperature");
    bad = (struct sampling){1, 0, 0};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "top_p");
    bad = (struct sampling){NAN, 0, 1};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "temperature");
    bad = (struct sampling){1, -1, 1};
    assert_fails(sampling_check(&bad), STATUS_USAGE, "top_k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_hold_for_ten_thousand_tokens_a_mode),
        cmocka_unit_test(frequencies_are_the_distributions),
        cmocka_unit_test(greedy_takes_the_first_of_the_largest_and_nan_is_refused),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
