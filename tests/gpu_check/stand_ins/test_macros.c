/* Runs a group of tests one after the other: a failed assertion jumps out of its test, which is counted, and the next one
 * starts. The program's exit code is the number of tests that failed, as cmocka's is. */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FAILED = 1, SKIPPED };

static jmp_buf leave;
static const char *filter = "*";

void cmocka_set_test_filter(const char *pattern)
{
    filter = pattern;
}

_Noreturn void _fail(const char *file, int line)
{
    print_error("%s:%d: failed\n", file, line);
    longjmp(leave, FAILED);
}

_Noreturn void stand_in_skip(void)
{
    longjmp(leave, SKIPPED);
}

void print_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

void print_message(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}

/* 0, FAILED or SKIPPED. */
static int run_test(const struct CMUnitTest *test, void **state)
{
    int outcome = setjmp(leave);
    if (outcome)
        return outcome;
    if (test->setup && test->setup(state) != 0)
        return FAILED;
    test->run(state);
    return test->teardown && test->teardown(state) != 0 ? FAILED : 0;
}

int stand_in_run_tests(const struct CMUnitTest *tests, size_t count, int (*before)(void **), int (*after)(void **))
{
    static const char *const words[] = {"passed", "failed", "skipped"};
    void *state = NULL;
    int failures = 0;
    if (before && before(&state) != 0)
        return 1;
    for (size_t i = 0; i < count; i++) {
        void *own = state;
        if (fnmatch(filter, tests[i].name, 0) != 0)
            continue;
        int outcome = run_test(&tests[i], &own);
        failures += outcome == FAILED;
        printf("%s: %s\n", tests[i].name, words[outcome]);
        fflush(stdout);
    }
    if (after && after(&state) != 0)
        failures++;
    printf("%d of %zu tests failed\n", failures, count);
    return failures;
}
