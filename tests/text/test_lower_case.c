/* Lower case of every code point and of a sigma beside each, against what another implementation says of them
 * (tests/oracles/lowercase.py). */
#include "support/test_support.h"

#include "core/utf8.h"
#include "io/atomic_file.h"
#include "text/lower_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { CODES = 0x110000, MOST = 3 };

enum kind { OTHER, CASED, IGNORABLE };

/* What the golden file says. */
static struct {
    char version[32];
    uint32_t lower[CODES][MOST]; /* zeros behind the last; all zeros: itself */
    uint8_t kind[CODES];
    bool unassigned[CODES];
    char *lines; /* from the first "text" on */
} golden;

static int read_golden(void **state)
{
    (void)state;
    const char *path = getenv("TEST_LOWERCASE"); /* one of another Unicode, by hand */
    char *text;
    int64_t size;
    if (file_read(path ? path : TEST_GOLDEN_DIRECTORY "/text/lowercase.txt", 1 << 24, (void **)&text, &size) !=
        STATUS_OK)
        return -1;
    char *line = text, *end;
    if (sscanf(line, "unicode %31s", golden.version) != 1)
        return -1;
    for (; *line && strncmp(line, "text ", 5) != 0; line = strchr(line, '\n') + 1) {
        unsigned first, last;
        if (strncmp(line, "lower ", 6) == 0) {
            first = (unsigned)strtoul(line + 6, &end, 16);
            for (int i = 0; *end == ' '; i++)
                golden.lower[first][i] = (uint32_t)strtoul(end, &end, 16);
        } else if (sscanf(line, "unassigned %X %X", &first, &last) == 2) {
            memset(golden.unassigned + first, true, last - first + 1);
        } else if (sscanf(line, "cased %X %X", &first, &last) == 2) {
            memset(golden.kind + first, CASED, last - first + 1);
        } else if (sscanf(line, "ignorable %X %X", &first, &last) == 2) {
            memset(golden.kind + first, IGNORABLE, last - first + 1);
        } else if (line != text) {
            return -1;
        }
    }
    golden.lines = strdup(line);
    free(text);
    return golden.lines && *golden.lines ? 0 : -1;
}

static char *append(char *to, uint32_t code)
{
    return to + utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)to);
}

/* before, code (0: none), after: in one text. */
static void put_together(const char *before, uint32_t code, const char *after, char text[64])
{
    strcpy(text, before);
    *append(text + strlen(text), code) = 0;
    strcat(text, after);
}

/* Whether the sigma of the text is lowered to a final one. */
static bool has_final_sigma(const char *text)
{
    char *lower;
    assert_ok(text_lower_case(text, &lower));
    bool final = strstr(lower, "ς") != NULL;
    if (final == (strstr(lower, "σ") != NULL))
        fail_msg("%s: %s has not one sigma", text, lower);
    free(lower);
    return final;
}

static void check_code(uint32_t code)
{
    char text[64], expected[64], *lower, *to = expected;
    put_together("", code, "", text);
    for (int i = 0; i < MOST && (i == 0 || golden.lower[code][i]); i++)
        to = append(to, golden.lower[code][0] ? golden.lower[code][i] : code);
    *to = 0;
    assert_ok(text_lower_case(text, &lower));
    if (strcmp(lower, expected) != 0)
        fail_msg("U+%04X: expected %s, found %s", code, expected, lower);
    if (strlen(lower) > strlen(text) + strlen(text) / 2)
        fail_msg("U+%04X: %zu bytes become %zu", code, strlen(text), strlen(lower));
    free(lower);
}

/* In four places: alone before the sigma, between it and a letter on either side, after it at the end. */
static bool neighbour_is_right(uint32_t code)
{
    const enum kind kind = golden.kind[code];
    const struct {
        const char *before, *after;
        bool final;
    } places[] = {
        {"", "Σ", kind == CASED}, {"a", "Σ", kind != OTHER}, {"aΣ", "", kind != CASED}, {"aΣ", "a", kind == OTHER}};
    for (int i = 0; i < 4; i++) {
        char text[64];
        put_together(places[i].before, code, places[i].after, text);
        if (has_final_sigma(text) != places[i].final) {
            print_message("U+%04X in %s: a final sigma is %sexpected\n", code, text, places[i].final ? "" : "not ");
            return false;
        }
    }
    return true;
}

/* Where utf8proc has another Unicode than the oracle, characters that one of them does not know are left out. A lower case
 * that a character has once it keeps for good; but a few have become, or are no longer, looked through (U+055F). */
static void every_character_has_the_lower_case_of_the_oracle(void **state)
{
    (void)state;
    const bool same = strcmp(golden.version, utf8proc_unicode_version()) == 0;
    int64_t left_out = 0, differ = 0, neighbours = 0;
    for (uint32_t code = 1; code < CODES; code++) {
        bool assigned = utf8proc_category((utf8proc_int32_t)code) != UTF8PROC_CATEGORY_CN;
        if (code >= 0xD800 && code < 0xE000)
            continue;
        differ += assigned == golden.unassigned[code];
        if (!same && (golden.unassigned[code] || !assigned))
            left_out += golden.unassigned[code] == assigned;
        else
            check_code(code);
        if (assigned && !golden.unassigned[code] && code != 0x3A3 && code != 0x3C2 && code != 0x3C3)
            neighbours += !neighbour_is_right(code);
    }
    print_message("the oracle has Unicode %s, utf8proc %s: %lld code points are left out, %lld neighbours differ\n",
                  golden.version, utf8proc_unicode_version(), (long long)left_out, (long long)neighbours);
    assert_true(same ? differ == 0 && neighbours == 0 : neighbours <= 64);
}

static void read_hex(const char *hex, size_t length, char *bytes)
{
    for (size_t i = 0; i < length / 2; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (char)strtol(digits, NULL, 16);
    }
    bytes[length / 2] = 0;
}

static void random_texts_have_the_lower_case_of_the_oracle(void **state)
{
    (void)state;
    int64_t count = 0, final = 0;
    for (const char *line = golden.lines; strncmp(line, "text ", 5) == 0; line = strchr(line, '\n') + 1, count++) {
        char text[200], expected[200], *lower;
        const char *first = line + 5, *second = strchr(first, ' ') + 1;
        read_hex(first, (size_t)(second - 1 - first), text);
        read_hex(second, strcspn(second, "\n"), expected);
        assert_ok(text_lower_case(text, &lower));
        if (strcmp(lower, expected) != 0)
            fail_msg("%s: expected %s, found %s", text, expected, lower);
        final += strstr(expected, "ς") != NULL;
        free(lower);
    }
    assert_int_equal(count, 400);
    assert_true(final > 50);
}

static void words_of_many_scripts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"MISTER QUILTER", "mister quilter"},
        {"ÉCOLE ÜBER ŁÓDŹ", "école über łódź"},
        {"STRAẞE Straße", "straße straße"},
        {"ΟΔΥΣΣΕΥΣ ΣΤΗΝ ΟΔΟΣ.", "οδυσσευς στην οδος."},
        {"ΟΔΌΣ", "οδός"},
        {"Σ ΣΑΣ Σ.Σ", "σ σας σ.ς"},
        {"İSTANBUL ISPARTA", "i̇stanbul isparta"},
        {"МОСКВА ЇЖАК", "москва їжак"},
        {"ԵՐԵՎԱՆ", "երեվան"},
        {"ᲐᲑᲒ ႠႡ", "აბგ ⴀⴁ"},
        {"Ǆ ǅ ǆ", "ǆ ǆ ǆ"},
        {"ＡＢＣ Ⅻ Ⓐ", "ａｂｃ ⅻ ⓐ"},
        {"𐐀𐐁 𞤀", "𐐨𐐩 𞤢"},
        {"中文 かな עברית عربي हिन्दी ไทย", "中文 かな עברית عربي हिन्दी ไทย"},
        {"A\xff\xc3Z\xe2\x80", "a\xff\xc3z\xe2\x80"}, /* not UTF-8 */
        {"A\xffΣ", "a\xffσ"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *lower, *again;
        assert_ok(text_lower_case(cases[i][0], &lower));
        assert_string_equal(lower, cases[i][1]);
        assert_ok(text_lower_case(lower, &again)); /* what is lower stays */
        assert_string_equal(again, lower);
        free(lower);
        free(again);
    }
}

/* Time and memory grow with the text alone, however its sigmas are placed. */
static void long_texts(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    static const char *const pieces[] = {"Σ", ".", "İ", "Σ.", "aΣ'"};
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        size_t length = strlen(pieces[p]);
        char *text = malloc(COUNT * length + 8), *lower;
        strcpy(text, "aΣ");
        for (size_t i = 0; i < COUNT; i++)
            memcpy(text + 3 + i * length, pieces[p], length + 1);
        assert_ok(text_lower_case(text, &lower));
        assert_true(strlen(lower) >= COUNT * length);
        free(lower);
        free(text);
    }
}

static int free_golden(void **state)
{
    (void)state;
    free(golden.lines);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_has_the_lower_case_of_the_oracle),
        cmocka_unit_test(random_texts_have_the_lower_case_of_the_oracle),
        cmocka_unit_test(words_of_many_scripts),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
