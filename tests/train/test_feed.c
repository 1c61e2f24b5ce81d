/* Rows that a thread draws while a step is computed: they are those of the lanes, with everything derived that a pass needs;
 * a state saved at any moment is that before the rows which are not trained on yet; what the thread meets comes out at the
 * step that needs its rows; and no thread is left behind. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "train/feed.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LANES = 8, LENGTH = 64, STEPS = 6, MICRO_BATCH = 3 };

static struct tiny_corpus corpus;

/* ---- draws that fail ---- */

static _Atomic int64_t draws, failing_draw; /* of lanes_next calls, from 1; 0: none */

enum status __real_lanes_next(struct lanes *lanes, int64_t lane, int32_t *ids, int32_t *targets, int32_t *starts);
enum status __wrap_lanes_next(struct lanes *lanes, int64_t lane, int32_t *ids, int32_t *targets, int32_t *starts);
enum status __wrap_lanes_next(struct lanes *lanes, int64_t lane, int32_t *ids, int32_t *targets, int32_t *starts)
{
    if (++draws == failing_draw)
        return status_set(STATUS_CORRUPT, "lane %lld came upon a torn page", (long long)lane);
    return __real_lanes_next(lanes, lane, ids, targets, starts);
}

static void fail_in_draw(int64_t step)
{
    draws = 0;
    failing_draw = step ? (step - 1) * LANES + 3 : 0;
}

static int threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* The kernel lists a thread for a moment more when it has been joined. */
static void assert_threads(int expected)
{
    for (int i = 0; i < 1000 && threads() != expected; i++)
        usleep(1000);
    assert_int_equal(threads(), expected);
}

/* ---- a feed by itself ---- */

struct fixture {
    struct training_bench bench;
    struct llama_config config;
    struct untouched_lanes drawn, untouched; /* what the feed draws from, and what it should give */
    struct feed *feed;
};

static void fixture_open(struct fixture *fixture)
{
    training_bench_open(&fixture->bench, &corpus, "unused", NULL, 1);
    assert_int_equal(fixture->bench.data.lanes, LANES);
    assert_int_equal(fixture->bench.data.sequence_length, LENGTH);
    assert_ok(trainer_model_config(&fixture->bench.data, &fixture->bench.model,
                                   fixture->bench.components->vocabulary.padded_size, &fixture->config));
    untouched_lanes_open(&fixture->bench, &fixture->drawn);
    untouched_lanes_open(&fixture->bench, &fixture->untouched);
    const struct feed_options options = {.lanes = fixture->drawn.lanes,
                                         .lane_step = 1,
                                         .lane_count = LANES,
                                         .length = LENGTH,
                                         .micro_batch = MICRO_BATCH,
                                         .vocabulary = &fixture->bench.components->vocabulary,
                                         .config = &fixture->config,
                                         .kernels = &fixture->bench.kernels,
                                         .context = &fixture->bench.context};
    assert_ok(feed_create(&options, &fixture->feed));
}

static void fixture_close(struct fixture *fixture)
{
    feed_destroy(fixture->feed);
    untouched_lanes_close(&fixture->drawn);
    untouched_lanes_close(&fixture->untouched);
    training_bench_close(&fixture->bench);
}

/* Positions count from each document's start. The order of a pass has all its tokens, by id, equal ids as they come. */
static void check_derived(const struct rows *rows)
{
    for (int64_t i = 0; i < rows->count * LENGTH; i++)
        assert_int_equal(rows->positions[i], i % LENGTH - rows->starts[i]);
    for (int64_t first = 0; first < rows->count; first += MICRO_BATCH) {
        int64_t tokens = (rows->count - first < MICRO_BATCH ? rows->count - first : MICRO_BATCH) * LENGTH;
        const int32_t *order = rows->order + first * LENGTH, *ids = rows->ids + first * LENGTH;
        for (int64_t i = 0; i < tokens; i++) {
            assert_in_range(order[i], 0, tokens - 1);
            if (i > 0 &&
                !(ids[order[i]] > ids[order[i - 1]] || (ids[order[i]] == ids[order[i - 1]] && order[i] > order[i - 1])))
                fail_msg("tokens %d and %d of the pass from row %lld are out of order", order[i - 1], order[i],
                         (long long)first);
        }
    }
}

/* The next rows of lanes that nobody has touched. */
static void check_rows(struct fixture *fixture, const struct rows *rows)
{
    char documents[LANES * 2000] = "";
    double counts[TOKEN_KINDS] = {0};
    const struct vocabulary *vocabulary = &fixture->bench.components->vocabulary;
    assert_int_equal(rows->count, LANES);
    for (int64_t lane = 0; lane < LANES; lane++) {
        int32_t ids[LENGTH], targets[LENGTH], starts[LENGTH];
        assert_ok(__real_lanes_next(fixture->untouched.lanes, lane, ids, targets, starts));
        assert_memory_equal(rows->ids + lane * LENGTH, ids, sizeof ids);
        assert_memory_equal(rows->targets + lane * LENGTH, targets, sizeof targets);
        assert_memory_equal(rows->starts + lane * LENGTH, starts, sizeof starts);
        for (int64_t i = 0; i < LENGTH; i++) {
            enum token_kind kind = targets[i] < 0 ? 0 : vocabulary_kind(vocabulary, targets[i]);
            assert_int_equal(rows->groups[lane * LENGTH + i], kind);
            counts[kind] += targets[i] >= 0;
        }
        untouched_lanes_documents(&fixture->untouched, lane, documents);
    }
    assert_memory_equal(rows->counts, counts, sizeof counts);
    assert_string_equal(feed_documents(fixture->feed), documents);
    check_derived(rows);
}

static void rows_are_those_of_the_lanes(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct rows *rows, *before = NULL;
    fail_in_draw(0);
    fixture_open(&fixture);
    assert_string_equal(feed_documents(fixture.feed), "");
    for (int step = 0; step < STEPS; step++) {
        assert_ok(feed_next(fixture.feed, &rows));
        assert_ptr_not_equal(rows, before); /* these are being read while the next are drawn */
        check_rows(&fixture, rows);
        before = rows;
    }
    fixture_close(&fixture);
}

/* ---- states ---- */

static void check_states(const struct fixture *fixture)
{
    for (int64_t lane = 0; lane < LANES; lane++) {
        json_t *found, *expected;
        assert_ok(feed_save(fixture->feed, lane, &found));
        assert_ok(lanes_save(fixture->untouched.lanes, lane, &expected));
        assert_true(json_equal(found, expected));
        json_decref(found);
        json_decref(expected);
    }
}

/* Saved before anything is drawn, while the thread draws, and when it has drawn; twice in a row, too. */
static void a_state_is_that_before_what_comes_next(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct rows *rows;
    fail_in_draw(0);
    fixture_open(&fixture);
    check_states(&fixture);
    for (int step = 0; step < STEPS; step++) {
        assert_ok(feed_next(fixture.feed, &rows));
        if (step % 3 == 1)
            usleep(20000);
        check_rows(&fixture, rows);
        for (int i = 0; i < step % 3; i++)
            check_states(&fixture);
    }
    fixture_close(&fixture);
}

/* A feed that has drawn ahead goes back to where a state says, as does one that has drawn nothing. */
static void a_restored_feed_gives_the_same_rows(void **state)
{
    (void)state;
    json_t *states[LANES];
    static int32_t expected[2][LANES * LENGTH];
    struct fixture fixture;
    const struct rows *rows;
    fail_in_draw(0);
    fixture_open(&fixture);
    for (int step = 0; step < 2; step++)
        assert_ok(feed_next(fixture.feed, &rows));
    for (int64_t lane = 0; lane < LANES; lane++)
        assert_ok(feed_save(fixture.feed, lane, &states[lane]));
    for (int step = 0; step < 2; step++) {
        assert_ok(feed_next(fixture.feed, &rows));
        memcpy(expected[step], rows->ids, sizeof expected[step]);
    }
    for (int fresh = 0; fresh < 2; fresh++) {
        for (int64_t lane = 0; lane < LANES; lane++)
            assert_ok(feed_restore(fixture.feed, lane, states[lane]));
        for (int step = 0; step < 2; step++) {
            assert_ok(feed_next(fixture.feed, &rows));
            assert_memory_equal(rows->ids, expected[step], sizeof expected[step]);
        }
        fixture_close(&fixture);
        if (fresh == 0)
            fixture_open(&fixture);
    }
    for (int64_t lane = 0; lane < LANES; lane++)
        json_decref(states[lane]);
}

/* ---- failures ---- */

static void a_failed_draw_belongs_to_its_step(void **state)
{
    (void)state;
    int before = threads();
    for (int64_t failing = 1; failing <= 3; failing++) {
        struct fixture fixture;
        const struct rows *rows;
        char documents[LANES * 2000] = "";
        fixture_open(&fixture);
        fail_in_draw(failing);
        for (int64_t step = 1; step < failing; step++) {
            assert_ok(feed_next(fixture.feed, &rows));
            check_rows(&fixture, rows);
            snprintf(documents, sizeof documents, "%s", feed_documents(fixture.feed));
        }
        status_set(STATUS_IO, "what this thread met before");
        for (int again = 0; again < 2; again++) {
            assert_fails(feed_next(fixture.feed, &rows), STATUS_CORRUPT, "lane 2 came upon a torn page");
            assert_null(rows);
            assert_threads(before);
        }
        assert_string_equal(feed_documents(fixture.feed), documents); /* of the last rows that were given */
        check_states(&fixture);                                       /* before the draw that failed */
        fixture_close(&fixture);
    }
    fail_in_draw(0);
}

/* The same through a trainer: the step before is whole, and can be saved. */
static void a_trainers_step_is_not_hit_by_the_next_ones_draw(void **state)
{
    (void)state;
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    int before = threads();
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    fail_in_draw(3);
    for (int i = 0; i < 2; i++)
        assert_ok(trainer_step(trainer, &step));
    while (draws < failing_draw)
        usleep(100);
    struct training_state good = training_state_copy(trainer);
    assert_fails(trainer_step(trainer, &step), STATUS_CORRUPT, "torn page");
    assert_int_equal(trainer_steps_done(trainer), 2);
    struct training_state after = training_state_copy(trainer);
    training_state_assert_equal("after a draw that failed", &after, &good);
    training_state_free(&good);
    training_state_free(&after);
    fail_in_draw(0);
    trainer_destroy(trainer);
    training_bench_close(&bench);
    assert_threads(before);
}

/* ---- threads ---- */

static void a_trainer_leaves_no_thread(void **state)
{
    (void)state;
    int before = threads();
    for (int steps = 0; steps < 3; steps++) {
        struct training_bench bench;
        struct trainer *trainer;
        struct step_result step;
        training_bench_open(&bench, &corpus, "unused", NULL, 1);
        assert_ok(trainer_create(&bench.setup, false, &trainer));
        for (int i = 0; i < steps; i++)
            assert_ok(trainer_step(trainer, &step));
        trainer_destroy(trainer);
        training_bench_close(&bench);
        assert_threads(before);
    }
}

/* A process that leaves, or that another is forked from, while the thread draws. CUDA cannot be used on both sides of a fork,
 * so this is about the cpu alone. */
static void a_process_may_leave_while_rows_are_drawn(void **state)
{
    (void)state;
    if (!test_kernels_cpu())
        skip();
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct training_bench bench;
            struct trainer *trainer;
            struct step_result step;
            alarm(60);
            training_bench_open(&bench, &corpus, "unused", NULL, 1);
            assert_ok(trainer_create(&bench.setup, false, &trainer));
            assert_ok(trainer_step(trainer, &step));
            pid_t grandchild = fork();
            if (grandchild == 0)
                _exit(7);
            int status;
            waitpid(grandchild, &status, 0);
            exit(WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
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
        cmocka_unit_test(rows_are_those_of_the_lanes),
        cmocka_unit_test(a_state_is_that_before_what_comes_next),
        cmocka_unit_test(a_restored_feed_gives_the_same_rows),
        cmocka_unit_test(a_failed_draw_belongs_to_its_step),
        cmocka_unit_test(a_trainers_step_is_not_hit_by_the_next_ones_draw),
        cmocka_unit_test(a_trainer_leaves_no_thread),
        cmocka_unit_test(a_process_may_leave_while_rows_are_drawn),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
