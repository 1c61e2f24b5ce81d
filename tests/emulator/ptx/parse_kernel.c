/* Kernels: the head with its launch bounds, and the body, statement by statement. Blocks {} are a stack and not a
 * recursion, so that damaged text cannot exhaust the parser's own. */
#include "emulator/ptx/parse.h"

#include <string.h>

/* .loc 1 23 5, and behind it "function_name label+16, inlined_at 1 20 3" where the line was inlined. */
bool parse_location(struct parser *parser)
{
    int64_t file, line, ignored;
    parse_advance(parser);
    if (!parse_integer(parser, "the number of a file", 0, INT32_MAX, &file) ||
        !parse_integer(parser, "a line", 0, INT32_MAX, &line) ||
        !parse_integer(parser, "a column", 0, INT64_MAX, &ignored))
        return false;
    parser->file = (int32_t)file;
    parser->line = (int32_t)line;
    while (parse_accept_mark(parser, ',')) {
        if (parser_is_at(parser, TOKEN_NAME, "function_name")) {
            parse_advance(parser);
            if (!parse_name(parser, "a function's name"))
                return false;
            if (parse_accept_mark(parser, '+') && !parse_integer(parser, "an offset", 0, INT64_MAX, &ignored))
                return false;
        } else if (parser_is_at(parser, TOKEN_NAME, "inlined_at")) {
            parse_advance(parser);
            for (int i = 0; i < 3; i++) {
                if (!parse_integer(parser, "a place in the source", 0, INT64_MAX, &ignored))
                    return false;
            }
        } else {
            return parse_expected(parser, "function_name or inlined_at");
        }
    }
    return !parser->failed;
}

/* ---- instructions ---- */

/* @p or @!p. */
static bool parse_guard(struct parser *parser, struct ptx_instruction *instruction)
{
    parse_advance(parser);
    instruction->guard_negated = parse_accept_mark(parser, '!');
    struct symbol *symbol = parse_name(parser, "a predicate");
    if (!symbol)
        return false;
    if (!symbol->binding || symbol->binding->kind != BINDING_REGISTER ||
        parser->kernel->registers[symbol->binding->index].type != PTX_PRED)
        return parse_fail(parser, "the guard '%.200s' is no predicate", symbol->name);
    instruction->guard = symbol->binding->index;
    return true;
}

static bool parse_modifiers(struct parser *parser, struct ptx_instruction *instruction)
{
    while (parser->token.kind == TOKEN_DOTTED) {
        char **modifiers = parse_grow(parser, instruction->modifiers, instruction->modifier_count, sizeof *modifiers,
                                      "modifiers of an instruction");
        char *text = parse_intern(parser, parser->token.text, parser->token.length);
        if (!modifiers || !text)
            return false;
        modifiers[instruction->modifier_count++] = text;
        instruction->modifiers = modifiers;
        parse_advance(parser);
    }
    return !parser->failed;
}

/* From behind the opcode to the semicolon. */
static bool parse_instruction(struct parser *parser, struct ptx_instruction *instruction, const struct symbol *opcode)
{
    struct ptx_kernel *kernel = parser->kernel;
    if (!strcmp(opcode->name, "call"))
        return parse_fail(parser, "a call of a device function is not supported: inline it");
    instruction->opcode = opcode->name;
    instruction->file = parser->file;
    instruction->line = parser->line;
    if (!parse_modifiers(parser, instruction) || !parse_operands(parser, instruction) || !parse_mark(parser, ';'))
        return false;
    struct ptx_instruction *instructions =
        parse_grow(parser, kernel->instructions, kernel->instruction_count, sizeof *instructions, "instructions");
    if (!instructions)
        return false;
    kernel->instructions = instructions;
    instructions[kernel->instruction_count++] = *instruction;
    return true;
}

/* What begins with a name or a guard: `label:`, `table: .branchtargets`, or an instruction. */
static bool parse_labelled(struct parser *parser)
{
    struct ptx_instruction instruction = {.guard = -1, .ptx_line = parser->token.line};
    bool guarded = token_is_mark(parser, '@');
    if (guarded && !parse_guard(parser, &instruction))
        return false;
    struct symbol *symbol = parse_name(parser, "an instruction");
    if (!symbol)
        return false;
    if (guarded || !parse_accept_mark(parser, ':'))
        return parse_instruction(parser, &instruction, symbol);
    if (parser_is_at(parser, TOKEN_DOTTED, "branchtargets"))
        return parse_branch_targets(parser, symbol);
    if (parser_is_at(parser, TOKEN_DOTTED, "calltargets") || parser_is_at(parser, TOKEN_DOTTED, "callprototype"))
        return parse_fail(parser, "a call of a device function is not supported: inline it");
    return label_declare(parser, symbol);
}

static bool parse_statement(struct parser *parser)
{
    if (parse_accept_mark(parser, '{'))
        return !parser->failed && block_open(parser);
    if (parse_accept_mark(parser, '}'))
        return block_close(parser);
    if (parse_accept_mark(parser, ';'))
        return !parser->failed;
    if (parser_is_at(parser, TOKEN_DOTTED, "reg"))
        return parse_registers(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "loc"))
        return parse_location(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "pragma"))
        return parse_pragma(parser);
    if (parser->token.kind == TOKEN_DOTTED)
        return parse_variable(parser, false);
    return parse_labelled(parser);
}

/* ---- the kernel's head ---- */

/* 256, 1, 1: the counts that are left out are 1. */
static bool parse_extent(struct parser *parser, int32_t extent[3])
{
    int64_t value;
    parse_advance(parser);
    for (int i = 0; i < 3; i++) {
        extent[i] = 1;
        if (i && !parse_accept_mark(parser, ','))
            continue;
        if (!parse_integer(parser, "a number of threads", 1, INT32_MAX, &value))
            return false;
        extent[i] = (int32_t)value;
    }
    return !parser->failed;
}

static bool parse_kernel_directive(struct parser *parser)
{
    struct ptx_kernel *kernel = parser->kernel;
    int64_t value;
    if (parser_is_at(parser, TOKEN_DOTTED, "maxntid"))
        return parse_extent(parser, kernel->maximum_threads);
    if (parser_is_at(parser, TOKEN_DOTTED, "reqntid"))
        return parse_extent(parser, kernel->required_threads);
    if (parser_is_at(parser, TOKEN_DOTTED, "minnctapersm")) {
        parse_advance(parser);
        if (!parse_integer(parser, "a number of blocks", 0, INT32_MAX, &value))
            return false;
        kernel->minimum_blocks = (int32_t)value;
        return true;
    }
    if (parser_is_at(parser, TOKEN_DOTTED, "maxnreg")) { /* a bound for ptxas that changes no result */
        parse_advance(parser);
        return parse_integer(parser, "a number of registers", 1, INT32_MAX, &value);
    }
    if (parser_is_at(parser, TOKEN_DOTTED, "noreturn")) {
        parse_advance(parser);
        return !parser->failed;
    }
    if (parser_is_at(parser, TOKEN_DOTTED, "pragma"))
        return parse_pragma(parser);
    if (parser_is_at(parser, TOKEN_DOTTED, "reqnctapercluster") ||
        parser_is_at(parser, TOKEN_DOTTED, "explicitcluster") || parser_is_at(parser, TOKEN_DOTTED, "maxclusterrank") ||
        parser_is_at(parser, TOKEN_DOTTED, "blocksareclusters"))
        return parse_fail(parser, "clusters of blocks are not supported");
    return parse_expected(parser, "a directive of kernels or '{'");
}

static bool parse_body(struct parser *parser)
{
    if (!parse_mark(parser, '{') || !block_open(parser))
        return false;
    while (parser->block_count) {
        if (parser->token.kind == TOKEN_END)
            return parse_expected(parser, "the end of the kernel");
        if (!parse_statement(parser))
            return false;
    }
    return !parser->failed;
}

bool parse_kernel(struct parser *parser)
{
    struct ptx_module *module = &parser->tree->module;
    parse_advance(parser);
    struct symbol *symbol = parse_name(parser, "a kernel's name");
    if (!symbol || !parse_bind(parser, symbol, BINDING_KERNEL, module->kernel_count))
        return false;
    struct ptx_kernel *kernels = parse_grow(parser, module->kernels, module->kernel_count, sizeof *kernels, "kernels");
    if (!kernels)
        return false;
    module->kernels = kernels;
    parser->kernel = &kernels[module->kernel_count++];
    parser->kernel->name = symbol->name;
    parser->file = -1;
    parser->line = 0;
    if (!symbols_open(&parser->symbols))
        return parse_fail(parser, "no memory for a kernel");
    if (token_is_mark(parser, '(') && !parse_parameters(parser))
        return false;
    while (parser->token.kind == TOKEN_DOTTED) {
        if (!parse_kernel_directive(parser))
            return false;
    }
    if (!parse_body(parser))
        return false;
    symbols_close(&parser->symbols);
    parser->kernel = NULL;
    return true;
}
