/* UTF-8, character by character. Surrogates, overlong forms and code points above U+10FFFF are refused (Unicode 15,
 * table 3-7). For a NUL-terminated text SIZE_MAX may be passed as `size`: the NUL ends a broken character. */
#ifndef SPIRITLM_CORE_UTF8_H
#define SPIRITLM_CORE_UTF8_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character that text (not empty) begins with; 0 when it is malformed. */
size_t utf8_character(const char *text, size_t size);

/* The same with the character's code point, which is left alone when malformed. */
size_t utf8_decode(const char *text, size_t size, uint32_t *code);

/* A copy for a terminal: control characters as \n, \t, \r or \xNN per byte, malformed bytes as U+FFFD. NUL-terminated,
 * allocated for the caller. */
enum status utf8_printable(const char *text, int64_t size, char **printable);

/* A copy with U+FFFD for each malformed byte, and with `escape` control characters as above; says whether any byte was
 * malformed. *out has *out_size bytes and a NUL behind them, allocated for the caller. */
enum status utf8_repair(const char *text, int64_t size, bool escape, char **out, int64_t *out_size, bool *malformed);

#endif
