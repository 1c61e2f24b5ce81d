/* What kind of character Unicode says each is, and what Latin letters are without their marks. */
#include "support/test_support.h"

#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

static void characters_have_their_kind(void **state)
{
    (void)state;
    static const uint32_t letters[] = {'a',     'Z',    '7',   0xE9,   0x142,  0x3C2,  0x416,  0x5D0,   0x627,
                                       0x915,   0x93F,  0xE01, 0xE31,  0x3042, 0x4E2D, 0xAC00, 0x10400, 0x1E900,
                                       0x20000, 0xFF21, 0x664, 0x2160, 0xB2,   0xE000, 0x301,  0x30FC,  0x3005};
    static const uint32_t punctuation[] = {'-',    '$',    '\'',   '_',    0xA1,   0xAB,   0xB7,    0xD7,
                                           0x2BC,  0x55A,  0x5BE,  0x60C,  0x61F,  0x6D4,  0x964,   0x2014,
                                           0x2026, 0x20AC, 0x266A, 0x3001, 0xFF0C, 0xFF1F, 0x1F600, 0x200B,
                                           0x200D, 0x200F, 0xFEFF, 0xAD,   0xFE0F, 0x3164, 0x1B,    0x20E3};
    static const uint32_t spaces[] = {' ',    '\t',   '\n',   '\r',   0x85,   0xA0,  0x1680,
                                      0x2009, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (unicode_kind(letters[i]) != UNICODE_LETTER)
            fail_msg("U+%04X is a letter", letters[i]);
    for (size_t i = 0; i < sizeof punctuation / sizeof *punctuation; i++)
        if (unicode_kind(punctuation[i]) != UNICODE_PUNCTUATION)
            fail_msg("U+%04X is punctuation", punctuation[i]);
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (unicode_kind(spaces[i]) != UNICODE_SPACE)
            fail_msg("U+%04X is white space", spaces[i]);
}

static void words_have_a_letter(void **state)
{
    (void)state;
    static const char *const words[] = {"a", " —7", "ว", "ั", "中", "\xff", "…é"};
    static const char *const others[] = {"",  "-",  " — ", "…", "♪",     "\xc2\xa0", "\xe2\x80\x8b",
                                         "؟", "。", "🎵",   "ʼ", "❤️"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_true(unicode_has_letter(words[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (unicode_has_letter(others[i]))
            fail_msg("\"%s\" has no letter", others[i]);
}

static void latin_letters_have_a_base(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        const char *base; /* NULL: none */
    } cases[] = {
        {'a', "a"},       {0xC9, "E"},    {0x17C, "z"},  {0x1EA4, "A"}, {0xFB01, "fi"}, {0xFF21, "A"}, {0xFF11, "1"},
        {0x2167, "VIII"}, {0x1D400, "A"}, {0xB2, ""},    {0xBD, ""},    {0x142, NULL},  {0x434, NULL}, {0x3B1, NULL},
        {0x4E2D, NULL},   {'-', NULL},    {0x301, NULL}, {0x665, NULL}, {0x132, "IJ"},  {0x149, "n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char base[UNICODE_BASE_BYTES];
        bool has = unicode_ascii_base(cases[i].code, base);
        if (has != (cases[i].base != NULL) || (has && strcmp(base, cases[i].base) != 0))
            fail_msg("U+%04X: expected %s, found %s", cases[i].code, cases[i].base ? cases[i].base : "none",
                     has ? base : "none");
    }
}

/* Every code point: nothing crashes, each has elements, and these are its bytes. */
static void every_character_has_elements(void **state)
{
    (void)state;
    for (uint32_t code = 1; code < 0x110000; code += code < 0x30000 ? 1 : 251) {
        char text[8] = "";
        if (code >= 0xD800 && code < 0xE000)
            continue;
        if (code < 0x80)
            text[0] = (char)code;
        else if (code < 0x800)
            memcpy(text, (char[]){(char)(0xC0 | code >> 6), (char)(0x80 | (code & 63))}, 2);
        else if (code < 0x10000)
            memcpy(text,
                   (char[]){(char)(0xE0 | code >> 12), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))}, 3);
        else
            memcpy(text,
                   (char[]){(char)(0xF0 | code >> 18), (char)(0x80 | (code >> 12 & 63)),
                            (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))},
                   4);
        struct unicode_element *elements = NULL;
        int64_t count = 0;
        assert_ok(unicode_elements(text, &elements, &count));
        assert_true(count > 0);
        for (int64_t i = 0; i < count; i++) {
            assert_int_equal(elements[i].begin, 0);
            assert_int_equal(elements[i].end, strlen(text));
            assert_true((elements[i].kind == UNICODE_LETTER) == (elements[i].code != 0));
        }
        assert_true(elements[0].kind == unicode_kind(code));
        free(elements);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_their_kind),
        cmocka_unit_test(words_have_a_letter),
        cmocka_unit_test(latin_letters_have_a_base),
        cmocka_unit_test(every_character_has_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
