/* What a tokenizer's folder says in tokenizer_config.json and special_tokens_map.json: tokens that have a meaning of their own, and
 * switches. Only the members that are asked for are looked at; numbers that no integer holds, such as the usual model_max_length,
 * may stand beside them. */
#ifndef SPIRITLM_TEXT_SPECIAL_TOKENS_H
#define SPIRITLM_TEXT_SPECIAL_TOKENS_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { SPECIAL_TOKEN_BYTES = 64 };

struct special_token {
    const char *key;                /* "pad_token" */
    char text[SPECIAL_TOKEN_BYTES]; /* what it is where the file says nothing */
};

struct special_switch {
    const char *key; /* "add_prefix_space" */
    bool on;
};

struct special_tokens {
    struct special_token *tokens;
    int64_t token_count;
    struct special_switch *switches;
    int64_t switch_count;
};

/* Takes what FOLDER/NAME says; nothing changes where there is no such file, or null in it. A token is a text, or an object with the
 * text as its "content". STATUS_CORRUPT names the file. */
enum status special_tokens_read(const char *folder, const char *name, struct special_tokens *specials);

#endif
