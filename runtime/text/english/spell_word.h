/* Tokens of letters and symbols. */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_WORD_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_WORD_H

#include "text/english/spell_token.h"

/* Adds the readings of the token, which may be any without a digit. Always true: there is always a reading. */
bool read_word_token(const struct written_token *token, struct readings *readings);

#endif
