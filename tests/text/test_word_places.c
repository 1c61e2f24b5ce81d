/* Where words are found in a text: the rules one by one, and texts of random words over all of Unicode whose alignment is
 * written with other case, other normalisation and without punctuation. */
#include "support/random_words.h"
#include "support/test_support.h"

#include "text/word_places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 8 };

static int count_of(const char *const *words)
{
    int count = 0;
    while (count < WORDS && words[count])
        count++;
    return count;
}

static void words_are_found_in_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words[WORDS];
        int32_t ranges[2 * WORDS];
    } cases[] = {
        {"The cat's ice-cream", {"the", "cat's", "ice", "cream"}, {0, 3, 4, 9, 10, 14, 14, 19}},
        {"an apple a day", {"an", "a", "day"}, {0, 2, 9, 10, 11, 14}},
        {"cannot stop", {"can", "not", "stop"}, {0, 3, 3, 6, 7, 11}},
        {"They've “gone” — away", {"they", "ve", "gone", "away"}, {0, 5, 5, 7, 8, 18, 23, 27}},
        {"Été Мир", {"éTÉ", "мИР"}, {0, 5, 6, 12}},
        {"\xc0\x80 two", {"two"}, {3, 6}}, /* nor does an overlong NUL end a text */
        {"one, (two) three", {" one", "two", "Three."}, {0, 4, 5, 10, 11, 16}},
        {"Łódź ŻABA", {"łódź", "żaba"}, {0, 7, 8, 13}},
        {"ΟΔΟΣ οδος", {"οδός", "οδοσ"}, {0}}, /* see below: an accent is a difference */
        {"ὈΔΥΣΣΕΎΣ", {"ὀδυσσεύς"}, {0, 17}},
        {"STRASSE Straße", {"straße", "STRASSE"}, {0, 7, 8, 15}},
        {"İstanbul ISPARTA ırmak", {"istanbul", "ısparta", "IRMAK"}, {0, 9, 10, 17, 18, 24}},
        {"你好，世界。今天", {"你好", "今天"}, {0, 9, 15, 24}},
        {"你好世界今天", {"世界", "今天"}, {6, 12, 12, 18}}, /* no space tells where a word begins */
        {"ﬁne ＡＢＣ １２", {"fine", "abc", "12"}, {0, 5, 6, 15, 16, 22}},
        {"м'ята", {"мʼята"}, {0, 9}},
        {"co\xc2\xadoperate now", {"cooperate", "now"}, {0, 11, 12, 15}}, /* a soft hyphen */
        {"בית־ספר", {"בית", "ספר"}, {0, 8, 8, 14}},
        {"cafe\xcc\x81 noir", {"café", "noir"}, {0, 6, 7, 11}},
        {"café", {"cafe\xcc\x81"}, {0, 5}},
        {"a\xcc\xa3\xcc\x82 b", {"a\xcc\x82\xcc\xa3", "b"}, {0, 5, 6, 7}}, /* marks in another order */
        {"한국어", {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\xea\xb5\xad\xec\x96\xb4"}, {0, 9}},
        {"สวัสดี", {"ส", "ว", "ั", "ส", "ด", "ี"}, {0, 3, 3, 6, 6, 9, 9, 12, 12, 15, 15, 18}}, /* as whisper cuts Thai */
        {"10\xc2\xa0"
         "000 euros",
         {"10 000", "euros"},
         {0, 7, 8, 13}},
        {"New - York", {"new york"}, {0, 10}},
        {"Cannot I? Yes, I can!", {"can", "not", "I", "yes", "I", "can"}, {0, 3, 3, 6, 7, 9, 10, 14, 15, 16, 17, 21}},
        {"He — left …", {"he", "—", "left", "…", "♪"}, {0, 2, 2, 2, 7, 11, 11, 11, 11, 11}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct word_place places[WORDS];
        int64_t missing = 0;
        int count = count_of(cases[i].words);
        assert_ok(word_places_find(cases[i].text, cases[i].words, count, places, &missing));
        if (strstr(cases[i].text, "ΟΔΟΣ")) {
            assert_int_equal(missing, 0);
            continue;
        }
        if (missing >= 0)
            fail_msg("\"%s\" was not found in \"%s\"", cases[i].words[missing], cases[i].text);
        for (int j = 0; j < count; j++)
            if (places[j].begin != cases[i].ranges[2 * j] || places[j].end != cases[i].ranges[2 * j + 1])
                fail_msg("\"%s\" in \"%s\": %d..%d, expected %d..%d", cases[i].words[j], cases[i].text, places[j].begin,
                         places[j].end, cases[i].ranges[2 * j], cases[i].ranges[2 * j + 1]);
    }
}

static void other_words_are_missing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words[WORDS];
        int missing;
    } cases[] = {
        {"apple", {"pple"}, 0},
        {"a b", {"ab"}, 0},
        {"ab", {"a b"}, 0},
        {"", {"a"}, 0},
        {"\xc1\xa1", {"a"}, 0}, /* an overlong "a" is not an "a" */
        {"one two three", {"one", "three", "two"}, 2},
        {"résumé", {"resume"}, 0},
        {"é", {"e"}, 0}, /* the text cannot be cut inside a character */
        {"mañana", {"manana"}, 0},
        {"שלום", {"שלוח"}, 0},
        {"\xe2\x80\x94", {"x"}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct word_place places[WORDS];
        int64_t missing = 0;
        assert_ok(word_places_find(cases[i].text, cases[i].words, count_of(cases[i].words), places, &missing));
        if (missing != cases[i].missing)
            fail_msg("%s: expected word %d to be missing, found %d", cases[i].text, cases[i].missing, (int)missing);
    }
}

/* ---- random texts ---- */

static void random_words_are_found_where_they_are(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 71, 0);
    int64_t rounds = test_is_long() ? 200000 : 4000;
    for (int64_t round = 0; round < rounds; round++) {
        char text[8000], *words[WORDS];
        int32_t begins[WORDS], ends[WORDS];
        int length = 0, count = 1 + (int)rng_below(&rng, WORDS);
        for (int i = 0; i < count; i++) {
            char word[RANDOM_WORD_BYTES];
            int size;
            for (uint64_t gap = i > 0 ? 1 + rng_below(&rng, 2) : 0; gap > 0; gap--)
                length += put_random_space(&rng, text + length);
            if (rng_below(&rng, 6) == 0) { /* punctuation alone */
                length += put_random_punctuation(&rng, text + length);
                length += put_random_space(&rng, text + length);
            }
            begins[i] = length;
            if (rng_below(&rng, 4) == 0)
                length += put_random_punctuation(&rng, text + length);
            size = put_random_word(&rng, word);
            memcpy(text + length, word, (size_t)size);
            length += size;
            if (rng_below(&rng, 3) == 0)
                length += put_random_punctuation(&rng, text + length);
            ends[i] = length;
            words[i] = rewrite_word(&rng, word);
        }
        text[length] = 0;
        struct word_place places[WORDS];
        int64_t missing = 0;
        assert_ok(word_places_find(text, (const char *const *)words, count, places, &missing));
        if (missing >= 0)
            fail_msg("round %lld: \"%s\" was not found in \"%s\"", (long long)round, words[missing], text);
        for (int i = 0; i < count; i++) {
            if (places[i].begin != begins[i] || places[i].end != ends[i])
                fail_msg("round %lld: \"%s\" in \"%s\": %d..%d, expected %d..%d", (long long)round, words[i], text,
                         places[i].begin, places[i].end, begins[i], ends[i]);
            free(words[i]);
        }
    }
}

/* The worst that a file can do: long runs that nearly fit. */
static void long_texts_take_no_time(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 20, COUNT_OF_WORDS = 20000 };
    char *text = malloc(LENGTH + 1);
    const char **words = malloc(COUNT_OF_WORDS * sizeof *words);
    struct word_place *places = malloc(COUNT_OF_WORDS * sizeof *places);
    assert_true(text && words && places);
    int64_t missing = 0;
    for (int i = 0; i < LENGTH; i++)
        text[i] = i % 64 == 63 ? ' ' : 'a';
    text[LENGTH] = 0;
    for (int i = 0; i < COUNT_OF_WORDS; i++)
        words[i] = "a";
    assert_ok(word_places_find(text, words, COUNT_OF_WORDS, places, &missing));
    assert_int_equal(missing, -1);
    memset(text, 'a', LENGTH);
    assert_ok(word_places_find(text, words, COUNT_OF_WORDS, places, &missing));
    assert_int_equal(missing, -1);
    assert_int_equal(places[COUNT_OF_WORDS - 1].end, COUNT_OF_WORDS);
    free(text);
    free(words);
    free(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_in_the_text),
        cmocka_unit_test(other_words_are_missing),
        cmocka_unit_test(random_words_are_found_where_they_are),
        cmocka_unit_test(long_texts_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
