/* Training goes on where it was saved: to the bit with as many ranks, up to the order of sums with others; and a
 * checkpoint of another seed, network or vocabulary is refused. */
#include "support/ranks.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tiny_corpus corpus;

static void check_refused(struct training_bench *bench, const char *path, const char *part)
{
    struct trainer *trainer;
    assert_ok(trainer_create(&bench->setup, true, &trainer));
    assert_fails(trainer_load(trainer, path), STATUS_USAGE, part);
    assert_non_null(strstr(status_text(), path));
    trainer_destroy(trainer);
}

/* What the checkpoint was not made with. The bench is as before when this is over. */
static void check_refusals(struct training_bench *bench, const char *path)
{
    const struct model_settings model = bench->model;
    bench->train.seed++; /* another order of the data */
    check_refused(bench, path, "seed");
    bench->train.seed--;
    bench->model.heads = 8; /* equal shapes, another network */
    bench->model.kv_heads = 4;
    bench->model.head_size = 4;
    check_refused(bench, path, "heads");
    bench->model = model;
    bench->model.rope_theta = 20000;
    check_refused(bench, path, "rope_theta");
    bench->model = model;
    /* Another vocabulary behind the same number of rows. */
    struct components *other;
    struct components_options options = {.text_model = corpus.text_model,
                                         .expressive = true,
                                         .task_tags = true,
                                         .codes = {TINY_HUBERT, TINY_PITCH, TINY_STYLE},
                                         .rates = {{{25, 1}, {25, 2}, {1, 1}}}};
    assert_ok(components_load(&options, &other));
    assert_int_equal(other->vocabulary.padded_size, bench->components->vocabulary.padded_size);
    bench->setup.components = other;
    check_refused(bench, path, "vocabulary");
    bench->setup.components = bench->components;
    components_free(other);
    bench->components->vocabulary.dummy_prefix = DUMMY_PREFIX_DOCUMENT; /* the same rows, other ids for the same text */
    check_refused(bench, path, "set tokenizer.dummy_prefix=span");
    bench->components->vocabulary.dummy_prefix = DUMMY_PREFIX_SPAN;
}

/* Six steps in one go, and three, a checkpoint, a new process's trainer, three: the same bits. */
static void resume_is_exact(int dtype, const char *name)
{
    char run[600];
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    double losses[6];
    snprintf(run, sizeof run, "%s/%s", test_directory(), name);
    training_bench_open(&bench, &corpus, run, NULL, 1);
    training_bench_shrink_if_slow(&bench);
    bench.train.dtype = dtype;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    for (int i = 0; i < 6; i++) {
        assert_ok(trainer_step(trainer, &step));
        losses[i] = step.loss;
        if (i == 2)
            assert_ok(trainer_save(trainer, run));
    }
    struct training_state expected = training_state_copy(trainer);
    trainer_destroy(trainer);

    char *path;
    assert_ok(checkpoint_newest(run, true, &path));
    assert_non_null(path);
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_ok(trainer_load(trainer, path));
    assert_int_equal(trainer_steps_done(trainer), 3);
    for (int i = 3; i < 6; i++) {
        assert_ok(trainer_step(trainer, &step));
        if (memcmp(&step.loss, &losses[i], sizeof step.loss) != 0)
            fail_msg("%s: loss of step %d is %.17g after the resume, was %.17g", name, i + 1, step.loss, losses[i]);
    }
    struct training_state found = training_state_copy(trainer);
    training_state_assert_equal(name, &found, &expected);
    training_state_free(&found);
    training_state_free(&expected);
    trainer_destroy(trainer);
    check_refusals(&bench, path);
    free(path);
    training_bench_close(&bench);
}

static void resume_is_exact_in_f32(void **state)
{
    (void)state;
    resume_is_exact(DTYPE_F32, "resume_f32");
}

static void resume_is_exact_in_bf16(void **state)
{
    (void)state;
    resume_is_exact(DTYPE_BF16, "resume_bf16");
}

/* ---- ranks that save and validate together, and others that take over ---- */

struct job {
    const char *run;
    bool anew; /* starts anew, and saves after two steps; else goes on from there */
    int steps;
    double losses[4];
    struct token_losses validation;
};

static void train_rank(struct comm *comm, void *argument)
{
    struct job *job = argument;
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    training_bench_open(&bench, &corpus, job->run, comm, 1);
    training_bench_shrink_if_slow(&bench);
    bench.data.validation = bench.data.train;
    if (job->anew)
        assert_ok(trainer_create(&bench.setup, false, &trainer));
    else
        trainer = training_bench_resume(&bench);
    for (int i = 0; i < job->steps; i++) {
        assert_ok(trainer_step(trainer, &step));
        job->losses[i] = step.loss;
        if (job->anew && i == 1) {
            assert_ok(trainer_validate(trainer, SOURCE_INTERLEAVED, &job->validation));
            assert_ok(trainer_save(trainer, job->run));
        }
    }
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static struct job train(int count, const char *run, bool anew, int steps)
{
    struct job jobs[3];
    for (int r = 0; r < count; r++)
        jobs[r] = (struct job){.run = run, .anew = anew, .steps = steps};
    assert_ok(ranks_run(count, train_rank, jobs, sizeof *jobs));
    return jobs[0];
}

/* Three ranks save after two of four steps; one, two and three go on from there: the same losses up to the order of
 * sums. Every validation row counts once however many ranks share them. */
static void other_ranks_take_over(void **state)
{
    (void)state;
    char run[600], alone_run[600];
    snprintf(run, sizeof run, "%s/three", test_directory());
    snprintf(alone_run, sizeof alone_run, "%s/alone", test_directory());
    struct job three = train(3, run, true, 4), alone = train(1, alone_run, true, 4);
    for (int kind = 0; kind < TOKEN_KINDS; kind++) {
        assert_true(three.validation.count[kind] == alone.validation.count[kind]);
        assert_true(fabs(three.validation.sum[kind] - alone.validation.sum[kind]) <=
                    1e-5 * fabs(alone.validation.sum[kind]));
    }
    for (int count = 1; count <= 3; count++) {
        struct job next = train(count, run, false, 2);
        for (int i = 0; i < 2; i++)
            if (!(fabs(next.losses[i] - three.losses[2 + i]) <= 1e-6 * three.losses[2 + i]))
                fail_msg("%d ranks: step %d has loss %.9g, the run itself %.9g", count, 3 + i, next.losses[i],
                         three.losses[2 + i]);
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
        cmocka_unit_test(resume_is_exact_in_f32),
        cmocka_unit_test(resume_is_exact_in_bf16),
        cmocka_unit_test(other_ranks_take_over),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
