/* Texts as the characters of a CTC model, and folders that cannot be used. Expected labels follow from the rules of
 * text/ctc_vocabulary.h and were written by hand. */
#include "support/test_support.h"

#include "core/path.h"
#include "support/files.h"
#include "text/ctc_vocabulary.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A folder with these files; NULL: without that file. */
static const char *make_folder(const char *vocabulary, const char *tokenizer)
{
    static int count;
    const char *folder = test_path("folder%d", count++);
    assert_int_equal(mkdir(folder, 0777), 0);
    if (vocabulary)
        write_text_in(folder, "vocab.json", vocabulary);
    if (tokenizer)
        write_text_in(folder, "tokenizer_config.json", tokenizer);
    return folder;
}

static struct ctc_vocabulary *open_vocabulary(const char *vocabulary, const char *tokenizer)
{
    struct ctc_vocabulary *opened;
    assert_ok(ctc_vocabulary_open(make_folder(vocabulary, tokenizer), &opened));
    return opened;
}

/* Words as "begin-end:labels", such as "0-3:5 6 *"; between them the labels that belong to none. */
static void check_text(const struct ctc_vocabulary *vocabulary, const char *text, const char *expected)
{
    struct ctc_text read;
    char found[1000] = "";
    size_t length = 0;
    int64_t label = 0;
    assert_ok(ctc_vocabulary_read(vocabulary, text, &read));
    for (int64_t w = 0; w < read.word_count; w++) {
        const struct ctc_word *word = read.words + w;
        for (; label < word->first; label++)
            length += (size_t)snprintf(found + length, sizeof found - length, "%d ", (int)read.labels[label]);
        length += (size_t)snprintf(found + length, sizeof found - length, "%d-%d:", (int)word->text_begin,
                                   (int)word->text_end);
        for (; label < word->first + word->count; label++) {
            if (read.labels[label] == CTC_WILDCARD)
                length += (size_t)snprintf(found + length, sizeof found - length, "* ");
            else
                length += (size_t)snprintf(found + length, sizeof found - length, "%d ", (int)read.labels[label]);
        }
    }
    assert_true(label == read.label_count);
    if (strcmp(found, expected) != 0)
        fail_msg("\"%s\": \"%s\", expected \"%s\"", text, found, expected);
    ctc_text_free(&read);
}

static const char capitals[] = "{\"<pad>\": 0, \"<s>\": 1, \"</s>\": 2, \"<unk>\": 3, \"|\": 4, \"A\": 5, \"B\": 6, "
                               "\"C\": 7, \"'\": 8, \"\\u00c9\": 9}";

static void texts_become_characters(void **state)
{
    (void)state;
    struct ctc_vocabulary *vocabulary = open_vocabulary(capitals, NULL);
    assert_int_equal(ctc_vocabulary_blank(vocabulary), 0);
    assert_int_equal(ctc_vocabulary_size(vocabulary), 10);
    check_text(vocabulary, "", "");
    check_text(vocabulary, "  ... - !", "");
    check_text(vocabulary, "ab Cab", "0-2:5 6 4 3-6:7 5 6 ");
    check_text(vocabulary, " \"ab,\"  (c) ", "1-6:5 6 4 8-11:7 ");
    check_text(vocabulary, "ab - c", "0-2:5 6 4 5-6:7 ");              /* punctuation alone is no word */
    check_text(vocabulary, "a'b 'a b'", "0-3:5 8 6 4 4-6:5 4 7-9:6 "); /* an apostrophe between letters */
    check_text(vocabulary,
               "a\xE2\x80\x99"
               "b",
               "0-5:5 8 6 ");
    check_text(vocabulary,
               "a\xCA\xBC"
               "b",
               "0-4:5 8 6 ");
    check_text(vocabulary, "a-'b a-b", "0-4:5 6 4 5-8:5 6 ");
    check_text(vocabulary, "azzb 1984", "0-4:5 * 6 4 5-9:* "); /* a run is one wildcard */
    check_text(vocabulary, "z'z", "0-3:* 8 * ");
    check_text(vocabulary,
               "a\xC2\xAD"
               "b",
               "0-4:5 6 ");                    /* a soft hyphen */
    check_text(vocabulary, "a|b", "0-3:5 6 "); /* the delimiter's character in a text is none */
    check_text(vocabulary,
               "a\xFF"
               "b",
               "0-3:5 * 6 ");
    ctc_vocabulary_close(vocabulary);
}

static void letters_take_the_form_that_the_model_has(void **state)
{
    (void)state;
    struct ctc_vocabulary *vocabulary = open_vocabulary(capitals, NULL);
    check_text(vocabulary, "\xC3\xA9", "0-2:9 ");  /* é: É */
    check_text(vocabulary, "e\xCC\x81", "0-3:9 "); /* decomposed */
    check_text(vocabulary, "\xC3\xA0", "0-2:5 ");  /* à: without its accent */
    check_text(vocabulary, "a\xCC\x80\xCC\xA3", "0-5:5 ");
    check_text(vocabulary, "\xC4\x86", "0-2:7 ");     /* Ć */
    check_text(vocabulary, "\xEF\xBC\xA1", "0-3:5 "); /* full width A */
    check_text(vocabulary, "\xD0\xB6", "0-2:* ");
    ctc_vocabulary_close(vocabulary);
    /* With capitals and small letters a text's own case counts, unless the folder says that it knows one alone. */
    static const char both[] = "{\"[PAD]\": 3, \"a\": 0, \"A\": 1, \"B\": 2}";
    vocabulary = open_vocabulary(both, "{\"pad_token\": {\"content\": \"[PAD]\"}}");
    assert_int_equal(ctc_vocabulary_blank(vocabulary), 3);
    check_text(vocabulary, "aAb aB", "0-3:0 1 2 4-6:0 2 "); /* no delimiter */
    ctc_vocabulary_close(vocabulary);
    vocabulary = open_vocabulary(both, "{\"pad_token\": \"[PAD]\", \"do_lower_case\": true}");
    check_text(vocabulary, "aAb", "0-3:1 1 2 ");
    ctc_vocabulary_close(vocabulary);
}

/* MMS's aligner: a blank beside the pad token, small letters, no delimiter. */
static void a_vocabulary_without_delimiter(void **state)
{
    (void)state;
    struct ctc_vocabulary *vocabulary =
        open_vocabulary("{\"<blank>\": 0, \"<pad>\": 1, \"</s>\": 2, \"<unk>\": 3, \"a\": 4, \"b\": 5}", NULL);
    assert_int_equal(ctc_vocabulary_blank(vocabulary), 0);
    check_text(vocabulary, "A B zz zz", "0-1:4 2-3:5 4-6:* 7-9:* ");
    ctc_vocabulary_close(vocabulary);
}

static void characters_of_scripts_without_spaces_are_words(void **state)
{
    (void)state;
    struct ctc_vocabulary *vocabulary =
        open_vocabulary("{\"<pad>\": 0, \"|\": 1, \"\\u65e5\": 2, \"\\u672c\": 3, \"a\": 4}", NULL);
    check_text(vocabulary, "\xE6\x97\xA5\xE6\x9C\xAC\xE3\x80\x82 \xE6\x97\xA5", "0-3:2 3-9:3 1 10-13:2 ");
    check_text(vocabulary,
               "a\xE6\x97\xA5"
               "aa",
               "0-1:4 1-4:2 4-6:4 4 ");
    ctc_vocabulary_close(vocabulary);
}

static void fingerprints_follow_what_texts_become(void **state)
{
    (void)state;
    struct ctc_vocabulary *one = open_vocabulary("{\"<pad>\": 0, \"a\": 1, \"b\": 2}", NULL);
    struct ctc_vocabulary *same = open_vocabulary("{\"b\": 2, \"<pad>\": 0, \"a\": 1, \"<s>\": 7}", "{}");
    struct ctc_vocabulary *other = open_vocabulary("{\"<pad>\": 0, \"a\": 2, \"b\": 1}", NULL);
    const size_t size = sizeof(struct sha256);
    assert_memory_equal(ctc_vocabulary_fingerprint(one), ctc_vocabulary_fingerprint(same), size);
    assert_memory_not_equal(ctc_vocabulary_fingerprint(one), ctc_vocabulary_fingerprint(other), size);
    ctc_vocabulary_close(one);
    ctc_vocabulary_close(same);
    ctc_vocabulary_close(other);
}

static void hostile_folders_are_refused(void **state)
{
    static const struct {
        const char *vocabulary, *tokenizer, *part;
        enum status status;
    } cases[] = {
        {NULL, NULL, "vocab.json: missing", STATUS_USAGE},
        {"[1, 2]", NULL, "not a JSON object", STATUS_CORRUPT},
        {"{\"<pad>\": 0", NULL, "vocab.json", STATUS_CORRUPT},
        {"{}", NULL, "0 entries", STATUS_CORRUPT},
        {"{\"a\": 0, \"b\": 1}", NULL, "neither \"<blank>\" nor the pad token \"<pad>\"", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": -1}", NULL, "the id of \"a\" is not an integer", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1.5}", NULL, "the id of \"a\"", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": \"1\"}", NULL, "the id of \"a\"", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 9223372036854775807}", NULL, "the id of \"a\"", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1048576}", NULL, "the id of \"a\"", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1, \"b\": 1}", NULL, "two entries have the id 1", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1, \"a\": 2}", NULL, "duplicate", STATUS_CORRUPT},
        {"{\"eng\": {\"<pad>\": 0, \"a\": 1}}", NULL, "\"eng\" is a vocabulary of its own", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"ab\": 1}", NULL, "no entry is a single character", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}", "[]", "tokenizer_config.json: byte 0: expected an object", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}", "{\"pad_token\": 3}", "pad_token", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}", "{\"pad_token\": {}}", "content", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}", "{\"pad_token\": \"[PAD]\"}", "the pad token \"[PAD]\"", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}", "{\"do_lower_case\": \"yes\"}", "do_lower_case", STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}", "{\"word_delimiter_token\": \"<pad>\"}", "the blank and the word delimiter",
         STATUS_CORRUPT},
        {"{\"<pad>\": 0, \"a\": 1}",
         "{\"pad_token\": \"0123456789012345678901234567890123456789012345678901234567890123\"}",
         "longer than 63 bytes", STATUS_CORRUPT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ctc_vocabulary *vocabulary;
        const char *folder = make_folder(cases[i].vocabulary, cases[i].tokenizer);
        assert_fails(ctc_vocabulary_open(folder, &vocabulary), cases[i].status, cases[i].part);
        assert_null(vocabulary);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_characters),
        cmocka_unit_test(letters_take_the_form_that_the_model_has),
        cmocka_unit_test(a_vocabulary_without_delimiter),
        cmocka_unit_test(characters_of_scripts_without_spaces_are_words),
        cmocka_unit_test(fingerprints_follow_what_texts_become),
        cmocka_unit_test(hostile_folders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
