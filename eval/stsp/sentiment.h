/* Sentiments, and the emotions that stand for them (Spirit LM, section 5 and its released evaluation). */
#ifndef SPIRITLM_EVAL_STSP_SENTIMENT_H
#define SPIRITLM_EVAL_STSP_SENTIMENT_H

#include <stdbool.h>

/* In the order in which examples stand in a prompt. */
enum sentiment { SENTIMENT_NEGATIVE, SENTIMENT_NEUTRAL, SENTIMENT_POSITIVE, SENTIMENTS };

const char *sentiment_name(enum sentiment sentiment); /* "negative" */

/* From a sentiment's name, or an emotion's: happy, amused = positive; sad, angry = negative; default, neutral = neutral. In any
 * case of letters. False: neither. */
bool sentiment_find(const char *label, enum sentiment *sentiment);
const char *sentiment_labels(void); /* all of them, for errors */

#endif
