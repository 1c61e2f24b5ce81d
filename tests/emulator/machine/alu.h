/* Arithmetic of PTX on 32 lanes at once: every instruction that only turns registers into registers of the same lane.
 * What touches memory, other lanes or the flow of control is the machine's (execute.c).
 *
 * How operands are held: a register of 8, 16 or 32 bits as uint32_t[32] (those below 32 bits zero-extended), one of 64
 * bits as uint64_t[32], floats as their bits; a predicate as one uint32_t whose bit l is lane l's. Lanes that are not in
 * `active` keep what a destination held; a destination may be the same memory as a source.
 *
 * Where the instruction negates a predicate (!%p), the source is given as it is held and negated here. A destination _ of a
 * PAIR or VECTOR is NULL. Types are the instruction's: where cvt names a wider register, the caller takes its low bits and
 * extends what it gets back, by the sign for a signed type. NaN that arithmetic makes are one per type, whatever came in.
 *
 * Results are those of "PTX ISA" 9.0: rounding modes, .ftz, .sat, NaN rules of min, max and setp, clamped shifts, float to
 * integer that saturates and turns NaN into 0. ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh .approx are computed in double
 * and rounded once, which lies inside the error that PTX allows. */
#ifndef SPIRITLM_EMULATOR_ALU_H
#define SPIRITLM_EMULATOR_ALU_H

#include "emulator/ptx/ptx.h"

enum { ALU_DESTINATIONS = 4, ALU_SOURCES = 6 };

struct alu_operation {
    void (*run)(const struct alu_operation *operation, void *const *destinations, const void *const *sources,
                uint32_t active);
    /* In the order of the instruction's operands, VECTOR and PAIR operands taken apart. With reads_carry the last source,
     * with writes_carry the last destination is the lanes' condition code CC.CF, held as a predicate. */
    int32_t destination_count, source_count;
    enum ptx_type destinations[ALU_DESTINATIONS], sources[ALU_SOURCES]; /* decides how each is held */
    bool reads_carry, writes_carry;
    bool special_function; /* counted as ex2 and the like: MUFU work on a device */
    int32_t detail[6];     /* the operation's own: rounding, comparison, saturation... */
};

enum alu_selection { ALU_SELECTED, ALU_NOT_ARITHMETIC, ALU_UNKNOWN };

/* Chooses by opcode and modifiers. ALU_UNKNOWN fills `error`: an arithmetic opcode with a modifier, type or number of
 * operands that is not known is never guessed at. */
enum alu_selection alu_select(const struct ptx_instruction *instruction, struct alu_operation *operation, char *error,
                              size_t size);

/* Bytes of one held operand: 4 for a predicate, 128 or 256. */
int alu_held_bytes(enum ptx_type type);

/* D = A B + C of one warp, mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: fragments register by register as the
 * instruction names them, with the layouts of PTX ISA, "Matrix Fragments for mma.m16n8k16". `truncate`: the aligned
 * products and C are added with bits below the largest exponent's 24th cut off, as tensor cores of sm_80 were measured
 * to do; otherwise in order of k with each sum rounded to nearest. */
void mma_m16n8k16_bf16(float d[4][32], const uint32_t a[4][32], const uint32_t b[2][32], const float c[4][32],
                       bool truncate);
/* The same for m16n8k8 (A has two registers, B one). */
void mma_m16n8k8_bf16(float d[4][32], const uint32_t a[2][32], const uint32_t b[1][32], const float c[4][32],
                      bool truncate);

#endif
