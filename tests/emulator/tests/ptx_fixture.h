/* What the tests of the PTX parser share: the fixtures in ptx/, and looking things up in a tree. */
#ifndef SPIRITLM_EMULATOR_PTX_FIXTURE_H
#define SPIRITLM_EMULATOR_PTX_FIXTURE_H

#include "support/test_support.h"

#include "emulator/ptx/ptx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text of a fixture without an ending zero; the caller frees. */
static inline char *fixture_text(const char *name, size_t *length)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/emulator/tests/ptx/%s", TEST_SOURCE_DIRECTORY, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *length = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*length);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *length, file), *length);
    fclose(file);
    return text;
}

static inline struct ptx_module *fixture_parse(const char *name)
{
    char error[256];
    size_t length;
    char *text = fixture_text(name, &length);
    struct ptx_module *module = ptx_parse(text, length, error, sizeof error);
    free(text);
    if (!module)
        fail_msg("%s: %s", name, error);
    return module;
}

static inline const struct ptx_variable *variable_named(const struct ptx_variable *variables, int32_t count,
                                                        const char *name)
{
    for (int32_t i = 0; i < count; i++) {
        if (!strcmp(variables[i].name, name))
            return &variables[i];
    }
    fail_msg("no variable %s", name);
    return NULL;
}

/* The instruction that line `line` of the PTX text holds. */
static inline const struct ptx_instruction *instruction_at(const struct ptx_kernel *kernel, int32_t line)
{
    for (int32_t i = 0; i < kernel->instruction_count; i++) {
        if (kernel->instructions[i].ptx_line == line)
            return &kernel->instructions[i];
    }
    fail_msg("no instruction in line %d", line);
    return NULL;
}

static inline int32_t number_of(const struct ptx_kernel *kernel, const struct ptx_instruction *instruction)
{
    return (int32_t)(instruction - kernel->instructions);
}

static inline void assert_opcode(const struct ptx_instruction *instruction, const char *expected)
{
    char text[256];
    int used = snprintf(text, sizeof text, "%s", instruction->opcode);
    for (int32_t i = 0; i < instruction->modifier_count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, ".%s", instruction->modifiers[i]);
    assert_string_equal(text, expected);
}

static inline void assert_register(const struct ptx_kernel *kernel, const struct ptx_operand *operand, const char *name,
                                   enum ptx_type type)
{
    assert_int_equal(operand->kind, PTX_OPERAND_REGISTER);
    assert_in_range(operand->index, 0, kernel->register_count - 1);
    assert_string_equal(kernel->registers[operand->index].name, name);
    assert_int_equal(kernel->registers[operand->index].type, type);
}

static inline void assert_immediate(const struct ptx_operand *operand, uint64_t bits, bool floating)
{
    assert_int_equal(operand->kind, PTX_OPERAND_IMMEDIATE);
    assert_int_equal(operand->bits, bits);
    assert_int_equal(operand->floating, floating);
}

/* [register + offset] */
static inline void assert_address(const struct ptx_kernel *kernel, const struct ptx_operand *operand, const char *name,
                                  int64_t offset)
{
    assert_int_equal(operand->kind, PTX_OPERAND_ADDRESS);
    assert_int_equal(operand->base, PTX_OPERAND_REGISTER);
    assert_string_equal(kernel->registers[operand->index].name, name);
    assert_int_equal(operand->offset, offset);
}

#endif
