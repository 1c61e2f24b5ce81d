/* The words that numbers are made of in English texts, as whisper-english knows them. */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_NUMBER_WORDS_H
#define SPIRITLM_EVAL_TRANSCRIPTS_NUMBER_WORDS_H

#include <stdint.h>

enum number_kind {
    NUMBER_OTHER, /* every other word */
    NUMBER_ZERO,
    NUMBER_ONE,            /* one to nineteen */
    NUMBER_ONE_SUFFIXED,   /* "ones", "first", "nineteenth" */
    NUMBER_TEN,            /* twenty to ninety */
    NUMBER_TEN_SUFFIXED,   /* "twenties", "twentieth" */
    NUMBER_POWER,          /* hundred to decillion; `value` is the exponent of ten */
    NUMBER_POWER_SUFFIXED, /* "hundreds", "hundredth" */
    NUMBER_SIGN,
    NUMBER_CURRENCY,
    NUMBER_PER, /* of "per cent" */
    NUMBER_PERCENT,
    NUMBER_AND,
    NUMBER_DOUBLE,
    NUMBER_TRIPLE,
    NUMBER_POINT,
};

struct number_word {
    const char *word;
    enum number_kind kind;
    int value;
    const char *mark; /* a suffix's letters, a sign or a currency's symbol */
};

/* Never NULL. */
const struct number_word *number_word_find(const char *bytes, int64_t size);

#endif
