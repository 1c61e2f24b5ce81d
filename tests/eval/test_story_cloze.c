/* Which members of an archive are a story, and what its two texts share. */
#include "support/test_support.h"

#include "eval/zero_shot/story_cloze.h"

#include <string.h>

enum { BOTH = STORY_NEEDS_AUDIO | STORY_NEEDS_TEXT };

static void whole_stories_are_ordered_as_numbers(void **state)
{
    (void)state;
    /* shuffled, 10 and 100 before 8; a story whose name has digits and underscores */
    static const char *const names[] = {"tSC/10_ab_c_correct.wav", "tSC/9_x_incorrect.wav", "tSC/101_7_incorrect.wav",
                                        "tSC/8_x_correct.wav",     "tSC/100_7_correct.wav", "tSC/11_ab_c_incorrect.wav",
                                        "tSC/README.txt",          "tSC/metadata.json"};
    struct story_list list;
    assert_ok(story_list_read("a.zip", names, 8, STORY_NEEDS_AUDIO, false, &list));
    assert_true(list.count == 3 && !list.pieces && list.lone == 0);
    assert_string_equal(list.stories[0].id, "tSC/x");
    assert_string_equal(list.stories[1].id, "tSC/ab_c");
    assert_string_equal(list.stories[2].id, "tSC/7");
    assert_true(list.stories[0].members[STORY_CORRECT][STORY_AUDIO] == 3 &&
                list.stories[0].members[STORY_INCORRECT][STORY_AUDIO] == 1);
    assert_true(list.stories[1].members[STORY_CORRECT][STORY_AUDIO] == 0 &&
                list.stories[1].members[STORY_INCORRECT][STORY_AUDIO] == 5);
    assert_true(list.stories[2].number == 100 && list.stories[2].members[STORY_CORRECT][STORY_TEXT] == -1);
    story_list_free(&list);
}

static void pieces_lie_in_a_folder_per_voice(void **state)
{
    (void)state;
    static const char *const names[] = {"v1/s_mutual.wav",    "v1/s_correct.wav", "v1/s_incorrect.wav",
                                        "v2/s_incorrect.wav", "v2/s_correct.wav", "v2/s_mutual.wav",
                                        "v1/s_mutual.txt",    "v1/s_correct.txt", "v1/s_incorrect.txt",
                                        "v2/s_mutual.txt",    "v2/s_correct.txt", "v2/s_incorrect.txt"};
    struct story_list list;
    assert_ok(story_list_read("a", names, 12, BOTH, false, &list));
    assert_true(list.count == 2 && list.pieces);
    assert_string_equal(list.stories[0].id, "v1/s");
    assert_true(list.stories[0].members[STORY_CONTEXT][STORY_AUDIO] == 0 &&
                list.stories[0].members[STORY_CONTEXT][STORY_TEXT] == 6);
    assert_true(list.stories[1].members[STORY_INCORRECT][STORY_AUDIO] == 3 &&
                list.stories[1].members[STORY_INCORRECT][STORY_TEXT] == 11);
    story_list_free(&list);
}

static void incomplete_stories_are_refused_or_counted(void **state)
{
    (void)state;
    static const char *const names[] = {"0_a_correct.wav", "1_a_incorrect.wav", "2_b_correct.wav", "0_a_correct.txt"};
    struct story_list list;
    assert_fails(story_list_read("z", names, 4, STORY_NEEDS_AUDIO, false, &list), STATUS_CORRUPT,
                 "z: the story b has no incorrect recording; evaluate.incomplete=skip");
    assert_ok(story_list_read("z", names, 4, STORY_NEEDS_AUDIO, true, &list));
    assert_true(list.count == 1 && list.lone == 1);
    story_list_free(&list);
    assert_fails(story_list_read("z", names, 2, BOTH, false, &list), STATUS_CORRUPT, "a has no correct text");
    assert_fails(story_list_read("z", names, 2, BOTH, true, &list), STATUS_CORRUPT, "no whole story");
    assert_fails(story_list_read("z", names, 0, BOTH, false, &list), STATUS_CORRUPT, "z: there is no whole story");
}

static void strange_names_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *names[3];
        int count;
        const char *message;
    } cases[] = {
        {{"0_a_correct.wav", "a_incorrect.wav"}, 2, "expected NUMBER_STORY_incorrect.wav, found a_incorrect.wav"},
        {{"1_a_correct.wav", "0_a_incorrect.wav"}, 2, "1_a_correct.wav contradicts itself"},
        {{"0_a_right.wav"}, 1, "found 0_a_right.wav"},
        {{"0__correct.wav"}, 1, "found 0__correct.wav"},
        {{"_correct.wav"}, 1, "found _correct.wav"},
        {{"correct.wav"}, 1, "found correct.wav"},
        {{"9999999999_a_correct.wav"}, 1, "expected NUMBER_STORY"},
        {{"0_a_correct.wav", "00_a_correct.wav", "1_a_incorrect.wav"}, 3, "are the same part of a story"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct story_list list;
        assert_fails(story_list_read("z.zip", cases[i].names, cases[i].count, STORY_NEEDS_AUDIO, false, &list),
                     STATUS_CORRUPT, cases[i].message);
        assert_non_null(strstr(status_text(), "z.zip: "));
    }
}

/* Sides of one story whose numbers do not belong together are two stories that lack a side. */
static void numbers_must_be_neighbours(void **state)
{
    (void)state;
    static const char *const names[] = {"0_a_correct.wav", "3_a_incorrect.wav"};
    struct story_list list;
    assert_fails(story_list_read("z", names, 2, STORY_NEEDS_AUDIO, false, &list), STATUS_CORRUPT,
                 "a has no incorrect recording");
}

static void contexts_end_with_a_shared_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *correct, *incorrect;
        int64_t length;
    } cases[] = {
        {"One. Two. Three.", "One. Two. Four.", 9},
        {"One. Two! The end.", "One. Two! The start.", 9},
        {"He said \"no.\" She left.", "He said \"no.\" She stayed.", 13},
        {"One. Mr. Smith laughed.", "One. Mr. Smith cried.", 4},
        {"One. Two is 2.5 here.", "One. Two is 2.7 here.", 4},
        {"Alike", "Alike", 0},
        {"One. Two.", "One. Two.", 4}, /* the last sentence is the ending, even where both are the same */
        {"A.", "B.", 0},
        {"", "", 0},
        {"One.\nTwo.", "One. Two.", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(story_shared_context(cases[i].correct, cases[i].incorrect), cases[i].length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_stories_are_ordered_as_numbers),
        cmocka_unit_test(pieces_lie_in_a_folder_per_voice),
        cmocka_unit_test(incomplete_stories_are_refused_or_counted),
        cmocka_unit_test(strange_names_are_refused),
        cmocka_unit_test(numbers_must_be_neighbours),
        cmocka_unit_test(contexts_end_with_a_shared_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
