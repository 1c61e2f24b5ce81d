/* A written token and its readings, shared by the readers of each kind of token (spell_number.h, spell_groups.h,
 * spell_word.h). */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_TOKEN_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_TOKEN_H

#include "text/english/numerals.h"
#include "text/english/spell.h"

/* A token after folding: ASCII except for letters of other scripts. */
enum { FOLDED_POUND = 1, FOLDED_EURO, FOLDED_YEN, FOLDED_DEGREE, FOLDED_HALF, FOLDED_QUARTER, FOLDED_THREE_QUARTERS };

struct written_token {
    const char *bytes; /* not NUL-terminated */
    int length;
    int64_t begin, end;                          /* in the folded text */
    bool full_stop;                              /* directly followed by one */
    bool all_capitals_text;                      /* the whole text has no small letter, so capitals mean nothing */
    const struct written_token *previous, *next; /* NULL at the ends */
};

struct readings {
    int count;
    struct phrase list[SPELL_READINGS];
};

/* Ignores empty phrases, repetitions, and what exceeds SPELL_READINGS. */
void readings_add(struct readings *readings, const struct phrase *phrase);
void readings_put_before(struct readings *readings, const char *word);
void readings_put_after(struct readings *readings, const char *word);

bool is_digit(char c);
bool is_letter(char c); /* ASCII letters and every byte of another script */
bool is_capital(char c);
bool token_is(const struct written_token *token, const char *lower_case); /* equal except for case */
void say_word(struct phrase *phrase, const char *bytes, int length);      /* as written, in lower case */

uint64_t digits_value(const char *digits, int count); /* count <= 18 */
/* "am", "p.m": *letter is 'a' or 'p'. */
bool is_half_day(const char *bytes, int length, char *letter);
void readings_put_half_day_after(struct readings *readings, char letter);

#endif
