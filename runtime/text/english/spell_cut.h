/* A folded text cut into the tokens that are spoken. */
#ifndef SPIRITLM_TEXT_ENGLISH_SPELL_CUT_H
#define SPIRITLM_TEXT_ENGLISH_SPELL_CUT_H

#include "text/english/spell_fold.h"
#include "text/english/spell_token.h"

struct token_list {
    struct written_token *tokens;
    int64_t count, room;
};

/* Tokens point into `folded` and at each other; the caller frees list->tokens, after a failure too. */
enum status cut_tokens(const struct folded_text *folded, struct token_list *list);

#endif
