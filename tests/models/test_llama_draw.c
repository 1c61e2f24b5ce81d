/* Ids drawn on the device: against logits brought to the host, as rows come and go; what a token costs in copies, waits
 * and memory; and which calls are refused. */
#include "support/closed_kernels.h"
#include "support/llama_support.h"
#include "support/scratch_recorder.h"
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

enum { V = 61, ROWS = 20, CAPACITY = 150, PROMPT = 9, SEED = 9 };

static const int64_t all_rows[ROWS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
static const int32_t prompt[PROMPT] = {3, 1, 4, 1, 5, 9, 2, 6, 5};

struct bench {
    struct llama_fixture fixture;
    struct llama_session *session;
    uint8_t masks[3 * V]; /* all ids, even ones, multiples of three */
};

static struct llama_session_options bench_options(const struct bench *bench)
{
    return (struct llama_session_options){.rows = ROWS, .capacity = CAPACITY, .masks = bench->masks, .mask_count = 3};
}

/* With a prompt in row 0, copied to all the others. */
static void bench_open(struct bench *bench, enum dtype dtype)
{
    const struct llama_config config = llama_small_config();
    assert_int_equal(config.vocabulary_size, V);
    llama_fixture_create(&bench->fixture, &config, dtype, 2);
    llama_fixture_weights(&bench->fixture, SEED, 0.1);
    for (int i = 0; i < V; i++) {
        bench->masks[i] = 1;
        bench->masks[V + i] = i % 2 == 0;
        bench->masks[2 * V + i] = i % 3 == 0;
    }
    const struct llama_session_options options = bench_options(bench);
    assert_ok(llama_session_create(bench->fixture.model, &options, &bench->session));
    assert_ok(llama_session_prefill(bench->session, 0, prompt, PROMPT, NULL));
    for (int64_t row = 1; row < ROWS; row++)
        assert_ok(llama_session_copy_row(bench->session, row, 0));
}

static void bench_close(struct bench *bench)
{
    llama_session_destroy(bench->session);
    llama_fixture_destroy(&bench->fixture);
}

static struct llama_draw greedy(int64_t count, const int64_t *rows, int32_t *ids)
{
    return (struct llama_draw){.count = count, .rows = rows, .top_p = 1, .ids = ids};
}

/* The first of the largest allowed logits. */
static int32_t largest(const float *logits, const uint8_t *mask)
{
    int32_t best = -1;
    for (int32_t id = 0; id < V; id++)
        if (mask[id] && (best < 0 || logits[id] > logits[best]))
            best = id;
    return best;
}

/* ---- which ids ---- */

/* A second session says with its logits what the first must draw, while rows leave, come back and change their order, masks
 * change, and ids other than those drawn are put in. */
static void ids_follow_the_logits(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct bench one, other;
        float logits[ROWS * V];
        int32_t ids[ROWS], mask_rows[ROWS] = {0};
        struct rng rng = rng_make(test_seed(), RNG_TEST, 31, 0);
        bench_open(&one, (enum dtype)dtype);
        bench_open(&other, (enum dtype)dtype);
        llama_session_truncate(other.session, 0, 0);
        assert_ok(llama_session_prefill(other.session, 0, prompt, PROMPT, logits));
        struct llama_draw draw = greedy(ROWS, all_rows, ids);
        draw.mask_rows = mask_rows;
        for (int i = 0; i < ROWS; i++)
            mask_rows[i] = i % 3;
        assert_ok(llama_session_draw_first(one.session, &draw));
        for (int i = 0; i < ROWS; i++)
            assert_int_equal(ids[i], largest(logits, one.masks + i % 3 * V));
        for (int step = 0; step < 30; step++) {
            int64_t rows[ROWS], count = 1 + (int64_t)rng_below(&rng, ROWS);
            rng_permutation(&rng, rows, ROWS);
            draw.rows = step % 4 == 0 ? all_rows : rows; /* in order and without others the ids stay where they are */
            draw.count = step % 4 == 0 ? ROWS : count;
            for (int64_t i = 0; i < draw.count; i++) {
                mask_rows[i] = (int32_t)rng_below(&rng, 3);
                if (step % 3 == 0)
                    ids[i] = (int32_t)rng_below(&rng, V);
            }
            assert_ok(llama_session_decode(other.session, draw.rows, ids, draw.count, logits));
            assert_ok(llama_session_draw(one.session, &draw));
            for (int64_t i = 0; i < draw.count; i++)
                assert_int_equal(ids[i], largest(logits + i * V, one.masks + mask_rows[i] * V));
        }
        for (int64_t row = 0; row < ROWS; row++)
            assert_int_equal(llama_session_length(one.session, row), llama_session_length(other.session, row));
        bench_close(&one);
        bench_close(&other);
    }
}

/* Logits between two draws: both go on from the same ids. */
static void decoded_rows_do_not_mix_with_drawn_ones(void **state)
{
    (void)state;
    struct bench bench;
    float logits[2 * V], again[2 * V];
    int32_t ids[2], kept[2];
    bench_open(&bench, DTYPE_F32);
    struct llama_draw draw = greedy(2, all_rows, ids);
    assert_ok(llama_session_draw_first(bench.session, &draw));
    assert_ok(llama_session_draw(bench.session, &draw));
    memcpy(kept, ids, sizeof kept);
    assert_ok(llama_session_decode(bench.session, all_rows, ids, 2, logits));
    llama_session_truncate(bench.session, 0, PROMPT + 1);
    llama_session_truncate(bench.session, 1, PROMPT + 1);
    assert_ok(llama_session_decode(bench.session, all_rows, kept, 2, again));
    assert_memory_equal(again, logits, sizeof again);
    llama_session_truncate(bench.session, 0, PROMPT + 1);
    llama_session_truncate(bench.session, 1, PROMPT + 1);
    assert_ok(llama_session_draw(bench.session, &draw));
    assert_int_equal(ids[0], largest(logits, bench.masks));
    assert_int_equal(ids[1], largest(logits + V, bench.masks));
    bench_close(&bench);
}

/* ---- what a token costs ---- */

static void a_token_is_one_wait_and_two_small_copies(void **state)
{
    (void)state;
    struct bench bench;
    int32_t ids[ROWS];
    double uniforms[ROWS] = {0};
    if (!test_kernels_closed())
        skip(); /* the closed table counts */
    bench_open(&bench, DTYPE_BF16);
    struct llama_draw draw = greedy(ROWS, all_rows, ids);
    draw.uniforms = uniforms;
    draw.temperature = 1;
    assert_ok(llama_session_draw_first(bench.session, &draw));
    for (int64_t count = ROWS; count > 0; count -= 3) {
        const int64_t layers = bench.fixture.model->config.layers, groups = (count + 15) / 16;
        draw.count = count;
        for (int i = 0; i < 3; i++) { /* call by call, recorded, launched */
            closed_reset_counters(&bench.fixture.context);
            assert_ok(llama_session_draw(bench.session, &draw));
            assert_int_equal(closed_counters(&bench.fixture.context).graph_launches, i > 0);
        }
        struct closed_counters counters = closed_counters(&bench.fixture.context);
        assert_int_equal(counters.synchronizes, 1);
        assert_int_equal(counters.event_waits + counters.queue_waits, 0);
        assert_int_equal(counters.allocations + counters.host_allocations, 0);
        assert_int_equal(counters.pageable_copies, 0);
        assert_int_equal(counters.pinned_copies, 2);
        assert_int_equal(counters.copies + counters.fills, 0);
        assert_int_equal(counters.operations.rope_append, layers * groups);
        assert_int_equal(counters.operations.attention_decode, layers * groups);
        assert_int_equal(counters.operations.sample, groups);
        assert_int_equal(counters.operations.rope + counters.operations.attention_forward, 0);
    }
    bench_close(&bench);
}

/* A prompt of several blocks without logits is one copy, and nobody waits for it. */
static void a_prompt_is_not_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    int32_t ids[CAPACITY - PROMPT] = {0};
    if (!test_kernels_closed())
        skip();
    bench_open(&bench, DTYPE_F32);
    assert_ok(test_kernels()->synchronize(&bench.fixture.context));
    closed_reset_counters(&bench.fixture.context);
    assert_ok(llama_session_prefill(bench.session, 1, ids, CAPACITY - PROMPT, NULL));
    struct closed_counters counters = closed_counters(&bench.fixture.context);
    assert_int_equal(counters.synchronizes, 0);
    assert_int_equal(counters.allocations + counters.host_allocations, 0);
    assert_int_equal(counters.pageable_copies, 0);
    assert_int_equal(counters.pinned_copies, 1);
    assert_int_equal(counters.copies + counters.fills, 0);
    bench_close(&bench);
}

/* ---- memory ---- */

static void a_session_allocates_its_plan(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct bench bench;
        struct memory_plan plan = {.name = "session"};
        size_t scratch;
        bench_open(&bench, (enum dtype)dtype);
        const struct llama_session_options options = bench_options(&bench);
        const struct llama_config *config = &bench.fixture.model->config;
        assert_ok(llama_plan_session(test_kernels(), config, (enum dtype)dtype, &options, &plan));
        assert_ok(llama_plan_session_scratch(test_kernels(), config, (enum dtype)dtype, &options, &scratch));
        int64_t before = test_kernels()->memory(&bench.fixture.context).allocated;
        llama_session_destroy(bench.session);
        assert_int_equal(before - test_kernels()->memory(&bench.fixture.context).allocated, plan.total);
        assert_int_equal(bench.fixture.context.scratch_bytes, scratch);
        assert_ok(llama_session_create(bench.fixture.model, &options, &bench.session));
        assert_int_equal(test_kernels()->memory(&bench.fixture.context).allocated, before);
        memory_plan_free(&plan);
        bench_close(&bench);
    }
}

/* The largest need of a whole prompt, 16 decoded rows and their draws, seen from below, is what was planned. */
static void scratch_is_planned(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct bench bench;
        int32_t ids[CAPACITY] = {0};
        double uniforms[ROWS] = {0};
        bench_open(&bench, (enum dtype)dtype);
        struct llama_draw draw = greedy(ROWS, all_rows, ids);
        draw.uniforms = uniforms;
        draw.temperature = 1;
        bench.fixture.model->kernels = scratch_recorder();
        struct llama_session *session;
        const struct llama_session_options options = bench_options(&bench);
        assert_ok(llama_session_create(bench.fixture.model, &options, &session));
        scratch_recorder_reset();
        assert_ok(llama_session_prefill(session, 0, ids, CAPACITY - 1, NULL));
        assert_ok(llama_session_draw_first(session, &draw));
        assert_ok(llama_session_draw(session, &draw));
        assert_int_equal(scratch_recorder_largest(), bench.fixture.context.scratch_bytes);
        assert_true(scratch_recorder_largest() > 0);
        llama_session_destroy(session);
        bench.fixture.model->kernels = test_kernels();
        bench_close(&bench);
    }
}

/* Blocks of a prompt other than the kernels' own. */
static void any_block_of_a_prompt_will_do(void **state)
{
    (void)state;
    struct bench bench;
    float expected[V], found[V];
    int32_t ids[CAPACITY];
    bench_open(&bench, DTYPE_F32);
    for (int i = 0; i < CAPACITY; i++)
        ids[i] = i * 7 % V;
    llama_session_truncate(bench.session, 0, 0);
    assert_ok(llama_session_prefill(bench.session, 0, ids, CAPACITY, expected));
    for (int64_t block = 17; block < 200; block += 43) {
        struct llama_session *session;
        struct llama_session_options options = bench_options(&bench);
        options.prefill_tokens = block;
        assert_ok(llama_session_create(bench.fixture.model, &options, &session));
        assert_ok(llama_session_prefill(session, 5, ids, CAPACITY, found));
        double wide[V];
        for (int i = 0; i < V; i++)
            wide[i] = (double)expected[i];
        assert_close("logits", found, wide, V, 1e-5);
        llama_session_destroy(session);
    }
    bench_close(&bench);
}

/* ---- refusals ---- */

static void wrong_draws_change_nothing(void **state)
{
    (void)state;
    struct bench bench;
    struct llama_session *unmasked;
    int32_t ids[2] = {1, 2}, masks[2] = {0, 3};
    const int64_t twice[2] = {4, 4}, outside[2] = {0, ROWS};
    float logits[2 * V];
    bench_open(&bench, DTYPE_F32);
    struct llama_draw draw = greedy(2, twice, ids);
    assert_fails(llama_session_draw(bench.session, &draw), STATUS_INTERNAL, "row 4 is listed twice");
    draw.rows = outside;
    assert_fails(llama_session_draw_first(bench.session, &draw), STATUS_INTERNAL, "row 20");
    draw.rows = all_rows;
    draw.mask_rows = masks;
    assert_fails(llama_session_draw(bench.session, &draw), STATUS_INTERNAL, "mask 3");
    draw.mask_rows = NULL;
    ids[1] = -1;
    assert_fails(llama_session_draw(bench.session, &draw), STATUS_INTERNAL, "token id -1");
    ids[1] = 2;
    draw.top_p = 0;
    assert_fails(llama_session_draw(bench.session, &draw), STATUS_INTERNAL, "top_p");
    draw.top_p = 1;
    assert_int_equal(llama_session_length(bench.session, 0), PROMPT);
    assert_ok(llama_session_decode(bench.session, all_rows, ids, 2, logits));
    assert_fails(llama_session_draw_first(bench.session, &draw), STATUS_INTERNAL, "no prompt");
    const struct llama_session_options options = {.rows = 2, .capacity = PROMPT};
    assert_ok(llama_session_create(bench.fixture.model, &options, &unmasked));
    assert_ok(llama_session_prefill(unmasked, 0, prompt, PROMPT, NULL));
    assert_fails(llama_session_draw_first(unmasked, &draw), STATUS_INTERNAL, "without masks");
    assert_fails(llama_session_decode(unmasked, all_rows, ids, 1, logits), STATUS_USAGE, "do not fit");
    llama_session_destroy(unmasked);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_follow_the_logits),
        cmocka_unit_test(decoded_rows_do_not_mix_with_drawn_ones),
        cmocka_unit_test(a_token_is_one_wait_and_two_small_copies),
        cmocka_unit_test(a_prompt_is_not_waited_for),
        cmocka_unit_test(a_session_allocates_its_plan),
        cmocka_unit_test(scratch_is_planned),
        cmocka_unit_test(any_block_of_a_prompt_will_do),
        cmocka_unit_test(wrong_draws_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
