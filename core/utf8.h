/* UTF-8, character by character. Surrogates, overlong forms and code points above U+10FFFF are refused (Unicode 15,
 * table 3-7). For a NUL-terminated text SIZE_MAX may be passed as `size`: the NUL ends a broken character. */
#ifndef SPIRITLM_CORE_UTF8_H
#define SPIRITLM_CORE_UTF8_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of the well-formed character that text (not empty) begins with; 0 when it is malformed. */
size_t utf8_character(const char *text, size_t size);

/* The same with the character's code point, which is left alone when malformed. */
size_t utf8_decode(const char *text, size_t size, uint32_t *code);

/* Whether a terminal might obey the character, or show by it something else than what is there: control characters (C0,
 * DEL, C1), marks of direction (as in Unicode Standard Annex 9: U+061C, U+200E, U+200F, U+202A-202E, U+2066-2069), and
 * what ends a line or paragraph (U+2028, U+2029). */
bool utf8_is_unsafe(uint32_t code);

/* Copies a text into `line` of `room` bytes for one line on a terminal: line ends and tabs become spaces, other unsafe
 * characters and malformed bytes \xNN per byte. It is cut, never inside a character, where it does not fit, and ends with
 * a NUL. Returns its length. What it has copied once it copies unchanged. */
size_t utf8_line(const char *text, char *line, size_t room);

/* A copy for a terminal: unsafe characters as \n, \t, \r or \xNN per byte, malformed bytes as U+FFFD. NUL-terminated,
 * allocated for the caller. */
enum status utf8_printable(const char *text, int64_t size, char **printable);

/* As fprintf, for texts that come from files or are their names: unsafe characters other than line ends are written as by
 * utf8_printable. The number of bytes, or -1. */
int utf8_print(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A copy with U+FFFD for each malformed byte, and with `escape` unsafe characters as above; says whether any byte was
 * malformed. *out has *out_size bytes and a NUL behind them, allocated for the caller. */
enum status utf8_repair(const char *text, int64_t size, bool escape, char **out, int64_t *out_size, bool *malformed);

#endif
