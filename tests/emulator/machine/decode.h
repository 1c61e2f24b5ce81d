/* From a ptx_instruction to a struct op. Each family of instructions has its decoder beside its execution; decode.c has the
 * table of opcodes, decode_operands.c turns operands into slots, allocate.c gives registers their places. Internal. */
#ifndef SPIRITLM_EMULATOR_DECODE_H
#define SPIRITLM_EMULATOR_DECODE_H

#include "emulator/machine/interpreter.h"

/* Until allocate.c has run, the slot of a register is its number with this bit. */
#define SLOT_REGISTER 0x40000000u

struct decoder {
    struct machine *machine;
    struct machine_module *module;
    const struct ptx_kernel *source;
    struct machine_kernel *kernel;
    const struct ptx_instruction *instruction;
    struct op *op;
    int32_t next_modifier;           /* the first that no decoder has taken */
    int32_t read_count, write_count; /* registers of this instruction */
    int32_t read_list[64], write_list[64];
    char *error;
    size_t size;
};

typedef bool (*decode_function)(struct decoder *decoder);

/* Names kernel, PTX line and instruction; always false. */
bool decode_fail(struct decoder *decoder, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool decode_take(struct decoder *decoder, const char *modifier); /* the next modifier, when it is this one */
const char *decode_next(const struct decoder *decoder);          /* "" at the end */
bool decode_take_type(struct decoder *decoder, enum ptx_type *type);
bool decode_end(struct decoder *decoder); /* false, with an error, when a modifier is left */
bool decode_operand_count(struct decoder *decoder, int32_t least, int32_t most);
const struct ptx_operand *decode_operand(const struct decoder *decoder, int32_t i);
enum ptx_type decode_type_named(const char *name); /* PTX_NO_TYPE when it is none */

/* Appends to op->slots; destinations come first. The register must be held as `type` is and have its size. */
bool decode_destination(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type);
bool decode_source(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type);
/* Any register: its size (1 for a predicate) comes back. */
bool decode_destination_any(struct decoder *decoder, const struct ptx_operand *operand, int *size);
bool decode_source_any(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type, int *size);
/* A slot that is no operand of the list: masks and counts. */
bool decode_extra(struct decoder *decoder, const struct ptx_operand *operand, uint32_t *slot);
/* Address operand -> memory->offset and base_size; the base register becomes the next source. */
bool decode_address(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_space space, bool generic,
                    int64_t *offset, uint8_t *base_size);
/* The symbol's address in its own space. */
bool decode_symbol(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_space *space,
                   uint64_t *address);
uint32_t decode_constant(struct decoder *decoder, uint64_t bits, int held_bytes);
int decode_register_size(const struct decoder *decoder, int32_t index); /* 1 for a predicate */

/* decode_operands.c: places the variables of the kernel and begins its shared file. */
bool decode_layout(struct decoder *decoder);

/* The families. */
bool decode_arithmetic(struct decoder *decoder);
bool decode_load(struct decoder *decoder);
bool decode_store(struct decoder *decoder);
bool decode_atomic(struct decoder *decoder);
bool decode_convert_address(struct decoder *decoder);
bool decode_isspacep(struct decoder *decoder);
bool decode_prefetch(struct decoder *decoder);
bool decode_fence(struct decoder *decoder);
bool decode_createpolicy(struct decoder *decoder);
bool decode_cp(struct decoder *decoder);
bool decode_ldmatrix(struct decoder *decoder);
bool decode_stmatrix(struct decoder *decoder);
bool decode_mma(struct decoder *decoder);
bool decode_shuffle(struct decoder *decoder);
bool decode_vote(struct decoder *decoder);
bool decode_match(struct decoder *decoder);
bool decode_redux(struct decoder *decoder);
bool decode_activemask(struct decoder *decoder);
bool decode_elect(struct decoder *decoder);
bool decode_barrier(struct decoder *decoder);

/* allocate.c: gives every register a slot of the warp's file and writes the slots into the ops. */
bool allocate_registers(struct machine_kernel *kernel, char *error, size_t size);

#endif
