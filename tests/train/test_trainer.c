/* A trainer's steps from the outside: equal however the batch is cut, untouched by a NaN, continuing a text model. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"
#include "support/weights.h"

#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tiny_corpus corpus;

/* ---- batching ---- */

enum { STEPS = 4 };

struct outcome {
    double losses[STEPS], norms[STEPS];
    float *weights;
    int64_t count;
};

static void train_some(struct training_bench *bench, struct outcome *outcome)
{
    struct trainer *trainer;
    assert_ok(trainer_create(&bench->setup, false, &trainer));
    for (int i = 0; i < STEPS; i++) {
        struct step_result step;
        assert_ok(trainer_step(trainer, &step));
        assert_null(step.skipped);
        outcome->losses[i] = step.loss;
        outcome->norms[i] = step.gradient_norm;
    }
    struct training_state state = training_state_copy(trainer);
    outcome->count = trainer_model(trainer)->layout.elements;
    assert_int_equal(state.weight_bytes, (size_t)outcome->count * sizeof(float));
    outcome->weights = state.weights;
    state.weights = NULL;
    training_state_free(&state);
    trainer_destroy(trainer);
}

/* Five lanes are enough for whole, uneven and single ones. */
static void shrink(struct training_bench *bench)
{
    training_bench_shrink_if_slow(bench);
    if (test_kernels_slow())
        bench->data.lanes = 5;
}

static void one_rank(int64_t micro_batch, struct outcome *outcome)
{
    struct training_bench bench;
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    shrink(&bench);
    bench.train.micro_batch = micro_batch;
    train_some(&bench, outcome);
    training_bench_close(&bench);
}

static void train_rank(struct comm *comm, void *argument)
{
    struct training_bench bench;
    training_bench_open(&bench, &corpus, "unused", comm, 1);
    shrink(&bench);
    train_some(&bench, argument);
    training_bench_close(&bench);
}

static void several_ranks(int count, struct outcome *outcome)
{
    struct outcome outcomes[4];
    assert_ok(ranks_run(count, train_rank, outcomes, sizeof *outcomes));
    *outcome = outcomes[0];
    for (int r = 1; r < count; r++) { /* all ranks hold the same weights to the bit */
        assert_memory_equal(outcomes[r].weights, outcome->weights, (size_t)outcome->count * sizeof(float));
        free(outcomes[r].weights);
    }
}

static void compare(const char *what, const struct outcome *a, const struct outcome *b)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < STEPS; i++) {
        if (!(fabs(a->losses[i] - b->losses[i]) <= 1e-6 * fabs(a->losses[i])))
            fail_msg("%s: loss of step %d is %.9g, not %.9g", what, i + 1, b->losses[i], a->losses[i]);
        assert_true(fabs(a->norms[i] - b->norms[i]) <= 1e-5 * a->norms[i]);
    }
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        double error = (double)a->weights[i] - (double)b->weights[i];
        difference += error * error;
        norm += (double)a->weights[i] * (double)a->weights[i];
    }
    print_message("%s: weights differ by %.2e of their norm after %d steps\n", what, sqrt(difference / norm), STEPS);
    assert_true(sqrt(difference / norm) <= 1e-6);
}

/* The first losses also start near log(rows): the model knows nothing yet. */
static void the_batch_may_be_cut_in_any_way(void **state)
{
    (void)state;
    struct outcome whole, accumulated, uneven, two, three;
    one_rank(0, &whole);
    one_rank(1, &accumulated);
    one_rank(3, &uneven);
    several_ranks(2, &two);
    several_ranks(3, &three);
    assert_true(fabs(whole.losses[0] - log(512)) < 0.5);
    assert_true(whole.losses[STEPS - 1] < whole.losses[0]);
    compare("8 x 1 accumulated", &whole, &accumulated);
    compare("3 + 3 + 2 accumulated", &whole, &uneven);
    compare("2 ranks x 4", &whole, &two);
    compare("3 ranks", &whole, &three);
    free(whole.weights);
    free(accumulated.weights);
    free(uneven.weights);
    free(two.weights);
    free(three.weights);
}

/* ---- NaN ---- */

static void a_nan_changes_no_weight_and_too_many_stop(void **state)
{
    (void)state;
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    shrink(&bench);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_ok(trainer_step(trainer, &step));
    const struct parameter_view *norm = parameter_layout_find(&trainer_model(trainer)->layout, "model.norm.weight");
    assert_non_null(norm);
    float kept = training_weight_replace(trainer, norm->offset, NAN);
    struct training_state before = training_state_copy(trainer);
    assert_ok(trainer_step(trainer, &step));
    assert_non_null(step.skipped);
    char *documents = trainer_last_documents(trainer);
    assert_non_null(strchr(documents, ':')); /* the rows are named */
    free(documents);
    assert_false(trainer_is_healthy(trainer));
    struct training_state after = training_state_copy(trainer);
    training_state_assert_equal("a weight that is NaN", &after, &before);
    training_weight_replace(trainer, norm->offset, kept);
    assert_ok(trainer_step(trainer, &step)); /* healed: it goes on */
    assert_null(step.skipped);
    training_weight_replace(trainer, norm->offset, INFINITY);
    for (int i = 1; i < GUARD_STOPS_AT; i++)
        assert_ok(trainer_step(trainer, &step));
    assert_fails(trainer_step(trainer, &step), STATUS_CORRUPT, "stopped");
    training_state_free(&before);
    training_state_free(&after);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

/* ---- a text model ---- */

/* A Hugging Face folder with text rows alone is continued: its rows come first, the new ones are random. */
static void training_continues_from_a_text_model(void **state)
{
    (void)state;
    char folder[600];
    struct training_bench bench;
    struct trainer *trainer;
    snprintf(folder, sizeof folder, "%s/llama", test_directory());
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    struct llama_config config = {TINY_PIECES, 32, 48, 2, 4, 2, 8, 64, 10000, 1e-5, false};
    struct llama *text_model;
    assert_ok(llama_create(&config, DTYPE_F32, &bench.kernels, &bench.context, &text_model));
    float *masters = calloc((size_t)text_model->layout.elements, sizeof(float));
    assert_non_null(masters);
    struct weight_sink sink = weights_into(masters);
    assert_ok(llama_initialize(text_model, 99, 0.1, &sink));
    struct atomic_directory *directory;
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(llama_write_folder(text_model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));

    bench.model.initialize_from = folder;
    bench.model.new_rows = LLAMA_ROWS_NORMAL;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    const struct llama *model = trainer_model(trainer);
    struct training_state first = training_state_copy(trainer);
    static const char *const names[] = {"model.embed_tokens.weight", "lm_head.weight"};
    for (int i = 0; i < 2; i++) {
        const float *ours = (const float *)first.weights + parameter_layout_find(&model->layout, names[i])->offset;
        const float *theirs = masters + parameter_layout_find(&text_model->layout, names[i])->offset;
        assert_memory_equal(ours, theirs, TINY_PIECES * 32 * sizeof(float));
        double squares = 0;
        for (int64_t j = TINY_PIECES * 32; j < model->config.vocabulary_size * 32; j++)
            squares += (double)ours[j] * (double)ours[j];
        double deviation = sqrt(squares / (double)((model->config.vocabulary_size - TINY_PIECES) * 32));
        assert_true(fabs(deviation - 0.05) < 0.005); /* initializer_deviation, some thousand numbers */
    }
    training_state_free(&first);
    struct step_result step;
    assert_ok(trainer_step(trainer, &step));
    trainer_destroy(trainer);
    free(masters);
    llama_destroy(text_model);
    training_bench_close(&bench);
}

static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(40, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_batch_may_be_cut_in_any_way),
        cmocka_unit_test(a_nan_changes_no_weight_and_too_many_stop),
        cmocka_unit_test(training_continues_from_a_text_model),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
