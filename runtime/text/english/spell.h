/* Written English to spoken words, with every likely reading of a written token: "1984" is "nineteen eighty four", but
 * may be spoken as "one thousand nine hundred eighty four" or "one nine eight four"; the aligner lets the audio choose.
 *
 * A token is a run without white space, cut further at dashes, ellipses and punctuation between letters; quotes,
 * brackets and punctuation around it do not belong to it. Tokens without anything to say (" - ") are left out.
 * Letters of Latin script lose their accents; words of other scripts are passed on as they are. Bytes that are not
 * UTF-8 separate tokens. */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_H

#include "core/status.h"
#include "text/english/numerals.h"

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

/* The first reading of every token. Numbers, currency, ordinals, initialisms spelled as they are read ("42nd" -> "forty
 * second"), lower case, and for each spoken word the byte range of the written token it comes from, which is without
 * the punctuation around it. The caller frees *words (NULL when there are none). */
struct spoken_word {
    char text[64];
    int32_t text_begin, text_end;
};
enum status spell_out(const char *text, struct spoken_word **words, int64_t *count);

#endif
