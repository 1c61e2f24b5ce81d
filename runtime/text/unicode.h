/* What Unicode says about characters: letters, punctuation and white space, and a form of a text in which two spellings
 * of the same words are equal. The form only compares; texts are stored as they came. */
#ifndef SPIRITLM_TEXT_UNICODE_H
#define SPIRITLM_TEXT_UNICODE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unicode_kind {
    UNICODE_LETTER,      /* letters, digits and numbers of all scripts, and the marks on them */
    UNICODE_PUNCTUATION, /* everything without a sound of its own: punctuation, symbols, apostrophes, invisible characters */
    UNICODE_SPACE,       /* white space of any width, line ends and control characters */
};
enum unicode_kind unicode_kind(uint32_t code);

/* A mark of direction, a soft hyphen, a variation selector: nothing stands in its place. */
bool unicode_is_invisible(uint32_t code);

/* Bytes of the white space character that the text (size > 0) begins or ends with; 0: another character. */
size_t unicode_space_at(const char *text, size_t size);
size_t unicode_space_before(const char *text, size_t size);

/* Whether a word is more than punctuation: one that is not cannot be found in a text, nor spoken. */
bool unicode_has_letter(const char *text);

/* The ASCII letters or digits that a letter or digit is a form of, in their case, with a final NUL ("é": "e",
 * "ﬁ": "fi", "１": "1"); "" for a superscript or fraction. False for other characters. */
enum { UNICODE_BASE_BYTES = 20 };
bool unicode_ascii_base(uint32_t code, char base[UNICODE_BASE_BYTES]);

/* One step of a text's comparable form. Letters are folded: case (also final sigma and "ß"), the dots of Turkish i,
 * composed or decomposed marks and their order, width and ligatures make no difference. */
struct unicode_element {
    uint32_t code;      /* the folded letter; 0 for punctuation and white space */
    int32_t begin, end; /* bytes of the text that it comes from; several letters may share them ("ß" is two) */
    enum unicode_kind kind;
    bool mark;   /* a letter's mark, such as an accent or a vowel sign */
    bool single; /* of a script that is written without spaces: every character may begin a word */
};

/* STATUS_USAGE when the text has more than INT32_MAX bytes. The caller frees *elements. Malformed bytes are letters that
 * equal only themselves. */
enum status unicode_elements(const char *text, struct unicode_element **elements, int64_t *count);

#endif
