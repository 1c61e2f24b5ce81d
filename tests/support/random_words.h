/* Random words over all scripts of Unicode, with marks, in letters that have case, width and several normal forms. */
#ifndef SPIRITLM_TESTS_RANDOM_WORDS_H
#define SPIRITLM_TESTS_RANDOM_WORDS_H

#include "core/rng.h"

enum { RANDOM_WORD_BYTES = 200 };

/* Each writes to `out` and returns the number of bytes. */
int put_random_word(struct rng *rng, char *out); /* letters and marks, with a final NUL */
int put_random_punctuation(struct rng *rng,
                           char *out); /* one character, also of other scripts, symbols, invisible ones */
int put_random_space(struct rng *rng, char *out);

/* The same word as another program might write it: other case, composed, decomposed or compatible. Case is changed only
 * where Unicode's simple mapping returns. The caller frees. */
char *rewrite_word(struct rng *rng, const char *word);

#endif
