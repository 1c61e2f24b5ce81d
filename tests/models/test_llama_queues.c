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

/* ---- after a failure ---- */

/* Which call fails, once, and how many of its kind come before it. */
enum { NOTHING, AN_OPERATION, A_MARK, A_COPY };
static int failing;
static int calls_before;

static bool fails_now(int kind)
{
    if (failing != kind || calls_before-- > 0)
        return false;
    failing = NOTHING;
    return true;
}

static enum status embedding_forward(const struct device_context *context, const struct embedding_forward *p)
{
    return fails_now(AN_OPERATION) ? status_set(STATUS_IO, "injected") : test_kernels()->embedding_forward(context, p);
}

static enum status event_record(const struct device_context *context, enum device_queue queue,
                                struct device_event *event)
{
    return fails_now(A_MARK) ? status_set(STATUS_IO, "injected") : test_kernels()->event_record(context, queue, event);
}

static enum status copy_to_device(const struct device_context *context, enum device_queue queue, void *to,
                                  const void *from, size_t bytes)
{
    return fails_now(A_COPY) ? status_set(STATUS_IO, "injected")
                             : test_kernels()->copy_to_device(context, queue, to, from, bytes);
}

static void fail_in(int kind, int before)
{
    failing = kind;
    calls_before = before;
}

static void faulty_fixture(struct llama_fixture *fixture, struct kernels *kernels)
{
    const struct llama_config config = llama_small_config();
    *kernels = *test_kernels();
    kernels->embedding_forward = embedding_forward;
    kernels->event_record = event_record;
    kernels->copy_to_device = copy_to_device;
    llama_fixture_create(fixture, &config, DTYPE_F32, 2);
    llama_fixture_weights(fixture, SEED, 0.1);
    fixture->model->kernels = kernels;
}

static void faulty_fixture_destroy(struct llama_fixture *fixture)
{
    fixture->model->kernels = test_kernels();
    llama_fixture_destroy(fixture);
}

static const int64_t spoken_rows[ROWS] = {0, 1, 2, 3};

static enum status prompt(struct llama_session *session, int64_t row, int first, int64_t count)
{
    int32_t ids[CAPACITY];
    for (int i = 0; i < CAPACITY; i++)
        ids[i] = (first + i * 7) % V;
    return llama_session_prefill(session, row, ids, count, NULL);
}

/* Ids that follow those of a row; a step of a kind is called, recorded and launched in turn where there are graphs. */
static enum status draw(struct llama_session *session, int64_t count, int32_t *ids)
{
    static const double uniforms[ROWS] = {0.1, 0.4, 0.6, 0.9};
    const struct llama_draw draw = {
        .count = count, .rows = spoken_rows, .uniforms = uniforms, .temperature = 1, .top_p = 1, .ids = ids};
    return llama_session_draw(session, &draw);
}

/* Prompts, drawn ids and logits; each kind of step fails once before it is made, after its copies were put into the queue,
 * or while it is recorded. What a failed one was told is not what the next is. */
static void speak(struct llama_fixture *fixture, bool fails, int32_t ids[ROWS], float *logits)
{
    struct llama_session *session;
    uint8_t mask[V];
    const struct llama_session_options options = {.rows = ROWS, .capacity = CAPACITY, .masks = mask, .mask_count = 1};
    int32_t others[ROWS] = {11, 12, 13, 14};
    memset(mask, 1, sizeof mask);
    assert_ok(llama_session_create(fixture->model, &options, &session));
    for (int row = 0; row < ROWS; row++) {
        if (fails) {
            fail_in(row % 2 ? A_MARK : AN_OPERATION, 0);
            assert_fails(prompt(session, row, 50 - row, 6), STATUS_IO, "injected");
        }
        assert_ok(prompt(session, row, 13 * row, 5 + row));
    }
    for (int step = 0; step < 4; step++) {
        for (int i = 0; i < ROWS; i++)
            ids[i] = (ids[i] + 1 + i) % V;
        if (fails && step < 2) {
            fail_in(AN_OPERATION, 0);
            assert_fails(step ? draw(session, ROWS, others)
                              : llama_session_decode(session, spoken_rows, others, ROWS, logits),
                         STATUS_IO, "injected");
        }
        assert_ok(draw(session, ROWS, ids));
    }
    if (fails) {
        fail_in(AN_OPERATION, 0);
        assert_fails(llama_session_decode(session, spoken_rows, others, ROWS, logits), STATUS_IO, "injected");
    }
    assert_ok(llama_session_decode(session, spoken_rows, ids, ROWS, logits));
    llama_session_destroy(session);
}

static void steps_follow_one_that_failed(void **state)
{
    (void)state;
    static float expected[ROWS * V], found[ROWS * V];
    int32_t expected_ids[ROWS] = {0}, found_ids[ROWS] = {0};
    struct llama_fixture fixture;
    struct kernels kernels;
    faulty_fixture(&fixture, &kernels);
    speak(&fixture, false, expected_ids, expected);
    speak(&fixture, true, found_ids, found);
    assert_memory_equal(found, expected, sizeof found);
    assert_memory_equal(found_ids, expected_ids, sizeof found_ids);
    faulty_fixture_destroy(&fixture);
}

/* The derived positions and order of a pass leave the host through the workspace's own memory. One that fails after the first of
 * its copies leaves no mark behind them. */
static void passes_follow_one_that_failed(void **state)
{
    (void)state;
    enum {
        COPIES = 6
    }; /* ids, targets, starts, groups, positions, order: without a backward pass the last is not copied */
    const struct llama_workspace_options options = {.rows = 1, .length = LENGTH, .backward = true};
    struct llama_fixture fixture;
    struct kernels kernels;
    struct llama_workspace *workspace;
    struct pass *passes;
    double *sums, found[LLAMA_LOSS_GROUPS], expected[LLAMA_LOSS_GROUPS];
    faulty_fixture(&fixture, &kernels);
    assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
    assert_ok(test_kernels()->allocate_host(&fixture.context, PASSES * sizeof *passes, (void **)&passes));
    fill_passes(passes);
    sums = llama_fixture_allocate(&fixture, sizeof found);
    add_passes(&fixture, workspace, passes, false, true, expected);
    for (int which = COPIES - 1; which <= COPIES; which++) { /* the last copy, and the mark behind all */
        struct llama_batch batch = {.rows = 1,
                                    .length = LENGTH,
                                    .ids = passes[0].ids,
                                    .targets = passes[0].targets,
                                    .starts = passes[4].starts,
                                    .groups = passes[0].groups};
        fail_in(which < COPIES ? A_COPY : A_MARK, which < COPIES ? which : 1);
        assert_fails(llama_add_losses(fixture.model, workspace, &batch, sums), STATUS_IO, "injected");
        add_passes(&fixture, workspace, passes, false, false, found);
        assert_memory_equal(found, expected, sizeof found);
    }
    llama_fixture_release(&fixture, sums);
    test_kernels()->release_host(&fixture.context, passes);
    llama_workspace_destroy(workspace);
    faulty_fixture_destroy(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_follow_each_other),
        cmocka_unit_test(prompts_follow_each_other),
        cmocka_unit_test(steps_follow_one_that_failed),
        cmocka_unit_test(passes_follow_one_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
