/* The journal of finished items: what it keeps, what a crash at any byte leaves of it, and which journals are refused. */
#include "support/files.h"
#include "support/test_support.h"

#include "eval/journal/journal.h"
#include "io/atomic_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ITEMS = 40, THREADS = 3 };

static json_t *identity_of(const char *model)
{
    json_t *identity = json_pack("{s:s, s:{s:i, s:[i, i]}}", "model", model, "shots", "count", 3, "seeds", 0, 1);
    assert_non_null(identity);
    return identity;
}

static enum status open_as(const char *path, const char *model, struct journal **journal)
{
    json_t *identity = identity_of(model);
    enum status result = journal_open(path, identity, LOCKS_REQUIRED, journal);
    json_decref(identity);
    return result;
}

static const char *id_of(int n)
{
    static _Thread_local char id[32];
    snprintf(id, sizeof id, "item \"%d\" \xC3\xA9\n", n); /* what JSON must escape */
    return id;
}

static void expect(struct journal *journal, int from, int to)
{
    for (int n = from; n < to; n++) {
        const json_t *item = journal_find(journal, id_of(n));
        assert_non_null(item);
        assert_int_equal(json_integer_value(json_object_get(item, "n")), n);
        assert_true(json_real_value(json_object_get(item, "value")) == n / 3.0); /* 17 digits */
    }
    assert_null(journal_find(journal, id_of(to)));
    assert_int_equal(journal_count(journal), to - from);
}

static void add(struct journal *journal, int from, int to)
{
    for (int n = from; n < to; n++)
        assert_ok(journal_add(journal, id_of(n), json_pack("{s:i, s:f}", "n", n, "value", n / 3.0)));
}

static int64_t size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : -1;
}

static void what_is_added_is_found_again(void **state)
{
    (void)state;
    struct journal *journal;
    const char *path = test_path("kept.log");
    for (int n = 0; n < ITEMS; n += 10) {
        assert_ok(open_as(path, "a", &journal));
        expect(journal, 0, n);
        add(journal, n, n + 10);
        expect(journal, 0, n + 10);
        assert_fails(journal_add(journal, id_of(3), json_object()), STATUS_INTERNAL, "already");
        assert_fails(journal_add(journal, "new", NULL), STATUS_INTERNAL, "no memory");
        journal_close(journal, n == ITEMS - 10);
    }
    assert_int_equal(size_of(path), -1); /* finished */
    journal_close(NULL, true);
}

static void another_identity_is_refused(void **state)
{
    (void)state;
    struct journal *journal;
    const char *path = test_path("other.log");
    assert_ok(open_as(path, "a", &journal));
    add(journal, 0, 2);
    assert_fails(open_as(path, "a", &(struct journal *){0}), STATUS_USAGE, "other.log");
    journal_close(journal, false);
    int64_t size = size_of(path);
    assert_fails(open_as(path, "b", &journal), STATUS_USAGE, "with model \"a\", and this one has \"b\"");
    json_t *more = identity_of("a"), *less = identity_of("a");
    json_object_set_new(more, "archive", json_integer(7));
    json_object_del(less, "shots");
    assert_fails(journal_open(path, more, LOCKS_REQUIRED, &journal), STATUS_USAGE,
                 "archive absent, and this one has 7");
    assert_fails(journal_open(path, less, LOCKS_REQUIRED, &journal), STATUS_USAGE, "shots {\"count\":3");
    json_decref(more);
    json_decref(less);
    assert_int_equal(size_of(path), size);
    assert_ok(open_as(path, "a", &journal));
    expect(journal, 0, 2);
    journal_close(journal, false);
}

static void a_journal_without_items_holds_nobody_up(void **state)
{
    (void)state;
    struct journal *journal;
    const char *path = test_path("begun.log");
    assert_ok(open_as(path, "a", &journal));
    journal_close(journal, false);
    assert_ok(open_as(path, "b", &journal));
    add(journal, 0, 1);
    journal_close(journal, false);
    assert_fails(open_as(path, "a", &journal), STATUS_USAGE, "with model \"b\"");
    assert_ok(open_as(path, "b", &journal));
    expect(journal, 0, 1);
    journal_close(journal, true);
}

/* Cut after each byte: whole lines are there, and what comes after goes behind them. */
static void a_torn_end_is_cut_off(void **state)
{
    (void)state;
    struct journal *journal;
    void *data;
    int64_t size;
    const char *path = test_path("torn.log");
    assert_ok(open_as(path, "a", &journal));
    add(journal, 0, 4);
    journal_close(journal, false);
    assert_ok(file_read(path, 1 << 20, &data, &size));
    for (int64_t cut = 0; cut <= size; cut++) {
        int lines = 0;
        for (int64_t i = 0; i < cut; i++)
            lines += ((char *)data)[i] == '\n';
        assert_ok(atomic_write(path, data, cut));
        assert_ok(open_as(path, "a", &journal));
        int there = lines > 0 ? lines - 1 : 0;
        expect(journal, 0, there);
        if (cut % 16 == 0) { /* each add waits for the disk */
            add(journal, there, 5);
            journal_close(journal, false);
            assert_ok(open_as(path, "a", &journal));
            expect(journal, 0, 5);
        }
        journal_close(journal, false);
    }
    free(data);
}

/* Each bit of each byte of the file: the last line may go, anything else is an error, and an item is never another one. */
static void damage_is_never_taken_for_an_item(void **state)
{
    (void)state;
    struct journal *journal;
    void *data;
    int64_t size, last = 0;
    const char *path = test_path("damaged.log");
    assert_ok(open_as(path, "a", &journal));
    add(journal, 0, 3);
    journal_close(journal, false);
    assert_ok(file_read(path, 1 << 20, &data, &size));
    for (int64_t i = 0; i + 1 < size; i++)
        if (((char *)data)[i] == '\n')
            last = i + 1;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    for (int64_t i = 0; i < size; i++) {
        uint8_t flip = (uint8_t)(1u << rng_below(&rng, 8));
        ((uint8_t *)data)[i] ^= flip;
        assert_ok(atomic_write(path, data, size));
        enum status result = open_as(path, "a", &journal);
        if (i < last - 1)
            assert_int_equal(result, STATUS_CORRUPT);
        else if (result == STATUS_OK)
            expect(journal, 0, i == last - 1 ? 1 : 2); /* without its '\n' the line before goes too */
        if (result == STATUS_OK)
            journal_close(journal, false);
        ((uint8_t *)data)[i] ^= flip;
    }
    free(data);
}

static void lines_of_others_are_refused(void **state)
{
    (void)state;
    struct journal *journal;
    const char *path = test_path("foreign.log");
    write_text(path, "hello\n");
    assert_ok(open_as(path, "a", &journal)); /* no whole line at all: what a crash may leave */
    journal_close(journal, false);
    assert_ok(open_as(path, "a", &journal));
    add(journal, 0, 1);
    journal_close(journal, false);
    char printed[256];
    assert_int_equal(run_command(printed, sizeof printed,
                                 "cd '%s' && tail -n 1 foreign.log > line && cat line >> foreign.log",
                                 test_directory()),
                     0);
    assert_fails(open_as(path, "a", &journal), STATUS_CORRUPT, "foreign.log:3: the item");
}

struct adder {
    struct journal *journal;
    int first;
};

static void *add_some(void *argument)
{
    struct adder *adder = argument;
    for (int n = adder->first; n < ITEMS * THREADS; n += THREADS)
        if (journal_find(adder->journal, id_of(n)) ||
            journal_add(adder->journal, id_of(n), json_pack("{s:i, s:f}", "n", n, "value", n / 3.0)) != STATUS_OK)
            return adder;
    return NULL;
}

static void threads_may_add_together(void **state)
{
    (void)state;
    struct journal *journal;
    pthread_t threads[THREADS];
    struct adder adders[THREADS];
    const char *path = test_path("threads.log");
    assert_ok(open_as(path, "a", &journal));
    for (int t = 0; t < THREADS; t++) {
        adders[t] = (struct adder){journal, t};
        assert_int_equal(pthread_create(&threads[t], NULL, add_some, &adders[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        void *failed;
        assert_int_equal(pthread_join(threads[t], &failed), 0);
        assert_null(failed);
    }
    expect(journal, 0, ITEMS * THREADS);
    journal_close(journal, false);
    assert_ok(open_as(path, "a", &journal));
    expect(journal, 0, ITEMS * THREADS);
    journal_close(journal, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_found_again),
        cmocka_unit_test(another_identity_is_refused),
        cmocka_unit_test(a_journal_without_items_holds_nobody_up),
        cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(damage_is_never_taken_for_an_item),
        cmocka_unit_test(lines_of_others_are_refused),
        cmocka_unit_test(threads_may_add_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
