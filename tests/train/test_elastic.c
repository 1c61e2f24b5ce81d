/* One, two, three, four and six ranks, and changes between them at resumes, with other weights of the sources too: the
 * model is given the same tokens and the log the same documents, lane by lane, over ends of epochs. What they should be
 * comes from lanes that no trainer has touched; those are judged in tests/data/test_lanes_random.c. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 12, LENGTH = 64, PARTS = 5, STEPS = 8, ALL = PARTS * STEPS, ROWS = 10 };

static struct tiny_corpus corpus;
static const double mixtures[PARTS][SOURCE_KINDS] = {{1, 1, 1}, {1, 0, 2}, {0, 1, 0}, {2, 1, 1}, {2, 1, 1}};

/* ---- what every step must be given ---- */

struct lane_step {
    int32_t ids[LENGTH], targets[LENGTH];
    char documents[2000];
};
static struct lane_step expected[ALL][LANES], expected_of_one_mixture[ALL][LANES];

static void bench_open(struct training_bench *bench, const char *run, struct comm *comm, const double *weights)
{
    training_bench_open(bench, &corpus, run, comm, 1);
    training_bench_shrink_if_slow(bench);
    bench->data.sequence_length = LENGTH;
    bench->data.lanes = LANES;
    bench->train.steps = ALL;
    assert_int_equal(bench->data.sequence_length, LENGTH);
    memcpy(bench->data.weights, weights, sizeof bench->data.weights);
}

static void expect_part(const struct training_bench *bench, json_t *states[LANES], struct lane_step steps[STEPS][LANES])
{
    struct untouched_lanes untouched;
    untouched_lanes_open(bench, &untouched);
    struct lanes *lanes = untouched.lanes;
    for (int lane = 0; lane < LANES; lane++) {
        if (states[lane])
            assert_ok(lanes_restore(lanes, lane, states[lane]));
        for (int step = 0; step < STEPS; step++) {
            struct lane_step *row = &steps[step][lane];
            int32_t starts[LENGTH];
            assert_ok(lanes_next(lanes, lane, row->ids, row->targets, starts));
            *row->documents = 0;
            untouched_lanes_documents(&untouched, lane, row->documents);
        }
        json_decref(states[lane]);
        assert_ok(lanes_save(lanes, lane, &states[lane]));
    }
    untouched_lanes_close(&untouched);
}

static void expect(bool mixed, struct lane_step steps[ALL][LANES])
{
    json_t *states[LANES] = {0};
    for (int part = 0; part < PARTS; part++) {
        struct training_bench bench;
        bench_open(&bench, "unused", NULL, mixtures[mixed ? part : 0]);
        expect_part(&bench, states, steps + part * STEPS);
        training_bench_close(&bench);
    }
    for (int s = 0; s < SOURCE_KINDS && !mixed; s++) { /* ends of epochs were passed */
        int64_t epoch;
        const json_t *source =
            json_object_get(json_object_get(states[0], "sources"), source_kind_name((enum source_kind)s));
        assert_ok(jdoc_get_int("state", source, "epoch", 1, 1000, &epoch));
    }
    for (int lane = 0; lane < LANES; lane++)
        json_decref(states[lane]);
}

/* ---- what the model is given ---- */

static _Thread_local struct {
    int32_t ids[LANES * LENGTH], targets[LANES * LENGTH];
    int64_t id_count, target_count;
} given;

static void read_back(const struct device_context *context, int32_t *host, const int32_t *device, int64_t count)
{
    assert_ok(test_kernels()->copy_to_host(context, QUEUE_COMPUTE, host, device, (size_t)count * sizeof *host));
    assert_ok(test_kernels()->synchronize(context));
}

static enum status watched_embedding(const struct device_context *context, const struct embedding_forward *p)
{
    assert_true(given.id_count + p->tokens <= LANES * LENGTH);
    read_back(context, given.ids + given.id_count, p->ids, p->tokens);
    given.id_count += p->tokens;
    return test_kernels()->embedding_forward(context, p);
}

static enum status watched_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    assert_true(given.target_count + p->rows <= LANES * LENGTH);
    read_back(context, given.targets + given.target_count, p->targets, p->rows);
    given.target_count += p->rows;
    return test_kernels()->cross_entropy(context, p);
}

struct rank_job {
    const char *run;
    const double *weights;
    int first, last; /* steps, from 0; last is not taken */
    const struct lane_step (*expected)[LANES];
};

static void check_step(const struct rank_job *job, struct comm *comm, const struct trainer *trainer, int step)
{
    int ranks = comm_size(comm);
    char documents[LANES * 2000] = "";
    int64_t at = 0;
    for (int lane = comm_rank(comm); lane < LANES; lane += ranks, at += LENGTH) {
        const struct lane_step *row = &job->expected[step][lane];
        if (memcmp(given.ids + at, row->ids, sizeof row->ids) != 0 ||
            memcmp(given.targets + at, row->targets, sizeof row->targets) != 0)
            fail_msg("step %d, lane %d with %d ranks: other tokens", step + 1, lane, ranks);
        strcat(documents, row->documents);
    }
    assert_int_equal(given.id_count, at);
    assert_int_equal(given.target_count, at);
    char *found = trainer_last_documents(trainer);
    assert_string_equal(found, documents);
    free(found);
}

static void train_rank(struct comm *comm, void *argument)
{
    const struct rank_job *job = argument;
    struct training_bench bench;
    struct trainer *trainer;
    bench_open(&bench, job->run, comm, job->weights);
    bench.kernels.embedding_forward = watched_embedding;
    bench.kernels.cross_entropy = watched_cross_entropy;
    if (job->first > 0)
        trainer = training_bench_resume(&bench);
    else
        assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_int_equal(trainer_steps_done(trainer), job->first);
    for (int step = job->first; step < job->last; step++) {
        struct step_result result;
        given.id_count = given.target_count = 0;
        assert_ok(trainer_step(trainer, &result));
        check_step(job, comm, trainer, step);
    }
    assert_ok(trainer_save(trainer, job->run));
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void any_number_of_ranks_trains_on_the_same_tokens(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 4, 6, 5};
    expect(false, expected_of_one_mixture);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (test_kernels_slow() && counts[i] != 5)
            continue;
        char run[600];
        snprintf(run, sizeof run, "%s/ranks-%d", test_directory(), counts[i]);
        struct rank_job job = {.run = run,
                               .weights = mixtures[0],
                               .last = ALL,
                               .expected = (const struct lane_step(*)[LANES])expected_of_one_mixture};
        assert_ok(ranks_run(counts[i], train_rank, &job, 0));
    }
}

static void a_resume_may_change_ranks_and_weights(void **state)
{
    (void)state;
    static const int counts[][PARTS] = {{1, 2, 3, 4, 6}, {6, 4, 3, 2, 1}, {3, 6, 1, 4, 2}, {4, 1, 6, 5, 3}};
    expect(true, expected);
    for (int mixed = 0; mixed < 2; mixed++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            if (test_kernels_slow() && !(mixed && i == 0))
                continue; /* the chain of changes of both, from one rank to six */
            char run[600];
            snprintf(run, sizeof run, "%s/chain-%d-%zu", test_directory(), mixed, i);
            for (int part = 0; part < PARTS; part++) {
                struct rank_job job = {
                    .run = run,
                    .weights = mixtures[mixed ? part : 0],
                    .first = part * STEPS,
                    .last = (part + 1) * STEPS,
                    .expected = (const struct lane_step(*)[LANES])(mixed ? expected : expected_of_one_mixture)};
                assert_ok(ranks_run(counts[i][part], train_rank, &job, 0));
            }
        }
}

static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(ROWS, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_trains_on_the_same_tokens),
        cmocka_unit_test(a_resume_may_change_ranks_and_weights),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
