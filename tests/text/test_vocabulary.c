/* The id map against the published layout of Spirit LM and against the order of its blocks. */
#include "support/test_support.h"

#include "text/vocabulary.h"

#include <stdio.h>
#include <string.h>

static void ids_are_the_published_ones(void **state)
{
    (void)state;
    struct vocabulary v;
    assert_ok(vocabulary_create(32000, 1, 2, 0, 501, 64, 100, false, &v));
    assert_int_equal(v.text_tag, 32000);
    assert_int_equal(v.speech_tag, 32001);
    assert_int_equal(v.hubert_base, 32002);
    assert_int_equal(v.hubert_base + v.hubert_count - 1, 32502);
    assert_int_equal(v.pitch_base, 32503);
    assert_int_equal(v.pitch_base + v.pitch_count - 1, 32566);
    assert_int_equal(v.style_base, 32567);
    assert_int_equal(v.style_base + v.style_count - 1, 32666);
    assert_int_equal(v.size, 32667);
    assert_int_equal(v.padded_size, 32768);
    assert_int_equal(v.asr_tag, -1);
    assert_int_equal(v.tts_tag, -1);

    assert_ok(vocabulary_create(32000, 1, 2, 0, 501, 0, 0, false, &v)); /* Base */
    assert_int_equal(v.size, 32503);
    assert_int_equal(v.padded_size, 32512);

    assert_ok(vocabulary_create(2000, 1, 2, 0, 100, 64, 20, true, &v));
    assert_int_equal(v.asr_tag, 2186);
    assert_int_equal(v.tts_tag, 2187);
    assert_int_equal(v.size, 2188);
    assert_int_equal(v.padded_size, 2304);

    assert_ok(vocabulary_create(254, -1, -1, -1, 0, 0, 0, false, &v)); /* exactly one block of rows */
    assert_int_equal(v.size, 256);
    assert_int_equal(v.padded_size, 256);
}

static void kinds_and_names_cover_every_id(void **state)
{
    (void)state;
    struct vocabulary v;
    assert_ok(vocabulary_create(300, 1, 2, 0, 10, 4, 3, true, &v));
    int seen[TOKEN_KINDS] = {0};
    for (int32_t id = 0; id < v.padded_size; id++) {
        char name[16], expected[16] = "";
        enum token_kind kind = vocabulary_kind(&v, id);
        seen[kind]++;
        vocabulary_token_name(&v, id, name);
        static const char *const tags[] = {"[Text]", "[Speech]", "[ASR]", "[TTS]"};
        enum token_kind should;
        if (id < 300) {
            should = TOKEN_TEXT;
        } else if (id < 302) {
            should = TOKEN_TAG;
            snprintf(expected, sizeof expected, "%s", tags[id - 300]);
        } else if (id < 312) {
            should = TOKEN_HUBERT;
            snprintf(expected, sizeof expected, "[Hu%d]", (int)id - 302);
        } else if (id < 316) {
            should = TOKEN_PITCH;
            snprintf(expected, sizeof expected, "[Pi%d]", (int)id - 312);
        } else if (id < 319) {
            should = TOKEN_STYLE;
            snprintf(expected, sizeof expected, "[St%d]", (int)id - 316);
        } else if (id < 321) {
            should = TOKEN_TAG;
            snprintf(expected, sizeof expected, "%s", tags[id - 319 + 2]);
        } else {
            should = TOKEN_PADDING;
        }
        assert_int_equal(kind, should);
        assert_string_equal(name, expected);
    }
    const int expected_seen[TOKEN_KINDS] = {300, 4, 10, 4, 3, 512 - 321};
    assert_memory_equal(seen, expected_seen, sizeof seen);
    const int32_t outside[] = {-1, INT32_MIN, v.padded_size, INT32_MAX};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        char name[16];
        assert_int_equal(vocabulary_kind(&v, outside[i]), TOKEN_PADDING);
        vocabulary_token_name(&v, outside[i], name);
        assert_string_equal(name, "");
    }
    assert_string_equal(token_kind_name(TOKEN_TEXT), "text");
    assert_string_equal(token_kind_name(TOKEN_TAG), "tag");
    assert_string_equal(token_kind_name(TOKEN_HUBERT), "hubert");
    assert_string_equal(token_kind_name(TOKEN_PITCH), "pitch");
    assert_string_equal(token_kind_name(TOKEN_STYLE), "style");
    assert_string_equal(token_kind_name(TOKEN_PADDING), "padding");
}

/* A Base-type vocabulary has no pitch or style ids, although the blocks have a position. */
static void empty_blocks_hold_nothing(void **state)
{
    (void)state;
    struct vocabulary v;
    assert_ok(vocabulary_create(300, 1, 2, 0, 10, 0, 0, false, &v));
    for (int32_t id = 0; id < v.padded_size; id++) {
        assert_int_not_equal(vocabulary_kind(&v, id), TOKEN_PITCH);
        assert_int_not_equal(vocabulary_kind(&v, id), TOKEN_STYLE);
    }
    assert_int_equal(vocabulary_kind(&v, 311), TOKEN_HUBERT);
    assert_int_equal(vocabulary_kind(&v, 312), TOKEN_PADDING);
}

static void impossible_counts_are_refused(void **state)
{
    (void)state;
    struct vocabulary v;
    assert_fails(vocabulary_create(0, -1, -1, -1, 1, 0, 0, false, &v), STATUS_USAGE, "0 text pieces");
    assert_fails(vocabulary_create(-5, -1, -1, -1, 1, 0, 0, false, &v), STATUS_USAGE, "-5 text pieces");
    assert_fails(vocabulary_create(INT32_MAX, 1, 2, 0, 1, 0, 0, false, &v), STATUS_USAGE, "text pieces");
    assert_fails(vocabulary_create(10, 10, 2, 0, 1, 0, 0, false, &v), STATUS_USAGE, "BOS is 10");
    assert_fails(vocabulary_create(10, 1, 11, 0, 1, 0, 0, false, &v), STATUS_USAGE, "EOS is 11");
    assert_fails(vocabulary_create(10, 1, 2, -2, 1, 0, 0, false, &v), STATUS_USAGE, "UNK is -2");
    assert_fails(vocabulary_create(10, 1, 2, 0, -1, 0, 0, false, &v), STATUS_USAGE, "-1 hubert units");
    assert_fails(vocabulary_create(10, 1, 2, 0, 65537, 0, 0, false, &v), STATUS_USAGE, "65537 hubert units");
    assert_fails(vocabulary_create(10, 1, 2, 0, 1, -1, 0, false, &v), STATUS_USAGE, "-1 pitch units");
    assert_fails(vocabulary_create(10, 1, 2, 0, 1, 0, INT32_MAX, false, &v), STATUS_USAGE, "style units");
    assert_fails(vocabulary_create(10, 1, 2, 0, 0, 4, 4, false, &v), STATUS_USAGE, "without hubert");
}

static void fingerprints_differ_with_every_field(void **state)
{
    (void)state;
    struct vocabulary base;
    assert_ok(vocabulary_create(300, 1, 2, 0, 10, 4, 3, true, &base));
    struct sha256 first = vocabulary_fingerprint(&base), again = vocabulary_fingerprint(&base);
    assert_memory_equal(&first, &again, sizeof first);
    struct vocabulary other[9];
    assert_ok(vocabulary_create(301, 1, 2, 0, 10, 4, 3, true, &other[0]));
    assert_ok(vocabulary_create(300, 2, 2, 0, 10, 4, 3, true, &other[1]));
    assert_ok(vocabulary_create(300, 1, 1, 0, 10, 4, 3, true, &other[2]));
    assert_ok(vocabulary_create(300, 1, 2, -1, 10, 4, 3, true, &other[3]));
    assert_ok(vocabulary_create(300, 1, 2, 0, 11, 4, 3, true, &other[4]));
    assert_ok(vocabulary_create(300, 1, 2, 0, 10, 5, 3, true, &other[5]));
    assert_ok(vocabulary_create(300, 1, 2, 0, 10, 4, 4, true, &other[6]));
    assert_ok(vocabulary_create(300, 1, 2, 0, 10, 4, 3, false, &other[7]));
    other[8] = base;
    other[8].dummy_prefix = DUMMY_PREFIX_DOCUMENT;
    for (int i = 0; i < 9; i++) {
        struct sha256 hash = vocabulary_fingerprint(&other[i]);
        assert_memory_not_equal(&first, &hash, sizeof first);
        for (int j = 0; j < i; j++) {
            struct sha256 earlier = vocabulary_fingerprint(&other[j]);
            assert_memory_not_equal(&earlier, &hash, sizeof hash);
        }
    }
}

static void names_are_found_again(void **state)
{
    (void)state;
    struct vocabulary vocabularies[3];
    assert_ok(vocabulary_create(300, 1, 2, 0, 501, 64, 100, true, &vocabularies[0]));
    assert_ok(vocabulary_create(300, 1, 2, 0, 11, 0, 0, false, &vocabularies[1]));
    assert_ok(vocabulary_create(300, 1, 2, 0, 65536, 1, 9, false, &vocabularies[2]));
    static const char *const none[] = {"",          "[",      "[]",      "Text",    "[text]",  "[Text",
                                       "[Hu",       "[Hu]",   "[Hu01]",  "[Hu 1]",  "[Hu+1]",  "[Hu-1]",
                                       "[Hu1",      "[Hx1]",  "[uH1]",   "[HuPi1]", "[Pi64]",  "[St100]",
                                       "[Hu65536]", "[Hu1 ]", "[[Hu1]]", " [Hu1]",  "[Hu1e0]", "[Hu999999999999]"};
    for (int v = 0; v < 3; v++) {
        int64_t length;
        for (int32_t id = vocabularies[v].text_size; id < vocabularies[v].size; id++) {
            char name[16], text[32];
            vocabulary_token_name(&vocabularies[v], id, name);
            snprintf(text, sizeof text, "%s[Hu0]", name);
            assert_int_equal(vocabulary_find_token(&vocabularies[v], text, &length), id);
            assert_int_equal(length, strlen(name));
        }
        for (size_t i = 0; i < sizeof none / sizeof *none; i++)
            if (vocabulary_find_token(&vocabularies[v], none[i], &length) >= 0)
                fail_msg("\"%s\" is taken for a token", none[i]);
    }
    int64_t length;
    assert_int_equal(vocabulary_find_token(&vocabularies[1], "[ASR]", &length), -1);
    assert_int_equal(vocabulary_find_token(&vocabularies[1], "[Hu11]", &length), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_published_ones),
        cmocka_unit_test(kinds_and_names_cover_every_id),
        cmocka_unit_test(empty_blocks_hold_nothing),
        cmocka_unit_test(impossible_counts_are_refused),
        cmocka_unit_test(fingerprints_differ_with_every_field),
        cmocka_unit_test(names_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
