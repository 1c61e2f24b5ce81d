/* AdamW, the global norm, the clipping scale. */
#include "support/kernel_harness.h"

#include <math.h>
#include <stdio.h>
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

/* What a step is given beside the arrays. */
struct step {
    struct tensor scale, skip, segments; /* F32, I32; segments as bytes */
    int64_t segment_count;
};

static struct step make_step(double scale, int32_t skip, const struct adamw_segment *segments, int64_t count)
{
    struct step step = {tensor_zero(DTYPE_F32, 1), tensor_zero(DTYPE_I32, 1),
                        tensor_from(DTYPE_U8, count * (int64_t)sizeof *segments, segments), count};
    tensor_set(&step.scale, 0, scale);
    tensor_set(&step.skip, 0, skip);
    return step;
}

static void free_step(struct step *step)
{
    tensor_free(&step->scale);
    tensor_free(&step->skip);
    tensor_free(&step->segments);
}

static struct adamw describe(struct optimizer *o, struct tensor *gradient, int64_t number, struct step *step)
{
    return (struct adamw){.count = o->master.count,
                          .master = tensor_device(&o->master),
                          .first_moment = tensor_device(&o->first),
                          .second_moment = tensor_device(&o->second),
                          .gradient = tensor_device(gradient),
                          .weights = tensor_device(&o->weights),
                          .weights_type = o->weights.type,
                          .segments = tensor_device(&step->segments),
                          .segment_count = step->segment_count,
                          .learning_rate = 0.01f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .epsilon = 1e-8f,
                          .step = number,
                          .scale = tensor_device(&step->scale),
                          .skip = tensor_device(&step->skip)};
}

static struct optimizer make_optimizer(struct tensor *start, enum dtype weights)
{
    return (struct optimizer){tensor_copy(start), tensor_zero(DTYPE_F32, start->count),
                              tensor_zero(DTYPE_F32, start->count), tensor_make(weights, start->count)};
}

static struct optimizer copy_optimizer(struct optimizer *o)
{
    return (struct optimizer){tensor_copy(&o->master), tensor_copy(&o->first), tensor_copy(&o->second),
                              tensor_copy(&o->weights)};
}

static void assert_same_optimizer(struct optimizer *a, struct optimizer *b)
{
    assert_same_bits("master", &a->master, &b->master);
    assert_same_bits("first moment", &a->first, &b->first);
    assert_same_bits("second moment", &a->second, &b->second);
    assert_same_bits("weights", &a->weights, &b->weights);
}

static void free_optimizer(struct optimizer *o)
{
    tensor_free(&o->master);
    tensor_free(&o->first);
    tensor_free(&o->second);
    tensor_free(&o->weights);
}

/* Five steps, each of them then once more but skipped. */
static struct optimizer run_steps(struct tensor *start, enum dtype weights, struct tensor gradients[5], int threads,
                                  struct step *go, struct step *stop)
{
    struct optimizer o = make_optimizer(start, weights);
    for (int t = 0; t < 5; t++) {
        struct adamw p = describe(&o, &gradients[t], t + 1, go);
        assert_ok(test_kernels()->adamw(test_context(threads, 0), &p));
        struct optimizer before = copy_optimizer(&o);
        p.skip = tensor_device(&stop->skip);
        assert_ok(test_kernels()->adamw(test_context(threads, 0), &p));
        assert_same_optimizer(&before, &o);
        free_optimizer(&before);
    }
    return o;
}

static void check_against_the_paper(struct optimizer *o, const struct plain *plain)
{
    assert_tensor("master", &o->master, plain->master, 2e-6, 0);
    assert_tensor("first moment", &o->first, plain->first, 1e-6, 0);
    assert_tensor("second moment", &o->second, plain->second, 1e-6, 0);
    double *rounded = doubles(o->master.count);
    for (int64_t j = 0; j < o->master.count; j++)
        rounded[j] = round_to(o->weights.type, o->master.values[j]);
    assert_tensor("weights", &o->weights, rounded, 0, 0);
    free(rounded);
}

static void adamw_equals_the_paper(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t counts[] = {1,  31, 40001, 2,  3,   4,   5,   6,   7,   8,   9,   15,   16,   17,   32,   33,   63,
                              64, 65, 100,   12, 127, 128, 129, 255, 256, 257, 511, 1023, 1024, 1025, 4095, 4096, 4097};
    for (int s = 0; s < 2 * (int)(sizeof counts / sizeof *counts); s++) {
        int64_t count = counts[s / 2];
        const struct adamw_segment whole = {0, count, 0.1f};
        struct step go = make_step(0.5, 0, &whole, 1), stop = make_step(0.5, 1, &whole, 1);
        struct tensor start = tensor_normal(&rng, DTYPE_F32, count, 1), gradients[5];
        for (int t = 0; t < 5; t++)
            gradients[t] = tensor_normal(&rng, DTYPE_F32, count, t == 3 ? 1e-6 : 1);
        struct plain plain = {doubles(count), doubles(count), doubles(count)};
        memcpy(plain.master, start.values, (size_t)count * 8);
        for (int t = 0; t < 5; t++)
            plain_step(&plain, count, gradients[t].values, (double)0.01f, (double)0.1f, 0.5, t + 1);
        struct optimizer kept = {0};
        for (int i = 0; i < (s < 6 ? 4 : 1); i++) {
            struct optimizer o =
                run_steps(&start, s % 2 ? DTYPE_BF16 : DTYPE_F32, gradients, thread_counts[i], &go, &stop);
            check_against_the_paper(&o, &plain);
            if (i == 0) {
                kept = o;
                continue;
            }
            assert_same_optimizer(&kept, &o);
            free_optimizer(&o);
        }
        free_optimizer(&kept);
        for (int t = 0; t < 5; t++)
            tensor_free(&gradients[t]);
        tensor_free(&start);
        free_step(&go);
        free_step(&stop);
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
    const struct adamw_segment whole = {0, 100, 0.1f};
    struct step step = make_step(1, 0, &whole, 1);
    struct adamw p = describe(&o, &gradient, 1, &step);
    p.weights = NULL;
    assert_ok(test_kernels()->adamw(test_context(1, 0), &p));
    tensor_read(&o.master);
    for (int64_t i = 0; i < 100; i++)
        assert_true(isnan(o.master.values[i]) == (i == 50));
    free_optimizer(&o);
    tensor_free(&start);
    tensor_free(&gradient);
    free_step(&step);
}

/* ---- stochastic rounding ---- */

/* One update with rate 0, which leaves the masters as they are: the copy shows how they are rounded. */
static void round_masters(struct optimizer *o, int64_t first_index, int64_t number, uint64_t seed)
{
    struct tensor gradient = tensor_zero(DTYPE_F32, o->master.count);
    const struct adamw_segment whole = {0, o->master.count, 0};
    struct step step = make_step(1, 0, &whole, 1);
    struct adamw p = describe(o, &gradient, number, &step);
    p.learning_rate = 0;
    p.stochastic = true;
    p.seed = seed;
    p.first_index = first_index;
    assert_ok(test_kernels()->adamw(test_context(2, 0), &p));
    tensor_free(&gradient);
    free_step(&step);
}

/* As operations.h writes it: on every backend the same bits. */
static void masters_are_rounded_by_the_formula(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    const int64_t firsts[] = {0, 1, 6, (INT64_C(1) << 34) + 3}, counts[] = {1, 33, 4099, 127};
    for (int s = 0; s < 8; s++) {
        const int64_t first = firsts[s % 4], count = counts[s / 2], number = s < 4 ? 1 : (INT64_C(1) << 32) + 9;
        const uint64_t seed = rng_u64(&rng);
        const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
        struct tensor start = tensor_normal(&rng, DTYPE_F32, count, s % 2 ? 1e-3 : 100);
        tensor_set(&start, count / 2, NAN);
        struct optimizer o = make_optimizer(&start, DTYPE_BF16);
        round_masters(&o, first, number, seed);
        const bf16 *weights = tensor_host(&o.weights);
        for (int64_t i = 0; i < count; i++) {
            const uint64_t n = (uint64_t)(first + i);
            const uint32_t counter[4] = {(uint32_t)(n / 4), (uint32_t)(n / 4 >> 32), (uint32_t)number,
                                         (uint32_t)((uint64_t)number >> 32)};
            uint32_t words[4], bits;
            const float master = (float)start.values[i];
            philox4x32(key, counter, words);
            memcpy(&bits, &master, sizeof bits);
            bits = (bits + words[n % 4] % 65536) / 65536;
            if (i == count / 2 ? !isnan((double)bf16_to_float(weights[i])) : weights[i] != bits)
                fail_msg("weight %lld is %x, expected %x", (long long)i, (unsigned)weights[i], (unsigned)bits);
        }
        free_optimizer(&o);
        tensor_free(&start);
    }
}

/* A master a third of the way between two bf16 numbers goes up a third of the time, whatever its sign, over elements and over
 * steps; and two steps are not alike. */
static void rounding_is_unbiased(void **state)
{
    (void)state;
    struct rng rng = test_rng(9);
    const int64_t count = 20000;
    const double step = 1.0 / 128, low = 1.5, sign[] = {1, -1};
    const uint64_t seed = rng_u64(&rng);
    for (int s = 0; s < 2; s++) {
        struct tensor start = tensor_make(DTYPE_F32, count);
        for (int64_t i = 0; i < count; i++)
            tensor_set(&start, i, sign[s] * (low + step / 3));
        struct optimizer o = make_optimizer(&start, DTYPE_BF16);
        double up[2] = {0}, both = 0;
        double *before = doubles(count);
        for (int64_t t = 0; t < 2; t++) {
            round_masters(&o, 0, t + 1, seed);
            tensor_read(&o.weights);
            for (int64_t i = 0; i < count; i++) {
                const double share = (fabs(o.weights.values[i]) - low) / step;
                assert_true(share == 0 || share == 1);
                up[t] += share / (double)count;
                both += t == 1 ? share * before[i] / (double)count : 0;
                before[i] = share;
            }
        }
        const double deviation = sqrt(2.0 / 9 / (double)count);
        if (!(fabs(up[0] - 1.0 / 3) <= 5 * deviation) || !(fabs(up[1] - 1.0 / 3) <= 5 * deviation) ||
            !(fabs(both - 1.0 / 9) <= 5 * deviation))
            fail_msg("%g and %g of the masters went up, %g both times; expected 1/3, 1/3, 1/9", up[0], up[1], both);
        free(before);
        free_optimizer(&o);
        tensor_free(&start);
    }
}

/* ---- segments ---- */

static const struct adamw_segment segments[] = {
    {0, 1, 0.1f},      {3, 5, 0},     {8, 7, 0.3f},          {20, 0, 1},
    {40, 16384, 0.1f}, {16424, 3, 0}, {16500, 33001, 0.05f}, {49501, 499, 0.1f},
};
enum { SEGMENTS = sizeof segments / sizeof *segments, ELEMENTS = 50003 };

/* What no segment covers: NaN everywhere, so that who touches it shows. */
static void spoil_gaps(struct optimizer *o, struct tensor *gradient)
{
    int64_t end = 0;
    for (int s = 0; s <= SEGMENTS; s++) {
        int64_t begin = s < SEGMENTS ? segments[s].begin : ELEMENTS;
        for (int64_t i = end; i < begin; i++) {
            tensor_set(&o->master, i, NAN);
            tensor_set(&o->second, i, NAN);
            tensor_set(&o->weights, i, NAN);
            tensor_set(gradient, i, NAN);
        }
        end = s < SEGMENTS ? begin + segments[s].count : end;
    }
}

/* One call with a table has the bits of a call for each segment, and leaves what lies between alone. */
static void segments_are_tensors(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int weights = DTYPE_F32; weights <= DTYPE_BF16; weights++)
        for (int t = 1; t <= 3; t++) {
            struct tensor start = tensor_normal(&rng, DTYPE_F32, ELEMENTS, 1);
            struct tensor gradient = tensor_normal(&rng, DTYPE_F32, ELEMENTS, 1);
            struct optimizer together = make_optimizer(&start, (enum dtype)weights);
            spoil_gaps(&together, &gradient);
            struct optimizer alone = copy_optimizer(&together);
            struct step step = make_step(0.25, 0, segments, SEGMENTS);
            struct adamw p = describe(&together, &gradient, 3, &step);
            assert_ok(test_kernels()->adamw(test_context(t, 0), &p));
            for (int s = 0; s < SEGMENTS; s++) {
                const struct adamw_segment one = {0, segments[s].count, segments[s].weight_decay};
                struct step single = make_step(0.25, 0, &one, 1);
                p = describe(&alone, &gradient, 3, &single);
                p.count = one.count;
                p.master += segments[s].begin;
                p.first_moment += segments[s].begin;
                p.second_moment += segments[s].begin;
                p.gradient += segments[s].begin;
                p.weights = (char *)p.weights + (size_t)segments[s].begin * dtype_size(p.weights_type);
                assert_ok(test_kernels()->adamw(test_context(1, 0), &p));
                test_settle();
                free_step(&single);
            }
            assert_same_optimizer(&alone, &together);
            tensor_read(&together.master);
            for (int s = 0; s < SEGMENTS; s++) /* and something was done */
                for (int64_t i = segments[s].begin; i < segments[s].begin + segments[s].count; i++)
                    assert_true(isfinite(together.master.values[i]) && together.master.values[i] != start.values[i]);
            free_step(&step);
            free_optimizer(&alone);
            free_optimizer(&together);
            tensor_free(&start);
            tensor_free(&gradient);
        }
}

static void no_segments_change_nothing(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    struct tensor start = tensor_normal(&rng, DTYPE_F32, 10, 1), gradient = tensor_normal(&rng, DTYPE_F32, 10, 1);
    struct optimizer o = make_optimizer(&start, DTYPE_F32), before = copy_optimizer(&o);
    struct step step = make_step(1, 0, segments, 0);
    struct adamw p = describe(&o, &gradient, 1, &step);
    assert_ok(test_kernels()->adamw(test_context(1, 0), &p));
    p.segments = NULL;
    assert_ok(test_kernels()->adamw(test_context(1, 0), &p));
    assert_same_optimizer(&before, &o);
    free_optimizer(&o);
    free_optimizer(&before);
    tensor_free(&start);
    tensor_free(&gradient);
    free_step(&step);
}

/* A table that lies is a fault, and nothing is updated. */
static void wrong_segments_are_faults(void **state)
{
    (void)state;
    const struct {
        struct adamw_segment table[3];
        const char *text;
    } wrong[] = {
        {{{0, 4, 0}, {INT64_MAX, 2, 0}, {8, 1, 0}}, "adamw: segment 1 of 3 has 2 elements from 9223372036854775807 on"},
        {{{0, 4, 0}, {3, 2, 0}, {8, 1, 0}}, "adamw: segment 1 of 3 has 2 elements from 3 on; 4..9 are free"},
        {{{0, 4, 0}, {5, 2, 0}, {4, 1, 0}}, "adamw: segment 2 of 3 has 1 elements from 4 on; 7..9 are free"},
        {{{0, 4, 0}, {5, 6, 0}, {11, 1, 0}}, "adamw: segment 1 of 3 has 6 elements from 5 on; 4..9 are free"},
        {{{-1, 4, 0}, {5, 2, 0}, {8, 1, 0}}, "adamw: segment 0 of 3 has 4 elements from -1 on; 0..9 are free"},
        {{{0, 4, 0}, {5, -2, 0}, {8, 1, 0}}, "adamw: segment 1 of 3 has -2 elements from 5 on; 4..9 are free"},
    };
    struct rng rng = test_rng(7);
    struct tensor start = tensor_normal(&rng, DTYPE_F32, 10, 1), gradient = tensor_normal(&rng, DTYPE_F32, 10, 1);
    for (int i = 0; i < 6; i++) {
        struct optimizer o = make_optimizer(&start, DTYPE_F32), before = copy_optimizer(&o);
        struct step step = make_step(1, 0, wrong[i].table, 3);
        const struct adamw good = describe(&o, &gradient, 1, &step);
        assert_faults(adamw, good, (void)p, wrong[i].text);
        assert_same_optimizer(&before, &o);
        free_optimizer(&o);
        free_optimizer(&before);
        free_step(&step);
    }
    tensor_free(&start);
    tensor_free(&gradient);
}

/* Of a long table, whose segments are looked at together: each against the one before it, and the first of several. */
static void long_tables_are_looked_at_whole(void **state)
{
    (void)state;
    enum { LONG = 70 };
    static const int places[][2] = {{31, 31}, {32, 32}, {33, 60}, {40, 45}, {63, 64}, {64, 64}, {69, 69}};
    struct rng rng = test_rng(8);
    struct tensor start = tensor_normal(&rng, DTYPE_F32, LONG, 1);
    struct tensor gradient = tensor_normal(&rng, DTYPE_F32, LONG, 1);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct adamw_segment table[LONG];
        char text[100];
        for (int s = 0; s < LONG; s++)
            table[s] = (struct adamw_segment){s, 1, 0};
        for (int k = 0; k < 2; k++)
            table[places[i][k]].begin = places[i][k] - 1;
        snprintf(text, sizeof text, "adamw: segment %d of %d has 1 elements from %d on; %d..69 are free", places[i][0],
                 (int)LONG, places[i][0] - 1, places[i][0]);
        struct optimizer o = make_optimizer(&start, DTYPE_F32);
        struct step step = make_step(1, 0, table, LONG);
        const struct adamw good = describe(&o, &gradient, 1, &step);
        assert_faults(adamw, good, (void)p, text);
        free_optimizer(&o);
        free_step(&step);
    }
    tensor_free(&start);
    tensor_free(&gradient);
}

/* ---- norms ---- */

/* A tensor of one number. */
static struct tensor number(enum dtype type, double value)
{
    struct tensor tensor = tensor_zero(type, 1);
    tensor_set(&tensor, 0, value);
    return tensor;
}

static void norms_are_summed_in_double(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    const int64_t counts[] = {0,   1,    31,   65535, 65536, 65537, 300001, 2,     3,     4,      5,      7,
                              8,   9,    15,   16,    17,    32,    33,     63,    64,    65,     127,    128,
                              129, 1023, 1024, 1025,  4095,  4096,  32768,  70000, 99999, 131072, 1300001};
    for (int s = 0; s < (int)(sizeof counts / sizeof *counts); s++) {
        struct tensor x = tensor_normal(&rng, DTYPE_F32, counts[s], 1);
        /* would be infinite in f32; without it the order of the tiles shows in the last bits */
        if (counts[s] > 0 && counts[s] < 400000)
            tensor_set(&x, 0, 1e30);
        double expected = dot_product(x.values, x.values, x.count), first = 0;
        for (int i = 0; i < (s < 7 ? 4 : 1); i++) {
            struct tensor result = number(DTYPE_F64, NAN), nonfinite = number(DTYPE_I32, 0);
            struct squared_norm p = {x.count, tensor_device(&x), tensor_device(&result), tensor_device(&nonfinite),
                                     false};
            size_t scratch = test_kernels()->squared_norm_scratch_size(&p);
            assert_ok(test_kernels()->squared_norm(test_context(thread_counts[i], scratch), &p));
            double sum = *tensor_read(&result);
            assert_true(fabs(sum - expected) <= 1e-12 * expected && *tensor_read(&nonfinite) == 0);
            if (i == 0)
                first = sum;
            assert_true(memcmp(&sum, &first, sizeof sum) == 0);
            tensor_set(&result, 0, 5e59);
            p.accumulate = true;
            p.result = tensor_device(&result);
            assert_ok(test_kernels()->squared_norm(test_context(thread_counts[i], scratch), &p));
            sum = *tensor_read(&result);
            assert_true(fabs(sum - expected - 5e59) <= 1e-13 * sum);
            tensor_free(&result);
            tensor_free(&nonfinite);
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
            struct tensor result = number(DTYPE_F64, 0), nonfinite = number(DTYPE_I32, 0);
            double kept = tensor_read(&x)[places[i]];
            tensor_set(&x, places[i], bad[v]);
            struct squared_norm p = {x.count, tensor_device(&x), tensor_device(&result), tensor_device(&nonfinite),
                                     false};
            size_t scratch = test_kernels()->squared_norm_scratch_size(&p);
            assert_ok(test_kernels()->squared_norm(test_context(2, scratch), &p));
            assert_true(*tensor_read(&nonfinite) == 1);
            tensor_set(&x, places[i], kept);
            p.x = tensor_device(&x);
            assert_ok(test_kernels()->squared_norm(test_context(2, scratch), &p));
            assert_true(*tensor_read(&nonfinite) == 1 && isfinite(*tensor_read(&result))); /* never cleared here */
            tensor_free(&result);
            tensor_free(&nonfinite);
        }
    tensor_free(&x);
}

static void parameters_are_moved_once(void **state)
{
    (void)state;
    struct tensor start = tensor_zero(DTYPE_F32, 200000), sum = number(DTYPE_F64, 0), nonfinite = number(DTYPE_I32, 0);
    for (int s = 0; s < 3; s++) {
        struct optimizer o = make_optimizer(&start, s == 0 ? DTYPE_F32 : DTYPE_BF16);
        const struct adamw_segment table[] = {{0, 70000, 0.1f}, {70000, 4096, 0}, {74112, 125888, 0.1f}};
        struct step step = make_step(1, 0, table, 3);
        struct adamw p = describe(&o, &start, 1, &step);
        p.weights = s == 0 ? NULL : p.weights;
        p.stochastic = s == 2;
        test_traffic_begin();
        assert_ok(test_kernels()->adamw(test_context(1, 0), &p));
        assert_traffic("adamw", (double)start.count * (s == 0 ? 28 : 30), 1.05);
        free_optimizer(&o);
        free_step(&step);
    }
    struct squared_norm norm = {start.count, tensor_device(&start), tensor_device(&sum), tensor_device(&nonfinite),
                                false};
    const struct device_context *context = test_context(1, test_kernels()->squared_norm_scratch_size(&norm));
    test_traffic_begin();
    assert_ok(test_kernels()->squared_norm(context, &norm));
    assert_traffic("squared_norm", 4 * (double)start.count, 1.05);
    tensor_free(&start);
    tensor_free(&sum);
    tensor_free(&nonfinite);
}

static void clipping(void **state)
{
    (void)state;
    const struct {
        double squared;
        float maximum;
        double scale, norm;
    } cases[] = {{25, 10, 1, 5},    {25, 1, 0.2, 5}, {0, 1, 1, 0},
                 {25, 0, 1, 5},     {25, -1, 1, 5},  {INFINITY, 1, 0, INFINITY},
                 {NAN, 1, NAN, NAN}};
    for (int i = 0; i < 7; i++) {
        struct tensor squared = number(DTYPE_F64, cases[i].squared);
        struct tensor scale = number(DTYPE_F32, -1), norm = number(DTYPE_F32, -1);
        struct clip_scale p = {tensor_device(&squared), cases[i].maximum, tensor_device(&scale), tensor_device(&norm)};
        assert_ok(test_kernels()->clip_scale(test_context(1, 0), &p));
        double got = *tensor_read(&scale), size = *tensor_read(&norm);
        if (isnan(cases[i].squared))
            assert_true(isnan(got) && isnan(size));
        else
            assert_true(fabs(got - cases[i].scale) <= 1e-6 && size == cases[i].norm);
        tensor_free(&squared);
        tensor_free(&scale);
        tensor_free(&norm);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 64);
    struct tensor x = tensor_zero(DTYPE_F32, 4), scale = number(DTYPE_F32, 1), skip = number(DTYPE_I32, 0);
    struct tensor result = number(DTYPE_F64, 0);
    const struct adamw adamw = {.count = 4,
                                .master = tensor_device(&x),
                                .first_moment = tensor_device(&x),
                                .second_moment = tensor_device(&x),
                                .gradient = tensor_device(&x),
                                .beta1 = 0.9f,
                                .beta2 = 0.99f,
                                .step = 1,
                                .scale = tensor_device(&scale),
                                .skip = tensor_device(&skip)};
    assert_refused(adamw, adamw, p.count = -1, "-1 elements");
    assert_refused(adamw, adamw, p.segment_count = -1, "in -1 segments");
    assert_refused(adamw, adamw, p.segment_count = 1, "a null table of segments");
    assert_refused(adamw, adamw, p.step = 0, "step 0");
    assert_refused(adamw, adamw, p.beta2 = 1, "betas");
    assert_refused(adamw, adamw, p.beta1 = NAN, "betas");
    assert_refused(adamw, adamw, p.master = NULL, "null");
    assert_refused(adamw, adamw, p.gradient = NULL, "null");
    assert_refused(adamw, adamw, p.skip = NULL, "skip");
    assert_refused(adamw, adamw, p.scale = NULL, "scale");
    assert_refused(adamw, adamw, p.weights = p.master; p.weights_type = DTYPE_F64, "type");
    assert_refused(adamw, adamw, p.weights = p.master; p.stochastic = true, "only bf16 is rounded");
    assert_refused(adamw, adamw, p.first_index = -1, "first index -1");
    const struct squared_norm norm = {4, tensor_device(&x), tensor_device(&result), tensor_device(&skip), false};
    assert_refused(squared_norm, norm, p.count = -1, "-1 values");
    assert_refused(squared_norm, norm, p.x = NULL, "null");
    assert_refused(squared_norm, norm, p.result = NULL, "null");
    assert_refused(squared_norm, norm, p.nonfinite = NULL, "null");
    struct device_context small = *context;
    small.scratch_bytes = 0;
    assert_fails(test_kernels()->squared_norm(&small, &norm), STATUS_INTERNAL, "needs 8 bytes of scratch");
    const struct clip_scale clip = {tensor_device(&result), 1, tensor_device(&scale), tensor_device(&x)};
    assert_refused(clip_scale, clip, p.scale = NULL, "null");
    assert_refused(clip_scale, clip, p.norm = NULL, "null");
    assert_refused(clip_scale, clip, p.squared_norm = NULL, "null");
    tensor_free(&x);
    tensor_free(&scale);
    tensor_free(&skip);
    tensor_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_equals_the_paper),
        cmocka_unit_test(adamw_without_a_compute_copy),
        cmocka_unit_test(masters_are_rounded_by_the_formula),
        cmocka_unit_test(rounding_is_unbiased),
        cmocka_unit_test(parameters_are_moved_once),
        cmocka_unit_test(segments_are_tensors),
        cmocka_unit_test(no_segments_change_nothing),
        cmocka_unit_test(wrong_segments_are_faults),
        cmocka_unit_test(long_tables_are_looked_at_whole),
        cmocka_unit_test(norms_are_summed_in_double),
        cmocka_unit_test(nonfinite_values_are_seen),
        cmocka_unit_test(clipping),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
