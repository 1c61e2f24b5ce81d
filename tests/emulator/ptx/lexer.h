/* PTX text cut into tokens. A token points into the text and owns nothing. */
#ifndef SPIRITLM_EMULATOR_LEXER_H
#define SPIRITLM_EMULATOR_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,     /* foo, %r1, $L__BB0_2, _ */
    TOKEN_DOTTED,   /* .global, .L2::128B: a directive or modifier; `text` is without the dot */
    TOKEN_INTEGER,  /* `bits` */
    TOKEN_FLOATING, /* `bits` of 0f... (`width` 32), of 0d... (64), or of a decimal literal as a double (0) */
    TOKEN_STRING,   /* `text` is without the quotes */
    TOKEN_MARK,     /* one character of punctuation: `mark` */
    TOKEN_DAMAGED   /* `problem` says what */
};

struct token {
    enum token_kind kind;
    char mark;
    bool is_unsigned; /* INTEGER with the suffix U, or beyond INT64_MAX */
    int32_t width;    /* FLOATING */
    int32_t line;     /* from 1 */
    const char *text;
    size_t length;
    uint64_t bits;
    const char *problem;
};

struct lexer {
    const char *at, *end;
    int32_t line;
};

void lexer_start(struct lexer *lexer, const char *text, size_t length);
/* The next token; END at the end, and again after it. Nothing follows a DAMAGED one but END. */
void lexer_next(struct lexer *lexer, struct token *token);

#endif
