/* What the tests of the arithmetic share: an instruction's text becomes an operation that can be run on lanes. */
#ifndef SPIRITLM_EMULATOR_ALU_FIXTURE_H
#define SPIRITLM_EMULATOR_ALU_FIXTURE_H

#include "support/test_support.h"

#include "emulator/machine/alu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel with the one instruction; registers are %p0 to %p7 (predicates), %h (16 bits), %r (32), %q (64). */
static inline struct ptx_module *alu_parse(const char *instruction)
{
    char text[1024], error[256];
    snprintf(text, sizeof text,
             ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry k()\n{\n.reg .pred %%p<8>;\n"
             ".reg .b16 %%h<8>;\n.reg .b32 %%r<8>;\n.reg .b64 %%q<8>;\n%s\nret;\n}\n",
             instruction);
    struct ptx_module *module = ptx_parse(text, strlen(text), error, sizeof error);
    if (module == NULL)
        fail_msg("%s: %s", instruction, error);
    return module;
}
static inline enum alu_selection alu_try(const char *text, struct alu_operation *operation, char *error, size_t size)
{
    struct ptx_module *module = alu_parse(text);
    const enum alu_selection selection = alu_select(&module->kernels[0].instructions[0], operation, error, size);
    ptx_free(module);
    return selection;
}
static inline void alu_require(const char *text, struct alu_operation *operation)
{
    char error[512] = "no arithmetic";
    if (alu_try(text, operation, error, sizeof error) != ALU_SELECTED)
        fail_msg("%s is not selected: %s", text, error);
}

/* A held operand of any type: lane l as a number, a predicate as its bit. */
union alu_held {
    uint32_t narrow[32], predicate;
    uint64_t wide[32];
};
static inline uint64_t alu_get(const union alu_held *held, enum ptx_type type, int lane)
{
    return type == PTX_PRED              ? held->predicate >> lane & 1
           : alu_held_bytes(type) == 256 ? held->wide[lane]
                                         : held->narrow[lane];
}
static inline void alu_put(union alu_held *held, enum ptx_type type, int lane, uint64_t value)
{
    if (type == PTX_PRED)
        held->predicate = (held->predicate & ~(UINT32_C(1) << lane)) | (uint32_t)(value & 1) << lane;
    else if (alu_held_bytes(type) == 256)
        held->wide[lane] = value;
    else
        held->narrow[lane] = (uint32_t)value;
}

#endif
