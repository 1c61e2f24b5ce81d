/* Training on a table of kernels against training on the cpu's, in one program: a small model of Expressive's kind (text,
 * units, pitch and style in one vocabulary, grouped heads, packed documents), from the same weights and on the same batches.
 * The losses of twenty steps stay together, within what f32 and bf16 allow, and on the closed table, whose operations are
 * the cpu's, they are the same bits.
 *
 * The sizes are such that every kernel of a large model is taken where there is a choice: heads of 32 elements and aligned
 * rows, which tensor cores ask for. */
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 20, SHORT_STEPS = 2, LANES = 2 };

static struct tiny_corpus corpus;

struct outcome {
    double losses[STEPS], norms[STEPS];
    struct training_state state;
    double group_counts[TOKEN_KINDS]; /* counted targets of all steps */
    int documents;
};

static void use_small_sizes(struct training_bench *bench)
{
    bench->data.lanes = LANES;
    bench->model.hidden_size = 64;
    bench->model.intermediate_size = 96;
    bench->model.head_size = 32;
    bench->train.steps = STEPS;
    bench->train.schedule = (struct schedule_settings){SCHEDULE_COSINE, 3e-3, 3e-4, 3};
}

/* Names are followed by a space each. */
static int count_documents(const struct trainer *trainer)
{
    char *names = trainer_last_documents(trainer);
    int count = 0;
    assert_non_null(names);
    for (const char *at = names; (at = strchr(at, ' ')); at++)
        count++;
    free(names);
    return count;
}

static void train(const struct kernels *kernels, int dtype, int recomputation, int steps, struct outcome *outcome)
{
    struct training_bench bench;
    struct trainer *trainer;
    *outcome = (struct outcome){0};
    training_bench_open_on(kernels, &bench, &corpus, "unused", NULL, 1);
    use_small_sizes(&bench);
    bench.train.dtype = dtype;
    bench.train.recomputation = recomputation;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    for (int i = 0; i < steps; i++) {
        struct step_result step;
        assert_ok(trainer_step(trainer, &step));
        assert_null(step.skipped);
        outcome->losses[i] = step.loss;
        outcome->norms[i] = step.gradient_norm;
        outcome->documents += count_documents(trainer);
        for (int kind = 0; kind < TOKEN_KINDS; kind++)
            outcome->group_counts[kind] += step.losses.count[kind];
    }
    outcome->state = training_state_copy(trainer);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

/* ---- against the cpu ---- */

static void compare_with_the_cpu(int dtype, double tolerance)
{
    struct outcome expected, found;
    double worst = 0;
    if (test_kernels() == kernels_cpu())
        skip();
    train(kernels_cpu(), dtype, RECOMPUTATION_NONE, STEPS, &expected);
    train(test_kernels(), dtype, RECOMPUTATION_NONE, STEPS, &found);
    assert_true(expected.losses[STEPS - 1] < 0.9 * expected.losses[0]); /* it learns, so the steps matter */
    for (int kind = 0; kind < TOKEN_KINDS; kind++)
        assert_true(found.group_counts[kind] == expected.group_counts[kind]);
    assert_true(found.group_counts[TOKEN_TEXT] > 0 && found.group_counts[TOKEN_HUBERT] > 0 &&
                found.group_counts[TOKEN_PITCH] > 0 && found.group_counts[TOKEN_STYLE] > 0);
    assert_true(found.documents == expected.documents && found.documents > STEPS * LANES); /* they are packed */
    for (int i = 0; i < STEPS; i++) {
        double error = fabs(found.losses[i] - expected.losses[i]);
        worst = error > worst ? error : worst;
        if (!(error <= tolerance))
            fail_msg("%s: loss of step %d is %.9g, the cpu's is %.9g", dtype_name((enum dtype)dtype), i + 1,
                     found.losses[i], expected.losses[i]);
        if (test_kernels_closed())
            assert_memory_equal(&found.losses[i], &expected.losses[i], sizeof(double));
    }
    print_message("%s: losses of %d steps differ by %.2e at most\n", dtype_name((enum dtype)dtype), STEPS, worst);
    training_state_free(&expected.state);
    training_state_free(&found.state);
}

static void losses_in_f32_are_the_cpus(void **state)
{
    (void)state;
    compare_with_the_cpu(DTYPE_F32, 1e-3);
}

static void losses_in_bf16_are_the_cpus(void **state)
{
    (void)state;
    compare_with_the_cpu(DTYPE_BF16, 2e-2);
}

/* ---- recomputation ---- */

static void recomputation_changes_no_bit(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "light", "block"};
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct outcome expected, found;
        train(test_kernels(), dtype, RECOMPUTATION_NONE, SHORT_STEPS, &expected);
        for (int recomputation = RECOMPUTATION_LIGHT; recomputation <= RECOMPUTATION_BLOCK; recomputation++) {
            train(test_kernels(), dtype, recomputation, SHORT_STEPS, &found);
            assert_memory_equal(found.losses, expected.losses, sizeof found.losses);
            assert_memory_equal(found.norms, expected.norms, sizeof found.norms);
            training_state_assert_equal(names[recomputation], &found.state, &expected.state);
            training_state_free(&found.state);
        }
        training_state_free(&expected.state);
    }
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
        cmocka_unit_test(losses_in_f32_are_the_cpus),
        cmocka_unit_test(losses_in_bf16_are_the_cpus),
        cmocka_unit_test(recomputation_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
