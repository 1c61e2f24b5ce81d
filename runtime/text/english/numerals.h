/* Numbers as they are read aloud in English: "nineteen ninety three", "forty second", "three point one four". */
#ifndef SPIRITLM_TEXT_ENGLISH_NUMERALS_H
#define SPIRITLM_TEXT_ENGLISH_NUMERALS_H

#include <stdbool.h>
#include <stdint.h>

enum { SPOKEN_WORD_BYTES = 64, PHRASE_WORDS = 96 };

/* Spoken words in order, lower case, each NUL-terminated. What would exceed PHRASE_WORDS is dropped: no single written
 * token is spoken that long. */
struct phrase {
    int count;
    char words[PHRASE_WORDS][SPOKEN_WORD_BYTES];
};

void phrase_clear(struct phrase *phrase); /* every phrase begins with this: zeroing all of it would cost more */
/* Appends one word; longer ones are cut to SPOKEN_WORD_BYTES - 1 bytes at a character boundary. */
void phrase_add(struct phrase *phrase, const char *word);
void phrase_add_bytes(struct phrase *phrase, const char *bytes, int64_t length);
void phrase_append(struct phrase *phrase, const struct phrase *more);
bool phrase_equal(const struct phrase *a, const struct phrase *b);
/* Makes the last word a plural ("nineties", "sixes") or an ordinal ("twenty", "two" -> "second"). */
void phrase_pluralize(struct phrase *phrase);
void phrase_make_ordinal(struct phrase *phrase);

/* `joined`: with "and" after the hundreds ("one hundred and five"), as in British English. */
void say_cardinal(struct phrase *phrase, uint64_t value, bool joined);
void say_year(struct phrase *phrase, int year);                                 /* 1000..9999 */
void say_digits(struct phrase *phrase, const char *digits, int count, bool oh); /* 0 as "oh" or "zero" */
/* In groups of two from the right: 8500 "eighty five hundred", 323 "three twenty three", 4205 "forty two oh five". */
void say_pairs(struct phrase *phrase, const char *digits, int count);
/* Letters by their names, which are the letters themselves ("u", "s", "b"); other bytes are skipped. */
void say_letters(struct phrase *phrase, const char *letters, int count);

#endif
