/* The best checkpoint of a run: which it is, and that it outlives the newer ones. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "core/rng.h"
#include "io/atomic_file.h"
#include "package/checkpoints.h"
#include "train/best.h"
#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_checkpoint(const char *run, int64_t step)
{
    char path[800];
    struct stat information;
    snprintf(path, sizeof path, "%s/checkpoints/step_%08lld", run, (long long)step);
    return stat(path, &information) == 0;
}

static void make_checkpoint(const char *run, int64_t step)
{
    char path[800];
    snprintf(path, sizeof path, "%s/checkpoints/step_%08lld", run, (long long)step);
    assert_ok(make_directories(path));
}

static void expect_best(const char *run, int64_t expected, double expected_loss)
{
    int64_t step;
    double loss;
    assert_ok(best_checkpoint(run, &step, &loss));
    assert_int_equal(step, expected);
    assert_true(loss == expected_loss);
}

static void the_smallest_loss_of_a_checkpoint_that_is_there_counts(void **state)
{
    (void)state;
    const char *run = test_path("judged");
    expect_best(run, -1, INFINITY); /* no such run */
    assert_ok(make_directories(run));
    expect_best(run, -1, INFINITY);
    write_text(test_path("judged/metrics.jsonl"), "{\"loss\": 0.5, \"step\": 10}\n"
                                                  "{\"step\": 10, \"validation/loss\": 3.5, \"validation/text\": 1}\n"
                                                  "{\"step\": 15, \"validation/loss\": 0.25}\n" /* was never saved */
                                                  "{\"step\": 20, \"validation/loss\": null}\n" /* not finite */
                                                  "{\"step\": 30, \"validation/loss\": 2.75}\n"
                                                  "{\"step\": 40, \"validation/text\": 1}\n"
                                                  "{\"step\": 50, \"validation/loss\": 2.75}\n"
                                                  "{\"step\": 60, \"validation/loss\": 3}\n"
                                                  "{\"step\": 70, \"validation/lo");
    expect_best(run, -1, INFINITY);
    make_checkpoint(run, 20);
    make_checkpoint(run, 40);
    make_checkpoint(run, 70);
    expect_best(run, -1, INFINITY);
    make_checkpoint(run, 10);
    expect_best(run, 10, 3.5);
    make_checkpoint(run, 50);
    expect_best(run, 50, 2.75);
    make_checkpoint(run, 30);
    expect_best(run, 30, 2.75); /* the earlier of two equals */
    make_checkpoint(run, 60);
    assert_ok(checkpoint_prune(run, 60, 2, 30));
    for (int64_t step = 10; step <= 70; step += 10)
        assert_int_equal(has_checkpoint(run, step), step == 30 || step >= 50);
    assert_ok(checkpoint_prune(run, 60, 2, 60)); /* one of the newest two is none beside them */
    for (int64_t step = 10; step <= 70; step += 10)
        assert_int_equal(has_checkpoint(run, step), step >= 50);
}

/* A sequence of saves against what was ever the best: once removed, a checkpoint is no candidate again. */
static void the_best_of_any_losses_outlives_the_others(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 12, 0);
    for (int round = 0; round < 20; round++) {
        const char *run = test_path("random-%d", round);
        char text[4096] = "";
        size_t used = 0;
        int64_t best = -1, keep = 2 + (int64_t)rng_below(&rng, 3), step;
        double best_loss = INFINITY;
        for (step = 1; step <= 12; step++) {
            double loss = (double)rng_below(&rng, 12) / 4;
            make_checkpoint(run, step);
            used += (size_t)snprintf(text + used, sizeof text - used, "{\"step\": %lld, \"validation/loss\": %g}\n",
                                     (long long)step, loss);
            write_text(test_path("random-%d/metrics.jsonl", round), text);
            if (loss < best_loss) {
                best_loss = loss;
                best = step;
            }
            expect_best(run, best, best_loss);
            assert_ok(checkpoint_prune(run, step, keep, best));
            for (int64_t i = 1; i <= step; i++)
                assert_int_equal(has_checkpoint(run, i), i > step - keep || i == best);
        }
    }
}

/* A learning rate that destroys the model: the first checkpoint stays the best. */
static void a_run_keeps_its_best_checkpoint(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    struct training_bench bench;
    struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
    const char *run = test_path("run");
    int64_t best;
    double loss;
    tiny_corpus_make(60, 1, &corpus);
    training_bench_open(&bench, &corpus, run, NULL, 1);
    training_bench_shrink_if_slow(&bench);
    bench.data.validation = bench.data.train;
    bench.train.steps = 6;
    bench.train.save_every = bench.train.validate_every = 1;
    bench.train.keep = 2;
    bench.train.keep_best = true;
    bench.train.schedule.learning_rate = 3;
    bench.train.schedule.warmup_steps = 0;
    assert_ok(run_train(&bench.setup, &options));
    assert_ok(best_checkpoint(run, &best, &loss));
    assert_true(best >= 1 && (best < 5 || test_kernels_slow()) && isfinite(loss));
    for (int64_t step = 1; step <= 6; step++)
        assert_int_equal(has_checkpoint(run, step), step >= 5 || step == best);
    bench.train.validate_every = 2;
    bench.train.save_every = 3;
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "multiple of train.validate_every (2)");
    bench.train.validate_every = 0;
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "train.save_every (3)");
    training_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_loss_of_a_checkpoint_that_is_there_counts),
        cmocka_unit_test(the_best_of_any_losses_outlives_the_others),
        cmocka_unit_test(a_run_keeps_its_best_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
