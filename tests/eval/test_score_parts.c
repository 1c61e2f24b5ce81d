/* Scores in parts: the same to the bit for any number of ranks, and when an earlier call was interrupted after any part. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "eval/scoring/choices.h"
#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ITEMS = 800, LONGEST = 90, RANKS = 3 };

static struct tiny_world world;
static struct llama *models[RANKS];
static struct device_context contexts[RANKS];

static int open_models(void **state)
{
    (void)state;
    tiny_world_open(1, 128, &world);
    models[0] = world.model;
    for (int r = 1; r < RANKS; r++) {
        assert_ok(device_context_create(test_kernels(), NULL, 0, &contexts[r]));
        assert_ok(llama_create(&world.model->config, DTYPE_F32, test_kernels(), &contexts[r], &models[r]));
        assert_ok(llama_initialize(models[r], 5, 0.3, NULL));
    }
    return 0;
}

static int close_models(void **state)
{
    (void)state;
    for (int r = 1; r < RANKS; r++) {
        llama_destroy(models[r]);
        device_context_destroy(test_kernels(), &contexts[r]);
    }
    tiny_world_close(&world);
    return 0;
}

static int32_t *draw_ids(struct rng *rng, int64_t count)
{
    int32_t *ids = calloc((size_t)count, sizeof *ids);
    assert_non_null(ids);
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(rng, (uint64_t)world.components->vocabulary.size);
    return ids;
}

/* Pairs of choices with and without a context, of which every ninth is one that was there before. */
static void make_set(struct choice_set *set)
{
    *set = (struct choice_set){0};
    for (uint64_t i = 0; i < ITEMS; i++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, 77, i % 9 == 8 ? i / 2 : i);
        struct choice_item *item;
        char id[32];
        snprintf(id, sizeof id, "%d", (int)i);
        assert_ok(choice_set_add(set, id, json_object(), 0, 2, &item));
        for (int c = 0; c < 2; c++) {
            struct choice *choice = &item->choices[c];
            choice->count = 30 + (int64_t)rng_below(&rng, LONGEST - 30);
            choice->ids = draw_ids(&rng, choice->count);
            choice->first = 1;
            choice->context = 1 + (int64_t)rng_below(&rng, 20);
            choice->alone_count = 2 + (int64_t)rng_below(&rng, LONGEST);
            choice->alone = draw_ids(&rng, choice->alone_count);
            choice->alone_context = 1;
        }
    }
}

static void score(int64_t ranks, struct journal *journal, struct choice_set *set)
{
    make_set(set);
    assert_ok(choices_score_by(&(struct choice_scoring){models, ranks, &world.components->vocabulary, journal}, set));
}

static void expect_same(const struct choice_set *a, const struct choice_set *b)
{
    for (int64_t i = 0; i < ITEMS; i++)
        for (int c = 0; c < 2; c++)
            assert_memory_equal(a->items[i].choices[c].scores, b->items[i].choices[c].scores,
                                sizeof a->items[i].choices[c].scores);
}

static struct journal *open_journal(const char *path)
{
    struct journal *journal;
    json_t *identity = json_object();
    assert_ok(journal_open(path, identity, LOCKS_NONE, &journal));
    json_decref(identity);
    return journal;
}

static void ranks_change_no_bit(void **state)
{
    (void)state;
    struct choice_set one, other;
    score(1, NULL, &one);
    for (int64_t ranks = 2; ranks <= RANKS; ranks++) {
        score(ranks, NULL, &other);
        expect_same(&one, &other);
        choice_set_free(&other);
    }
    /* What is there again has the same scores in whichever part it is. */
    for (int64_t i = 8; i < ITEMS; i += 9)
        if (i / 2 % 9 != 8)
            assert_memory_equal(one.items[i].choices[0].scores, one.items[i / 2].choices[0].scores,
                                sizeof one.items[i].choices[0].scores);
    choice_set_free(&one);
}

/* Cuts the journal behind each of its lines. */
static void interrupted_scoring_goes_on(void **state)
{
    (void)state;
    struct choice_set whole, resumed;
    const char *path = test_path("journal.log");
    void *data;
    int64_t size, lines = 0;
    struct journal *journal = open_journal(path);
    score(1, journal, &whole);
    const int64_t parts = journal_count(journal);
    assert_true(parts >= 5); /* of both lists */
    journal_close(journal, false);
    assert_ok(file_read(path, 1 << 28, &data, &size));
    for (int64_t i = 0; i < size; i++) {
        if (((char *)data)[i] != '\n')
            continue;
        if (lines++ % 2 == 1)
            continue;
        assert_ok(atomic_write(path, data, i + 1));
        journal = open_journal(path);
        assert_int_equal(journal_count(journal), lines - 1);
        score(1 + lines % RANKS, journal, &resumed);
        assert_int_equal(journal_count(journal), parts);
        expect_same(&whole, &resumed);
        choice_set_free(&resumed);
        journal_close(journal, true);
    }
    choice_set_free(&whole);
    free(data);
}

/* A journal of other sequences is no help and no harm. */
static void other_sequences_are_computed(void **state)
{
    (void)state;
    struct choice_set first, second;
    const char *path = test_path("other.log");
    struct journal *journal = open_journal(path);
    score(1, journal, &first);
    const int64_t parts = journal_count(journal);
    make_set(&second);
    second.items[3].choices[1].ids[5] ^= 1;
    assert_ok(choices_score_by(&(struct choice_scoring){models, 1, &world.components->vocabulary, journal}, &second));
    assert_true(journal_count(journal) > parts);
    assert_memory_not_equal(first.items[3].choices[1].scores, second.items[3].choices[1].scores,
                            sizeof first.items[3].choices[1].scores);
    choice_set_free(&first);
    choice_set_free(&second);
    journal_close(journal, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_change_no_bit),
        cmocka_unit_test(interrupted_scoring_goes_on),
        cmocka_unit_test(other_sequences_are_computed),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
