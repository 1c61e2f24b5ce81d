/* Sums over blocks of the vocabulary equal what the logits of the same batch say, whatever the chunks of the head, and the
 * losses follow from them. */
#include "support/kernel_harness.h"
#include "support/llama_support.h"
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 3, LENGTH = 11, TOKENS = ROWS * LENGTH, BLOCKS = 4, GUARD = 3 };

struct problem {
    struct llama_fixture fixture;
    int32_t ids[TOKENS], targets[TOKENS], starts[TOKENS];
    struct llama_batch batch;
    int64_t boundaries[BLOCKS + 1];
};

/* Rows with two documents each; every fifth target is not counted. */
static void make_problem(struct problem *problem, enum dtype dtype)
{
    const struct llama_config config = llama_small_config();
    struct rng rng = test_rng(1);
    llama_fixture_create(&problem->fixture, &config, dtype, 2);
    llama_fixture_weights(&problem->fixture, 7, 0.3);
    for (int i = 0; i < TOKENS; i++) {
        problem->ids[i] = (int32_t)rng_below(&rng, (uint64_t)config.vocabulary_size);
        problem->targets[i] = i % 5 == 2 ? -1 : (int32_t)rng_below(&rng, (uint64_t)config.vocabulary_size);
        problem->starts[i] = i % LENGTH < 4 ? 0 : 4;
    }
    problem->batch = (struct llama_batch){
        .rows = ROWS, .length = LENGTH, .ids = problem->ids, .targets = problem->targets, .starts = problem->starts};
    const int64_t boundaries[BLOCKS + 1] = {0, 3, 40, 40, config.vocabulary_size};
    for (int b = 0; b <= BLOCKS; b++)
        problem->boundaries[b] = boundaries[b];
}

static struct llama_workspace *make_workspace(struct problem *problem, int64_t head_rows)
{
    struct llama_workspace *workspace;
    const struct llama_workspace_options options = {.rows = ROWS, .length = LENGTH, .head_rows = head_rows};
    assert_ok(llama_workspace_create(problem->fixture.model, &options, &workspace));
    return workspace;
}

static double block_sum(const float *logits, int64_t first, int64_t end)
{
    double sum = 0;
    for (int64_t c = first; c < end; c++)
        sum += exp((double)logits[c]);
    return log(sum);
}

/* What is found must be what the logits say, and nothing behind the arrays may be written. */
static void check_sums(struct problem *problem, struct llama_workspace *workspace, const float *logits,
                       const float *losses)
{
    double sums[TOKENS * BLOCKS + GUARD];
    float target_logits[TOKENS + GUARD];
    for (int i = 0; i < GUARD; i++) {
        sums[TOKENS * BLOCKS + i] = 12345;
        target_logits[TOKENS + i] = 12345;
    }
    int64_t vocabulary = problem->fixture.model->config.vocabulary_size;
    const struct llama_block_sums wanted = {BLOCKS, problem->boundaries, sums, target_logits};
    assert_ok(llama_sum_blocks(problem->fixture.model, workspace, &problem->batch, &wanted));
    for (int t = 0; t < TOKENS; t++) {
        const float *row = logits + t * vocabulary;
        bool counted = problem->targets[t] >= 0;
        assert_true(target_logits[t] == (counted ? row[problem->targets[t]] : 0));
        double whole = 0;
        for (int b = 0; b < BLOCKS; b++) {
            double found = sums[t * BLOCKS + b];
            double expected = block_sum(row, problem->boundaries[b], problem->boundaries[b + 1]);
            assert_true(counted ? found == expected || fabs(found - expected) < 1e-6 : found == 0);
            whole += exp(found);
        }
        if (counted)
            assert_true(fabs(log(whole) - (double)target_logits[t] - (double)losses[t]) < 2e-6);
    }
    for (int i = 0; i < GUARD; i++)
        assert_true(sums[TOKENS * BLOCKS + i] == 12345 && target_logits[TOKENS + i] == 12345);
}

static void sums_are_those_of_the_logits(void **state)
{
    (void)state;
    for (int d = 0; d < 2; d++) {
        struct problem problem;
        make_problem(&problem, d ? DTYPE_BF16 : DTYPE_F32);
        float *logits = calloc((size_t)(TOKENS * problem.fixture.model->config.vocabulary_size), sizeof *logits);
        float losses[TOKENS];
        assert_non_null(logits);
        for (int64_t head_rows = 0; head_rows <= 16; head_rows += 16) {
            struct llama_workspace *workspace = make_workspace(&problem, head_rows);
            assert_ok(llama_logits(problem.fixture.model, workspace, &problem.batch, logits));
            assert_ok(llama_losses(problem.fixture.model, workspace, &problem.batch, losses));
            check_sums(&problem, workspace, logits, losses);
            llama_workspace_destroy(workspace);
        }
        free(logits);
        llama_fixture_destroy(&problem.fixture);
    }
}

static void what_cannot_be_summed_is_refused(void **state)
{
    (void)state;
    struct problem problem;
    make_problem(&problem, DTYPE_F32);
    struct llama *model = problem.fixture.model;
    struct llama_workspace *workspace = make_workspace(&problem, 0), *training;
    const struct llama_workspace_options options = {.rows = ROWS, .length = LENGTH, .backward = true};
    double sums[TOKENS * BLOCKS];
    float target_logits[TOKENS];
    struct llama_block_sums wanted = {0, problem.boundaries, sums, target_logits};
    assert_ok(llama_workspace_create(model, &options, &training));
    assert_fails(llama_sum_blocks(model, workspace, &problem.batch, &wanted), STATUS_INTERNAL, "0 blocks");
    wanted.block_count = LOG_SUM_EXP_BLOCKS + 1;
    assert_fails(llama_sum_blocks(model, workspace, &problem.batch, &wanted), STATUS_INTERNAL, "17 blocks");
    wanted.block_count = BLOCKS - 1;
    assert_fails(llama_sum_blocks(model, workspace, &problem.batch, &wanted), STATUS_INTERNAL, "blocks from 0 to 40");
    wanted.block_count = BLOCKS;
    assert_fails(llama_sum_blocks(model, training, &problem.batch, &wanted), STATUS_INTERNAL, "workspace of training");
    problem.batch.targets = NULL;
    assert_fails(llama_sum_blocks(model, workspace, &problem.batch, &wanted), STATUS_INTERNAL, "without targets");
    llama_workspace_destroy(workspace);
    llama_workspace_destroy(training);
    llama_fixture_destroy(&problem.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_logits),
        cmocka_unit_test(what_cannot_be_summed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
