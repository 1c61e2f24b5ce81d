/* The KV cache: against the forward pass without one, and rows of a batch against each row alone. */
#include "support/llama_support.h"
#include "support/test_kernels.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 61, POSITIONS = 320, SEED = 9 };

static void make_model(struct llama_fixture *fixture, enum dtype dtype, int threads)
{
    struct llama_config config = llama_small_config();
    assert_int_equal(config.vocabulary_size, V);
    assert_int_equal(config.maximum_positions, POSITIONS);
    llama_fixture_create(fixture, &config, dtype, threads);
    llama_fixture_weights(fixture, SEED, 0.1);
}

static void make_ids(int32_t *ids, int64_t count, uint64_t stream)
{
    struct rng rng = rng_make(SEED, RNG_TEST, 100 + stream, 0);
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(&rng, V);
}

static enum status create(struct llama_fixture *fixture, int64_t rows, int64_t capacity, struct llama_session **session)
{
    return llama_session_create(fixture->model, &(struct llama_session_options){.rows = rows, .capacity = capacity},
                                session);
}

/* Logits of every position without a cache. */
static float *uncached(struct llama_fixture *fixture, const int32_t *ids, int64_t count)
{
    struct llama_workspace *workspace;
    float *logits = guarded_allocate((size_t)(count * V) * sizeof *logits);
    struct llama_batch batch = {.rows = 1, .length = count, .ids = ids};
    assert_ok(llama_workspace_create(fixture->model, &(struct llama_workspace_options){.rows = 1, .length = count},
                                     &workspace));
    assert_ok(llama_logits(fixture->model, workspace, &batch, logits));
    llama_workspace_destroy(workspace);
    return logits;
}

static double largest_difference(const float *a, const float *b)
{
    double worst = 0;
    for (int i = 0; i < V; i++) {
        double error = fabs((double)a[i] - (double)b[i]);
        if (!(error <= worst))
            worst = error;
    }
    return worst;
}

/* Prompts shorter and longer than a block, then one token at a time to the end of the model's positions. */
static void cached_equals_uncached(void **state)
{
    (void)state;
    static const int64_t prompts[] = {1, 2, 16, 17, 127, 128, 129, 300};
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct llama_fixture fixture;
        make_model(&fixture, (enum dtype)dtype, 2);
        int32_t ids[POSITIONS];
        const int64_t positions = test_count(POSITIONS, 150);
        make_ids(ids, POSITIONS, 0);
        float *expected = uncached(&fixture, ids, positions);
        float *logits = guarded_allocate(V * sizeof *logits);
        double worst = 0, tolerance = dtype == DTYPE_F32 ? 1e-4 : 0.05;
        for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i += (size_t)test_count(1, 3)) {
            struct llama_session *session;
            const int64_t row = 1;
            assert_ok(create(&fixture, 3, positions, &session));
            assert_ok(llama_session_prefill(session, row, ids, prompts[i], logits));
            worst = fmax(worst, largest_difference(logits, expected + (prompts[i] - 1) * V));
            int64_t steps = test_count(20, 3), end = prompts[i] + steps < positions ? prompts[i] + steps : positions;
            for (int64_t t = prompts[i]; t < end; t++) {
                assert_int_equal(llama_session_length(session, row), t);
                assert_ok(llama_session_decode(session, &row, ids + t, 1, logits));
                worst = fmax(worst, largest_difference(logits, expected + t * V));
            }
            assert_int_equal(llama_session_length(session, 0), 0);
            llama_session_destroy(session);
        }
        printf("cached - uncached, %s: %.2e (<= %.0e)\n", dtype_name((enum dtype)dtype), worst, tolerance);
        assert_true(worst <= tolerance);
        guarded_free(expected);
        guarded_free(logits);
        llama_fixture_destroy(&fixture);
    }
}

/* A prompt in two calls, the first without logits. */
static void a_prompt_may_come_in_parts(void **state)
{
    (void)state;
    struct llama_fixture fixture;
    make_model(&fixture, DTYPE_F32, 1);
    int32_t ids[200];
    const int64_t count = test_count(200, 70);
    make_ids(ids, 200, 1);
    float *expected = uncached(&fixture, ids, count), logits[V];
    for (int64_t cut = 1; cut < count; cut += 33) {
        struct llama_session *session;
        assert_ok(create(&fixture, 1, count, &session));
        assert_ok(llama_session_prefill(session, 0, ids, cut, NULL));
        assert_ok(llama_session_prefill(session, 0, ids + cut, count - cut, logits));
        assert_true(largest_difference(logits, expected + (count - 1) * V) <= 1e-4);
        llama_session_destroy(session);
    }
    guarded_free(expected);
    llama_fixture_destroy(&fixture);
}

/* ---- many rows ---- */

enum { ROWS = 37, STEPS = 5 }; /* at most */

static int64_t row_count(void)
{
    return test_count(ROWS, 18);
}

static int64_t step_count(void)
{
    return test_count(STEPS, 2);
}

static int64_t prompt_length(int64_t row)
{
    return 1 + row * 53 % test_count(131, 37);
}

/* Each row in a session of its own: logits of STEPS decoded tokens, [row][step][V]. */
static float *rows_alone(struct llama_fixture *fixture, const int32_t *prompts, const int32_t *steps)
{
    float *logits = guarded_allocate(sizeof(float) * ROWS * STEPS * V);
    for (int64_t row = 0; row < row_count(); row++) {
        struct llama_session *session;
        const int64_t only = 0;
        assert_ok(create(fixture, 1, prompt_length(row) + step_count(), &session));
        assert_ok(llama_session_prefill(session, 0, prompts + row * 131, prompt_length(row), NULL));
        for (int64_t step = 0; step < step_count(); step++)
            assert_ok(
                llama_session_decode(session, &only, steps + row * STEPS + step, 1, logits + (row * STEPS + step) * V));
        llama_session_destroy(session);
    }
    return logits;
}

/* All rows together: in order, shuffled, and in subsets of several sizes, one step each time. */
static void check_together(struct llama_fixture *fixture, const int32_t *prompts, const int32_t *steps,
                           const float *expected)
{
    struct llama_session *session;
    float *logits = guarded_allocate(sizeof(float) * ROWS * V);
    int64_t done[ROWS] = {0};
    assert_ok(create(fixture, row_count(), 131 + STEPS, &session));
    for (int64_t row = 0; row < row_count(); row++)
        assert_ok(llama_session_prefill(session, row, prompts + row * 131, prompt_length(row), NULL));
    struct rng rng = rng_make(test_seed(), RNG_TEST, 200, 0);
    for (int64_t total = 0, round = 0; total < row_count() * step_count(); round++) {
        int64_t order[ROWS], rows[ROWS], count = 0;
        int32_t ids[ROWS];
        rng_permutation(&rng, order, row_count());
        for (int64_t i = 0; i < row_count(); i++) {
            int64_t row = round == 0 ? i : order[i]; /* first all of them in order: runs of neighbours */
            if (done[row] == step_count() || (round > 0 && rng_below(&rng, 4) == 0))
                continue;
            rows[count] = row;
            ids[count++] = steps[row * STEPS + done[row]];
        }
        assert_ok(llama_session_decode(session, rows, ids, count, logits));
        for (int64_t i = 0; i < count; i++) {
            const float *alone = expected + (rows[i] * STEPS + done[rows[i]]) * V;
            if (memcmp(logits + i * V, alone, V * sizeof(float)) != 0)
                fail_msg("row %lld of %lld, step %lld: not the bits of the row alone", (long long)rows[i],
                         (long long)count, (long long)done[rows[i]]);
            done[rows[i]]++;
        }
        total += count;
    }
    for (int64_t row = 0; row < row_count(); row++)
        assert_int_equal(llama_session_length(session, row), prompt_length(row) + step_count());
    guarded_free(logits);
    llama_session_destroy(session);
}

static void a_batch_row_is_the_row_alone(void **state)
{
    (void)state;
    int32_t *prompts = malloc(sizeof(int32_t) * ROWS * 131), *steps = malloc(sizeof(int32_t) * ROWS * STEPS);
    assert_true(prompts && steps);
    make_ids(prompts, ROWS * 131, 2);
    make_ids(steps, (int64_t)ROWS * STEPS, 3);
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct llama_fixture one, three;
        make_model(&one, (enum dtype)dtype, 1);
        make_model(&three, (enum dtype)dtype, 3);
        float *expected = rows_alone(&one, prompts, steps);
        check_together(&one, prompts, steps, expected);
        if (test_kernels_cpu()) /* others have no threads */
            check_together(&three, prompts, steps, expected);
        guarded_free(expected);
        llama_fixture_destroy(&one);
        llama_fixture_destroy(&three);
    }
    free(prompts);
    free(steps);
}

static void truncated_rows_go_on_from_there(void **state)
{
    (void)state;
    struct llama_fixture fixture;
    struct llama_session *session;
    make_model(&fixture, DTYPE_F32, 1);
    int32_t ids[60], others[10];
    make_ids(ids, 60, 4);
    make_ids(others, 10, 5);
    float first[V], again[V];
    const int64_t row = 1;
    assert_ok(create(&fixture, 2, 60, &session));
    assert_ok(llama_session_prefill(session, row, ids, 40, NULL));
    assert_ok(llama_session_decode(session, &row, ids + 40, 1, first));
    assert_ok(llama_session_prefill(session, row, others, 10, NULL));
    llama_session_truncate(session, row, 99); /* longer than it is: nothing happens */
    assert_int_equal(llama_session_length(session, row), 51);
    llama_session_truncate(session, row, 40);
    assert_int_equal(llama_session_length(session, row), 40);
    assert_ok(llama_session_decode(session, &row, ids + 40, 1, again));
    assert_memory_equal(first, again, sizeof first);
    llama_session_truncate(session, row, 0);
    assert_ok(llama_session_prefill(session, row, ids, 40, NULL));
    assert_ok(llama_session_decode(session, &row, ids + 40, 1, again));
    assert_memory_equal(first, again, sizeof first);
    llama_session_destroy(session);
    llama_fixture_destroy(&fixture);
}

static void copied_rows_go_on_alike(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct llama_fixture fixture;
        struct llama_session *session;
        make_model(&fixture, (enum dtype)dtype, 2);
        int32_t ids[40], other[40], next[4];
        make_ids(ids, 40, 6);
        make_ids(other, 40, 7);
        for (int i = 0; i < 4; i++)
            next[i] = i == 2 ? 5 : 3; /* row 2 takes another token */
        const int64_t rows[4] = {0, 1, 2, 3}, source = 0;
        float logits[4 * V], alone[V];
        assert_ok(create(&fixture, 4, 50, &session));
        assert_ok(llama_session_prefill(session, 0, ids, 30, NULL));
        assert_ok(llama_session_prefill(session, 2, other, 40, NULL)); /* is overwritten */
        for (int64_t row = 0; row < 4; row++)
            assert_ok(llama_session_copy_row(session, row, source));
        assert_ok(llama_session_decode(session, rows, next, 4, logits));
        assert_memory_equal(logits, logits + V, sizeof alone);
        assert_memory_equal(logits, logits + 3 * V, sizeof alone);
        assert_memory_not_equal(logits, logits + 2 * V, sizeof alone);
        llama_session_truncate(session, 0, 30);
        assert_ok(llama_session_decode(session, rows, &next[2], 1, alone));
        assert_memory_equal(alone, logits + 2 * V, sizeof alone);
        assert_int_equal(llama_session_length(session, 2), 31);
        llama_session_destroy(session);
        llama_fixture_destroy(&fixture);
    }
}

static void wrong_calls_change_nothing(void **state)
{
    (void)state;
    struct llama_fixture fixture;
    struct llama_session *session;
    make_model(&fixture, DTYPE_F32, 1);
    assert_fails(create(&fixture, 1, POSITIONS + 1, &session), STATUS_USAGE, "320 positions");
    assert_fails(create(&fixture, 0, 5, &session), STATUS_USAGE, "0 rows");
    assert_ok(create(&fixture, 2, 10, &session));
    int32_t ids[11] = {0}, bad[2] = {1, V}, good[2] = {1, 2};
    int64_t rows[2] = {0, 1}, twice[2] = {1, 1}, outside[2] = {0, 2};
    float before[2 * V], after[2 * V];
    assert_ok(llama_session_prefill(session, 0, ids, 9, NULL));
    assert_ok(llama_session_prefill(session, 1, ids, 8, NULL));
    assert_fails(llama_session_prefill(session, 1, ids, 3, before), STATUS_USAGE, "session of 10 tokens");
    assert_fails(llama_session_prefill(session, 1, ids, 0, before), STATUS_INTERNAL, "0 tokens");
    assert_fails(llama_session_prefill(session, 2, ids, 1, before), STATUS_INTERNAL, "row 2");
    assert_fails(llama_session_prefill(session, 1, bad, 2, before), STATUS_INTERNAL, "token id 61");
    assert_fails(llama_session_decode(session, twice, good, 2, before), STATUS_INTERNAL, "listed twice");
    assert_fails(llama_session_decode(session, outside, good, 2, before), STATUS_INTERNAL, "row 2");
    assert_fails(llama_session_decode(session, rows, bad, 2, before), STATUS_INTERNAL, "token id 61");
    assert_fails(llama_session_copy_row(session, 0, -1), STATUS_INTERNAL, "row -1");
    assert_int_equal(llama_session_length(session, 0), 9);
    assert_int_equal(llama_session_length(session, 1), 8);
    assert_ok(llama_session_decode(session, rows, good, 2, before));
    assert_fails(llama_session_decode(session, rows, good, 2, after), STATUS_USAGE, "do not fit");
    assert_int_equal(llama_session_length(session, 1), 9);
    llama_session_truncate(session, 0, 9);
    llama_session_truncate(session, 1, 8);
    assert_ok(llama_session_decode(session, rows, good, 2, after));
    assert_memory_equal(before, after, sizeof before);
    assert_ok(llama_session_decode(session, rows, good, 0, after)); /* nothing to do */
    llama_session_destroy(session);
    llama_fixture_destroy(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_equals_uncached),       cmocka_unit_test(a_prompt_may_come_in_parts),
        cmocka_unit_test(a_batch_row_is_the_row_alone), cmocka_unit_test(truncated_rows_go_on_from_there),
        cmocka_unit_test(copied_rows_go_on_alike),      cmocka_unit_test(wrong_calls_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
