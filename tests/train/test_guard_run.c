/* A run that meets steps it must not take: the log names the rows of every rank, the metrics say what was skipped,
 * two in a row are survived, a third stops the run with its last good checkpoint left, from which it goes on. */
#include "support/poison.h"
#include "support/ranks.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "io/atomic_file.h"
#include "io/json.h"
#include "train/checkpoint.h"
#include "train/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 3, MAX_STEPS = 16 };

static struct tiny_corpus corpus;

/* ---- what the log must say ---- */

/* The rows of a step's lanes of one rank, from lanes that no trainer has touched. */
struct expected_rows {
    char documents[MAX_STEPS][RANKS][4000];
};

static void expect_rows(struct expected_rows *expected)
{
    struct training_bench bench;
    struct untouched_lanes untouched;
    int32_t ids[64], targets[64], starts[64];
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    training_bench_shrink_if_slow(&bench);
    assert_true(bench.data.sequence_length <= 64);
    untouched_lanes_open(&bench, &untouched);
    memset(expected, 0, sizeof *expected);
    for (int step = 0; step < MAX_STEPS; step++)
        for (int64_t lane = 0; lane < bench.data.lanes; lane++) {
            assert_ok(lanes_next(untouched.lanes, lane, ids, targets, starts));
            untouched_lanes_documents(&untouched, lane, expected->documents[step][lane % RANKS]);
        }
    untouched_lanes_close(&untouched);
    training_bench_close(&bench);
}

static int count_lines(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* Of each skipped step: why, once a rank, and each rank's rows, once. */
static void check_log(const char *log, const struct expected_rows *expected, const char *reason, int first, int last)
{
    char line[5000];
    for (int step = 1; step <= MAX_STEPS; step++) {
        bool skipped = step >= first && step <= last;
        snprintf(line, sizeof line, "warning: step %d skipped: %s", step, reason);
        assert_int_equal(count_lines(log, line), skipped ? RANKS : 0);
        for (int rank = 0; rank < RANKS; rank++) {
            snprintf(line, sizeof line, "warning: step %d, rank %d, documents: ", step, rank);
            assert_int_equal(count_lines(log, line), skipped);
            strcat(strcat(line, expected->documents[step - 1][rank]), "\n");
            if (skipped && count_lines(log, line) != 1)
                fail_msg("the log does not say: %s", line);
        }
    }
}

/* ---- runs ---- */

struct rank_job {
    const char *run;
    enum poison_kind kind;
    int first, last, steps;
    enum status status;
};

static void train_rank(struct comm *comm, void *argument)
{
    struct rank_job *job = argument;
    struct training_bench bench;
    struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
    training_bench_open(&bench, &corpus, job->run, comm, 1);
    training_bench_shrink_if_slow(&bench);
    bench.train.steps = job->steps;
    bench.train.save_every = 2;
    bench.train.spike_deviations = 20;
    bench.train.spike_window = 8;
    poison_kernels(&bench.kernels);
    poison_begin(comm_rank(comm) == 1 ? job->kind : POISON_NONE, job->first, job->last, 5);
    job->status = run_train(&bench.setup, &options);
    training_bench_close(&bench);
}

/* Runs with standard error in a file; its text is for the caller. */
static char *run(const char *folder, enum poison_kind kind, int first, int last, int steps, enum status expected)
{
    char path[700], *log;
    int64_t size;
    struct rank_job jobs[RANKS];
    snprintf(path, sizeof path, "%s/log", test_directory());
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), kept = dup(STDERR_FILENO);
    assert_true(file >= 0 && kept >= 0);
    dup2(file, STDERR_FILENO);
    close(file);
    for (int r = 0; r < RANKS; r++)
        jobs[r] = (struct rank_job){folder, kind, first, last, steps, STATUS_INTERNAL};
    enum status made = ranks_run(RANKS, train_rank, jobs, sizeof *jobs);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_ok(made);
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(jobs[r].status, expected);
    assert_ok(file_read(path, 1 << 24, (void **)&log, &size));
    return log;
}

/* Every step has one line, in order; a skipped one says why, and null where a number is none. */
static void check_metrics(const char *folder, const char *reason, bool loss_is_bad, int first, int last, int steps)
{
    char path[700], *text;
    int64_t size;
    int expected = 0;
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    assert_ok(file_read(path, 1 << 24, (void **)&text, &size));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *root;
        int64_t step;
        assert_ok(jdoc_parse("line", line, (int64_t)strlen(line), &root));
        assert_ok(jdoc_get_int("line", root, "step", 1, 100, &step));
        assert_int_equal(step, ++expected);
        bool skipped = step >= first && step <= last;
        const char *why = json_string_value(json_object_get(root, "skipped"));
        assert_int_equal(why != NULL, skipped);
        if (why)
            assert_string_equal(why, reason);
        assert_int_equal(json_is_null(json_object_get(root, "loss")), skipped && loss_is_bad);
        assert_int_equal(json_is_number(json_object_get(root, "loss")), !(skipped && loss_is_bad));
        json_decref(root);
    }
    assert_int_equal(expected, steps);
    free(text);
}

static void the_log_names_rows_and_two_are_survived(void **state)
{
    (void)state;
    static const struct {
        enum poison_kind kind;
        const char *reason;
    } faults[] = {{POISON_LOSS_NAN, "the loss is not finite"},
                  {POISON_GRADIENT_INFINITE, "the gradient is not finite"},
                  {POISON_LOSS_SPIKE, "the loss is a spike"},
                  {POISON_GRADIENT_SPIKE, "the gradient norm is a spike"}};
    static struct expected_rows expected;
    expect_rows(&expected);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char folder[600];
        snprintf(folder, sizeof folder, "%s/survived-%zu", test_directory(), i);
        char *log = run(folder, faults[i].kind, 6, 7, 10, STATUS_OK);
        check_log(log, &expected, faults[i].reason, 6, 7);
        check_metrics(folder, faults[i].reason, faults[i].kind == POISON_LOSS_NAN, 6, 7, 10);
        free(log);
    }
}

static void a_third_stops_and_the_last_good_checkpoint_goes_on(void **state)
{
    (void)state;
    static struct expected_rows expected;
    char folder[600], *newest, *log;
    expect_rows(&expected);
    snprintf(folder, sizeof folder, "%s/stopped", test_directory());
    log = run(folder, POISON_LOSS_INFINITE, 5, MAX_STEPS, 12, STATUS_CORRUPT);
    check_log(log, &expected, "the loss is not finite", 5, 7);
    check_metrics(folder, "the loss is not finite", true, 5, 6, 6); /* the seventh ended the run before its line */
    free(log);
    assert_ok(checkpoint_newest(folder, false, &newest));
    assert_non_null(newest);
    assert_non_null(strstr(newest, "step_00000004")); /* of no step in which the run was unwell */
    free(newest);
    /* Whatever it was has passed: the same steps are good now, and no line stays of the bad ones. */
    log = run(folder, POISON_NONE, 0, 0, 12, STATUS_OK);
    assert_null(strstr(log, "skipped"));
    check_metrics(folder, "", false, 0, 0, 12);
    free(log);
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
        cmocka_unit_test(the_log_names_rows_and_two_are_survived),
        cmocka_unit_test(a_third_stops_and_the_last_good_checkpoint_goes_on),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
