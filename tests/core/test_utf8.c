/* UTF-8 against an encoder that does not use the decoder's table. */
#include "support/test_support.h"

#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

static size_t encode(uint32_t code, char bytes[4])
{
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3F));
    bytes[0] = (char)(marks[length] | code);
    return length;
}

static void every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        char bytes[5] = {0};
        size_t length = encode(code, bytes);
        bool good = code <= 0x10FFFF && !(code >= 0xD800 && code < 0xE000);
        uint32_t read = 7;
        assert_int_equal(utf8_decode(bytes, length, &read), good ? length : 0);
        assert_int_equal(read, good ? code : 7);
        assert_int_equal(utf8_character(bytes, SIZE_MAX), good ? length : 0);
        assert_int_equal(utf8_character(bytes, length - 1 ? length - 1 : 1), length == 1 ? 1 : 0);
    }
}

/* Whatever the bytes, a character that is read must be written in the only valid way. */
static void nothing_else_is_a_character(void **state)
{
    (void)state;
    static const unsigned char ends[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0xBF, 0xC0, 0xFF};
    for (uint32_t i = 0; i < 1u << 22; i++) {
        char text[4] = {(char)(i >> 14), (char)(i >> 6), (char)ends[i >> 3 & 7], (char)ends[i & 7]}, again[4];
        uint32_t code = 0;
        size_t length = utf8_decode(text, 4, &code);
        assert_true(length <= 4);
        if (length > 0) {
            assert_int_equal(encode(code, again), length);
            assert_memory_equal(again, text, length);
        }
    }
}

/* Every code point, at the end of a text and before another character. */
static void unsafe_characters_never_reach_a_terminal(void **state)
{
    (void)state;
    static const uint32_t unsafe[][2] = {{1, 0x1F},        {0x7F, 0x9F},     {0x61C, 0x61C},
                                         {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}};
    for (uint32_t code = 1; code <= 0x10FFFF; code++) {
        char text[8] = "", line[64], *printable = NULL;
        bool expected = false;
        if (code >= 0xD800 && code <= 0xDFFF)
            continue;
        for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
            expected = expected || (code >= unsafe[i][0] && code <= unsafe[i][1]);
        encode(code, text);
        assert_int_equal(utf8_is_unsafe(code), expected);
        size_t length = utf8_line(text, line, sizeof line);
        assert_int_equal(length, strlen(line));
        assert_int_equal(strcmp(line, text) != 0, expected);
        if (expected)
            for (const char *c = line; *c; c++)
                assert_true(*c >= 32 && *c < 127);
        if (code % 256 < 160 || expected) {
            assert_ok(utf8_printable(text, (int64_t)strlen(text), &printable));
            assert_int_equal(strcmp(printable, text) != 0, expected);
            free(printable);
        }
    }
}

static void a_line_is_cut_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\n\xE2\x80\xAE"
                               "b\xFFz\xC3\xA4\x1B[2J";
    static const char whole[] = "a \\xE2\\x80\\xAE"
                                "b\\xFFz\xC3\xA4\\x1B[2J";
    for (size_t room = 1; room <= sizeof whole + 3; room++) {
        char line[64], again[64];
        memset(line, 'X', sizeof line);
        size_t length = utf8_line(text, line, room);
        assert_true(length < room);
        assert_int_equal(line[room], 'X');
        assert_int_equal(strncmp(line, whole, length), 0);
        assert_int_equal(utf8_line(line, again, sizeof again), length); /* what was copied is copied unchanged */
        assert_string_equal(again, line);
        assert_true(room < sizeof whole || length == sizeof whole - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(nothing_else_is_a_character),
        cmocka_unit_test(unsafe_characters_never_reach_a_terminal),
        cmocka_unit_test(a_line_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
