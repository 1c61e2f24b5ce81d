/* A number that is being put together from words. It is an integer of any size, or a text of digits and full stops: "one oh one"
 * is read digit by digit, "two point five" has a fraction. Which of the two it is decides how the next word joins it. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_SPOKEN_NUMBER_H
#define SPIRITLM_EVAL_TRANSCRIPTS_SPOKEN_NUMBER_H

#include "eval/transcripts/text_buffer.h"

#include <stdbool.h>

enum spoken_kind { SPOKEN_NONE, SPOKEN_INTEGER, SPOKEN_TEXT };

struct spoken_number {
    enum spoken_kind kind;
    struct text_buffer digits; /* an integer's are ASCII digits without leading zeros */
};

/* Whether a word is a numeral, digits of any script with an optional fraction (1960, 2.50). One with more digits than
 * NUMERAL_DIGITS before or behind the full stop is none: Python refuses to compute with it. */
enum { NUMERAL_DIGITS = 4300 };
bool is_numeral(const char *bytes, int64_t size);

/* A numeral's value: an integer if its fraction is zero, its own text otherwise. */
void spoken_set_numeral(struct spoken_number *number, const char *bytes, int64_t size);

void spoken_set_integer(struct spoken_number *number, int value);
void spoken_set_power(struct spoken_number *number, int exponent);

/* Appends to the number's text, which is empty for no number and for the integer 0; it is a text afterwards. */
void spoken_append(struct spoken_number *number, const char *bytes, int64_t size);

/* Whether the integer ends in `zeros` zeros (0 does) and adds a value with as many digits at most. */
bool spoken_add(struct spoken_number *number, int value, int zeros);

bool spoken_is_zero(const struct spoken_number *number);

/* The integer's thousands stay, the rest is multiplied: 2300 times a million is 300002000. */
void spoken_multiply(struct spoken_number *number, int exponent);

/* Makes a text times a power of ten an integer, or returns false where it is none. */
bool spoken_scale(struct spoken_number *number, int exponent);

#endif
