/* The part of cmocka that the tests of the operations use, for a machine without cmocka (test_macros.c). A failed
 * assertion ends its test; the others go on. */
#ifndef SPIRITLM_GPU_CHECK_CMOCKA_H
#define SPIRITLM_GPU_CHECK_CMOCKA_H

#include <stddef.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

#define cmocka_unit_test(function)                                                                                     \
    {                                                                                                                  \
#function, function, NULL, NULL                                                                                \
    }
#define cmocka_unit_test_setup(function, before)                                                                       \
    {                                                                                                                  \
#function, function, before, NULL                                                                              \
    }
#define cmocka_unit_test_setup_teardown(function, before, after)                                                       \
    {                                                                                                                  \
#function, function, before, after                                                                             \
    }
#define cmocka_run_group_tests(tests, before, after)                                                                   \
    stand_in_run_tests((tests), sizeof(tests) / sizeof *(tests), (before), (after))
/* Only tests whose names fit run; the pattern is borrowed. */
void cmocka_set_test_filter(const char *pattern);
int stand_in_run_tests(const struct CMUnitTest *tests, size_t count, int (*before)(void **), int (*after)(void **));

_Noreturn void _fail(const char *file, int line);
_Noreturn void stand_in_skip(void);
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define skip() stand_in_skip()
#define fail() _fail(__FILE__, __LINE__)
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        print_error(__VA_ARGS__);                                                                                      \
        print_error("\n");                                                                                             \
        _fail(__FILE__, __LINE__);                                                                                     \
    } while (0)
#define stand_in_require(good, what)                                                                                   \
    do {                                                                                                               \
        if (!(good))                                                                                                   \
            fail_msg("%s", what);                                                                                      \
    } while (0)
#define assert_true(value) stand_in_require(value, #value)
#define assert_false(value) stand_in_require(!(value), "not " #value)
#define assert_null(value) stand_in_require(!(value), #value " is NULL")
#define assert_non_null(value) stand_in_require(value, #value " is not NULL")
#define assert_string_equal(a, b) stand_in_require(strcmp((a), (b)) == 0, #a " is " #b)
#define assert_memory_equal(a, b, size) stand_in_require(memcmp((a), (b), (size)) == 0, #a " has the bytes of " #b)
#define assert_int_equal(a, b)                                                                                         \
    do {                                                                                                               \
        long long stand_in_left = (long long)(a), stand_in_right = (long long)(b);                                     \
        if (stand_in_left != stand_in_right)                                                                           \
            fail_msg("%s is %lld, expected %lld", #a, stand_in_left, stand_in_right);                                  \
    } while (0)

#endif
