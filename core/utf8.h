/* UTF-8, character by character. Refused are surrogates, overlong forms and what lies above U+10FFFF (Unicode 15, table
 * 3-7). Of a NUL-terminated text SIZE_MAX may be passed as `size`: the NUL ends a broken character. */
#ifndef SPIRITLM_CORE_UTF8_H
#define SPIRITLM_CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character that text (not empty) begins with, 0: malformed. */
size_t utf8_character(const char *text, size_t size);

/* The same with the character's code point, which is left alone when malformed. */
size_t utf8_decode(const char *text, size_t size, uint32_t *code);

#endif
