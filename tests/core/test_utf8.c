/* UTF-8 against an encoder that does not use the decoder's table. */
#include "support/test_support.h"

#include "core/utf8.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(nothing_else_is_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
