/* The classes of characters that the text forms and jiwer's rules are defined with, which are those of Python's regular
 * expressions (\s, \w, \d), and the neighbours of a place in a text. Texts here are UTF-8 that was checked. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_CHARACTERS_H
#define SPIRITLM_EVAL_TRANSCRIPTS_CHARACTERS_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

/* \s: unlike Unicode's own white space, it includes the separators U+001C to U+001F. */
bool is_white_space(uint32_t code);

/* \w: letters and numbers of all scripts and the low line; marks are not among them. */
bool is_word_character(uint32_t code);

/* \d: the decimal digits of all scripts. */
bool is_decimal_digit(uint32_t code);

/* The value of a decimal digit. */
int decimal_digit_value(uint32_t code);

/* Unicode's categories M, S and P. */
bool is_mark_symbol_or_punctuation(uint32_t code);

bool is_ascii_digit(char byte);

/* The character at byte `at` (0 at the end of the text) and the bytes that it takes. */
uint32_t character_at(const char *text, int64_t size, int64_t at, int64_t *length);

/* The first byte of the character that byte `at` belongs to. */
int64_t character_begin(const char *text, int64_t at);

/* The character that ends before byte `at`; 0 at the beginning. */
uint32_t character_before(const char *text, int64_t at);

/* \b: whether exactly one of the characters on either side of byte `at` belongs to a word. */
bool is_word_boundary(const char *text, int64_t size, int64_t at);

/* The byte behind the white space that begins at byte `at`. */
int64_t skip_white_space(const char *text, int64_t size, int64_t at);

/* STATUS_CORRUPT, with the number of the first byte that is not UTF-8, unless the text is. */
enum status check_utf8(const char *text);

#endif
