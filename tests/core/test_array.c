/* Arrays that grow: their contents stay, the room doubles, and a size beyond all memory is refused. */
#include "support/test_support.h"

#include "core/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct element {
    int64_t number;
    char text[24];
};

static void elements_stay_and_the_room_doubles(void **state)
{
    (void)state;
    struct element *list = NULL;
    int64_t capacity = 0, moves = 0;
    for (int64_t i = 0; i < 100000; i++) {
        int64_t before = capacity;
        assert_int_equal(array_grow(&list, &capacity, i + 1, "elements"), STATUS_OK);
        assert_true(capacity > i);
        assert_true(capacity == before || capacity >= 2 * before);
        moves += capacity != before;
        list[i] = (struct element){.number = i, .text = "stays"};
    }
    assert_true(moves <= 17); /* 2^17 > 100000 */
    for (int64_t i = 0; i < 100000; i++) {
        assert_int_equal(list[i].number, i);
        assert_string_equal(list[i].text, "stays");
    }
    free(list);
}

static void many_at_once_get_room(void **state)
{
    (void)state;
    int32_t *ids = NULL;
    int64_t capacity = 0;
    assert_int_equal(array_grow(&ids, &capacity, 0, "ids"), STATUS_OK);
    assert_null(ids); /* none is needed, so none is allocated */
    assert_int_equal(array_grow(&ids, &capacity, 12345, "ids"), STATUS_OK);
    assert_true(capacity >= 12345);
    memset(ids, 0x5a, 12345 * sizeof *ids);
    const int32_t *before = ids;
    int64_t enough = capacity;
    assert_int_equal(array_grow(&ids, &capacity, enough, "ids"), STATUS_OK); /* exactly full: nothing moves */
    assert_ptr_equal(ids, before);
    assert_int_equal(capacity, enough);
    assert_int_equal(array_grow(&ids, &capacity, enough + 1, "ids"), STATUS_OK);
    assert_true(capacity > enough);
    assert_int_equal(ids[12344], 0x5a5a5a5a);
    free(ids);
}

static void a_size_that_overflows_is_refused(void **state)
{
    (void)state;
    static const int64_t needed[] = {
        INT64_MAX,                                        /* elements: their bytes overflow */
        INT64_MAX / (int64_t)sizeof(struct element) + 1,  /* bytes: more than any object may have */
        (int64_t)(SIZE_MAX / sizeof(struct element)) + 1, /* bytes: 0 when they wrap around */
        -1,                                               /* a count that overflowed */
        INT64_MIN,
    };
    struct element *list = NULL;
    int64_t capacity = 0;
    assert_int_equal(array_grow(&list, &capacity, 3, "elements"), STATUS_OK);
    list[2] = (struct element){.number = 42, .text = "still here"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const struct element *before = list;
        int64_t room = capacity;
        char expected[100];
        snprintf(expected, sizeof expected, "no memory for %lld elements", (long long)needed[i]);
        assert_int_equal(array_grow(&list, &capacity, needed[i], "elements"), STATUS_INTERNAL);
        assert_string_equal(status_text(), expected);
        assert_ptr_equal(list, before);
        assert_int_equal(capacity, room);
        assert_int_equal(list[2].number, 42);
        assert_string_equal(list[2].text, "still here");
    }
    free(list);
}

/* Doubling a capacity that is itself out of reach must not wrap around to a small one. */
static void a_doubling_that_overflows_is_refused(void **state)
{
    (void)state;
    int16_t *values = NULL;
    int64_t capacity = INT64_MAX / 2 + 1;
    assert_int_equal(array_grow(&values, &capacity, capacity + 1, "values"), STATUS_INTERNAL);
    assert_int_equal(capacity, INT64_MAX / 2 + 1);
    assert_null(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_stay_and_the_room_doubles),
        cmocka_unit_test(many_at_once_get_room),
        cmocka_unit_test(a_size_that_overflows_is_refused),
        cmocka_unit_test(a_doubling_that_overflows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
