/* Sequences that share beginnings, scored as branches of a session, against the logits of each of them alone; and that threads
 * change no bit. */
#include "support/llama_support.h"
#include "support/test_kernels.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 61, SEED = 9, ROWS = 4, CAPACITY = 90, BLOCK = 70, BLOCKS = 3, PREFIX = 23, LEAVES = 3, MOST = 400 };

static const int64_t boundaries[BLOCKS + 1] = {0, 7, 7, V};

struct world {
    struct llama_fixture fixture;
    struct llama_session *session;
    int32_t ids[MOST];
};

static void open_world(enum dtype dtype, int threads, struct world *world)
{
    struct llama_config config = llama_small_config();
    struct rng rng = rng_make(SEED, RNG_TEST, 200, 0);
    assert_int_equal(config.vocabulary_size, V);
    llama_fixture_create(&world->fixture, &config, dtype, threads);
    llama_fixture_weights(&world->fixture, SEED, 0.1);
    assert_ok(llama_session_create(
        world->fixture.model,
        &(struct llama_session_options){.rows = ROWS, .capacity = CAPACITY, .prefill_tokens = BLOCK, .scores = true},
        &world->session));
    for (int i = 0; i < MOST; i++)
        world->ids[i] = (int32_t)rng_below(&rng, V);
}

static void close_world(struct world *world)
{
    llama_session_destroy(world->session);
    llama_fixture_destroy(&world->fixture);
}

/* What is said of ids[count], which follows ids[0, count). */
static void check_alone(struct world *world, const int32_t *ids, int64_t count, int32_t target, const double *sums,
                        float target_logit, double tolerance)
{
    struct llama_workspace *workspace;
    float *logits = guarded_allocate((size_t)(count * V) * sizeof *logits);
    const struct llama_batch batch = {.rows = 1, .length = count, .ids = ids};
    assert_ok(llama_workspace_create(world->fixture.model,
                                     &(struct llama_workspace_options){.rows = 1, .length = count}, &workspace));
    assert_ok(llama_logits(world->fixture.model, workspace, &batch, logits));
    llama_workspace_destroy(workspace);
    const float *row = logits + (count - 1) * V;
    for (int b = 0; b < BLOCKS; b++) {
        double sum = 0;
        for (int64_t c = boundaries[b]; c < boundaries[b + 1]; c++)
            sum += exp((double)row[c]);
        if (sum == 0 ? sums[b] != -INFINITY : !(fabs(sums[b] - log(sum)) <= tolerance))
            fail_msg("%lld tokens, block %d: expected %g, found %g", (long long)count, b, log(sum), sums[b]);
    }
    if (!(fabs((double)target_logit - (double)row[target]) <= tolerance))
        fail_msg("%lld tokens: expected the logit %g, found %g", (long long)count, (double)row[target],
                 (double)target_logit);
    guarded_free(logits);
}

/* Three stems of different lengths behind one prefix, three leaves of one to three tokens behind each of them. */
static const int64_t stems[ROWS - 1] = {1, 9, 30};

static int64_t leaf_length(int64_t row, int64_t leaf)
{
    return 1 + (row + leaf) % 3;
}

struct scores {
    double sums[2 * BLOCK * BLOCKS];
    float logits[2 * BLOCK];
};

static void score(struct world *world, const struct llama_branch *branches, int64_t count,
                  const struct llama_wanted *wanted, int64_t wanted_count, struct scores *scores)
{
    const struct llama_block_sums sums = {
        .block_count = BLOCKS, .boundaries = boundaries, .sums = scores->sums, .target_logits = scores->logits};
    assert_ok(llama_session_score(world->session, branches, count, wanted, wanted_count, &sums));
}

/* Prefix into row 0, and from there into the others. */
static void make_prefix(struct world *world, struct scores *scores)
{
    const struct llama_branch prefix = {.row = 0, .ids = world->ids, .count = PREFIX};
    struct llama_wanted wanted[PREFIX];
    for (int i = 0; i < PREFIX; i++)
        wanted[i] = (struct llama_wanted){i, world->ids[i + 1]};
    score(world, &prefix, 1, wanted, PREFIX, scores);
    for (int64_t row = 1; row < ROWS; row++)
        assert_ok(llama_session_copy_row(world->session, row, 0));
}

/* All stems and leaves in one call. Everything is wanted, and two targets of the stems' last tokens. */
static int64_t make_branches(const struct world *world, struct llama_branch *branches, struct llama_wanted *wanted,
                             int64_t *wanted_count)
{
    int64_t count = 0, token = 0, at = PREFIX;
    *wanted_count = 0;
    for (int64_t row = 1; row < ROWS; row++) {
        branches[count] = (struct llama_branch){row, PREFIX, world->ids + at, stems[row - 1]};
        at += branches[count++].count;
    }
    for (int64_t leaf = 0; leaf < LEAVES; leaf++)
        for (int64_t row = 1; row < ROWS; row++) {
            branches[count] =
                (struct llama_branch){row, PREFIX + stems[row - 1], world->ids + at, leaf_length(row, leaf)};
            at += branches[count++].count;
        }
    for (int64_t b = 0; b < count; token += branches[b++].count)
        for (int64_t i = 0; i < branches[b].count; i++) {
            wanted[(*wanted_count)++] = (struct llama_wanted){token + i, (int32_t)((token + 3 * i) % V)};
            if (branches[b].position == PREFIX && i == branches[b].count - 1)
                wanted[(*wanted_count)++] = (struct llama_wanted){token + i, (int32_t)(token % V)};
        }
    assert_true(token <= BLOCK && at <= MOST);
    return count;
}

static void branches_are_what_their_sequences_are(void **state)
{
    (void)state;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct world world;
        struct llama_branch branches[(LEAVES + 1) * ROWS];
        struct llama_wanted wanted[2 * BLOCK];
        static struct scores scores;
        int64_t wanted_count;
        double tolerance = dtype == DTYPE_F32 ? 1e-4 : 0.05;
        open_world((enum dtype)dtype, 2, &world);
        make_prefix(&world, &scores);
        for (int64_t i = 0; i < PREFIX; i += 7)
            check_alone(&world, world.ids, i + 1, world.ids[i + 1], scores.sums + i * BLOCKS, scores.logits[i],
                        tolerance);
        int64_t count = make_branches(&world, branches, wanted, &wanted_count);
        score(&world, branches, count, wanted, wanted_count, &scores);
        for (int64_t w = 0; w < wanted_count; w++) {
            int32_t ids[CAPACITY];
            int64_t b = 0, token = 0, length = PREFIX;
            memcpy(ids, world.ids, PREFIX * sizeof *ids);
            for (; wanted[w].token >= token + branches[b].count; b++)
                token += branches[b].count;
            if (branches[b].position > PREFIX) { /* behind its stem */
                const struct llama_branch *stem = &branches[branches[b].row - 1];
                memcpy(ids + length, stem->ids, (size_t)stem->count * sizeof *ids);
                length += stem->count;
            }
            int64_t own = wanted[w].token - token + 1;
            memcpy(ids + length, branches[b].ids, (size_t)own * sizeof *ids);
            check_alone(&world, ids, length + own, wanted[w].target, scores.sums + w * BLOCKS, scores.logits[w],
                        tolerance);
        }
        for (int64_t row = 1; row < ROWS; row++)
            assert_int_equal(llama_session_length(world.session, row),
                             PREFIX + stems[row - 1] + leaf_length(row, LEAVES - 1));
        close_world(&world);
    }
}

/* More targets than tokens in a call, and a row that grows over several calls. */
static void one_token_may_have_many_targets(void **state)
{
    (void)state;
    struct world world;
    static struct scores scores;
    struct llama_wanted wanted[2 * BLOCK];
    open_world(DTYPE_F32, 2, &world);
    for (int i = 0; i < 2 * BLOCK; i++)
        wanted[i] = (struct llama_wanted){2, i % V};
    score(&world, &(struct llama_branch){3, 0, world.ids, 2}, 1, NULL, 0, &scores);
    score(&world, &(struct llama_branch){3, 2, world.ids + 2, 3}, 1, wanted, 2 * BLOCK, &scores);
    for (int i = 0; i < 2 * BLOCK; i += 9)
        check_alone(&world, world.ids, 5, i % V, scores.sums + i * BLOCKS, scores.logits[i], 1e-4);
    assert_int_equal(llama_session_length(world.session, 3), 5);
    close_world(&world);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static struct scores found[2];
    for (int threads = 1; threads <= 2; threads++) {
        struct world world;
        struct llama_branch branches[(LEAVES + 1) * ROWS];
        struct llama_wanted wanted[2 * BLOCK];
        int64_t wanted_count;
        open_world(DTYPE_F32, threads, &world);
        make_prefix(&world, &found[threads - 1]);
        int64_t count = make_branches(&world, branches, wanted, &wanted_count);
        score(&world, branches, count, wanted, wanted_count, &found[threads - 1]);
        close_world(&world);
    }
    assert_memory_equal(&found[0], &found[1], sizeof found[0]);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct world world;
    static struct scores scores;
    const struct llama_block_sums sums = {
        .block_count = BLOCKS, .boundaries = boundaries, .sums = scores.sums, .target_logits = scores.logits};
    open_world(DTYPE_F32, 1, &world);
    struct llama_branch branches[2] = {{0, 0, world.ids, 60}, {1, 0, world.ids, 60}};
    struct llama_wanted wanted = {0, V};
    assert_fails(llama_session_score(world.session, branches, 2, NULL, 0, &sums), STATUS_INTERNAL, "where 70 fit");
    score(&world, branches, 1, NULL, 0, &scores);
    branches[0] = (struct llama_branch){0, 60, world.ids, 31};
    assert_fails(llama_session_score(world.session, branches, 1, NULL, 0, &sums), STATUS_INTERNAL,
                 "a branch of 31 tokens at 60 of a row that holds 60, in a session of 90 tokens");
    branches[0] = (struct llama_branch){1, 1, world.ids, 9};
    assert_fails(llama_session_score(world.session, branches, 1, NULL, 0, &sums), STATUS_INTERNAL, "that holds 0");
    branches[0].position = 0;
    assert_fails(llama_session_score(world.session, branches, 1, &wanted, 1, &sums), STATUS_INTERNAL, "target 61");
    branches[0].row = ROWS;
    assert_fails(llama_session_score(world.session, branches, 1, NULL, 0, &sums), STATUS_INTERNAL, "row 4");
    close_world(&world);
}

/* A second question in the place of the first, with its own leaves, in one call. */
static void rows_are_used_again_within_a_call(void **state)
{
    (void)state;
    struct world world;
    static struct scores scores;
    const struct llama_branch branches[] = {{0, 0, world.ids, 9},       {0, 9, world.ids + 9, 4},
                                            {0, 13, world.ids + 20, 1}, {0, 13, world.ids + 21, 2},
                                            {0, 9, world.ids + 30, 7},  {0, 16, world.ids + 40, 3}};
    const struct llama_wanted wanted[] = {{13, 5}, {15, 6}, {22, 7}, {25, 8}};
    static const int64_t parts[4][3][2] = {
        {{0, 9}, {9, 4}, {20, 1}}, {{0, 9}, {9, 4}, {21, 2}}, {{0, 9}, {30, 7}, {0, 0}}, {{0, 9}, {30, 7}, {40, 3}}};
    open_world(DTYPE_F32, 2, &world);
    score(&world, branches, 6, wanted, 4, &scores);
    for (int w = 0; w < 4; w++) {
        int32_t ids[CAPACITY];
        int64_t count = 0;
        for (int p = 0; p < 3; p++) {
            memcpy(ids + count, world.ids + parts[w][p][0], (size_t)parts[w][p][1] * sizeof *ids);
            count += parts[w][p][1];
        }
        check_alone(&world, ids, count, wanted[w].target, scores.sums + w * BLOCKS, scores.logits[w], 1e-4);
    }
    assert_int_equal(llama_session_length(world.session, 0), 19);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_are_what_their_sequences_are), cmocka_unit_test(one_token_may_have_many_targets),
        cmocka_unit_test(rows_are_used_again_within_a_call),     cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
