/* A process that hangs ends itself with 76 and says where; one that goes on is left alone. */
#include "support/test_support.h"
#include "train/watchdog.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void sleep_milliseconds(int milliseconds)
{
    poll(NULL, 0, milliseconds);
}

/* Runs `child` in a process of its own, whose standard error comes back in `said`. Returns its exit code. */
static int in_a_process(void (*child)(void), char *said, size_t size)
{
    int ends[2], code;
    assert_int_equal(pipe(ends), 0);
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        child();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length < size - 1 && (got = read(ends[0], said + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    said[length] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(process, &code, 0), process);
    assert_true(WIFEXITED(code));
    return WEXITSTATUS(code);
}

static void hang(void)
{
    struct watchdog *watchdog;
    if (watchdog_create(1, 3, &watchdog) != STATUS_OK)
        _exit(1);
    watchdog_alive(watchdog, 10, "a step");
    watchdog_alive(watchdog, 11, "saving");
    sleep_milliseconds(60000);
}

static void a_hang_ends_with_76_and_says_where(void **state)
{
    (void)state;
    char said[1000];
    assert_int_equal(in_a_process(hang, said, sizeof said), STATUS_HANG);
    assert_non_null(strstr(said, "rank 3"));
    assert_non_null(strstr(said, "saving after 11 steps"));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
}

/* Longer than the limit in all. A busy machine may pause this process, but not for the 4 s of the limit. */
static void live(void)
{
    struct watchdog *watchdog;
    if (watchdog_create(4, 0, &watchdog) != STATUS_OK)
        _exit(1);
    for (int i = 0; i < 50; i++) {
        watchdog_alive(watchdog, i, "a step");
        sleep_milliseconds(100);
    }
    watchdog_destroy(watchdog);
}

static void signs_of_life_keep_it_quiet(void **state)
{
    (void)state;
    char said[1000];
    assert_int_equal(in_a_process(live, said, sizeof said), 0);
    assert_string_equal(said, "");
}

static void wait_before_the_first_sign(void)
{
    struct watchdog *watchdog;
    if (watchdog_create(0.01, 0, &watchdog) != STATUS_OK)
        _exit(1);
    sleep_milliseconds(300);
    watchdog_destroy(watchdog);
}

static void before_the_first_sign_nothing_is_watched(void **state)
{
    (void)state;
    char said[1000];
    assert_int_equal(in_a_process(wait_before_the_first_sign, said, sizeof said), 0);
}

static void zero_seconds_watch_nothing(void **state)
{
    (void)state;
    struct watchdog *watchdog;
    assert_ok(watchdog_create(0, 0, &watchdog));
    assert_null(watchdog);
    watchdog_alive(watchdog, 1, "a step");
    watchdog_destroy(watchdog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hang_ends_with_76_and_says_where),
        cmocka_unit_test(signs_of_life_keep_it_quiet),
        cmocka_unit_test(before_the_first_sign_nothing_is_watched),
        cmocka_unit_test(zero_seconds_watch_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
