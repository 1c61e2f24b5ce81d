/* Forward and backward against themselves: packed documents against each alone, recomputation, threads, batching. */
#include "support/llama_support.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 3 };

struct setting {
    struct llama_config config;
    enum dtype dtype;
    int threads;
    enum recomputation recomputation;
    double std;
    int64_t head_rows;
};

static struct setting plain_setting(void)
{
    return (struct setting){.config = llama_small_config(), .dtype = DTYPE_F32, .threads = 2, .std = 0.1};
}

/* Guarded host buffers. */
struct outcome {
    int64_t elements, tokens;
    float *gradients, *losses;
    struct parameter_layout layout;
};

static void outcome_make(const struct setting *setting, int64_t tokens, struct outcome *outcome)
{
    assert_ok(parameter_layout_create(&setting->config, &outcome->layout));
    outcome->elements = outcome->layout.elements;
    outcome->tokens = tokens;
    outcome->losses = guarded_allocate((size_t)tokens * sizeof(float));
}

static void outcome_free(struct outcome *outcome)
{
    guarded_free(outcome->gradients);
    guarded_free(outcome->losses);
    parameter_layout_free(&outcome->layout);
}

/* Sums of losses as the device and as the host add them. */
struct sums {
    double *of_steps, *of_losses; /* device */
    double expected[LLAMA_LOSS_GROUPS];
};

static void check_sums(struct llama_fixture *fixture, struct sums *sums)
{
    double *const of[] = {sums->of_steps, sums->of_losses};
    for (int i = 0; i < 2; i++) {
        double found[LLAMA_LOSS_GROUPS];
        llama_fixture_read(fixture, found, of[i], sizeof found);
        assert_memory_equal(found, sums->expected, sizeof found);
        llama_fixture_release(fixture, of[i]);
    }
}

/* One step, the same losses from forward alone, and their sums. */
static void run_batch(struct llama_fixture *fixture, struct llama_workspace *workspace, struct llama_batch batch,
                      float *gradients, float *losses, struct sums *sums)
{
    int64_t tokens = batch.rows * batch.length;
    uint8_t *groups = malloc((size_t)tokens);
    const struct llama_step step = {.loss_scale = 0.125f, .gradients = gradients, .group_sums = sums->of_steps};
    assert_non_null(groups);
    for (int64_t i = 0; i < tokens; i++)
        groups[i] = (uint8_t)(i * 7 % LLAMA_LOSS_GROUPS);
    batch.groups = groups;
    assert_ok(llama_forward_backward(fixture->model, workspace, &batch, &step));
    assert_ok(llama_add_losses(fixture->model, workspace, &batch, sums->of_losses));
    assert_ok(llama_losses(fixture->model, workspace, &batch, losses));
    for (int64_t i = 0; i < tokens; i++)
        sums->expected[groups[i]] += (double)losses[i];
    free(groups);
}

/* Adds the batches' gradients; their losses follow each other. The workspace is made for the largest batch. */
static void run(const struct setting *setting, const struct llama_batch *batches, int count, struct outcome *outcome)
{
    struct llama_workspace_options options = {
        .recomputation = setting->recomputation, .backward = true, .head_rows = setting->head_rows};
    int64_t tokens = 0, done = 0;
    for (int i = 0; i < count; i++) {
        tokens += batches[i].rows * batches[i].length;
        options.rows = batches[i].rows > options.rows ? batches[i].rows : options.rows;
        options.length = batches[i].length > options.length ? batches[i].length : options.length;
    }
    outcome_make(setting, tokens, outcome);
    struct llama_fixture fixture;
    struct llama_workspace *workspace;
    llama_fixture_create(&fixture, &setting->config, setting->dtype, setting->threads);
    llama_fixture_weights(&fixture, SEED, setting->std);
    assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
    const size_t size = LLAMA_LOSS_GROUPS * sizeof(double);
    struct sums sums = {llama_fixture_allocate(&fixture, size), llama_fixture_allocate(&fixture, size), {0}};
    float *gradients = llama_fixture_arena(&fixture);
    for (int i = 0; i < count; i++) {
        run_batch(&fixture, workspace, batches[i], gradients, outcome->losses + done, &sums);
        done += batches[i].rows * batches[i].length;
    }
    check_sums(&fixture, &sums);
    outcome->gradients = llama_fixture_copy(&fixture, gradients, (size_t)outcome->elements * sizeof *gradients);
    llama_fixture_release(&fixture, gradients);
    llama_workspace_destroy(workspace);
    llama_fixture_destroy(&fixture);
}

static void assert_same_bits(const struct outcome *a, const struct outcome *b)
{
    assert_memory_equal(a->losses, b->losses, (size_t)a->tokens * sizeof(float));
    assert_memory_equal(a->gradients, b->gradients, (size_t)a->elements * sizeof(float));
}

/* The largest relative difference of a tensor's gradient and the largest difference of a loss. */
static double compare(const char *what, const struct outcome *actual, const struct outcome *expected, double tolerance)
{
    double worst = 0, worst_loss = 0;
    for (int64_t i = 0; i < expected->tokens; i++) {
        double error = fabs((double)actual->losses[i] - (double)expected->losses[i]);
        if (!(error <= 2e-6))
            fail_msg("%s: loss %lld differs by %.3g", what, (long long)i, error);
        worst_loss = fmax(worst_loss, error);
    }
    for (int64_t i = 0; i < expected->layout.count; i++) {
        const struct parameter_view *view = &expected->layout.views[i];
        double *wide = malloc((size_t)view->count * sizeof *wide);
        assert_non_null(wide);
        for (int64_t j = 0; j < view->count; j++)
            wide[j] = (double)expected->gradients[view->offset + j];
        double error = relative_difference(actual->gradients + view->offset, wide, view->count);
        if (!(error <= tolerance))
            fail_msg("%s: gradient of %s differs by %.3g", what, view->name, error);
        worst = fmax(worst, error);
        free(wide);
    }
    printf("%s: losses %.2e, worst gradient %.2e\n", what, worst_loss, worst);
    return worst;
}

/* ---- packing ---- */

/* Rows of 60 with documents of 1, 17, 2, 40 tokens, one of 60, and three of 20. */
static const int64_t documents[3][5] = {{1, 17, 2, 40, 0}, {60, 0}, {20, 20, 20, 0}};
enum { ROWS = 3, LENGTH = 60, DOCUMENTS = 8 };

static void make_starts(int32_t *starts)
{
    for (int64_t row = 0; row < ROWS; row++)
        for (int64_t i = 0, t = 0; documents[row][i]; i++)
            for (int64_t j = 0, first = t; j < documents[row][i]; j++, t++)
                starts[row * LENGTH + t] = (int32_t)first;
}

static void packed_documents_equal_each_alone(void **state)
{
    (void)state;
    int32_t ids[ROWS * LENGTH], targets[ROWS * LENGTH], starts[ROWS * LENGTH];
    struct setting setting = plain_setting();
    llama_random_tokens(SEED, 1, ROWS * LENGTH, setting.config.vocabulary_size, ids, targets);
    make_starts(starts);
    struct llama_batch packed = {.rows = ROWS, .length = LENGTH, .ids = ids, .targets = targets, .starts = starts};
    struct llama_batch alone[DOCUMENTS];
    int count = 0;
    for (int64_t row = 0, first = 0; row < ROWS; row++)
        for (int64_t i = 0; documents[row][i]; first += documents[row][i++])
            alone[count++] = (struct llama_batch){
                .rows = 1, .length = documents[row][i], .ids = ids + first, .targets = targets + first};
    assert_int_equal(count, DOCUMENTS);
    struct outcome a, b, unpacked;
    run(&setting, &packed, 1, &a);
    run(&setting, alone, count, &b);
    compare("packed = alone", &a, &b, 2e-6);
    /* Without starts the documents do see each other. */
    packed.starts = NULL;
    run(&setting, &packed, 1, &unpacked);
    double difference = 0;
    for (int64_t i = 0; i < a.tokens; i++)
        difference = fmax(difference, fabs((double)a.losses[i] - (double)unpacked.losses[i]));
    assert_true(difference > 1e-3);
    outcome_free(&a);
    outcome_free(&b);
    outcome_free(&unpacked);
}

/* A change in one document, in ids before or after, changes no bit of another's losses. */
static void packed_documents_do_not_touch(void **state)
{
    (void)state;
    int32_t ids[ROWS * LENGTH], targets[ROWS * LENGTH], starts[ROWS * LENGTH];
    struct setting setting = plain_setting();
    llama_random_tokens(SEED, 2, ROWS * LENGTH, setting.config.vocabulary_size, ids, targets);
    make_starts(starts);
    struct llama_batch batch = {.rows = ROWS, .length = LENGTH, .ids = ids, .targets = targets, .starts = starts};
    struct outcome before, after;
    run(&setting, &batch, 1, &before);
    for (int t = 20; t < 60; t++) /* row 0, its fourth document */
        ids[t] = (ids[t] + 1 + t) % (int32_t)setting.config.vocabulary_size;
    for (int t = 140; t < 160; t++) /* row 2, its second */
        ids[t] = (ids[t] + 1) % (int32_t)setting.config.vocabulary_size;
    run(&setting, &batch, 1, &after);
    int changed = 0;
    for (int64_t i = 0; i < ROWS * LENGTH; i++) {
        bool inside = (i >= 20 && i < 60) || (i >= 140 && i < 160);
        if (!inside)
            assert_true(before.losses[i] == after.losses[i]);
        changed += before.losses[i] != after.losses[i];
    }
    assert_true(changed > 40);
    outcome_free(&before);
    outcome_free(&after);
}

/* ---- equality to the bit ---- */

static void vary(void (*change)(struct setting *, int), int variants)
{
    enum { LONG = 150, SHORTER = 75 };
    int32_t ids[2 * LONG], targets[2 * LONG], starts[2 * LONG];
    const int length = test_kernels_slow() ? SHORTER : LONG;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (int packed = test_kernels_slow() ? dtype == DTYPE_BF16 : 0; packed <= 1; packed++) {
            struct setting setting = plain_setting();
            setting.dtype = (enum dtype)dtype;
            setting.config.tie_embeddings = packed;
            llama_random_tokens(SEED, 3, 2 * LONG, setting.config.vocabulary_size, ids, targets);
            for (int t = 0; t < 2 * LONG; t++)
                starts[t] = t % length < 67 ? 0 : 67;
            struct llama_batch batch = {
                .rows = 2, .length = length, .ids = ids, .targets = targets, .starts = packed ? starts : NULL};
            struct outcome first, other;
            run(&setting, &batch, 1, &first);
            for (int i = 1; i < variants; i++) {
                change(&setting, i);
                run(&setting, &batch, 1, &other);
                assert_same_bits(&first, &other);
                outcome_free(&other);
            }
            outcome_free(&first);
        }
}

static void change_recomputation(struct setting *setting, int variant)
{
    setting->recomputation = (enum recomputation)variant;
}

static void recomputation_changes_no_bit(void **state)
{
    (void)state;
    vary(change_recomputation, 3);
}

static void change_threads(struct setting *setting, int variant)
{
    static const int threads[] = {2, 1, 3};
    setting->threads = threads[variant];
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    vary(change_threads, 3);
}

static void change_nothing(struct setting *setting, int variant)
{
    (void)setting;
    (void)variant;
}

static void a_second_run_changes_no_bit(void **state)
{
    (void)state;
    vary(change_nothing, 2);
}

/* ---- batching ---- */

static void eight_rows_equal_eight_accumulated(void **state)
{
    (void)state;
    enum { B = 8, T = 40 };
    int32_t ids[B * T], targets[B * T];
    struct setting setting = plain_setting();
    setting.std = 0.02;
    llama_random_tokens(SEED, 4, B * T, setting.config.vocabulary_size, ids, targets);
    struct llama_batch whole = {.rows = B, .length = T, .ids = ids, .targets = targets}, rows[B];
    for (int i = 0; i < B; i++)
        rows[i] = (struct llama_batch){.rows = 1, .length = T, .ids = ids + i * T, .targets = targets + i * T};
    struct outcome a, b;
    run(&setting, &whole, 1, &a);
    run(&setting, rows, B, &b);
    compare("1 x 8 = 8 x 1", &a, &b, 1e-6);
    outcome_free(&a);
    outcome_free(&b);
}

/* More tokens than the head computes at a time: the chunks' sum is the sum of two halves, whose losses are the
 * double-precision softmax of the logits. */
static void the_head_is_cut_in_chunks(void **state)
{
    (void)state;
    enum { B = 4, LONG = 300, SHORTER = 30, V = 61 };
    int32_t ids[B * LONG], targets[B * LONG];
    const int64_t T = test_kernels_slow() ? SHORTER : LONG;
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct setting setting = plain_setting();
        setting.config.layers = 1;
        setting.dtype = (enum dtype)dtype;
        setting.head_rows = test_kernels_cpu() ? 0 : 50; /* of their own accord GPUs compute more rows at a time */
        llama_random_tokens(SEED, 5, B * T, V, ids, targets);
        struct llama_batch whole = {.rows = B, .length = T, .ids = ids, .targets = targets}, halves[2];
        for (int i = 0; i < 2; i++) {
            halves[i] = whole;
            halves[i].rows = B / 2;
            halves[i].ids += i * (B / 2) * T;
            halves[i].targets += i * (B / 2) * T;
        }
        struct outcome a, b;
        run(&setting, &whole, 1, &a);
        run(&setting, halves, 2, &b);
        compare(dtype == DTYPE_F32 ? "chunks, f32" : "chunks, bf16", &a, &b, dtype == DTYPE_F32 ? 1e-6 : 2e-5);
        struct llama_fixture fixture;
        struct llama_workspace *workspace;
        llama_fixture_create(&fixture, &setting.config, setting.dtype, 2);
        llama_fixture_weights(&fixture, SEED, setting.std);
        assert_ok(llama_workspace_create(fixture.model, &(struct llama_workspace_options){.rows = B, .length = T},
                                         &workspace));
        float *logits = guarded_allocate((size_t)(B * T * V) * sizeof *logits);
        assert_ok(llama_logits(fixture.model, workspace, &whole, logits));
        for (int64_t i = 0; i < B * T; i++) {
            double sum = 0;
            for (int v = 0; v < V; v++)
                sum += exp((double)logits[i * V + v]);
            double expected = targets[i] < 0 ? 0 : log(sum) - (double)logits[i * V + targets[i]];
            assert_close("loss", a.losses + i, &expected, 1, 2e-6);
        }
        guarded_free(logits);
        llama_workspace_destroy(workspace);
        llama_fixture_destroy(&fixture);
        outcome_free(&a);
        outcome_free(&b);
    }
}

/* Nothing counted: no loss, no gradient, no NaN. */
static void a_batch_without_targets_changes_nothing(void **state)
{
    (void)state;
    int32_t ids[20], targets[20];
    struct setting setting = plain_setting();
    llama_random_tokens(SEED, 7, 20, setting.config.vocabulary_size, ids, targets);
    for (int i = 0; i < 20; i++)
        targets[i] = -1;
    struct llama_batch batch = {.rows = 2, .length = 10, .ids = ids, .targets = targets};
    struct outcome outcome;
    run(&setting, &batch, 1, &outcome);
    for (int i = 0; i < 20; i++)
        assert_true(outcome.losses[i] == 0);
    for (int64_t i = 0; i < outcome.elements; i++)
        assert_true(outcome.gradients[i] == 0);
    outcome_free(&outcome);
}

/* ---- heads whose sizes do not add up to the hidden size, which the library of the golden files cannot make ---- */

static double loss_sum(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch)
{
    float losses[50];
    double sum = 0;
    assert_ok(llama_losses(model, workspace, batch, losses));
    for (int64_t i = 0; i < batch->rows * batch->length; i++)
        sum += (double)losses[i];
    return sum;
}

/* Along its own gradient a tensor's loss rises by the gradient's norm: central differences, tensor by tensor. */
static void any_head_size_has_its_gradient(void **state)
{
    (void)state;
    int32_t ids[50], targets[50];
    struct setting setting = plain_setting();
    setting.config.head_size = 14;
    setting.config.heads = 6;
    setting.config.kv_heads = 3;
    llama_random_tokens(SEED, 8, 50, setting.config.vocabulary_size, ids, targets);
    struct llama_batch batch = {.rows = 2, .length = 25, .ids = ids, .targets = targets};
    struct outcome outcome;
    run(&setting, &batch, 1, &outcome);
    struct llama_fixture fixture;
    struct llama_workspace *workspace;
    llama_fixture_create(&fixture, &setting.config, DTYPE_F32, 2);
    llama_fixture_weights(&fixture, SEED, setting.std);
    assert_ok(
        llama_workspace_create(fixture.model, &(struct llama_workspace_options){.rows = 2, .length = 25}, &workspace));
    double worst = 0;
    for (int64_t i = 0; i < outcome.layout.count; i++) {
        const struct parameter_view *view = &outcome.layout.views[i];
        float *weights = (float *)fixture.model->weights + view->offset, *moved = malloc((size_t)view->count * 4);
        float *kept = llama_fixture_copy(&fixture, weights, (size_t)view->count * sizeof *kept);
        const float *gradient = outcome.gradients + view->offset;
        double norm = 0, length = 0, sums[2];
        assert_non_null(moved);
        for (int64_t j = 0; j < view->count; j++) {
            norm += 64 * (double)gradient[j] * (double)gradient[j]; /* the run's loss_scale was 1/8 */
            length += (double)kept[j] * (double)kept[j];
        }
        norm = sqrt(norm);
        double step = 1e-3 * sqrt(length);
        for (int side = 0; side < 2; side++) {
            for (int64_t j = 0; j < view->count; j++)
                moved[j] = (float)((double)kept[j] + (side ? -step : step) * 8 * (double)gradient[j] / norm);
            llama_fixture_write(&fixture, weights, moved, (size_t)view->count * sizeof *moved);
            sums[side] = loss_sum(fixture.model, workspace, &batch);
        }
        llama_fixture_write(&fixture, weights, kept, (size_t)view->count * sizeof *kept);
        guarded_free(kept);
        free(moved);
        double ratio = (sums[0] - sums[1]) / (2 * step) / norm;
        if (!(fabs(ratio - 1) <= 5e-3))
            fail_msg("%s: the loss rises by %.4f of the gradient's norm %.3g", view->name, ratio, norm);
        worst = fmax(worst, fabs(ratio - 1));
    }
    printf("central differences along the gradients: within %.2e\n", worst);
    llama_workspace_destroy(workspace);
    llama_fixture_destroy(&fixture);
    outcome_free(&outcome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_documents_equal_each_alone), cmocka_unit_test(packed_documents_do_not_touch),
        cmocka_unit_test(recomputation_changes_no_bit),      cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(a_second_run_changes_no_bit),       cmocka_unit_test(eight_rows_equal_eight_accumulated),
        cmocka_unit_test(the_head_is_cut_in_chunks),         cmocka_unit_test(a_batch_without_targets_changes_nothing),
        cmocka_unit_test(any_head_size_has_its_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
