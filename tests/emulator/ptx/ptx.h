/* PTX text as a tree: what a module declares and what its kernels say, instruction by instruction, with nothing
 * interpreted yet: whether an opcode exists is the machine's question (machine/decode.h). Follows the grammar of NVIDIA's
 * "PTX ISA" 9.0 as far as nvcc 11.8 to 13 emit it for kernels without device functions that are called.
 *
 * A module owns its whole tree; everything in it is freed by ptx_free. */
#ifndef SPIRITLM_EMULATOR_PTX_H
#define SPIRITLM_EMULATOR_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ptx_space { PTX_REG, PTX_PARAM, PTX_SHARED, PTX_LOCAL, PTX_GLOBAL, PTX_CONST };

/* The type of a register, variable or instruction. B16x2 and the like are the packed types. */
enum ptx_type {
    PTX_NO_TYPE,
    PTX_PRED,
    PTX_B8,
    PTX_B16,
    PTX_B32,
    PTX_B64,
    PTX_B128,
    PTX_U8,
    PTX_U16,
    PTX_U32,
    PTX_U64,
    PTX_S8,
    PTX_S16,
    PTX_S32,
    PTX_S64,
    PTX_F16,
    PTX_F16X2,
    PTX_BF16,
    PTX_BF16X2,
    PTX_F32,
    PTX_F64,
    PTX_TYPES
};
const char *ptx_type_name(enum ptx_type type); /* "u32" */
int ptx_type_size(enum ptx_type type);         /* bytes in memory; 0 for PRED and NO_TYPE */

/* Registers are numbered through a kernel, whatever block {} declares them; a name that an inner block declares anew is
 * another register. */
struct ptx_register {
    char *name; /* "%r17" */
    enum ptx_type type;
};

/* A parameter, or a variable in shared, local, global or constant memory. */
struct ptx_variable {
    char *name;
    enum ptx_space space;
    enum ptx_type type; /* of an element */
    uint64_t elements;  /* 1 without brackets; 0 for `.extern .shared ... name[]` */
    uint32_t alignment; /* bytes */
    uint64_t size;      /* bytes: elements times the element's size */
    uint64_t offset;    /* parameters: from the start of the kernel's parameter block, aligned as the ABI says */
    uint8_t *initial;   /* [size] or NULL: zeros */
};

enum ptx_operand_kind {
    PTX_OPERAND_REGISTER,  /* `index`; `negated` for !%p */
    PTX_OPERAND_IMMEDIATE, /* `bits`: integers as 64-bit two's complement; 0f and 0d literals as their bits */
    PTX_OPERAND_SPECIAL,   /* `text`: "%tid.x", "%laneid", "WARP_SZ"... */
    PTX_OPERAND_SYMBOL, /* the address of a variable (`index` into the module's or kernel's, see `local`) plus `offset`*/
    PTX_OPERAND_ADDRESS, /* [register + offset], [symbol + offset] or [immediate]: `base` says which */
    PTX_OPERAND_VECTOR,  /* {a, b, ...}: `elements` */
    PTX_OPERAND_LABEL,   /* `index`: instruction number in the kernel that the label stands before */
    PTX_OPERAND_TABLE,   /* `index`: one of the kernel's .branchtargets lists */
    PTX_OPERAND_SINK,    /* _ */
    PTX_OPERAND_PAIR     /* p|q, the two destinations of setp and shfl: `elements`, two of them */
};

struct ptx_operand {
    enum ptx_operand_kind kind;
    enum ptx_operand_kind base; /* of ADDRESS: REGISTER, SYMBOL or IMMEDIATE */
    bool negated;
    bool local;     /* SYMBOL: index into the kernel's variables or parameters, not the module's */
    bool parameter; /* SYMBOL: of the kernel's parameters (`local` holds too) */
    bool floating;  /* IMMEDIATE written as 0f... or 0d... or with a decimal point */
    int32_t index;  /* register, variable, label or table */
    int64_t offset; /* SYMBOL, ADDRESS */
    uint64_t bits;  /* IMMEDIATE */
    char *text;     /* SPECIAL */
    int32_t count;  /* VECTOR, PAIR; ADDRESS: the coordinates of a tensor in [base, {x, y}], else 0 */
    struct ptx_operand *elements;
};

struct ptx_instruction {
    char *opcode;     /* "ld": what stands before the first dot */
    char **modifiers; /* "global", "nc", "v4", "f32": each without its dot and in its order */
    int32_t modifier_count;
    int32_t guard;      /* register of @p, or -1 */
    bool guard_negated; /* @!p */
    struct ptx_operand *operands;
    int32_t operand_count;
    int32_t file, line; /* of the last .loc: index into the module's files, or -1; line of the source */
    int32_t ptx_line;   /* of the PTX text, from 1 */
};

struct ptx_branch_table {
    int32_t *targets; /* instruction numbers */
    int32_t count;
};

struct ptx_kernel {
    char *name; /* mangled, as in the text */
    struct ptx_variable *parameters;
    int32_t parameter_count;
    uint64_t parameter_bytes;
    struct ptx_register *registers;
    int32_t register_count;
    struct ptx_variable *variables; /* .shared and .local that the body declares */
    int32_t variable_count;
    struct ptx_instruction *instructions;
    int32_t instruction_count;
    struct ptx_branch_table *tables;
    int32_t table_count;
    int32_t maximum_threads[3];  /* .maxntid; 0, 0, 0 where it is not given */
    int32_t required_threads[3]; /* .reqntid; likewise */
    int32_t minimum_blocks;      /* .minnctapersm; 0 */
};

struct ptx_module {
    int32_t version_major, version_minor; /* .version 9.0 */
    char *target;                         /* "sm_80", "compute_90a"'s is "sm_90a" */
    char **files;                         /* of .file, by index: 0 is unused */
    int32_t file_count;
    struct ptx_variable *variables; /* .global, .const, .shared (extern too) at module scope */
    int32_t variable_count;
    struct ptx_kernel *kernels;
    int32_t kernel_count;
};

/* `text` has `length` bytes and need not end with 0. NULL when it is not understood: then `error` ([size] bytes) says
 * "line 17: ...". */
struct ptx_module *ptx_parse(const char *text, size_t length, char *error, size_t size);
void ptx_free(struct ptx_module *module); /* NULL is fine */

#endif
