/* Sampling: each id against a plain full sort in double, ties, the edges of top-k and top-p, masks, numbers that are none,
 * and the distribution of ten thousand draws. */
#include "support/kernel_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

enum { GAP = 2, MASKS = 3 };

struct problem {
    int64_t rows, columns;
    double temperature, top_p;
    int64_t top_k;
    struct tensor logits, masks, mask_rows, uniforms;
};

static struct problem make_problem(struct rng *rng, int64_t rows, int64_t columns)
{
    struct problem q = {.rows = rows, .columns = columns, .temperature = 1, .top_p = 1};
    q.logits = tensor_normal(rng, DTYPE_F32, rows * (columns + GAP), 2);
    q.masks = tensor_zero(DTYPE_U8, MASKS * columns);
    q.mask_rows = tensor_zero(DTYPE_I32, rows);
    q.uniforms = tensor_zero(DTYPE_F64, rows);
    for (int64_t i = 0; i < q.logits.count; i++)
        if (i % 3 == 0) /* many equal ones */
            tensor_set(&q.logits, i, round(2 * q.logits.values[i]) / 2);
    tensor_fill_gaps(&q.logits, columns, columns + GAP, NAN);
    for (int64_t i = 0; i < MASKS * columns; i++) /* the first allows all */
        tensor_set(&q.masks, i, i < columns || rng_below(rng, 3) > 0 ? 1 : 0);
    for (int64_t r = 0; r < rows; r++) {
        tensor_set(&q.mask_rows, r, (double)rng_below(rng, MASKS));
        tensor_set(&q.uniforms, r, rng_uniform(rng));
    }
    return q;
}

static void free_problem(struct problem *q)
{
    tensor_free(&q->logits);
    tensor_free(&q->masks);
    tensor_free(&q->mask_rows);
    tensor_free(&q->uniforms);
}

static struct sample describe(struct problem *q, struct tensor *ids)
{
    return (struct sample){.rows = q->rows,
                           .columns = q->columns,
                           .logits = tensor_device(&q->logits),
                           .row_stride = q->columns + GAP,
                           .masks = tensor_device(&q->masks),
                           .mask_rows = tensor_device(&q->mask_rows),
                           .mask_count = MASKS,
                           .uniforms = q->temperature == 0 ? NULL : tensor_device(&q->uniforms),
                           .temperature = q->temperature,
                           .top_k = q->top_k,
                           .top_p = q->top_p,
                           .ids = tensor_device(ids)};
}

static struct tensor draw(struct problem *q, int threads)
{
    struct tensor ids = tensor_make(DTYPE_I32, q->rows);
    struct sample p = describe(q, &ids);
    size_t scratch = test_kernels()->sample_scratch_size(&p);
    assert_ok(test_kernels()->sample(test_context(threads, scratch), &p));
    tensor_read(&ids);
    return ids;
}

/* ---- the plain computation ---- */

struct option {
    double logit, probability;
    int64_t id;
};

static int by_logit(const void *a, const void *b)
{
    const struct option *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The allowed ids of row r, sorted; -1 where the rules give no id. */
static int64_t sorted_options(const struct problem *q, int64_t r, struct option *options)
{
    const double *logits = q->logits.values + r * (q->columns + GAP);
    const double *mask = q->masks.values + (int64_t)q->mask_rows.values[r] * q->columns;
    int64_t count = 0;
    for (int64_t id = 0; id < q->columns; id++) {
        if (mask[id] == 0)
            continue;
        if (isnan(logits[id]) || logits[id] == INFINITY)
            return -1;
        if (logits[id] != -INFINITY)
            options[count++] = (struct option){.logit = logits[id], .id = id};
    }
    qsort(options, (size_t)count, sizeof *options, by_logit);
    return count == 0 ? -1 : count;
}

static void normalise(const struct problem *q, struct option *options, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += options[i].probability = exp((options[i].logit - options[0].logit) / q->temperature);
    for (int64_t i = 0; i < count; i++)
        options[i].probability /= sum;
}

/* Row r's id: softmax of the top k, the smallest set of mass top_p, that set's distribution at uniforms[r]. *close tells
 * that a sum lies too near to a limit for rounding not to matter. */
static int64_t expected_id(const struct problem *q, int64_t r, bool *close)
{
    struct option *options = calloc((size_t)q->columns, sizeof *options);
    assert_non_null(options);
    int64_t count = sorted_options(q, r, options), kept = 0, id = count < 0 ? -1 : options[0].id;
    double mass = 0, passed = 0;
    *close = false;
    if (count > 0 && q->temperature > 0) {
        count = q->top_k > 0 && q->top_k < count ? q->top_k : count;
        normalise(q, options, count);
        while (kept < count && (kept == 0 || mass < q->top_p)) {
            *close = *close || (q->top_p < 1 && fabs(mass - q->top_p) < 1e-9);
            mass += options[kept++].probability;
        }
        *close = *close || (q->top_p < 1 && fabs(mass - q->top_p) < 1e-9);
        for (int64_t i = 0; i < kept; i++) {
            double before = passed;
            passed += options[i].probability / mass;
            *close = *close || fabs(passed - q->uniforms.values[r]) < 1e-9;
            if (before <= q->uniforms.values[r] && (q->uniforms.values[r] < passed || i == kept - 1))
                id = options[i].id;
        }
    }
    free(options);
    return id;
}

static void check(struct problem *q)
{
    struct tensor first = draw(q, 1);
    int64_t unclear = 0;
    for (int64_t r = 0; r < q->rows; r++) {
        bool close;
        int64_t expected = expected_id(q, r, &close);
        unclear += close;
        if (!close && first.values[r] != (double)expected)
            fail_msg(
                "row %lld of %lld columns, temperature %g, top_k %lld, top_p %g, uniform %.17g: id %g, expected %lld",
                (long long)r, (long long)q->columns, q->temperature, (long long)q->top_k, q->top_p,
                q->uniforms.values[r], first.values[r], (long long)expected);
    }
    assert_true(unclear <= q->rows / 8);
    for (int i = 1; i < test_repeats(4); i++) {
        struct tensor next = draw(q, thread_counts[i]);
        assert_same_bits("ids", &first, &next);
        tensor_free(&next);
    }
    tensor_free(&first);
}

/* ---- tests ---- */

static void ids_equal_those_of_a_full_sort(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t columns[] = {1, 2, 37, 501, 2301}, top_k[] = {0, 1, 7, 40, 5000};
    const double temperatures[] = {0, 0.05, 1, 3}, top_p[] = {1, 0.9, 0.3, 1e-9};
    for (int c = 0; c < 5; c++)
        for (int t = 0; t < 4; t++)
            for (int64_t i = test_count(0, (c + t) % 3); i < 20; i += test_count(1, 3)) {
                struct problem q = make_problem(&rng, i % 5 == 0 ? test_count(33, 9) : test_count(4, 2), columns[c]);
                q.temperature = temperatures[t];
                q.top_k = top_k[i % 5];
                q.top_p = top_p[i / 5];
                check(&q);
                free_problem(&q);
            }
}

/* Row r of four equal logits among smaller ones: ids 3, 5, 8, 9. */
static struct problem tied_problem(struct rng *rng, int64_t rows)
{
    struct problem q = make_problem(rng, rows, 12);
    for (int64_t i = 0; i < q.logits.count; i++)
        if (i % (12 + GAP) < 12)
            tensor_set(&q.logits, i, -40);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t ids[] = {3, 5, 8, 9};
        for (int i = 0; i < 4; i++)
            tensor_set(&q.logits, r * (12 + GAP) + ids[i], 2.5);
        tensor_set(&q.mask_rows, r, 0);
    }
    return q;
}

static void ties_are_taken_by_id(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct problem q = tied_problem(&rng, 8);
    const double uniforms[8] = {0, 0.2499, 0.25, 0.4999, 0.5, 0.7499, 0.75, 1 - 1e-12};
    const double all[8] = {3, 3, 5, 5, 8, 8, 9, 9}, three[8] = {3, 3, 3, 5, 5, 8, 8, 8},
                 two[8] = {3, 3, 3, 3, 5, 5, 5, 5};
    const struct {
        int64_t top_k;
        double top_p, temperature;
        const double *expected;
    } cases[] = {{4, 1, 1, all},      {3, 1, 1, three}, {2, 1, 1, two},     {4, 0.75, 1, three}, {4, 0.5, 1, two},
                 {4, 0.51, 1, three}, {3, 0.5, 1, two}, {0, 0.5, 0.1, two}, {4, 1, 1e-6, all},   {4, 1, 50, all}};
    for (int64_t r = 0; r < 8; r++)
        tensor_set(&q.uniforms, r, uniforms[r]);
    for (int i = 0; i < 10; i++) {
        q.top_k = cases[i].top_k;
        q.top_p = cases[i].top_p;
        q.temperature = cases[i].temperature;
        struct tensor ids = draw(&q, 2);
        for (int64_t r = 0; r < 8; r++)
            if (ids.values[r] != cases[i].expected[r])
                fail_msg("case %d, uniform %g: id %g, expected %g", i, uniforms[r], ids.values[r],
                         cases[i].expected[r]);
        tensor_free(&ids);
    }
    free_problem(&q);
}

/* The largest number below 1 takes the last candidate, however its product with the sum of the weights rounds. */
static void the_largest_uniform_takes_the_last(void **state)
{
    (void)state;
    struct rng rng = test_rng(10);
    for (int64_t columns = 9; columns < 1200; columns *= 123) { /* sorted, then by digits */
        struct problem q = make_problem(&rng, 24, columns);
        for (int64_t r = 0; r < q.rows; r++)
            tensor_set(&q.uniforms, r, nextafter(1, 0));
        struct tensor ids = draw(&q, 1);
        for (int64_t r = 0; r < q.rows; r++) {
            const double *logits = q.logits.values + r * (columns + GAP);
            const double *allowed = q.masks.values + (int64_t)q.mask_rows.values[r] * columns;
            int64_t last = -1;
            for (int64_t id = 0; id < columns; id++)
                if (allowed[id] == 1 && (last < 0 || logits[id] <= logits[last]))
                    last = id;
            if (ids.values[r] != (double)last)
                fail_msg("row %lld of %lld columns: id %g, expected %lld", (long long)r, (long long)columns,
                         ids.values[r], (long long)last);
        }
        tensor_free(&ids);
        free_problem(&q);
    }
}

/* The first of the largest, whichever way greed is asked for. */
static void greed_takes_the_first(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    struct problem q = tied_problem(&rng, 5);
    tensor_set(&q.logits, 2 * (12 + GAP) + 1, 2.5);
    tensor_set(&q.masks, 12 + 3, 0);
    tensor_set(&q.masks, 12 + 5, 1);
    tensor_set(&q.mask_rows, 4, 1); /* id 3 is banned */
    const double expected[5] = {3, 3, 1, 3, 5};
    for (int way = 0; way < 3; way++) {
        q.temperature = way == 0 ? 0 : 1;
        q.top_k = way == 1 ? 1 : 0;
        q.top_p = way == 2 ? 1e-12 : 1;
        struct tensor ids = draw(&q, 1);
        for (int64_t r = 0; r < 5; r++)
            assert_true(ids.values[r] == expected[r]);
        tensor_free(&ids);
    }
    free_problem(&q);
}

static void what_is_no_number_is_not_drawn(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    for (int greedy = 0; greedy < 2; greedy++) {
        struct problem q = tied_problem(&rng, 8);
        q.temperature = greedy ? 0 : 1;
        for (int64_t id = 0; id < 12; id++) {
            tensor_set(&q.masks, 12 + id, id == 7 ? 1 : 0); /* mask 1: only 7; mask 2: none */
            tensor_set(&q.masks, 24 + id, 0);
            tensor_set(&q.logits, 2 * (12 + GAP) + id, -INFINITY);
            tensor_set(&q.logits, 5 * (12 + GAP) + id, id == 6 ? -1e30 : -INFINITY);
            tensor_set(&q.logits, 7 * (12 + GAP) + id, id % 2 ? -INFINITY : 3e38);
        }
        tensor_set(&q.logits, 0 * (12 + GAP) + 11, NAN);
        tensor_set(&q.logits, 1 * (12 + GAP) + 11, INFINITY);
        tensor_set(&q.logits, 3 * (12 + GAP) + 11, NAN);
        tensor_set(&q.logits, 3 * (12 + GAP) + 2, INFINITY);
        tensor_set(&q.mask_rows, 3, 1);
        tensor_set(&q.mask_rows, 4, 2);
        tensor_set(&q.mask_rows, 6, 1);
        tensor_set(&q.logits, 6 * (12 + GAP) + 7, -INFINITY);
        tensor_set(&q.uniforms, 7, 0.99);
        const double expected[8] = {-1, -1, -1, 7, -1, 6, -1, greedy ? 0 : 10};
        struct tensor ids = draw(&q, 2);
        for (int64_t r = 0; r < 8; r++)
            if (ids.values[r] != expected[r])
                fail_msg("row %lld: id %g, expected %g", (long long)r, ids.values[r], expected[r]);
        tensor_free(&ids);
        free_problem(&q);
    }
}

/* Thousands of draws from eight ids, of which top-k and top-p leave five: Pearson's sum with 4 degrees of freedom is
 * above 23.5 once in 10,000 seeds. */
static void draws_have_the_right_distribution(void **state)
{
    (void)state;
    enum { IDS = 8 };
    const int64_t draws = test_count(10000, 3000);
    struct rng rng = test_rng(5);
    struct problem q = make_problem(&rng, draws, IDS);
    const double logits[IDS] = {0.5, -1, 2, 1, 0, 1.5, -3, 0.7};
    for (int64_t r = 0; r < draws; r++) {
        for (int64_t id = 0; id < IDS; id++)
            tensor_set(&q.logits, r * (IDS + GAP) + id, logits[id]);
        tensor_set(&q.mask_rows, r, 0);
    }
    q.temperature = 0.8;
    q.top_k = 6;
    q.top_p = 0.95; /* masses of 2, 1.5, 1, 0.7, 0.5, 0 at 0.8: the sixth is not needed */
    const int64_t left[] = {2, 5, 3, 7, 0};
    double expected[IDS] = {0}, sum = 0, counts[IDS] = {0}, deviation = 0;
    for (int i = 0; i < 5; i++)
        sum += expected[left[i]] = exp(logits[left[i]] / 0.8);
    struct tensor ids = draw(&q, 2);
    for (int64_t r = 0; r < draws; r++)
        counts[(int64_t)ids.values[r]]++;
    for (int id = 0; id < IDS; id++) {
        double mean = (double)draws * expected[id] / sum;
        if (mean == 0)
            assert_true(counts[id] == 0);
        else
            deviation += (counts[id] - mean) * (counts[id] - mean) / mean;
    }
    if (!(deviation < 23.5))
        fail_msg("Pearson's sum is %g", deviation);
    tensor_free(&ids);
    free_problem(&q);
}

/* The same logits and uniform numbers give the ids that the plain computation gives, whatever is close to a limit: at least
 * 99.9 % of 10,000 draws, from rows of a small vocabulary and from some as wide as a model's, with logits like a model's: a
 * few that stand out from a broad rest. */
static void ten_thousand_draws_are_the_same(void **state)
{
    (void)state;
    const struct {
        int64_t rows, columns, top_k;
        double temperature, top_p;
    } cases[] = {{5000, 60, 0, 1, 1},       {2500, 60, 0, 0.8, 0.9}, {2500, 60, 12, 1.2, 0.95},
                 {40, 32000, 0, 0.9, 0.95}, {30, 32003, 0, 1, 1},    {30, 32000, 50, 1, 0.9}};
    struct rng rng = test_rng(9);
    int64_t draws = 0, different = 0;
    for (int c = 0; c < 6; c++) {
        bool wide = cases[c].columns > 1000;
        struct problem q = make_problem(&rng, wide ? test_count(cases[c].rows, 3) : cases[c].rows, cases[c].columns);
        q.temperature = cases[c].temperature;
        q.top_k = cases[c].top_k;
        q.top_p = cases[c].top_p;
        for (int64_t r = 0; r < q.rows; r++)
            for (int64_t id = 0; id < q.columns; id++) {
                double *logit = &q.logits.values[r * (q.columns + GAP) + id];
                tensor_set(&q.logits, r * (q.columns + GAP) + id,
                           *logit + (rng_below(&rng, 200) == 0 ? 8 * rng_uniform(&rng) : 0));
            }
        struct tensor ids = draw(&q, 3);
        for (int64_t r = 0; r < q.rows; r++) {
            bool close;
            different += ids.values[r] != (double)expected_id(&q, r, &close);
        }
        draws += q.rows;
        tensor_free(&ids);
        free_problem(&q);
    }
    print_message("%lld of %lld draws differ\n", (long long)different, (long long)draws);
    assert_true(draws >= 10000 && different * 1000 <= draws);
}

static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    struct problem q = make_problem(&rng, 12, 501);
    q.top_k = 50;
    struct tensor all = draw(&q, 3);
    for (int64_t r = 0; r < 12; r++) {
        struct tensor id = tensor_make(DTYPE_I32, 1);
        struct sample p = describe(&q, &id);
        p.rows = 1;
        p.logits += r * p.row_stride;
        p.mask_rows += r;
        p.uniforms += r;
        assert_ok(test_kernels()->sample(test_context(1, test_kernels()->sample_scratch_size(&p)), &p));
        assert_true(*tensor_read(&id) == all.values[r]);
        tensor_free(&id);
    }
    tensor_free(&all);
    free_problem(&q);
}

static void wrong_masks_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    for (int i = 0; i < 2; i++) {
        struct problem q = make_problem(&rng, 5, 20);
        struct tensor ids = tensor_zero(DTYPE_I32, 5);
        tensor_set(&q.mask_rows, 2, i ? MASKS : -1);
        const struct sample good = describe(&q, &ids);
        assert_faults(sample, good, (void)p,
                      i ? "sample: mask 2 of 5 is 3, outside 0..2" : "sample: mask 2 of 5 is -1, outside 0..2");
        tensor_free(&ids);
        free_problem(&q);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    struct problem q = make_problem(&rng, 2, 20);
    struct tensor ids = tensor_zero(DTYPE_I32, 2);
    const struct sample good = describe(&q, &ids);
    const struct device_context *context = test_context(1, test_kernels()->sample_scratch_size(&good));
    assert_refused(sample, good, p.rows = -1, "-1 rows");
    assert_refused(sample, good, p.columns = 0, "rows of 0");
    assert_refused(sample, good, p.row_stride = 19, "a row stride of 19 for 20");
    assert_refused(sample, good, p.mask_count = 0, "0 masks");
    assert_refused(sample, good, p.temperature = -1, "temperature -1");
    assert_refused(sample, good, p.temperature = NAN, "temperature");
    assert_refused(sample, good, p.top_k = -1, "top_k -1");
    assert_refused(sample, good, p.top_p = 0, "top_p 0");
    assert_refused(sample, good, p.top_p = 1.5, "top_p 1.5");
    assert_refused(sample, good, p.top_p = NAN, "top_p");
    assert_refused(sample, good, p.masks = NULL, "null");
    assert_refused(sample, good, p.mask_rows = NULL, "null");
    assert_refused(sample, good, p.uniforms = NULL, "null");
    assert_refused(sample, good, p.ids = NULL, "null");
    assert_refused(sample, good, p.logits = NULL, "null");
    struct device_context small = *context;
    small.scratch_bytes = 1;
    if (test_kernels()->sample_scratch_size(&good) > 1)
        assert_fails(test_kernels()->sample(&small, &good), STATUS_INTERNAL, "sample: needs ");
    tensor_free(&ids);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_those_of_a_full_sort),
        cmocka_unit_test(ties_are_taken_by_id),
        cmocka_unit_test(the_largest_uniform_takes_the_last),
        cmocka_unit_test(greed_takes_the_first),
        cmocka_unit_test(what_is_no_number_is_not_drawn),
        cmocka_unit_test(draws_have_the_right_distribution),
        cmocka_unit_test(ten_thousand_draws_are_the_same),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(wrong_masks_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
