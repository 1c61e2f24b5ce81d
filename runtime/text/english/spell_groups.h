/* Tokens of several groups of digits: times, dates, fractions, ranges, telephone numbers, versions. */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_GROUPS_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_GROUPS_H

#include "text/english/spell_token.h"

/* Adds the readings of the token when it is of this kind, and says whether it did. */
bool read_digit_groups(const struct written_token *token, struct readings *readings);

#endif
