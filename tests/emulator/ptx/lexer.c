/* The tokens of PTX: chapter 4 of "PTX ISA". Every read is checked against the end of the text, since the text of a fat
 * binary has no terminator that could be relied on, and may be damaged. */
#include "emulator/ptx/lexer.h"

#include <stdlib.h>
#include <string.h>

void lexer_start(struct lexer *lexer, const char *text, size_t length)
{
    *lexer = (struct lexer){.at = text, .end = text + length, .line = 1};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_part(char c)
{
    return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

/* The character `ahead` of the next; 0 beyond the end. */
static char peek(const struct lexer *lexer, ptrdiff_t ahead)
{
    return lexer->end - lexer->at > ahead ? lexer->at[ahead] : '\0';
}

static void damaged(struct lexer *lexer, struct token *token, const char *problem)
{
    token->kind = TOKEN_DAMAGED;
    token->problem = problem;
    lexer->at = lexer->end;
}

/* False when a comment does not end. */
static bool skip_blanks(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        char c = *lexer->at;
        if (c == '\n') {
            lexer->line += lexer->line < INT32_MAX;
            lexer->at++;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
            lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '/') {
            while (lexer->at < lexer->end && *lexer->at != '\n')
                lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '*') {
            lexer->at += 2;
            while (!(peek(lexer, 0) == '*' && peek(lexer, 1) == '/')) {
                if (lexer->at >= lexer->end)
                    return false;
                lexer->line += *lexer->at == '\n' && lexer->line < INT32_MAX;
                lexer->at++;
            }
            lexer->at += 2;
        } else {
            return true;
        }
    }
    return true;
}

/* The value of a digit in bases to 16, else 16. */
static unsigned digit_value(char c)
{
    if (is_digit(c))
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A' + 10);
    return 16;
}

/* Digits of `base` into token->bits; how many there were, or -1 when 64 bits are too few for them. */
static int read_digits(struct lexer *lexer, struct token *token, unsigned base)
{
    int digits = 0;
    bool overflow = false;
    token->bits = 0;
    while (lexer->at < lexer->end && digit_value(*lexer->at) < base) {
        unsigned value = digit_value(*lexer->at++);
        overflow |= token->bits > (UINT64_MAX - value) / base;
        token->bits = token->bits * base + value;
        digits += digits < INT32_MAX;
    }
    return overflow ? -1 : digits;
}

/* 1.5 and 2.0e-3. `start` is its first digit. */
static void read_decimal_fraction(struct lexer *lexer, struct token *token, const char *start)
{
    char copy[64], *end;
    lexer->at++;
    while (is_digit(peek(lexer, 0)))
        lexer->at++;
    if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
        lexer->at++;
        if (peek(lexer, 0) == '+' || peek(lexer, 0) == '-')
            lexer->at++;
        while (is_digit(peek(lexer, 0)))
            lexer->at++;
    }
    size_t length = (size_t)(lexer->at - start);
    if (length >= sizeof copy) {
        damaged(lexer, token, "a number of more than 63 characters");
        return;
    }
    memcpy(copy, start, length);
    copy[length] = '\0';
    double value = strtod(copy, &end);
    if (end != copy + length) {
        damaged(lexer, token, "a malformed number");
        return;
    }
    token->kind = TOKEN_FLOATING;
    memcpy(&token->bits, &value, sizeof value);
}

static void read_number(struct lexer *lexer, struct token *token)
{
    const char *start = lexer->at;
    char second = peek(lexer, 0) == '0' ? peek(lexer, 1) : '\0';
    int digits;
    token->kind = TOKEN_INTEGER;
    if (second == 'f' || second == 'F' || second == 'd' || second == 'D') {
        token->kind = TOKEN_FLOATING;
        token->width = second == 'f' || second == 'F' ? 32 : 64;
        lexer->at += 2;
        digits = read_digits(lexer, token, 16) == token->width / 4;
    } else if (second == 'x' || second == 'X') {
        lexer->at += 2;
        digits = read_digits(lexer, token, 16);
    } else if (second == 'b' || second == 'B') {
        lexer->at += 2;
        digits = read_digits(lexer, token, 2);
    } else {
        digits = read_digits(lexer, token, is_digit(second) ? 8 : 10);
        if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1)) && !is_digit(second))
            read_decimal_fraction(lexer, token, start);
    }
    if (token->kind == TOKEN_INTEGER) {
        token->is_unsigned = token->bits > INT64_MAX;
        if (peek(lexer, 0) == 'U') {
            token->is_unsigned = true;
            lexer->at++;
        }
    }
    if (token->kind == TOKEN_DAMAGED)
        return;
    token->length = (size_t)(lexer->at - start);
    if (digits < 0 && token->kind == TOKEN_INTEGER)
        damaged(lexer, token, "a number beyond 64 bits");
    else if (!digits || is_name_part(peek(lexer, 0)))
        damaged(lexer, token, "a malformed number");
}

static void read_string(struct lexer *lexer, struct token *token)
{
    token->kind = TOKEN_STRING;
    token->text = ++lexer->at;
    while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n')
        lexer->at += *lexer->at == '\\' && lexer->end - lexer->at > 1 && lexer->at[1] != '\n' ? 2 : 1;
    token->length = (size_t)(lexer->at - token->text);
    if (peek(lexer, 0) != '"')
        damaged(lexer, token, "a string that does not end on its line");
    else
        lexer->at++;
}

/* What follows the dot of a directive or modifier. Inside one, "::" joins two words, as in .shared::cta. */
static void read_dotted(struct lexer *lexer, struct token *token)
{
    token->kind = TOKEN_DOTTED;
    token->text = ++lexer->at;
    while (is_name_part(peek(lexer, 0)) ||
           (peek(lexer, 0) == ':' && peek(lexer, 1) == ':' && is_name_part(peek(lexer, 2))))
        lexer->at += *lexer->at == ':' ? 2 : 1;
    token->length = (size_t)(lexer->at - token->text);
    if (!token->length)
        damaged(lexer, token, "a dot without a name");
}

void lexer_next(struct lexer *lexer, struct token *token)
{
    *token = (struct token){.kind = TOKEN_END, .line = lexer->line};
    bool ended = skip_blanks(lexer);
    token->line = lexer->line;
    token->text = lexer->at;
    if (!ended) {
        damaged(lexer, token, "a comment that does not end");
        return;
    }
    if (lexer->at >= lexer->end)
        return;
    char c = *lexer->at;
    if (is_letter(c) || c == '_' || c == '$' || (c == '%' && (is_letter(peek(lexer, 1)) || peek(lexer, 1) == '_'))) {
        token->kind = TOKEN_NAME;
        do {
            lexer->at++;
        } while (is_name_part(peek(lexer, 0)));
        token->length = (size_t)(lexer->at - token->text);
    } else if (is_digit(c)) {
        read_number(lexer, token);
    } else if (c == '"') {
        read_string(lexer, token);
    } else if (c == '.') {
        read_dotted(lexer, token);
    } else if (c && strchr("{}[]()<>,;:=+-*/%&|^~!@", c)) {
        token->kind = TOKEN_MARK;
        token->mark = c;
        token->length = 1;
        lexer->at++;
    } else {
        damaged(lexer, token, "a character that PTX does not know");
    }
}
