/* When bin/train hangs, it ends with 76 and loses nothing; when several starts made no progress, it refuses with 77. */
#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[600], reference[700], output[700];

/* Starts bin/train with up to one setting: its exit code. What it printed lies in `output`. */
static int train(const char *run, const char *setting)
{
    const char *arguments[] = {"train.keep=1000", setting, NULL};
    struct tiny_start start = {.folder = folder, .run = run, .output = output, .arguments = arguments};
    return tiny_run_train(&start);
}

static bool it_said(const char *text)
{
    char *said;
    int64_t size;
    assert_ok(file_read(output, 1 << 20, (void **)&said, &size));
    bool found = strstr(said, text) != NULL;
    free(said);
    return found;
}

static void came_to_the_same_end(const char *run)
{
    const char *bad = tiny_run_bad_checkpoint(run, reference, 24, true, 1);
    bad = bad ? bad : tiny_run_bad_metrics(run, reference, 24);
    bad = bad ? bad : tiny_run_leftover(run);
    if (bad)
        fail_msg("%s: %s", run, bad);
}

/* A copy of the reference as it was after its fifth step. */
static void make_half_a_run(const char *run)
{
    char text[1000];
    assert_int_equal(run_command(text, sizeof text,
                                 "cp -r '%s' '%s' && cd '%s/checkpoints' && ls | tail -n +6 | xargs rm -r", reference,
                                 run, run),
                     0);
    assert_int_equal(tiny_run_newest(run), 5);
}

/* No step finishes within a microsecond, so to the watchdog every step is a hang. The run neither saves nor ends:
 * however late the watchdog wakes, no checkpoint can have been made. */
static int train_and_hang(const char *run, const char *setting)
{
    const char *arguments[] = {"train.watchdog_seconds=1e-6", "train.save_every=0", "train.steps=1000000", setting,
                               NULL};
    struct tiny_start start = {.folder = folder, .run = run, .output = output, .arguments = arguments};
    return tiny_run_train(&start);
}

static void a_hang_ends_with_76_and_the_run_goes_on(void **state)
{
    (void)state;
    char run[700];
    snprintf(run, sizeof run, "%s/hang", folder);
    make_half_a_run(run);
    assert_int_equal(train_and_hang(run, NULL), 76);
    assert_true(it_said("hangs: no sign of life"));
    assert_int_equal(tiny_run_newest(run), 5);
    assert_int_equal(train(run, NULL), 0);
    came_to_the_same_end(run);
}

static void three_starts_in_vain_are_enough(void **state)
{
    (void)state;
    const char *counted = "train.fruitless_starts=3";
    char run[700];
    snprintf(run, sizeof run, "%s/vain", folder);
    make_half_a_run(run);
    for (int i = 0; i < 3; i++)
        assert_int_equal(train_and_hang(run, counted), 76);
    assert_int_equal(train(run, counted), 77);
    assert_true(it_said("the last 3 starts, all from step 5, brought no new checkpoint"));
    assert_int_equal(train(run, counted), 77); /* a refused start is not one of them */
    assert_int_equal(train(run, "train.fruitless_starts=4"), 0);
    came_to_the_same_end(run);
}

/* A finished run may be started again any number of times. */
static void a_run_that_is_done_may_be_started_forever(void **state)
{
    (void)state;
    char run[700];
    snprintf(run, sizeof run, "%s/done", folder);
    for (int i = 0; i < 6; i++)
        assert_int_equal(train(run, "train.fruitless_starts=1"), 0);
    came_to_the_same_end(run);
}

static int make_reference(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/restarts", test_directory());
    snprintf(reference, sizeof reference, "%s/reference", folder);
    snprintf(output, sizeof output, "%s/output", folder);
    tiny_run_make(folder);
    return train(reference, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hang_ends_with_76_and_the_run_goes_on),
        cmocka_unit_test(three_starts_in_vain_are_enough),
        cmocka_unit_test(a_run_that_is_done_may_be_started_forever),
    };
    return cmocka_run_group_tests(tests, make_reference, NULL);
}
