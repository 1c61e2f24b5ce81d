/* UTF-8, character by character. */
#ifndef SPIRITLM_TEXT_UTF8_H
#define SPIRITLM_TEXT_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 character that text (not empty) begins with, 0: malformed. No surrogates, no
 * overlong forms, nothing above U+10FFFF (Unicode 15, table 3-7). */
size_t utf8_character(const char *text, size_t size);

#endif
