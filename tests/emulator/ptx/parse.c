/* The module level of PTX, and what all files of the parser share: the current token, errors, names.
 *
 * A hand-written parser with one token of look-ahead. After an error the text counts as ended: every loop then stops by
 * itself, and only the first error, which is the one with a meaning, is kept. */
#include "emulator/ptx/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail_with(struct parser *parser, int32_t line, const char *format, va_list arguments)
{
    if (!parser->failed && parser->error_size) {
        int used = snprintf(parser->error, parser->error_size, "line %d: ", line);
        if (used >= 0 && (size_t)used < parser->error_size)
            vsnprintf(parser->error + used, parser->error_size - (size_t)used, format, arguments);
    }
    parser->failed = true;
    parser->lexer.at = parser->lexer.end;
    parser->token.kind = TOKEN_END;
}

bool parse_fail(struct parser *parser, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_with(parser, parser->token.line, format, arguments);
    va_end(arguments);
    return false;
}

bool parse_fail_at(struct parser *parser, int32_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_with(parser, line, format, arguments);
    va_end(arguments);
    return false;
}

bool parse_expected(struct parser *parser, const char *what)
{
    const struct token *token = &parser->token;
    int length = token->length < 40 ? (int)token->length : 40;
    if (token->kind == TOKEN_END)
        return parse_fail(parser, "expected %s, found the end of the text", what);
    if (token->kind == TOKEN_STRING)
        return parse_fail(parser, "expected %s, found a string", what);
    return parse_fail(parser, "expected %s, found '%s%.*s'", what, token->kind == TOKEN_DOTTED ? "." : "", length,
                      token->text);
}

void parse_advance(struct parser *parser)
{
    if (parser->failed)
        return;
    lexer_next(&parser->lexer, &parser->token);
    if (parser->token.kind == TOKEN_DAMAGED)
        parse_fail(parser, "%s", parser->token.problem);
}

bool parser_is_at(const struct parser *parser, enum token_kind kind, const char *text)
{
    const struct token *token = &parser->token;
    return token->kind == kind && token->length == strlen(text) && !memcmp(token->text, text, token->length);
}

bool token_is_mark(const struct parser *parser, char mark)
{
    return parser->token.kind == TOKEN_MARK && parser->token.mark == mark;
}

bool parse_accept_mark(struct parser *parser, char mark)
{
    if (!token_is_mark(parser, mark))
        return false;
    parse_advance(parser);
    return true;
}

bool parse_mark(struct parser *parser, char mark)
{
    if (parse_accept_mark(parser, mark))
        return !parser->failed;
    const char what[] = {'\'', mark, '\'', '\0'};
    return parse_expected(parser, what);
}

bool parse_integer(struct parser *parser, const char *what, int64_t least, int64_t most, int64_t *value)
{
    const struct token *token = &parser->token;
    if (token->kind != TOKEN_INTEGER)
        return parse_expected(parser, what);
    if (token->bits > INT64_MAX || (int64_t)token->bits < least || (int64_t)token->bits > most)
        return parse_fail(parser, "expected %s from %lld to %lld, found %llu", what, (long long)least, (long long)most,
                          (unsigned long long)token->bits);
    *value = (int64_t)token->bits;
    parse_advance(parser);
    return !parser->failed;
}

void *parse_allocate(struct parser *parser, size_t bytes)
{
    void *memory = arena_allocate(&parser->tree->arena, bytes);
    if (!memory)
        parse_fail(parser, "no memory for %zu bytes", bytes);
    return memory;
}

void *parse_grow(struct parser *parser, void *array, int32_t count, size_t element_size, const char *what)
{
    enum { COUNT_MAXIMUM = 1 << 24 };
    if (count >= COUNT_MAXIMUM) {
        parse_fail(parser, "more than %d %s", COUNT_MAXIMUM, what);
        return NULL;
    }
    void *moved = arena_grow(&parser->tree->arena, array, count, element_size);
    if (!moved)
        parse_fail(parser, "no memory for %d %s", count + 1, what);
    return moved;
}

bool parse_string(struct parser *parser, const char **text)
{
    if (parser->token.kind != TOKEN_STRING)
        return parse_expected(parser, "a string");
    char *copy = parse_allocate(parser, parser->token.length + 1);
    if (!copy)
        return false;
    memcpy(copy, parser->token.text, parser->token.length);
    *text = copy;
    parse_advance(parser);
    return !parser->failed;
}

char *parse_intern(struct parser *parser, const char *text, size_t length)
{
    struct symbol *symbol = symbols_intern(&parser->symbols, text, length);
    if (!symbol)
        parse_fail(parser, "no memory for a name");
    return symbol ? symbol->name : NULL;
}

struct symbol *parse_name(struct parser *parser, const char *what)
{
    if (parser->token.kind != TOKEN_NAME || parser_is_at(parser, TOKEN_NAME, "_")) {
        parse_expected(parser, what);
        return NULL;
    }
    struct symbol *symbol = symbols_intern(&parser->symbols, parser->token.text, parser->token.length);
    if (!symbol)
        parse_fail(parser, "no memory for a name");
    else
        parse_advance(parser);
    return parser->failed ? NULL : symbol;
}

bool parse_bind(struct parser *parser, struct symbol *symbol, enum binding_kind kind, int32_t index)
{
    if (symbol->binding && symbol->binding->depth == parser->symbols.depth)
        return parse_fail(parser, "'%s' is declared twice", symbol->name);
    if (!symbols_bind(&parser->symbols, symbol, kind, index))
        return parse_fail(parser, "no memory for a name");
    return true;
}

/* .pragma "nounroll"; such strings ask something of the compiler and change no result. */
bool parse_pragma(struct parser *parser)
{
    const char *text;
    parse_advance(parser);
    do {
        if (!parse_string(parser, &text))
            return false;
    } while (parse_accept_mark(parser, ','));
    return parse_mark(parser, ';');
}

/* .version 9.0: the number is split here, since 8.10 is not 8.1. */
static bool parse_version(struct parser *parser)
{
    struct ptx_module *module = &parser->tree->module;
    const struct token *token = &parser->token;
    char text[16] = "", extra;
    parse_advance(parser);
    if (token->kind == TOKEN_FLOATING && !token->width && token->length < sizeof text)
        memcpy(text, token->text, token->length);
    if (sscanf(text, "%5d.%5d%c", &module->version_major, &module->version_minor, &extra) != 2)
        return parse_expected(parser, "a version such as 9.0");
    parse_advance(parser);
    return !parser->failed;
}

/* .target sm_90a, and options such as debug that change nothing here. */
static bool parse_target(struct parser *parser)
{
    struct ptx_module *module = &parser->tree->module;
    parse_advance(parser);
    do {
        struct symbol *symbol = parse_name(parser, "a target such as sm_80");
        if (!symbol)
            return false;
        if (!strncmp(symbol->name, "sm_", 3)) {
            if (module->target)
                return parse_fail(parser, "a second target");
            module->target = symbol->name;
        } else if (strcmp(symbol->name, "debug") != 0 && strncmp(symbol->name, "texmode_", 8) != 0) {
            return parse_fail(parser, "the target option %s is not known", symbol->name);
        }
    } while (parse_accept_mark(parser, ','));
    return module->target ? true : parse_expected(parser, "a target such as sm_80");
}

/* .file 1 "a.cu", and perhaps its time and size. */
static bool parse_file(struct parser *parser)
{
    enum { FILES_MAXIMUM = 1 << 20 };
    struct ptx_module *module = &parser->tree->module;
    int64_t index = 0, ignored;
    const char *text = "";
    parse_advance(parser);
    if (!parse_integer(parser, "the number of a file", 0, FILES_MAXIMUM, &index) || !parse_string(parser, &text))
        return false;
    while (parse_accept_mark(parser, ',')) {
        if (!parse_integer(parser, "a time or size", 0, INT64_MAX, &ignored))
            return false;
    }
    char *none = parse_intern(parser, "", 0);
    while (module->file_count <= index) {
        char **files = parse_grow(parser, module->files, module->file_count, sizeof *files, "files");
        if (!files || !none)
            return false;
        files[module->file_count++] = none;
        module->files = files;
    }
    module->files[index] = parse_intern(parser, text, strlen(text));
    return !parser->failed;
}

/* .section .debug_str { ... }: for debuggers. */
static bool parse_section(struct parser *parser)
{
    int64_t depth = 0;
    parse_advance(parser);
    while (!token_is_mark(parser, '{')) {
        if (parser->token.kind != TOKEN_DOTTED && parser->token.kind != TOKEN_NAME)
            return parse_expected(parser, "a section's name and '{'");
        parse_advance(parser);
    }
    do {
        if (parser->token.kind == TOKEN_END)
            return parse_expected(parser, "the end of the section");
        depth += token_is_mark(parser, '{') - token_is_mark(parser, '}');
        parse_advance(parser);
    } while (depth);
    return !parser->failed;
}

/* .func (results) name: functions that are called have no place in the tree. */
static bool refuse_function(struct parser *parser)
{
    int32_t line = parser->token.line;
    for (int64_t depth = 0; parser->token.kind != TOKEN_END; parse_advance(parser)) {
        depth += token_is_mark(parser, '(') - token_is_mark(parser, ')');
        if (!depth && parser->token.kind == TOKEN_NAME)
            return parse_fail_at(parser, line, "the device function '%.*s' is called, not inlined: not supported",
                                 parser->token.length < 200 ? (int)parser->token.length : 200, parser->token.text);
    }
    return parse_expected(parser, "a function's name");
}

/* What begins with .extern, .visible, .weak or without any. */
static bool parse_module_declaration(struct parser *parser)
{
    bool is_extern = false;
    while (parser_is_at(parser, TOKEN_DOTTED, "visible") || parser_is_at(parser, TOKEN_DOTTED, "weak") ||
           parser_is_at(parser, TOKEN_DOTTED, "extern")) {
        is_extern |= parser_is_at(parser, TOKEN_DOTTED, "extern");
        parse_advance(parser);
    }
    if (parser_is_at(parser, TOKEN_DOTTED, "func"))
        return refuse_function(parser);
    if (!parser_is_at(parser, TOKEN_DOTTED, "entry"))
        return parse_variable(parser, is_extern);
    if (is_extern)
        return parse_fail(parser, "a kernel that is defined elsewhere is not supported");
    return parse_kernel(parser);
}

static bool parse_module_statement(struct parser *parser)
{
    int64_t bits;
    if (parser_is_at(parser, TOKEN_DOTTED, "version"))
        return parse_fail(parser, "a second .version");
    if (parser_is_at(parser, TOKEN_DOTTED, "target"))
        return parse_target(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "file"))
        return parse_file(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "loc"))
        return parse_location(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "section"))
        return parse_section(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "pragma"))
        return parse_pragma(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "address_size")) {
        parse_advance(parser);
        return parse_integer(parser, "an address size", 64, 64, &bits);
    }
    if (parser->token.kind != TOKEN_DOTTED)
        return parse_expected(parser, "a directive");
    if (!parser->tree->module.target)
        return parse_expected(parser, ".target");
    return parse_module_declaration(parser);
}

/* .file stands behind the kernels, so what .loc named can only be checked at the end. */
static bool check_files(struct parser *parser)
{
    const struct ptx_module *module = &parser->tree->module;
    for (int32_t k = 0; k < module->kernel_count; k++) {
        for (int32_t i = 0; i < module->kernels[k].instruction_count; i++) {
            const struct ptx_instruction *instruction = &module->kernels[k].instructions[i];
            if (instruction->file >= 0 &&
                (instruction->file >= module->file_count || !module->files[instruction->file][0]))
                return parse_fail_at(parser, instruction->ptx_line, "no .file has the number %d that .loc names",
                                     instruction->file);
        }
    }
    return true;
}

static bool parse_module(struct parser *parser)
{
    parse_advance(parser);
    if (parser->failed)
        return false;
    if (!parser_is_at(parser, TOKEN_DOTTED, "version"))
        return parse_expected(parser, ".version");
    if (!parse_version(parser))
        return false;
    while (parser->token.kind != TOKEN_END) {
        if (!parse_module_statement(parser))
            return false;
    }
    if (!parser->failed && !parser->tree->module.target)
        return parse_expected(parser, ".target");
    return !parser->failed && check_files(parser);
}

struct ptx_module *ptx_parse(const char *text, size_t length, char *error, size_t size)
{
    if (size)
        error[0] = '\0';
    struct parser *parser = calloc(1, sizeof *parser);
    struct ptx_tree *tree = calloc(1, sizeof *tree);
    bool parsed = false;
    if (parser && tree) {
        parser->tree = tree;
        parser->error = error;
        parser->error_size = size;
        parser->token.line = 1;
        parser->file = -1;
        lexer_start(&parser->lexer, text, length);
        parsed = symbols_create(&parser->symbols, &tree->arena) ? parse_module(parser)
                                                                : parse_fail(parser, "no memory for names");
        symbols_destroy(&parser->symbols);
        free(parser->operands);
    } else if (size) {
        snprintf(error, size, "line 1: no memory for a parser");
    }
    free(parser);
    if (parsed)
        return &tree->module;
    if (tree)
        ptx_free(&tree->module);
    return NULL;
}
