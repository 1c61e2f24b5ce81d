/* Tokens with digits, except those of several groups of digits. */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_NUMBER_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_NUMBER_H

#include "text/english/spell_token.h"

/* Adds the readings of the token when it is of this kind, and says whether it did. */
bool read_number_token(const struct written_token *token, struct readings *readings);
/* "$3" before "million": the readings of both together. */
bool read_money_and_scale(const struct written_token *token, struct readings *readings);

#endif
