/* GPT-2's alphabet: every byte as one visible character, so that a piece of any bytes can be written as a text. The
 * printable characters of Latin-1 other than the space and U+00AD stand for themselves; the other 68 bytes, in order, are
 * U+0100 to U+0143 (Radford et al. 2019; bytes_to_unicode in their encoder.py). */
#ifndef SPIRITLM_TEXT_BYTE_ALPHABET_H
#define SPIRITLM_TEXT_BYTE_ALPHABET_H

#include <stdint.h>

/* The bytes that the text spells, into `bytes` of `size` bytes; how many. -1 when a character is not of the alphabet. */
int64_t alphabet_read(const char *text, int64_t size, char *bytes);

/* The spelling of bytes, into `text` of 2 * size bytes; its length. */
int64_t alphabet_write(const char *bytes, int64_t size, char *text);

#endif
