/* What is put into the queues without waiting: passes one after the other, whose rows go to two sets of arrays in turn while the
 * passes before still compute, and prompts one after the other, whose ids leave the host through one piece of pinned memory.
 * Each must give the bits that it gives when the host waits after every call. No two have the same numbers, so that a copy
 * which comes too early or too late shows. */
#include "support/llama_support.h"
#include "support/test_support.h"

#include <string.h>

enum { V = 61, SEED = 17, PASSES = 5, LENGTH = 24, ROWS = 4, CAPACITY = 16 };

/* ---- passes ---- */

/* Rows of a pass in pinned memory, which stay as they are until the queues are empty. */
struct pass {
    int32_t ids[LENGTH], targets[LENGTH], starts[LENGTH], positions[LENGTH], order[LENGTH];
    uint8_t groups[LENGTH];
};

static void fill_passes(struct pass *passes)
{
    for (int i = 0; i < PASSES; i++) {
        llama_random_tokens(SEED, (uint64_t)i, LENGTH, V, passes[i].ids, passes[i].targets);
        for (int t = 0; t < LENGTH; t++) {
            passes[i].starts[t] = t < 3 + 4 * i ? 0 : 3 + 4 * i;
            passes[i].groups[t] = (uint8_t)((t + i) % LLAMA_LOSS_GROUPS);
        }
    }
}

static void add_passes(struct llama_fixture *fixture, struct llama_workspace *workspace, struct pass *passes,
                       bool derived, bool waits, double sums[LLAMA_LOSS_GROUPS])
{
    const size_t bytes = LLAMA_LOSS_GROUPS * sizeof *sums;
    double *group_sums = llama_fixture_allocate(fixture, bytes);
    for (int i = 0; i < PASSES; i++) {
        struct llama_batch batch = {.rows = 1,
                                    .length = LENGTH,
                                    .ids = passes[i].ids,
                                    .targets = passes[i].targets,
                                    .starts = passes[i].starts,
                                    .groups = passes[i].groups};
        if (derived) {
            assert_ok(llama_batch_derive(&fixture->model->config, &batch, passes[i].positions, passes[i].order));
            batch.positions = passes[i].positions;
            batch.order = passes[i].order;
        }
        assert_ok(llama_add_losses(fixture->model, workspace, &batch, group_sums));
        if (waits)
            assert_ok(test_kernels()->synchronize(&fixture->context));
    }
    llama_fixture_read(fixture, sums, group_sums, bytes);
    llama_fixture_release(fixture, group_sums);
}

static void passes_follow_each_other(void **state)
{
    (void)state;
    const struct llama_config config = llama_small_config();
    const struct llama_workspace_options options = {.rows = 1, .length = LENGTH};
    struct llama_fixture fixture;
    struct llama_workspace *workspace;
    struct pass *passes;
    llama_fixture_create(&fixture, &config, DTYPE_F32, 2);
    llama_fixture_weights(&fixture, SEED, 0.1);
    assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
    assert_ok(test_kernels()->allocate_host(&fixture.context, PASSES * sizeof *passes, (void **)&passes));
    fill_passes(passes);
    double expected[LLAMA_LOSS_GROUPS], found[LLAMA_LOSS_GROUPS];
    for (int derived = 0; derived < 2; derived++) {
        add_passes(&fixture, workspace, passes, derived, true, expected);
        add_passes(&fixture, workspace, passes, derived, false, found);
        assert_memory_equal(found, expected, sizeof found);
    }
    test_kernels()->release_host(&fixture.context, passes);
    llama_workspace_destroy(workspace);
    llama_fixture_destroy(&fixture);
}

/* ---- prompts ---- */

/* The logits of one more token of every row, after prompts of different ids and lengths. */
static void prefill_rows(struct llama_fixture *fixture, bool waits, float *logits)
{
    struct llama_session *session;
    const struct llama_session_options options = {.rows = ROWS, .capacity = CAPACITY};
    const int64_t rows[ROWS] = {0, 1, 2, 3};
    const int32_t next[ROWS] = {1, 2, 3, 4};
    assert_ok(llama_session_create(fixture->model, &options, &session));
    for (int row = 0; row < ROWS; row++) {
        int32_t prompt[CAPACITY];
        for (int i = 0; i < CAPACITY; i++)
            prompt[i] = (row * 13 + i * 7) % V;
        assert_ok(llama_session_prefill(session, row, prompt, 5 + row, NULL));
        memset(prompt, 0, sizeof prompt); /* the caller's ids are free at once */
        if (waits)
            assert_ok(test_kernels()->synchronize(&fixture->context));
    }
    assert_ok(llama_session_decode(session, rows, next, ROWS, logits));
    llama_session_destroy(session);
}

static void prompts_follow_each_other(void **state)
{
    (void)state;
    static float expected[ROWS * V], found[ROWS * V];
    const struct llama_config config = llama_small_config();
    struct llama_fixture fixture;
    assert_int_equal(config.vocabulary_size, V);
    llama_fixture_create(&fixture, &config, DTYPE_F32, 2);
    llama_fixture_weights(&fixture, SEED, 0.1);
    prefill_rows(&fixture, true, expected);
    prefill_rows(&fixture, false, found);
    assert_memory_equal(found, expected, sizeof found);
    llama_fixture_destroy(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_follow_each_other),
        cmocka_unit_test(prompts_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
