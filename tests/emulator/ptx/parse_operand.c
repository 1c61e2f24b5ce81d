/* The operands of an instruction: what a name means is looked up here, except for labels, which may still come. */
#include "emulator/ptx/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- special registers ---- */

/* Whether `name` is a special register of "PTX ISA", chapter 10, or the constant WARP_SZ. */
static bool is_special(const char *name)
{
    static const char *const names[] = {
        "WARP_SZ",
        "%tid",
        "%ntid",
        "%laneid",
        "%warpid",
        "%nwarpid",
        "%ctaid",
        "%nctaid",
        "%smid",
        "%nsmid",
        "%gridid",
        "%is_explicit_cluster",
        "%clusterid",
        "%nclusterid",
        "%cluster_ctaid",
        "%cluster_nctaid",
        "%cluster_ctarank",
        "%cluster_nctarank",
        "%lanemask_eq",
        "%lanemask_le",
        "%lanemask_lt",
        "%lanemask_ge",
        "%lanemask_gt",
        "%clock",
        "%clock_hi",
        "%clock64",
        "%globaltimer",
        "%globaltimer_lo",
        "%globaltimer_hi",
        "%total_smem_size",
        "%aggr_smem_size",
        "%dynamic_smem_size",
        "%current_graph_exec",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(name, names[i]))
            return true;
    }
    return !strncmp(name, "%envreg", 7) || !strncmp(name, "%pm", 3) || !strncmp(name, "%reserved_smem_offset_", 22);
}

/* %tid.x: `name` with the component that follows. */
static bool parse_special(struct parser *parser, const char *name, struct ptx_operand *operand)
{
    char text[64];
    operand->kind = PTX_OPERAND_SPECIAL;
    if (parser->token.kind == TOKEN_DOTTED) {
        if (parser->token.length != 1 || !memchr("xyzw", parser->token.text[0], 4))
            return parse_expected(parser, "a component .x, .y, .z or .w");
        int length = snprintf(text, sizeof text, "%s.%c", name, parser->token.text[0]);
        if (length < 0 || (size_t)length >= sizeof text)
            return parse_fail(parser, "the special register '%.200s' is not known", name);
        operand->text = parse_intern(parser, text, (size_t)length);
        parse_advance(parser);
    } else {
        operand->text = parse_intern(parser, name, strlen(name));
    }
    return !parser->failed;
}

/* ---- names ---- */

/* [+ constant] or [- constant] behind a base. */
static bool parse_offset(struct parser *parser, int64_t *offset)
{
    struct constant constant;
    *offset = 0;
    if (!token_is_mark(parser, '-') && !parse_accept_mark(parser, '+'))
        return true;
    if (!parse_constant(parser, &constant))
        return false;
    if (constant.floating)
        return parse_fail(parser, "a floating-point offset");
    *offset = (int64_t)constant.bits;
    return true;
}

/* A variable or parameter whose meaning is known. */
static void set_symbol(const struct binding *binding, struct ptx_operand *operand)
{
    operand->kind = PTX_OPERAND_SYMBOL;
    operand->index = binding->index;
    operand->local = binding->kind != BINDING_MODULE_VARIABLE;
    operand->parameter = binding->kind == BINDING_PARAMETER;
}

/* What a name stands for. A LABEL keeps the name in `text` until it is noted as pending. */
static bool parse_named(struct parser *parser, struct ptx_operand *operand)
{
    if (parser_is_at(parser, TOKEN_NAME, "_")) {
        operand->kind = PTX_OPERAND_SINK;
        parse_advance(parser);
        return !parser->failed;
    }
    struct symbol *symbol = parse_name(parser, "an operand");
    if (!symbol)
        return false;
    const struct binding *binding = symbol->binding;
    if (!binding && is_special(symbol->name))
        return parse_special(parser, symbol->name, operand);
    if (!binding && symbol->name[0] == '%')
        return parse_fail(parser, "the register '%.200s' is not declared", symbol->name);
    if (!binding || binding->kind == BINDING_LABEL || binding->kind == BINDING_TABLE) {
        operand->kind = PTX_OPERAND_LABEL;
        operand->text = symbol->name;
        return true;
    }
    if (binding->kind == BINDING_KERNEL)
        return parse_fail(parser, "the address of the kernel '%.200s' is not supported", symbol->name);
    if (binding->kind == BINDING_REGISTER) {
        operand->kind = PTX_OPERAND_REGISTER;
        operand->index = binding->index;
        return true;
    }
    set_symbol(binding, operand);
    return parse_offset(parser, &operand->offset);
}

static bool parse_immediate(struct parser *parser, struct ptx_operand *operand)
{
    struct constant constant;
    if (!parse_constant(parser, &constant))
        return false;
    operand->kind = PTX_OPERAND_IMMEDIATE;
    operand->floating = constant.floating;
    operand->bits = constant.bits;
    return constant.floating ? convert_literal(parser, &constant, parser->literal_type, &operand->bits) : true;
}

/* ---- lists ---- */

static bool push_operand(struct parser *parser, const struct ptx_operand *operand)
{
    if (parser->operand_count == parser->operand_room) {
        int32_t room = parser->operand_room ? 2 * parser->operand_room : 64;
        if (room > 1 << 20)
            return parse_fail(parser, "an instruction of too many operands");
        struct ptx_operand *operands = realloc(parser->operands, (size_t)room * sizeof *operands);
        if (!operands)
            return parse_fail(parser, "no memory for operands");
        parser->operands = operands;
        parser->operand_room = room;
    }
    parser->operands[parser->operand_count++] = *operand;
    return true;
}

/* Takes what was pushed since `first` off the stack and into the tree. */
static struct ptx_operand *pop_operands(struct parser *parser, int32_t first, int32_t *count)
{
    *count = parser->operand_count - first;
    struct ptx_operand *copy = parse_allocate(parser, (size_t)*count * sizeof *copy);
    if (copy && *count)
        memcpy(copy, parser->operands + first, (size_t)*count * sizeof *copy);
    parser->operand_count = first;
    return copy;
}

static bool parse_element(struct parser *parser, struct ptx_operand *element)
{
    *element = (struct ptx_operand){0};
    if (starts_constant(parser))
        return parse_immediate(parser, element);
    if (!parse_named(parser, element))
        return false;
    if (element->kind == PTX_OPERAND_LABEL)
        return parse_fail(parser, "'%.200s' is not declared", element->text);
    return true;
}

/* {a, b, ...} into `operand`'s elements. */
static bool parse_elements(struct parser *parser, struct ptx_operand *operand)
{
    int32_t first = parser->operand_count;
    struct ptx_operand element;
    if (!parse_mark(parser, '{'))
        return false;
    do {
        if (!parse_element(parser, &element) || !push_operand(parser, &element))
            return false;
    } while (parse_accept_mark(parser, ','));
    operand->elements = pop_operands(parser, first, &operand->count);
    return operand->elements && parse_mark(parser, '}');
}

/* [base + offset], and [base, {x, y}] with the coordinates of a tensor. */
static bool parse_address(struct parser *parser, struct ptx_operand *operand)
{
    parse_advance(parser);
    if (starts_constant(parser)) {
        struct constant constant;
        if (!parse_constant(parser, &constant))
            return false;
        if (constant.floating)
            return parse_fail(parser, "a floating-point address");
        operand->base = PTX_OPERAND_IMMEDIATE;
        operand->bits = constant.bits;
    } else {
        if (!parse_named(parser, operand))
            return false;
        if (operand->kind == PTX_OPERAND_LABEL)
            return parse_fail(parser, "'%.200s' is not declared", operand->text);
        if (operand->kind == PTX_OPERAND_REGISTER && !parse_offset(parser, &operand->offset))
            return false;
        if (operand->kind != PTX_OPERAND_REGISTER && operand->kind != PTX_OPERAND_SYMBOL)
            return parse_fail(parser, "an address of neither a register nor a variable");
        operand->base = operand->kind;
    }
    operand->kind = PTX_OPERAND_ADDRESS;
    if (parse_accept_mark(parser, ',') && !parse_elements(parser, operand))
        return false;
    return parse_mark(parser, ']');
}

/* p|q, of which `operand` is the p. */
static bool parse_pair(struct parser *parser, struct ptx_operand *operand)
{
    struct ptx_operand second;
    int32_t first = parser->operand_count;
    parse_advance(parser);
    if (!parse_element(parser, &second))
        return false;
    if (second.kind != PTX_OPERAND_REGISTER && second.kind != PTX_OPERAND_SINK)
        return parse_fail(parser, "a pair p|q is of registers");
    if (!push_operand(parser, operand) || !push_operand(parser, &second))
        return false;
    *operand = (struct ptx_operand){.kind = PTX_OPERAND_PAIR};
    operand->elements = pop_operands(parser, first, &operand->count);
    return operand->elements != NULL;
}

static bool parse_operand(struct parser *parser, struct ptx_operand *operand)
{
    *operand = (struct ptx_operand){0};
    if (token_is_mark(parser, '{')) {
        operand->kind = PTX_OPERAND_VECTOR;
        return parse_elements(parser, operand);
    }
    if (token_is_mark(parser, '['))
        return parse_address(parser, operand);
    if (starts_constant(parser))
        return parse_immediate(parser, operand);
    bool negated = parse_accept_mark(parser, '!');
    if (!parse_named(parser, operand))
        return false;
    operand->negated = negated;
    if (negated && operand->kind != PTX_OPERAND_REGISTER)
        return parse_fail(parser, "! before what is no register");
    bool paired = operand->kind == PTX_OPERAND_REGISTER || operand->kind == PTX_OPERAND_SINK;
    return paired && !negated && token_is_mark(parser, '|') ? parse_pair(parser, operand) : true;
}

/* What a floating-point literal is taken for: the instruction's last modifier is the type of its sources. Only the fraction
 * of createpolicy is an f32 beside a b64 destination. */
static enum ptx_type literal_type(const struct ptx_instruction *instruction)
{
    if (!instruction->modifier_count)
        return PTX_NO_TYPE;
    if (!strcmp(instruction->opcode, "createpolicy"))
        return PTX_F32;
    const char *last = instruction->modifiers[instruction->modifier_count - 1];
    return type_of_name(last, strlen(last));
}

bool parse_operands(struct parser *parser, struct ptx_instruction *instruction)
{
    int32_t line = parser->token.line;
    parser->literal_type = literal_type(instruction);
    parser->operand_count = 0;
    if (token_is_mark(parser, ';'))
        return true;
    do {
        struct ptx_operand operand;
        if (!parse_operand(parser, &operand) || !push_operand(parser, &operand))
            return false;
    } while (parse_accept_mark(parser, ','));
    instruction->operands = pop_operands(parser, 0, &instruction->operand_count);
    if (!instruction->operands)
        return false;
    for (int32_t i = 0; i < instruction->operand_count; i++) {
        struct ptx_operand *operand = &instruction->operands[i];
        if (operand->kind != PTX_OPERAND_LABEL)
            continue;
        struct symbol *symbol = symbols_intern(&parser->symbols, operand->text, strlen(operand->text));
        operand->text = NULL;
        if (!symbol || !label_refer(parser, symbol, operand, 0, 0, line))
            return false;
    }
    return !parser->failed;
}
