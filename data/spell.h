/* Written English to spoken words, with every likely reading of a written token: "1984" is "nineteen eighty four", but
 * may be spoken as "one thousand nine hundred eighty four" or "one nine eight four"; the aligner lets the audio choose.
 * spell_out() of data/align.h gives the first reading of each token.
 *
 * A token is a run without white space, cut further at dashes, ellipses and punctuation between letters; quotes,
 * brackets and punctuation around it do not belong to it. Tokens without anything to say (" - ") are left out.
 * Letters of Latin script lose their accents; words of other scripts are passed on as they are. Bytes that are not
 * UTF-8 separate tokens. */
#ifndef SPIRITLM_DATA_SPELL_H
#define SPIRITLM_DATA_SPELL_H

#include "core/status.h"
#include "data/numerals.h"

#include <stdbool.h>
#include <stdint.h>

enum { SPELL_READINGS = 8 };

struct spoken_reading {
    int64_t first, count; /* words[first .. first + count), count > 0 */
};

struct spoken_token {
    int32_t text_begin, text_end; /* bytes of the text */
    int64_t first_reading;
    int reading_count; /* 1..SPELL_READINGS, the likeliest first, all different */
};

struct spoken_text {
    struct spoken_token *tokens;
    struct spoken_reading *readings;
    char (*words)[SPOKEN_WORD_BYTES];
    int64_t token_count, reading_count, word_count;
};

/* STATUS_USAGE when the text is longer than INT32_MAX bytes. */
enum status spell_readings(const char *text, struct spoken_text *spoken);
void spoken_text_free(struct spoken_text *spoken);

/* ---- shared by the files spell*.c ---- */

/* A token after folding: ASCII but for letters of other scripts. */
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
bool token_is(const struct written_token *token, const char *lower_case); /* equal but for case */

/* Each adds the readings of the token when it is of its kind, and says whether it did. */
bool read_number_token(const struct written_token *token, struct readings *readings);
bool read_word_token(const struct written_token *token, struct readings *readings);
/* "$3" before "million": the readings of both together. */
bool read_money_and_scale(const struct written_token *token, struct readings *readings);

bool read_digit_groups(const struct written_token *token, struct readings *readings);

uint64_t digits_value(const char *digits, int count); /* count <= 18 */
/* "am", "p.m": *letter is 'a' or 'p'. */
bool is_half_day(const char *bytes, int length, char *letter);
void readings_put_half_day_after(struct readings *readings, char letter);

#endif
