/* Literals, and the constant expressions of "PTX ISA", chapter 4.5, as far as integers go: 64 bits wide, unsigned where
 * an operand is. By precedence climbing. */
#include "emulator/ptx/parse.h"

#include <string.h>

enum { DEPTH_MAXIMUM = 64 }; /* of parentheses and signs: a limit to the parser's own stack */

static bool parse_binary(struct parser *parser, int least, int depth, struct constant *left);

bool starts_constant(const struct parser *parser)
{
    return parser->token.kind == TOKEN_INTEGER || parser->token.kind == TOKEN_FLOATING || token_is_mark(parser, '-') ||
           token_is_mark(parser, '+') || token_is_mark(parser, '~') || token_is_mark(parser, '(');
}

static bool parse_signed(struct parser *parser, int depth, struct constant *constant)
{
    char mark = parser->token.mark;
    parse_advance(parser);
    bool literal = parser->token.kind == TOKEN_FLOATING;
    if (depth >= DEPTH_MAXIMUM)
        return parse_fail(parser, "an expression of more than %d levels", DEPTH_MAXIMUM);
    if (mark == '(') {
        if (!parse_binary(parser, 0, depth + 1, constant) || !parse_mark(parser, ')'))
            return false;
    } else if (!parse_binary(parser, 8, depth + 1, constant)) {
        return false;
    } else if (constant->floating) {
        if (!literal || constant->width || mark == '~')
            return parse_fail(parser, "an operator before a floating-point literal");
        constant->bits ^= mark == '-' ? UINT64_C(1) << 63 : 0;
    } else {
        constant->bits = mark == '-' ? 0 - constant->bits : mark == '~' ? ~constant->bits : constant->bits;
    }
    return true;
}

static bool parse_primary(struct parser *parser, int depth, struct constant *constant)
{
    const struct token *token = &parser->token;
    if (token->kind != TOKEN_INTEGER && token->kind != TOKEN_FLOATING) {
        if (starts_constant(parser))
            return parse_signed(parser, depth, constant);
        return parse_expected(parser, "a number");
    }
    *constant = (struct constant){
        .floating = token->kind == TOKEN_FLOATING,
        .is_unsigned = token->is_unsigned,
        .width = token->width,
        .bits = token->bits,
    };
    parse_advance(parser);
    return !parser->failed;
}

/* How tightly the operator at the token binds; 0: it is none. */
static int precedence(const struct parser *parser)
{
    if (parser->token.kind != TOKEN_MARK)
        return 0;
    switch (parser->token.mark) {
    case '|':
        return 1;
    case '^':
        return 2;
    case '&':
        return 3;
    case '<':
    case '>':
        return 4;
    case '+':
    case '-':
        return 5;
    case '*':
    case '/':
    case '%':
        return 6;
    default:
        return 0;
    }
}

static bool divide(struct parser *parser, char mark, bool is_unsigned, uint64_t a, uint64_t b, uint64_t *result)
{
    if (!b)
        return parse_fail(parser, "a division by zero");
    if (is_unsigned)
        *result = mark == '/' ? a / b : a % b;
    else if (b == UINT64_MAX) /* -1, whose quotient of INT64_MIN would trap */
        *result = mark == '/' ? 0 - a : 0;
    else
        *result = (uint64_t)(mark == '/' ? (int64_t)a / (int64_t)b : (int64_t)a % (int64_t)b);
    return true;
}

static bool apply(struct parser *parser, char mark, struct constant *left, const struct constant *right)
{
    uint64_t a = left->bits, b = right->bits;
    if (left->floating || right->floating)
        return parse_fail(parser, "an expression of floating-point literals is not supported");
    if (mark != '<' && mark != '>')
        left->is_unsigned |= right->is_unsigned;
    switch (mark) {
    case '|':
        left->bits = a | b;
        break;
    case '^':
        left->bits = a ^ b;
        break;
    case '&':
        left->bits = a & b;
        break;
    case '<':
        left->bits = b > 63 ? 0 : a << b;
        break;
    case '>':
        left->bits = b > 63 ? 0 : a >> b;
        if (!left->is_unsigned && (a >> 63))
            left->bits = b > 63 ? UINT64_MAX : ~(~a >> b);
        break;
    case '+':
        left->bits = a + b;
        break;
    case '-':
        left->bits = a - b;
        break;
    case '*':
        left->bits = a * b;
        break;
    default:
        return divide(parser, mark, left->is_unsigned, a, b, &left->bits);
    }
    return true;
}

/* Operators that bind at least as tightly as `least`. */
static bool parse_binary(struct parser *parser, int least, int depth, struct constant *left)
{
    if (!parse_primary(parser, depth, left))
        return false;
    for (int level; (level = precedence(parser)) && level >= least;) {
        struct constant right;
        char mark = parser->token.mark;
        parse_advance(parser);
        if ((mark == '<' || mark == '>') && !parse_mark(parser, mark))
            return false;
        if (!parse_binary(parser, level + 1, depth, &right) || !apply(parser, mark, left, &right))
            return false;
    }
    return !parser->failed;
}

bool parse_constant(struct parser *parser, struct constant *constant)
{
    return parse_binary(parser, 0, 0, constant);
}

/* As ptxas does: a literal of either width is a value in an f32 or f64 instruction; 0f... is bits in a b32 one, and a
 * literal of double in a b64 one. */
bool convert_literal(struct parser *parser, const struct constant *constant, enum ptx_type type, uint64_t *bits)
{
    double value;
    float single;
    uint32_t single_bits = (uint32_t)constant->bits;
    bool is_single = constant->width == 32;
    *bits = constant->bits;
    if (type == (is_single ? PTX_F32 : PTX_F64) || type == (is_single ? PTX_B32 : PTX_B64))
        return true;
    if (type == PTX_F64) {
        memcpy(&single, &single_bits, sizeof single);
        value = (double)single;
        memcpy(bits, &value, sizeof value);
        return true;
    }
    if (type == PTX_F32) {
        memcpy(&value, &constant->bits, sizeof value);
        single = (float)value;
        memcpy(&single_bits, &single, sizeof single);
        *bits = single_bits;
        return true;
    }
    return parse_fail(parser, "a floating-point literal where the type .%s takes none", ptx_type_name(type));
}
