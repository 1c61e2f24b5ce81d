/* Ranks in threads: all parts are done, whichever rank fails, the caller gets its status and its words, and the others end. */
#include "support/test_support.h"

#include "core/rank_threads.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 8, PARTS = 200 };

struct work {
    int64_t ranks, failing, at; /* rank `failing` fails at its part `at`; -1: none does */
    atomic_int done[PARTS];
    atomic_bool failed;
};

static enum status run(void *context, int64_t rank)
{
    struct work *work = context;
    for (int64_t p = rank; p < PARTS && !atomic_load(&work->failed); p += work->ranks) {
        if (rank == work->failing && p / work->ranks == work->at)
            return status_set(STATUS_CORRUPT, "part %lld of rank %lld", (long long)p, (long long)rank);
        atomic_fetch_add(&work->done[p], 1);
        if (work->failing >= 0)
            usleep(100);
    }
    /* What a rank says that the others made end is not what the caller hears. */
    return atomic_load(&work->failed) ? status_set(STATUS_IO, "ended early") : STATUS_OK;
}

static void every_part_is_done_once(void **state)
{
    (void)state;
    for (int64_t ranks = 1; ranks <= MOST; ranks++) {
        struct work work = {.ranks = ranks, .failing = -1};
        assert_ok(rank_threads_run(ranks, run, &work, &work.failed));
        assert_false(work.failed);
        for (int p = 0; p < PARTS; p++)
            assert_int_equal(work.done[p], 1);
    }
}

static void the_first_failure_is_what_is_said(void **state)
{
    (void)state;
    char expected[64];
    for (int64_t ranks = 1; ranks <= MOST; ranks++)
        for (int64_t failing = 0; failing < ranks; failing++) {
            struct work work = {.ranks = ranks, .failing = failing, .at = 3};
            snprintf(expected, sizeof expected, "part %d of rank %d", (int)(failing + 3 * ranks), (int)failing);
            assert_fails(rank_threads_run(ranks, run, &work, &work.failed), STATUS_CORRUPT, expected);
            assert_true(work.failed);
            assert_int_equal(work.done[PARTS - 1], 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_done_once),
        cmocka_unit_test(the_first_failure_is_what_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
