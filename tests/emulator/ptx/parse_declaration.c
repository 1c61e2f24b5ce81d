/* Declarations: registers, parameters, and variables with what they are filled with. */
#include "emulator/ptx/parse.h"

#include <stdlib.h>
#include <string.h>

enum ptx_type type_of_name(const char *name, size_t length)
{
    for (int type = PTX_PRED; type < PTX_TYPES; type++) {
        const char *known = ptx_type_name((enum ptx_type)type);
        if (strlen(known) == length && !memcmp(known, name, length))
            return (enum ptx_type)type;
    }
    return PTX_NO_TYPE;
}

enum ptx_type parse_type(struct parser *parser)
{
    if (parser->token.kind != TOKEN_DOTTED)
        return PTX_NO_TYPE;
    enum ptx_type type = type_of_name(parser->token.text, parser->token.length);
    if (type)
        parse_advance(parser);
    return parser->failed ? PTX_NO_TYPE : type;
}

static bool parse_alignment(struct parser *parser, uint32_t *alignment)
{
    int64_t value;
    parse_advance(parser);
    if (!parse_integer(parser, "an alignment", 1, 1 << 30, &value))
        return false;
    if (value & (value - 1))
        return parse_fail(parser, "an alignment of %lld, which is no power of two", (long long)value);
    *alignment = (uint32_t)value;
    return true;
}

/* ---- registers ---- */

enum { REGISTERS_MAXIMUM = 1 << 20 }; /* of a kernel: a number that is damaged must not fill memory */

static bool refuse_registers(struct parser *parser)
{
    return parse_fail(parser, "a kernel of more than %d registers", REGISTERS_MAXIMUM);
}

/* Names a register, and binds it in the innermost block. */
static bool add_register(struct parser *parser, struct symbol *symbol, enum ptx_type type)
{
    struct ptx_kernel *kernel = parser->kernel;
    if (!symbol)
        return parse_fail(parser, "no memory for a name");
    if (kernel->register_count >= REGISTERS_MAXIMUM)
        return refuse_registers(parser);
    struct ptx_register *registers =
        parse_grow(parser, kernel->registers, kernel->register_count, sizeof *registers, "registers");
    if (!registers)
        return false;
    kernel->registers = registers;
    registers[kernel->register_count] = (struct ptx_register){.name = symbol->name, .type = type};
    return parse_bind(parser, symbol, BINDING_REGISTER, kernel->register_count++);
}

/* %r<17> stands for %r0 to %r16. */
static bool add_register_range(struct parser *parser, const struct symbol *stem, enum ptx_type type)
{
    enum { STEM_MAXIMUM = 512, DIGITS = 12 };
    char name[STEM_MAXIMUM + DIGITS];
    int64_t count;
    if (!parse_integer(parser, "a number of registers", 1, INT32_MAX, &count) || !parse_mark(parser, '>'))
        return false;
    if (stem->length > STEM_MAXIMUM)
        return parse_fail(parser, "a register's name of more than %d characters", STEM_MAXIMUM);
    if (count > REGISTERS_MAXIMUM - parser->kernel->register_count)
        return refuse_registers(parser);
    memcpy(name, stem->name, stem->length);
    for (int64_t i = 0; i < count; i++) {
        char digits[DIGITS];
        size_t used = 0;
        int64_t rest = i;
        do {
            digits[used++] = (char)('0' + rest % 10);
        } while (rest /= 10);
        for (size_t d = 0; d < used; d++)
            name[stem->length + d] = digits[used - 1 - d];
        if (!add_register(parser, symbols_intern(&parser->symbols, name, stem->length + used), type))
            return false;
    }
    return true;
}

bool parse_registers(struct parser *parser)
{
    parse_advance(parser);
    enum ptx_type type = parse_type(parser);
    if (!type)
        return parse_expected(parser, "the type of registers");
    do {
        struct symbol *symbol = parse_name(parser, "a register's name");
        if (!symbol)
            return false;
        if (parse_accept_mark(parser, '<') ? !add_register_range(parser, symbol, type)
                                           : !add_register(parser, symbol, type))
            return false;
    } while (parse_accept_mark(parser, ','));
    return parse_mark(parser, ';');
}

/* ---- variables ---- */

static const struct {
    const char *name;
    enum ptx_space space;
} spaces[] = {
    {"param", PTX_PARAM},   {"shared", PTX_SHARED}, {"local", PTX_LOCAL},
    {"global", PTX_GLOBAL}, {"const", PTX_CONST},   {"shared::cta", PTX_SHARED},
};

/* Reads the name of a state space; false without an error when the token is none. */
static bool accept_space(struct parser *parser, enum ptx_space *space)
{
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        if (parser_is_at(parser, TOKEN_DOTTED, spaces[i].name)) {
            *space = spaces[i].space;
            parse_advance(parser);
            return true;
        }
    }
    return false;
}

/* What a pointer parameter says of what it points at: .ptr .global .align 4. A promise to the compiler, which machine
 * code does not keep either: every access is checked for itself. */
static bool parse_pointer_attribute(struct parser *parser)
{
    enum ptx_space ignored_space;
    uint32_t ignored_alignment;
    parse_advance(parser);
    accept_space(parser, &ignored_space);
    if (parser_is_at(parser, TOKEN_DOTTED, "align"))
        return parse_alignment(parser, &ignored_alignment);
    return !parser->failed;
}

/* [33][32], and [] when the length is given elsewhere. `open` tells that the first pair is empty. */
static bool parse_dimensions(struct parser *parser, struct ptx_variable *variable, bool *open)
{
    *open = false;
    for (int dimension = 0; parse_accept_mark(parser, '['); dimension++) {
        int64_t length;
        if (!dimension && parse_accept_mark(parser, ']')) {
            *open = true;
            continue;
        }
        if (!parse_integer(parser, "the length of an array", 0, INT64_MAX, &length) || !parse_mark(parser, ']'))
            return false;
        if (__builtin_mul_overflow(variable->elements, (uint64_t)length, &variable->elements))
            return parse_fail(parser, "an array of more than 2^64 elements");
    }
    return !parser->failed;
}

/* From the alignment to the dimensions: what parameters and variables have in common. */
static bool parse_declarator(struct parser *parser, struct ptx_variable *variable, struct symbol **symbol, bool *open)
{
    uint64_t vector = 1;
    uint32_t alignment = 0;
    variable->elements = 1;
    if (parser_is_at(parser, TOKEN_DOTTED, "attribute"))
        return parse_fail(parser, ".attribute (managed or unified memory) is not supported");
    if (parser_is_at(parser, TOKEN_DOTTED, "align") && !parse_alignment(parser, &alignment))
        return false;
    if (parser_is_at(parser, TOKEN_DOTTED, "v2") || parser_is_at(parser, TOKEN_DOTTED, "v4")) {
        vector = (uint64_t)(parser->token.text[1] - '0');
        parse_advance(parser);
    }
    variable->type = parse_type(parser);
    if (!ptx_type_size(variable->type))
        return parse_expected(parser, "a type that memory can hold");
    if (variable->space == PTX_PARAM && parser_is_at(parser, TOKEN_DOTTED, "ptr") && !parse_pointer_attribute(parser))
        return false;
    *symbol = parse_name(parser, "a variable's name");
    if (!*symbol || !parse_dimensions(parser, variable, open))
        return false;
    uint64_t element_bytes = (uint64_t)ptx_type_size(variable->type);
    if (__builtin_mul_overflow(variable->elements, vector, &variable->elements) ||
        __builtin_mul_overflow(variable->elements, element_bytes, &variable->size) || variable->size > INT64_MAX)
        return parse_fail(parser, "a variable of more than 2^63 bytes");
    variable->name = (*symbol)->name;
    variable->alignment = alignment ? alignment : (uint32_t)(element_bytes * vector);
    return true;
}

/* One number of an initialiser into its place. Integers must fit the element read as signed or unsigned. */
static bool parse_initial_element(struct parser *parser, const struct ptx_variable *variable, uint8_t *place)
{
    struct constant constant;
    unsigned bytes = (unsigned)ptx_type_size(variable->type);
    if (parser->token.kind == TOKEN_NAME)
        return parse_fail(parser, "the address of '%.*s' in an initialiser is not supported",
                          parser->token.length < 200 ? (int)parser->token.length : 200, parser->token.text);
    if (token_is_mark(parser, '{'))
        return parse_fail(parser, "a list inside a list of initial values is not supported");
    if (!parse_constant(parser, &constant))
        return false;
    bool floating_type = variable->type == PTX_F32 || variable->type == PTX_F64;
    if (constant.floating) {
        if (!convert_literal(parser, &constant, variable->type, &constant.bits))
            return false;
    } else if (floating_type && constant.bits) {
        return parse_fail(parser, "an integer as the initial value of a .%s", ptx_type_name(variable->type));
    }
    if (bytes < 8 && !constant.floating) {
        uint64_t above = constant.bits >> (8 * bytes - 1);
        uint64_t ones = UINT64_MAX >> (8 * bytes - 1);
        if (above > 1 && above != ones)
            return parse_fail(parser, "an initial value that a .%s cannot hold", ptx_type_name(variable->type));
    }
    memcpy(place, &constant.bits, bytes < 8 ? bytes : 8);
    return true;
}

/* How many values a list still has: the commas before its end, and one. */
static uint64_t count_values(const struct parser *parser)
{
    struct lexer ahead = parser->lexer;
    struct token token = parser->token;
    uint64_t values = 1;
    while (token.kind != TOKEN_END && token.kind != TOKEN_DAMAGED && !(token.kind == TOKEN_MARK && token.mark == '}')) {
        values += token.kind == TOKEN_MARK && token.mark == ',';
        lexer_next(&ahead, &token);
    }
    return values;
}

/* `{1, 2, 3}` or `7` after the equals sign; the elements that are not named are zeros. */
static bool parse_initial(struct parser *parser, struct ptx_variable *variable, bool open)
{
    enum { BYTES_MAXIMUM = 1 << 28 };
    uint64_t element_bytes = (uint64_t)ptx_type_size(variable->type), count = 0;
    bool list = parse_accept_mark(parser, '{');
    if (variable->space != PTX_GLOBAL && variable->space != PTX_CONST)
        return parse_fail(parser, "only variables in global and constant memory have initial values");
    if (variable->size > BYTES_MAXIMUM)
        return parse_fail(parser, "initial values for a variable of more than %d bytes", BYTES_MAXIMUM);
    if (open) {
        if (!list || variable->elements != 1)
            return parse_expected(parser, "a list of initial values, or lengths of the array");
        variable->elements = count_values(parser);
        variable->size = variable->elements * element_bytes;
    }
    variable->initial = parse_allocate(parser, variable->size ? variable->size : 1);
    if (!variable->initial)
        return false;
    do {
        if (count >= variable->elements)
            return parse_fail(parser, "more initial values than the %llu elements of '%s'",
                              (unsigned long long)variable->elements, variable->name);
        if (!parse_initial_element(parser, variable, variable->initial + count++ * element_bytes))
            return false;
    } while (list && parse_accept_mark(parser, ','));
    return list ? parse_mark(parser, '}') : true;
}

bool parse_variable(struct parser *parser, bool is_extern)
{
    struct ptx_module *module = &parser->tree->module;
    struct ptx_kernel *kernel = parser->kernel;
    struct ptx_variable variable = {0}, **array = kernel ? &kernel->variables : &module->variables;
    int32_t *count = kernel ? &kernel->variable_count : &module->variable_count;
    struct symbol *symbol = NULL;
    bool open = false;
    if (!accept_space(parser, &variable.space))
        return parse_expected(parser, "a directive that is known");
    if (variable.space == PTX_PARAM)
        return parse_fail(parser, ".param outside a kernel's head (a call of a device function) is not supported");
    bool scoped = variable.space == PTX_SHARED || variable.space == PTX_LOCAL;
    if (kernel ? !scoped : variable.space == PTX_LOCAL)
        return parse_fail(parser, "a variable of this state space is not supported here");
    if (is_extern && variable.space != PTX_SHARED)
        return parse_fail(parser, "a variable that is defined elsewhere is not supported");
    if (!parse_declarator(parser, &variable, &symbol, &open))
        return false;
    if (parse_accept_mark(parser, '=')) {
        if (is_extern)
            return parse_fail(parser, "initial values of an .extern variable");
        if (!parse_initial(parser, &variable, open))
            return false;
    } else if (open) {
        if (!is_extern)
            return parse_fail(parser, "only an .extern array may leave its length open");
        variable.elements = variable.size = 0;
    }
    if (!parse_mark(parser, ';'))
        return false;
    struct ptx_variable *variables = parse_grow(parser, *array, *count, sizeof *variables, "variables");
    if (!variables)
        return false;
    *array = variables;
    variables[*count] = variable;
    return parse_bind(parser, symbol, kernel ? BINDING_KERNEL_VARIABLE : BINDING_MODULE_VARIABLE, (*count)++);
}

/* Parameters lie one behind the other, each at a multiple of its alignment: how the host packs them too. */
bool parse_parameters(struct parser *parser)
{
    struct ptx_kernel *kernel = parser->kernel;
    enum { PARAMETER_BYTES_MAXIMUM = 32764 }; /* of sm_70 and later, since PTX ISA 8.1 */
    if (!parse_mark(parser, '('))
        return false;
    if (parse_accept_mark(parser, ')'))
        return !parser->failed;
    do {
        struct ptx_variable parameter = {0}, *parameters;
        struct symbol *symbol = NULL;
        bool open = false;
        if (!parser_is_at(parser, TOKEN_DOTTED, "param"))
            return parse_expected(parser, ".param");
        accept_space(parser, &parameter.space);
        if (!parse_declarator(parser, &parameter, &symbol, &open))
            return false;
        if (open)
            return parse_fail(parser, "a parameter of open length");
        uint64_t alignment = parameter.alignment;
        parameter.offset = (kernel->parameter_bytes + alignment - 1) / alignment * alignment;
        if (parameter.size > PARAMETER_BYTES_MAXIMUM || parameter.offset + parameter.size > PARAMETER_BYTES_MAXIMUM)
            return parse_fail(parser, "parameters of more than %d bytes", PARAMETER_BYTES_MAXIMUM);
        kernel->parameter_bytes = parameter.offset + parameter.size;
        parameters = parse_grow(parser, kernel->parameters, kernel->parameter_count, sizeof *parameters, "parameters");
        if (!parameters)
            return false;
        kernel->parameters = parameters;
        parameters[kernel->parameter_count] = parameter;
        if (!parse_bind(parser, symbol, BINDING_PARAMETER, kernel->parameter_count++))
            return false;
    } while (parse_accept_mark(parser, ','));
    return parse_mark(parser, ')');
}
