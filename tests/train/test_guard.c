/* Steps that must not be taken: a loss or one gradient that is NaN, infinite or a spike, on one rank alone, in the
 * first steps and right after a resume. Nothing changes on any rank, all ranks agree, and the run goes on as it would
 * have without that batch, whatever was wrong with it. */
#include "support/poison.h"
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "io/json.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 9, RANKS = 3, WINDOW = 8 };

static struct tiny_corpus corpus;

struct scenario {
    enum poison_kind kind;
    int ranks, poisoned_rank, dtype;
    int first, last; /* spoiled steps, from 1 */
    int resume_at;   /* this step is the first after a resume; 0: none */
    double spike_deviations;
    double element; /* which gradient: a share of all */
};

struct rank_result {
    struct step_result steps[STEPS];
    enum status statuses[STEPS];
    struct training_state last;
    json_t *state; /* of the checkpoint after the last step; rank 0 alone */
};

struct rank_job {
    const struct scenario *scenario;
    const char *run;
    struct rank_result result;
};

static bool is_due(const struct scenario *scenario, int step)
{
    return step >= scenario->first && step <= scenario->last;
}

static void one_step(const struct scenario *scenario, int rank, struct trainer *trainer, int step,
                     struct rank_result *result)
{
    char what[120];
    struct training_state before = training_state_copy(trainer);
    struct step_result *taken = &result->steps[step - 1];
    result->statuses[step - 1] = trainer_step(trainer, taken);
    struct training_state after = training_state_copy(trainer);
    assert_int_equal(taken->step, step);
    snprintf(what, sizeof what, "%s, %d ranks, rank %d, step %d", poison_name(scenario->kind), scenario->ranks, rank,
             step);
    if (taken->skipped) {
        training_state_assert_equal(what, &after, &before);
        char *documents = trainer_last_documents(trainer);
        assert_non_null(strchr(documents, ':'));
        free(documents);
        assert_false(trainer_is_healthy(trainer));
    } else {
        assert_memory_not_equal(after.weights, before.weights, after.weight_bytes);
        assert_memory_not_equal(after.first_moment, before.first_moment, after.slice_bytes);
        assert_true(isfinite(taken->loss) && isfinite(taken->gradient_norm) && trainer_is_healthy(trainer));
    }
    training_state_free(&before);
    training_state_free(&after);
}

/* The gradient that the scenario's share of all means: padding has none, so the last weight before it. */
static const float *aimed_at(struct trainer *trainer, double share)
{
    const struct parameter_layout *layout = &trainer_model(trainer)->layout;
    int64_t element = (int64_t)(share * (double)layout->elements), weight = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        int64_t last = view->offset + view->count - 1;
        if (!view->alias && view->offset <= element)
            weight = element < last ? element : last;
    }
    return trainer_optimizer(trainer)->gradients + weight;
}

static void train_rank(struct comm *comm, void *argument)
{
    struct rank_job *job = argument;
    const struct scenario *scenario = job->scenario;
    struct training_bench bench;
    struct trainer *trainer;
    training_bench_open(&bench, &corpus, job->run, comm, 1);
    training_bench_shrink_if_slow(&bench);
    bench.train.dtype = scenario->dtype;
    bench.train.spike_deviations = scenario->spike_deviations;
    bench.train.spike_window = WINDOW;
    poison_kernels(&bench.kernels);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    bool poisoned = scenario->poisoned_rank == comm_rank(comm);
    poison_begin(poisoned ? scenario->kind : POISON_NONE, scenario->first, scenario->last, 0);
    poison_aim(aimed_at(trainer, scenario->element));
    for (int step = 1; step <= STEPS; step++) {
        if (step == scenario->resume_at) {
            assert_ok(trainer_save(trainer, job->run));
            trainer_destroy(trainer);
            trainer = training_bench_resume(&bench);
            poison_aim(aimed_at(trainer, scenario->element));
        }
        one_step(scenario, comm_rank(comm), trainer, step, &job->result);
        if (job->result.statuses[step - 1] != STATUS_OK)
            break;
    }
    assert_ok(trainer_save(trainer, job->run));
    job->result.last = training_state_copy(trainer);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void run(const struct scenario *scenario, struct rank_result results[RANKS])
{
    static int number;
    char folder[700], *path;
    struct rank_job jobs[RANKS];
    snprintf(folder, sizeof folder, "%s/run-%d", test_directory(), number++);
    for (int r = 0; r < scenario->ranks; r++)
        jobs[r] = (struct rank_job){.scenario = scenario, .run = folder};
    assert_ok(ranks_run(scenario->ranks, train_rank, jobs, sizeof *jobs));
    for (int r = 0; r < scenario->ranks; r++)
        results[r] = jobs[r].result;
    assert_ok(checkpoint_newest(folder, false, &path));
    assert_ok(checkpoint_read_state(path, &results[0].state));
    free(path);
}

static void results_free(const struct scenario *scenario, struct rank_result results[RANKS])
{
    for (int r = 0; r < scenario->ranks; r++)
        training_state_free(&results[r].last);
    json_decref(results[0].state);
}

/* Ranks that see the same numbers, take the same steps and hold the same weights. */
static void check_ranks_agree(const struct scenario *scenario, const struct rank_result *results)
{
    for (int r = 1; r < scenario->ranks; r++) {
        for (int i = 0; i < STEPS; i++) {
            const struct step_result *a = &results[0].steps[i], *b = &results[r].steps[i];
            assert_int_equal(results[r].statuses[i], results[0].statuses[i]);
            assert_memory_equal(&a->loss, &b->loss, sizeof a->loss);
            assert_memory_equal(&a->gradient_norm, &b->gradient_norm, sizeof a->gradient_norm);
            assert_ptr_equal(a->skipped, b->skipped); /* static texts */
        }
        assert_memory_equal(results[r].last.weights, results[0].last.weights, results[0].last.weight_bytes);
    }
}

/* The checkpoint's guard knows the losses and norms of the steps that were taken, and nothing else. */
static void check_window(const struct rank_result *result, int steps)
{
    const json_t *guard = json_object_get(result->state, "guard");
    const json_t *losses = json_object_get(guard, "losses"), *norms = json_object_get(guard, "norms");
    const struct step_result *accepted[STEPS];
    size_t count = 0;
    int64_t updates;
    for (int i = 0; i < steps; i++)
        if (!result->steps[i].skipped)
            accepted[count++] = &result->steps[i];
    assert_ok(jdoc_get_int("state", result->state, "updates", 0, 100, &updates));
    assert_int_equal(updates, count);
    size_t kept = count < WINDOW ? count : WINDOW;
    assert_int_equal(json_array_size(losses), kept);
    assert_int_equal(json_array_size(norms), kept);
    for (size_t i = 0; i < kept; i++) {
        assert_true(json_number_value(json_array_get(losses, i)) == accepted[count - kept + i]->loss);
        assert_true(json_number_value(json_array_get(norms, i)) == accepted[count - kept + i]->gradient_norm);
    }
}

static const char *reason_for(enum poison_kind kind)
{
    return kind <= POISON_LOSS_MINUS_INFINITE ? "the loss is not finite"
           : kind <= POISON_NORM_OVERFLOWS    ? "the gradient is not finite"
           : kind == POISON_LOSS_SPIKE        ? "the loss is a spike"
                                              : "the gradient norm is a spike";
}

static void check_steps(const struct scenario *scenario, const struct rank_result *result)
{
    for (int step = 1; step <= STEPS; step++) {
        const char *skipped = result->steps[step - 1].skipped;
        assert_int_equal(result->statuses[step - 1], STATUS_OK);
        if (is_due(scenario, step) != (skipped != NULL))
            fail_msg("%s, %d ranks: step %d is %s", poison_name(scenario->kind), scenario->ranks, step,
                     skipped ? skipped : "taken");
        if (skipped)
            assert_string_equal(skipped, reason_for(scenario->kind));
    }
}

/* Every kind of fault at the same step leaves the same run behind. `kinds` first..last. */
static void faults_leave_the_same_run(struct scenario scenario, enum poison_kind first, enum poison_kind last,
                                      struct rng *rng)
{
    struct rank_result expected[RANKS] = {0}, found[RANKS] = {0};
    for (enum poison_kind kind = first; kind <= last; kind++) {
        struct rank_result *results = kind == first ? expected : found;
        scenario.kind = kind;
        scenario.poisoned_rank = (int)rng_below(rng, (uint64_t)scenario.ranks);
        scenario.element = rng_uniform(rng);
        run(&scenario, results);
        check_steps(&scenario, &results[0]);
        check_ranks_agree(&scenario, results);
        check_window(&results[0], STEPS);
        if (kind == first)
            continue;
        for (int r = 0; r < scenario.ranks; r++)
            training_state_assert_equal(poison_name(kind), &results[r].last, &expected[r].last);
        results_free(&scenario, found);
    }
    results_free(&scenario, expected);
}

static void a_step_that_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        int first, last, resume_at;
    } times[] = {{1, 1, 0}, {2, 3, 0}, {5, 5, 5}, {1, 2, 1}};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 80, 0);
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
        for (int ranks = 1; ranks <= RANKS; ranks++)
            for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
                if (test_kernels_slow() && (ranks != 1 + dtype || i != (size_t)dtype * 2 + 1))
                    continue; /* one time of each type, one with a resume */
                struct scenario scenario = {.ranks = ranks,
                                            .dtype = dtype,
                                            .first = times[i].first,
                                            .last = times[i].last,
                                            .resume_at = times[i].resume_at};
                faults_leave_the_same_run(scenario, POISON_LOSS_NAN, POISON_NORM_OVERFLOWS, &rng);
            }
}

/* The rule on spikes judges from half a window (four steps) on, also right after a resume; a spike and a NaN at the
 * same step leave the same run. */
static void a_spike_changes_nothing(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 81, 0);
    for (int ranks = 1; ranks <= (test_kernels_slow() ? 1 : RANKS); ranks++)
        for (int resume_at = test_kernels_slow() ? 6 : 0; resume_at <= 6; resume_at += 6) {
            struct scenario scenario = {
                .ranks = ranks, .dtype = DTYPE_F32, .first = 6, .last = 7, .resume_at = resume_at};
            scenario.spike_deviations = 20; /* so small a run is not smooth */
            faults_leave_the_same_run(scenario, POISON_NORM_OVERFLOWS, POISON_GRADIENT_SPIKE, &rng);
        }
}

/* Before that nothing is known to be normal: finite steps are taken. So are all without the rule. */
static void early_spikes_are_taken_and_all_without_the_rule(void **state)
{
    (void)state;
    for (enum poison_kind kind = POISON_LOSS_SPIKE; kind <= POISON_GRADIENT_SPIKE; kind++)
        for (int rule = 0; rule < 2; rule++) {
            struct scenario scenario = {.kind = kind, .ranks = 2, .poisoned_rank = 1, .dtype = DTYPE_F32};
            if (test_kernels_slow() && rule != (kind == POISON_LOSS_SPIKE))
                continue;
            scenario.first = scenario.last = rule ? 2 : 7;
            scenario.spike_deviations = rule ? 20 : 0;
            struct rank_result results[RANKS] = {0};
            run(&scenario, results);
            for (int i = 0; i < STEPS; i++)
                assert_null(results[0].steps[i].skipped);
            const struct step_result *spoiled = &results[0].steps[scenario.first - 1], *good = &results[0].steps[4];
            assert_true(kind == POISON_LOSS_SPIKE ? spoiled->loss > 2 * good->loss
                                                  : spoiled->gradient_norm > 100 * good->gradient_norm);
            check_ranks_agree(&scenario, results);
            check_window(&results[0], STEPS);
            results_free(&scenario, results);
        }
}

/* The third bad step in a row stops all ranks, however the steps are spread over a resume. */
static void a_third_in_a_row_stops_all_ranks(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 82, 0);
    for (enum poison_kind kind = POISON_LOSS_NAN; kind < POISON_KINDS; kind++)
        for (int resume_at = 0; resume_at <= 6; resume_at += 6) {
            if (test_kernels_slow() && (kind % 4 != 1 || resume_at != 6 * (kind == POISON_LOSS_NAN)))
                continue;
            struct scenario scenario = {.kind = kind,
                                        .ranks = 1 + (int)rng_below(&rng, RANKS),
                                        .dtype = DTYPE_F32,
                                        .first = 5,
                                        .last = STEPS,
                                        .resume_at = resume_at,
                                        .spike_deviations = kind < POISON_LOSS_SPIKE ? 0 : 20,
                                        .element = rng_uniform(&rng)};
            struct rank_result results[RANKS] = {0};
            scenario.poisoned_rank = (int)rng_below(&rng, (uint64_t)scenario.ranks);
            run(&scenario, results);
            for (int r = 0; r < scenario.ranks; r++)
                for (int step = 1; step <= STEPS; step++)
                    assert_int_equal(results[r].statuses[step - 1], step == 7 ? STATUS_CORRUPT : STATUS_OK);
            for (int step = 5; step <= 7; step++)
                assert_string_equal(results[0].steps[step - 1].skipped, reason_for(kind));
            check_ranks_agree(&scenario, results);
            check_window(&results[0], 7);
            results_free(&scenario, results);
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
        cmocka_unit_test(a_step_that_is_not_finite_changes_nothing),
        cmocka_unit_test(a_spike_changes_nothing),
        cmocka_unit_test(early_spikes_are_taken_and_all_without_the_rule),
        cmocka_unit_test(a_third_in_a_row_stops_all_ranks),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
