/* AdamW, the global norm, the clipping scale. */
#include "support/kernel_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

struct optimizer {
    struct tensor master, first, second, weights;
};

/* AdamW in double as the paper's algorithm 2 writes it (with the bias corrections explicit). */
struct plain {
    double *master, *first, *second;
};

static void plain_step(struct plain *q, int64_t count, const double *gradient, double rate, double decay, double scale,
                       int64_t step)
{
    for (int64_t i = 0; i < count; i++) {
        double g = gradient[i] * scale;
        q->first[i] = 0.9 * q->first[i] + 0.1 * g;
        q->second[i] = 0.95 * q->second[i] + 0.05 * g * g;
        double m = q->first[i] / (1 - pow(0.9, (double)step)), v = q->second[i] / (1 - pow(0.95, (double)step));
        q->master[i] -= rate * (m / (sqrt(v) + 1e-8) + decay * q->master[i]);
    }
}

static struct adamw_segment whole; /* one segment over all elements */

static struct adamw describe(struct optimizer *o, const struct tensor *gradient, int64_t step, const float *scale,
                             const int32_t *skip)
{
    whole = (struct adamw_segment){0, o->master.count, 0.1f};
    return (struct adamw){.count = o->master.count,
                          .master = o->master.data,
                          .first_moment = o->first.data,
                          .second_moment = o->second.data,
                          .gradient = gradient->data,
                          .weights = o->weights.data,
                          .weights_type = o->weights.type,
                          .segments = &whole,
                          .segment_count = 1,
                          .learning_rate = 0.01f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .epsilon = 1e-8f,
                          .step = step,
                          .scale = scale,
                          .skip = skip};
}

static struct optimizer make_optimizer(const struct tensor *start, enum dtype weights)
{
    return (struct optimizer){tensor_copy(start), tensor_zero(DTYPE_F32, start->count),
                              tensor_zero(DTYPE_F32, start->count), tensor_make(weights, start->count)};
}

static void free_optimizer(struct optimizer *o)
{
    tensor_free(&o->master);
    tensor_free(&o->first);
    tensor_free(&o->second);
    tensor_free(&o->weights);
}

static void adamw_equals_the_paper(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t counts[] = {1, 31, 40001};
    const float scale = 0.5f;
    const int32_t go = 0, stop = 1;
    for (int s = 0; s < 6; s++) {
        int64_t count = counts[s / 2];
        struct tensor start = tensor_normal(&rng, DTYPE_F32, count, 1), gradients[5];
        for (int t = 0; t < 5; t++)
            gradients[t] = tensor_normal(&rng, DTYPE_F32, count, t == 3 ? 1e-6 : 1);
        struct plain plain = {doubles(count), doubles(count), doubles(count)};
        memcpy(plain.master, start.values, (size_t)count * 8);
        for (int t = 0; t < 5; t++)
            plain_step(&plain, count, gradients[t].values, (double)0.01f, (double)0.1f, 0.5, t + 1);
        struct optimizer kept = {0};
        for (int i = 0; i < 4; i++) {
            struct optimizer o = make_optimizer(&start, s % 2 ? DTYPE_BF16 : DTYPE_F32);
            for (int t = 0; t < 5; t++) {
                struct adamw p = describe(&o, &gradients[t], t + 1, &scale, &go);
                assert_ok(kernels_cpu()->adamw(test_context(thread_counts[i], 0), &p));
                struct optimizer before = {tensor_copy(&o.master), tensor_copy(&o.first), tensor_copy(&o.second),
                                           tensor_copy(&o.weights)};
                p.skip = &stop;
                assert_ok(kernels_cpu()->adamw(test_context(thread_counts[i], 0), &p));
                assert_same_bits("skipped master", &before.master, &o.master);
                assert_same_bits("skipped moment", &before.first, &o.first);
                assert_same_bits("skipped moment", &before.second, &o.second);
                assert_same_bits("skipped weights", &before.weights, &o.weights);
                free_optimizer(&before);
            }
            assert_tensor("master", &o.master, plain.master, 2e-6, 0);
            assert_tensor("first moment", &o.first, plain.first, 1e-6, 0);
            assert_tensor("second moment", &o.second, plain.second, 1e-6, 0);
            tensor_read(&o.master);
            double *rounded = doubles(count);
            for (int64_t j = 0; j < count; j++)
                rounded[j] = round_to(o.weights.type, o.master.values[j]);
            assert_tensor("weights", &o.weights, rounded, 0, 0);
            free(rounded);
            if (i == 0) {
                kept = o;
                continue;
            }
            assert_same_bits("master", &kept.master, &o.master);
            assert_same_bits("first moment", &kept.first, &o.first);
            assert_same_bits("second moment", &kept.second, &o.second);
            free_optimizer(&o);
        }
        free_optimizer(&kept);
        for (int t = 0; t < 5; t++)
            tensor_free(&gradients[t]);
        tensor_free(&start);
        free(plain.master);
        free(plain.first);
        free(plain.second);
    }
}

static void adamw_without_a_compute_copy(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct tensor start = tensor_normal(&rng, DTYPE_F32, 100, 1), gradient = tensor_normal(&rng, DTYPE_F32, 100, 1);
    tensor_set(&gradient, 50, NAN);
    struct optimizer o = make_optimizer(&start, DTYPE_F32);
    const float scale = 1;
    const int32_t go = 0;
    struct adamw p = describe(&o, &gradient, 1, &scale, &go);
    p.weights = NULL;
    assert_ok(kernels_cpu()->adamw(test_context(1, 0), &p));
    for (int64_t i = 0; i < 100; i++)
        assert_true(isnan(tensor_read(&o.master)[i]) == (i == 50));
    free_optimizer(&o);
    tensor_free(&start);
    tensor_free(&gradient);
}

static void norms_are_summed_in_double(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    const int64_t counts[] = {1, 31, 65535, 65536, 65537, 300001};
    for (int s = 0; s < 6; s++) {
        struct tensor x = tensor_normal(&rng, DTYPE_F32, counts[s], 1);
        tensor_set(&x, 0, 1e30); /* would be infinite in f32 */
        double expected = dot_product(x.values, x.values, x.count), results[4];
        for (int i = 0; i < 4; i++) {
            int32_t nonfinite = 0;
            results[i] = NAN;
            struct squared_norm p = {x.count, x.data, &results[i], &nonfinite, false};
            size_t scratch = kernels_cpu()->squared_norm_scratch_size(&p);
            assert_ok(kernels_cpu()->squared_norm(test_context(thread_counts[i], scratch), &p));
            assert_true(nonfinite == 0 && memcmp(&results[i], &results[0], sizeof(double)) == 0);
            assert_true(fabs(results[i] - expected) <= 1e-13 * expected);
            p.accumulate = true;
            results[i] = 5e59;
            assert_ok(kernels_cpu()->squared_norm(test_context(thread_counts[i], scratch), &p));
            assert_true(fabs(results[i] - expected - 5e59) <= 1e-13 * results[i]);
            results[i] = expected;
        }
        tensor_free(&x);
    }
}

static void nonfinite_values_are_seen(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    const double bad[] = {NAN, INFINITY, -INFINITY};
    const int64_t places[] = {0, 65535, 65536, 70000, 70012};
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 70013, 1);
    for (int v = 0; v < 3; v++)
        for (int i = 0; i < 5; i++) {
            double kept = x.values[places[i]], result = 0;
            int32_t nonfinite = 0;
            struct squared_norm p = {x.count, x.data, &result, &nonfinite, false};
            size_t scratch = kernels_cpu()->squared_norm_scratch_size(&p);
            tensor_set(&x, places[i], bad[v]);
            assert_ok(kernels_cpu()->squared_norm(test_context(2, scratch), &p));
            assert_int_equal(nonfinite, 1);
            tensor_set(&x, places[i], kept);
            assert_ok(kernels_cpu()->squared_norm(test_context(2, scratch), &p));
            assert_true(nonfinite == 1 && isfinite(result)); /* never cleared here */
        }
    tensor_free(&x);
}

static void clipping(void **state)
{
    (void)state;
    const struct {
        double squared;
        float maximum, scale, norm;
    } cases[] = {{25, 10, 1, 5}, {25, 1, 0.2f, 5}, {0, 1, 1, 0},
                 {25, 0, 1, 5},  {25, -1, 1, 5},   {INFINITY, 1, 0, INFINITY}};
    for (int i = 0; i < 6; i++) {
        float scale = -1, norm = -1;
        struct clip_scale p = {&cases[i].squared, cases[i].maximum, &scale, &norm};
        assert_ok(kernels_cpu()->clip_scale(test_context(1, 0), &p));
        assert_true(fabsf(scale - cases[i].scale) <= 1e-6f && norm == cases[i].norm);
    }
    double squared = NAN;
    float scale, norm;
    struct clip_scale p = {&squared, 1, &scale, &norm};
    assert_ok(kernels_cpu()->clip_scale(test_context(1, 0), &p));
    assert_true(isnan(scale) && isnan(norm));
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 64);
    float x[4] = {0}, scale = 1;
    int32_t skip = 0;
    double result;
    const struct adamw adamw = {.count = 4,
                                .master = x,
                                .first_moment = x,
                                .second_moment = x,
                                .gradient = x,
                                .beta1 = 0.9f,
                                .beta2 = 0.99f,
                                .step = 1,
                                .scale = &scale,
                                .skip = &skip};
    assert_refused(adamw, adamw, p.count = -1, "-1 elements");
    assert_refused(adamw, adamw, p.step = 0, "step 0");
    assert_refused(adamw, adamw, p.beta2 = 1, "betas");
    assert_refused(adamw, adamw, p.master = NULL, "null");
    assert_refused(adamw, adamw, p.skip = NULL, "skip");
    assert_refused(adamw, adamw, p.weights = x; p.weights_type = DTYPE_F64, "type");
    const struct squared_norm norm = {4, x, &result, &skip, false};
    assert_refused(squared_norm, norm, p.count = -1, "-1 values");
    assert_refused(squared_norm, norm, p.x = NULL, "null");
    struct device_context small = *context;
    small.scratch_bytes = 0;
    assert_fails(kernels_cpu()->squared_norm(&small, &norm), STATUS_INTERNAL, "needs 8 bytes of scratch");
    const struct clip_scale clip = {&result, 1, &scale, x};
    assert_refused(clip_scale, clip, p.scale = NULL, "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_equals_the_paper),
        cmocka_unit_test(adamw_without_a_compute_copy),
        cmocka_unit_test(norms_are_summed_in_double),
        cmocka_unit_test(nonfinite_values_are_seen),
        cmocka_unit_test(clipping),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
