/* Text forms against whisper_normalizer (tests/oracles/transcripts_golden.py): chosen texts whose forms can be read there, 1,300
 * generated ones by their hashes, 100,000 with SPIRITLM_TRANSCRIPTS. */
#include "golden_lines.h"
#include "support/files.h"

#include "core/hash.h"
#include "eval/transcripts/text_form.h"

#include <time.h>

static char *form_of(enum text_form form, const char *spellings, const char *text)
{
    struct text_normalizer *normalizer;
    char *made;
    assert_ok(text_normalizer_open(form, spellings, &normalizer));
    assert_ok(text_normalizer_apply(normalizer, text, &made));
    text_normalizer_free(normalizer);
    return made;
}

/* ---- the library ---- */

/* In the order of a line's fields behind the text. */
struct forms {
    struct text_normalizer *normalizers[3];
    int count;
    bool hashed; /* the line has 16 hexadecimal digits of each form's SHA-256 */
    double seconds;
};

static void open_forms(struct forms *forms, const char *folder)
{
    assert_ok(text_normalizer_open(TEXT_FORM_WHISPER_ENGLISH, folder, forms->normalizers));
    assert_ok(text_normalizer_open(TEXT_FORM_WHISPER_BASIC, NULL, forms->normalizers + 1));
    assert_ok(text_normalizer_open(TEXT_FORM_LIBRISPEECH, NULL, forms->normalizers + 2));
}

static void check_line(int64_t number, const json_t *line, void *context)
{
    struct forms *forms = context;
    for (int i = 0; i < forms->count; i++) {
        char *found, hex[65];
        clock_t start = clock();
        assert_ok(text_normalizer_apply(forms->normalizers[i], line_text(line, 0), &found));
        forms->seconds += (double)(clock() - start) / CLOCKS_PER_SEC;
        struct sha256 hash = sha256_of(found, strlen(found));
        sha256_hex(&hash, hex);
        hex[16] = 0;
        if (strcmp(forms->hashed ? hex : found, line_text(line, (size_t)i + 1)) != 0)
            fail_msg("line %lld: %s of \"%s\":\nexpected \"%s\",\nfound    \"%s\"", (long long)number,
                     text_form_name(text_normalizer_form(forms->normalizers[i])), line_text(line, 0),
                     line_text(line, (size_t)i + 1), found);
        free(found);
    }
}

static int64_t check_file(const char *folder, const char *name, int count, bool hashed)
{
    struct forms forms = {.count = count, .hashed = hashed};
    open_forms(&forms, folder);
    int64_t lines = each_golden_line(folder, name, check_line, &forms);
    print_message("%s: %lld texts in %.2f s\n", name, (long long)lines, forms.seconds);
    for (int i = 0; i < 3; i++)
        text_normalizer_free(forms.normalizers[i]);
    return lines;
}

static void oddities_are_those_of_the_library(void **state)
{
    (void)state;
    assert_true(check_file(golden_folder(false), "oddities.jsonl", 2, false) > 200);
}

static void generated_texts_have_the_forms_of_the_library(void **state)
{
    (void)state;
    assert_int_equal(check_file(golden_folder(false), "forms.jsonl", 3, true), 1300);
}

static void the_large_set_has_the_forms_of_the_library(void **state)
{
    (void)state;
    if (!test_is_long() || !golden_folder(true))
        skip();
    assert_int_equal(check_file(golden_folder(true), "forms.jsonl", 3, false), 100000);
}

/* ---- what has no library ---- */

static void librispeech(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {" - ", ""},
        {"Mister Quilter, isn't it?", "MISTER QUILTER ISN'T IT"},
        {"it’s well-known", "IT'S WELL KNOWN"},
        {"a\t\n b", "A B"},
        {"24 hours", "HOURS"},
        {"e\xCC\x81 Straße ﬁne Ａ", "É STRASSE FINE A"},
        {"q\xCC\xA3 \xCC\xA3", "Q\xCC\xA3"}, /* a mark stays with its letter, and is none alone */
        {"О́дин", "О́ДИН"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *found = form_of(TEXT_FORM_LIBRISPEECH, NULL, cases[i][0]);
        char *again = form_of(TEXT_FORM_LIBRISPEECH, NULL, found);
        assert_string_equal(found, cases[i][1]);
        assert_string_equal(again, found);
        free(found);
        free(again);
    }
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < TEXT_FORMS; i++) {
        enum text_form form;
        assert_true(text_form_find(text_form_name((enum text_form)i), &form));
        assert_int_equal(form, i);
        assert_non_null(strstr(text_form_list(), text_form_name(form)));
    }
    enum text_form form;
    assert_false(text_form_find("whisper", &form));
    char *same = form_of(TEXT_FORM_NONE, NULL, " Á  b.\n");
    assert_string_equal(same, " Á  b.\n");
    free(same);
}

static void spellings(void **state)
{
    (void)state;
    struct text_normalizer *normalizer;
    const char *folder = golden_folder(false);
    char *with = form_of(TEXT_FORM_WHISPER_ENGLISH, folder, "Grey, colours"), file[1000];
    char *without = form_of(TEXT_FORM_WHISPER_ENGLISH, NULL, "Grey, colours");
    assert_string_equal(with, "gray colors");
    assert_string_equal(without, "grey colours");
    free(with);
    snprintf(file, sizeof file, "%s/normalizer.json", folder);
    with = form_of(TEXT_FORM_WHISPER_ENGLISH, file, "theatre");
    assert_string_equal(with, "theater");
    free(with);
    free(without);
    assert_ok(text_normalizer_open(TEXT_FORM_WHISPER_ENGLISH, NULL, &normalizer));
    assert_string_equal(text_normalizer_protocol(normalizer), "whisper-english without spellings");
    text_normalizer_free(normalizer);
    assert_fails(text_normalizer_open(TEXT_FORM_WHISPER_BASIC, file, &normalizer), STATUS_USAGE, "whisper-basic");
    assert_fails(text_normalizer_open(TEXT_FORM_WHISPER_ENGLISH, test_path("none.json"), &normalizer), STATUS_USAGE,
                 "none.json");
    static const char *const bad[][2] = {{"[]", "expected an object"},
                                         {"{}", "no spellings"},
                                         {"{\"a\": 1}", "the spelling of \"a\" is not a text"},
                                         {"{\"a\": \"b\"", "1"},
                                         {"{\"a\": \"b\", \"a\": \"c\"}", "uplicate"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(test_path("bad.json"), bad[i][0]);
        assert_fails(text_normalizer_open(TEXT_FORM_WHISPER_ENGLISH, test_path("bad.json"), &normalizer),
                     STATUS_CORRUPT, bad[i][1]);
    }
}

/* ---- hostile texts ---- */

#ifdef __SANITIZE_ADDRESS__
enum { LIMIT = 60 };
#else
enum { LIMIT = 10 };
#endif

/* Each would take minutes to days where a stage looks back or ahead over the whole text. */
static void long_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {" ",
                                         "(",
                                         "[",
                                         "and a ",
                                         "and a half ",
                                         "one ",
                                         "five hundred ",
                                         "\xCC\x81\xCC\xA3",
                                         "1,",
                                         "$1 ",
                                         ".",
                                         "ﷺ",
                                         "double ",
                                         "decillion ",
                                         "a1",
                                         "'s",
                                         "%",
                                         "Σ",
                                         "x",
                                         "7",
                                         "point one ",
                                         "minus "};
    enum { BYTES = 1 << 18 };
    char *text = malloc(BYTES + 32);
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        size_t length = strlen(pieces[p]), size = 0;
        clock_t start = clock();
        for (; size + length <= BYTES; size += length)
            memcpy(text + size, pieces[p], length + 1);
        for (int form = 0; form < TEXT_FORMS; form++)
            free(form_of((enum text_form)form, NULL, text));
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (!(seconds < LIMIT))
            fail_msg("256 KiB of \"%s\" took %.1f s", pieces[p], seconds);
    }
    free(text);
}

static void texts_that_are_not_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {"ab\xFF", "ab\xC0\x80", "ab\xED\xA0\x80", "ab\xF4\x90\x80\x80", "ab\xE6\x97"};
    for (int form = 0; form < TEXT_FORMS; form++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct text_normalizer *normalizer;
            char *made;
            assert_ok(text_normalizer_open((enum text_form)form, NULL, &normalizer));
            assert_fails(text_normalizer_apply(normalizer, bad[i], &made), STATUS_CORRUPT, "byte 3 of the text");
            text_normalizer_free(normalizer);
        }
}

/* Any text that is UTF-8 has a form that is UTF-8, whatever stands in it. */
static void random_texts(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 15, 0);
    static const char *const pieces[] = {"one", "hundred", "point",    "and", "a", "half",    "double", "o", "th",
                                         "1",   "0",       ".",        "%",   "$", "¢",       "€",      "(", ")",
                                         "[",   "]",       "<",        ">",   "'", "s",       "been",   " ", " ",
                                         " ",   "\n",      "\xCC\x81", "ﷺ",   "१", "\xC2\x85"};
    enum { PIECES = sizeof pieces / sizeof *pieces };
    for (int i = 0; i < 20000; i++) {
        char text[200] = "", *form, *again;
        for (int j = 0; j < 30; j++)
            strcat(text, pieces[(int)(rng_uniform(&rng) * PIECES)]);
        form = form_of((enum text_form)(1 + i % (TEXT_FORMS - 1)), NULL, text);
        again = form_of(TEXT_FORM_NONE, NULL, form); /* refuses what is not UTF-8 */
        free(form);
        free(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oddities_are_those_of_the_library),
        cmocka_unit_test(generated_texts_have_the_forms_of_the_library),
        cmocka_unit_test(the_large_set_has_the_forms_of_the_library),
        cmocka_unit_test(librispeech),
        cmocka_unit_test(names),
        cmocka_unit_test(spellings),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(texts_that_are_not_utf8),
        cmocka_unit_test(random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
