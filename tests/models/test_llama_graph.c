/* Steps of drawing as graphs: the same bits as call by call, a row beside others as alone, what a token costs in calls of the
 * backend, and graphs whose context has changed. Tables without graphs run the same steps, which must agree as well. */
#include "support/closed_kernels.h"
#include "support/llama_support.h"
#include "support/test_kernels.h"
#include "support/test_support.h"

#include <math.h>
#include <string.h>

enum { V = 61, ROWS = 5, CAPACITY = 40, PROMPT = 7, STEPS = 12, SEED = 11 };

static const int32_t prompt[PROMPT] = {3, 1, 4, 1, 5, 9, 2};

struct bench {
    struct llama_fixture fixture;
    struct llama_session *session;
    uint8_t mask[V];
};

static struct llama_session *open_session(struct bench *bench, int64_t rows, bool eager)
{
    struct llama_session *session;
    const struct llama_session_options options = {
        .rows = rows, .capacity = CAPACITY, .masks = bench->mask, .mask_count = 1, .eager = eager};
    assert_ok(llama_session_create(bench->fixture.model, &options, &session));
    for (int64_t row = 0; row < rows; row++)
        assert_ok(llama_session_prefill(session, row, prompt, PROMPT - row % 3, NULL));
    return session;
}

/* Two layers whose heads begin at whole words of 16 bytes, as those of real models do. */
static struct llama_config aligned_config(void)
{
    struct llama_config config = llama_small_config();
    assert_int_equal(config.vocabulary_size, V);
    config.layers = 2;
    config.hidden_size = 48;
    config.head_size = 32;
    return config;
}

static void bench_open(struct bench *bench, enum dtype dtype)
{
    const struct llama_config config = aligned_config();
    llama_fixture_create(&bench->fixture, &config, dtype, 2);
    llama_fixture_weights(&bench->fixture, SEED, 0.1);
    memset(bench->mask, 1, V);
    bench->session = open_session(bench, ROWS, false);
}

static void bench_close(struct bench *bench)
{
    llama_session_destroy(bench->session);
    llama_fixture_destroy(&bench->fixture);
}

/* A step of rows in any order, by a uniform number for each. */
struct step {
    int64_t count, rows[ROWS];
    double uniforms[ROWS];
    int32_t ids[ROWS];
};

static struct llama_draw draw_of(struct step *step)
{
    return (struct llama_draw){.count = step->count,
                               .rows = step->rows,
                               .uniforms = step->uniforms,
                               .temperature = 1,
                               .top_k = 20,
                               .top_p = 0.95,
                               .ids = step->ids};
}

static void next_step(struct rng *rng, struct step *step, int number)
{
    step->count = number % 4 == 3 ? 3 : ROWS;
    rng_permutation(rng, step->rows, ROWS);
    for (int i = 0; i < ROWS; i++) {
        step->uniforms[i] = rng_uniform(rng);
        step->ids[i] = (int32_t)rng_below(rng, V);
    }
}

/* The cache of both sessions, seen through the logits of one more token of every row. */
static void expect_same_logits(struct llama_session *a, struct llama_session *b)
{
    static float of_a[ROWS * V], of_b[ROWS * V];
    const int64_t rows[ROWS] = {0, 1, 2, 3, 4};
    const int32_t ids[ROWS] = {1, 2, 3, 4, 5};
    assert_ok(llama_session_decode(a, rows, ids, ROWS, of_a));
    assert_ok(llama_session_decode(b, rows, ids, ROWS, of_b));
    assert_memory_equal(of_a, of_b, sizeof of_a);
}

static void a_graph_has_the_bits_of_its_calls(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct bench bench;
        struct rng rng = rng_make(test_seed(), RNG_TEST, 41, 0);
        bench_open(&bench, (enum dtype)dtype);
        struct llama_session *eager = open_session(&bench, ROWS, true);
        for (int number = 0; number < STEPS; number++) {
            struct step step, other;
            next_step(&rng, &step, number);
            other = step;
            struct llama_draw draw = draw_of(&step), eager_draw = draw_of(&other);
            assert_ok(llama_session_draw(bench.session, &draw));
            assert_ok(llama_session_draw(eager, &eager_draw));
            assert_memory_equal(step.ids, other.ids, (size_t)step.count * sizeof *step.ids);
        }
        expect_same_logits(bench.session, eager);
        llama_session_destroy(eager);
        bench_close(&bench);
    }
}

/* Each row of the batch in a session of its own, which has one row and so another graph. */
static void a_row_has_the_bits_it_has_alone(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct bench bench;
        bench_open(&bench, (enum dtype)dtype);
        static struct step steps[STEPS];
        struct rng rng = rng_make(test_seed(), RNG_TEST, 42, 0);
        static int32_t given[STEPS][ROWS];
        for (int number = 0; number < STEPS; number++) {
            next_step(&rng, &steps[number], 0);
            memcpy(given[number], steps[number].ids, sizeof given[number]);
            struct llama_draw draw = draw_of(&steps[number]);
            assert_ok(llama_session_draw(bench.session, &draw));
        }
        const int64_t checked = 2; /* one row is enough: its neighbours change places at every step */
        struct llama_session *alone = open_session(&bench, checked + 1, false);
        for (int number = 0; number < STEPS; number++)
            for (int i = 0; i < ROWS; i++) {
                if (steps[number].rows[i] != checked)
                    continue;
                struct step single = {1, {checked}, {steps[number].uniforms[i]}, {given[number][i]}};
                struct llama_draw draw = draw_of(&single);
                assert_ok(llama_session_draw(alone, &draw));
                assert_int_equal(single.ids[0], steps[number].ids[i]);
            }
        float of_batch[V], of_one[V];
        assert_ok(llama_session_decode(bench.session, &checked, &prompt[0], 1, of_batch));
        assert_ok(llama_session_decode(alone, &checked, &prompt[0], 1, of_one));
        assert_memory_equal(of_batch, of_one, sizeof of_one);
        llama_session_destroy(alone);
        bench_close(&bench);
    }
}

/* ---- against the cpu ---- */

/* The same model on the cpu's table, with a session that holds the prompt in row 0. */
struct twin {
    struct device_context context;
    struct llama *model;
    struct llama_session *session;
};

static void open_twin(struct bench *bench, struct twin *twin)
{
    const struct llama *model = bench->fixture.model;
    const struct llama_session_options options = {.rows = 1, .capacity = CAPACITY};
    void *weights = llama_fixture_copy_weights(&bench->fixture);
    assert_ok(device_context_create(kernels_cpu(), bench->fixture.pool, 0, &twin->context));
    assert_ok(llama_create(&model->config, model->dtype, kernels_cpu(), &twin->context, &twin->model));
    assert_ok(kernels_cpu()->copy_to_device(&twin->context, QUEUE_COMPUTE, twin->model->weights, weights,
                                            (size_t)model->layout.elements * dtype_size(model->dtype)));
    assert_ok(llama_session_create(twin->model, &options, &twin->session));
    assert_ok(llama_session_prefill(twin->session, 0, prompt, PROMPT, NULL));
    guarded_free(weights);
}

static void close_twin(struct twin *twin)
{
    llama_session_destroy(twin->session);
    llama_destroy(twin->model);
    device_context_destroy(kernels_cpu(), &twin->context);
}

/* The first of the largest logits, and by how much it is larger than the next. */
static int32_t best_of(const float *logits, float *margin)
{
    int32_t best = 0;
    for (int32_t id = 1; id < V; id++)
        best = logits[id] > logits[best] ? id : best;
    *margin = INFINITY;
    for (int32_t id = 0; id < V; id++)
        if (id != best && logits[best] - logits[id] < *margin)
            *margin = logits[best] - logits[id];
    return best;
}

/* Greedy tokens, each the cpu's continuation of the cpu's own: all in f32, in bf16 those whose logit stands out by more than
 * two computations in bf16 may differ. */
static void greedy_tokens_are_the_cpus(void **state)
{
    (void)state;
    if (test_kernels() == kernels_cpu())
        skip();
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct bench bench;
        struct twin twin;
        bench_open(&bench, (enum dtype)dtype);
        open_twin(&bench, &twin);
        const int64_t row = 0;
        const float error = dtype == DTYPE_F32 ? 1e-4f : 0.05f;
        int32_t given = 1;
        int decided = 0, steps = 24;
        for (int i = 0; i < steps; i++) {
            float logits[V], margin;
            int32_t id = given;
            const struct llama_draw draw = {.count = 1, .rows = &row, .top_p = 1, .ids = &id};
            assert_ok(llama_session_decode(twin.session, &row, &given, 1, logits));
            assert_ok(llama_session_draw(bench.session, &draw));
            given = best_of(logits, &margin);
            decided += margin > 2 * error;
            if (margin > 2 * error)
                assert_int_equal(id, given);
        }
        print_message("%s: %d of %d tokens decided\n", dtype_name((enum dtype)dtype), decided, steps);
        assert_true(decided >= (dtype == DTYPE_F32 ? steps - 1 : steps / 3));
        close_twin(&twin);
        bench_close(&bench);
    }
}

/* ---- what a token costs ---- */

/* From the third step of a kind on: one launch of a graph, one wait, nothing allocated, no copy of pageable memory. */
static void a_token_is_one_launch_and_one_wait(void **state)
{
    (void)state;
    struct bench bench;
    struct test_calls before, after;
    bench_open(&bench, DTYPE_BF16);
    struct step step = {ROWS, {0, 1, 2, 3, 4}, {0.5}, {0}};
    struct llama_draw draw = draw_of(&step);
    bool counted = test_cuda_calls(&before);
    if (!counted && !test_kernels_closed())
        skip();
    for (int number = 0; number < 5; number++) {
        assert_ok(llama_session_draw(bench.session, &draw));
        test_cuda_calls(&after);
        if (number >= 2 && counted) {
            assert_int_equal(after.graph_launches - before.graph_launches, 1);
            assert_int_equal(after.launches - before.launches, 0);
            assert_int_equal(after.synchronizes - before.synchronizes, 1);
            assert_int_equal(after.allocations - before.allocations, 0);
            assert_int_equal(after.pageable_copies - before.pageable_copies, 0);
            assert_int_equal(after.copies - before.copies,
                             3); /* the tables, the ids, and the word that tells of faults */
        }
        before = after;
        if (test_kernels_closed())
            assert_int_equal(closed_counters(&bench.fixture.context).graph_launches, number > 0 ? number : 0);
    }
    bench_close(&bench);
}

/* ---- what changes beside a graph ---- */

/* Another session makes the context's scratch larger, and so another place: the old graph must not be launched. */
static void scratch_may_move(void **state)
{
    (void)state;
    struct bench bench;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 43, 0);
    bench_open(&bench, DTYPE_F32);
    struct llama_session *eager = open_session(&bench, ROWS, true);
    for (int number = 0; number < 9; number++) {
        struct step step, other;
        next_step(&rng, &step, 0);
        other = step;
        struct llama_draw draw = draw_of(&step), eager_draw = draw_of(&other);
        if (number % 3 == 2)
            assert_ok(device_context_reserve(test_kernels(), &bench.fixture.context,
                                             2 * bench.fixture.context.scratch_bytes + 1000));
        assert_ok(llama_session_draw(bench.session, &draw));
        assert_ok(llama_session_draw(eager, &eager_draw));
        assert_memory_equal(step.ids, other.ids, sizeof step.ids);
    }
    expect_same_logits(bench.session, eager);
    llama_session_destroy(eager);
    bench_close(&bench);
}

/* Steps that differ in one thing alone are steps of different kinds, in turn until each has its graph. */
static void kinds_are_told_apart(void **state)
{
    (void)state;
    enum { KINDS = 5, ROUNDS = 5 };
    struct bench bench;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 44, 0);
    bench_open(&bench, DTYPE_F32);
    struct llama_session *eager = open_session(&bench, ROWS, true);
    struct test_calls before, after;
    const bool counted = test_cuda_calls(&before);
    for (int number = 0; number < KINDS * ROUNDS; number++) {
        struct step step, other;
        next_step(&rng, &step, 0);
        step.count = number % KINDS == 4 ? ROWS - 1 : ROWS;
        other = step;
        struct llama_draw draw = draw_of(&step), eager_draw = draw_of(&other);
        draw.temperature = eager_draw.temperature = number % KINDS == 1 ? 0.2 : 1;
        draw.top_k = eager_draw.top_k = number % KINDS == 2 ? 2 : 20;
        draw.top_p = eager_draw.top_p = number % KINDS == 3 ? 0.1 : 0.95;
        assert_ok(llama_session_draw(bench.session, &draw));
        assert_ok(llama_session_draw(eager, &eager_draw));
        assert_memory_equal(step.ids, other.ids, sizeof step.ids);
    }
    test_cuda_calls(&after);
    if (counted) /* none of so few kinds makes room for another one */
        assert_int_equal(after.graph_launches - before.graph_launches, KINDS * (ROUNDS - 1));
    expect_same_logits(bench.session, eager);
    llama_session_destroy(eager);
    bench_close(&bench);
}

/* More kinds of steps than there are places for graphs, again and again. */
static void old_graphs_make_room(void **state)
{
    (void)state;
    struct bench bench;
    struct step step = {1, {0}, {0.5}, {0}};
    bench_open(&bench, DTYPE_F32);
    int32_t first[20];
    for (int round = 0; round < test_count(3, 2); round++)
        for (int kind = 0; kind < 20; kind++) {
            struct llama_draw draw = draw_of(&step);
            draw.top_k = 1 + kind;
            llama_session_truncate(bench.session, 0, PROMPT);
            step.ids[0] = 7;
            assert_ok(llama_session_draw(bench.session, &draw));
            if (round == 0)
                first[kind] = step.ids[0];
            assert_int_equal(step.ids[0], first[kind]);
            if (kind > 17) { /* a kind that is repeated at once */
                llama_session_truncate(bench.session, 0, PROMPT);
                step.ids[0] = 7;
                assert_ok(llama_session_draw(bench.session, &draw));
                assert_int_equal(step.ids[0], first[kind]);
            }
        }
    bench_close(&bench);
}

/* A step that is refused while it is recorded leaves a session that goes on. */
static void a_refused_recording_is_dropped(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, DTYPE_F32);
    struct step step = {ROWS, {0, 1, 2, 3, 4}, {0.5}, {0}};
    struct llama_draw draw = draw_of(&step);
    for (int i = 0; i < 3; i++) {
        struct llama_draw wrong = draw;
        wrong.top_p = 2;
        assert_fails(llama_session_draw(bench.session, &wrong), STATUS_INTERNAL, "top_p");
        assert_ok(llama_session_draw(bench.session, &draw));
    }
    for (int64_t row = 0; row < ROWS; row++)
        assert_int_equal(llama_session_length(bench.session, row), PROMPT - row % 3 + 3);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_has_the_bits_of_its_calls),
        cmocka_unit_test(a_row_has_the_bits_it_has_alone),
        cmocka_unit_test(greedy_tokens_are_the_cpus),
        cmocka_unit_test(a_token_is_one_launch_and_one_wait),
        cmocka_unit_test(scratch_may_move),
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(old_graphs_make_room),
        cmocka_unit_test(a_refused_recording_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
