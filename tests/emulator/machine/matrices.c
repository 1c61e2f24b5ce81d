/* ldmatrix, stmatrix and mma.sync: what a warp does with 8 x 8 matrices of 16-bit elements. Layout of a matrix (PTX ISA,
 * "ldmatrix"): lane 8 i + r has the address of row r of matrix i, and lane t holds elements 2 (t mod 4) and the next of
 * row t / 4; with .trans of column t / 4. These instructions wait for the whole warp, but order no memory: a tile that
 * other lanes wrote still needs its barrier. */
#include "emulator/machine/memory_ops.h"

#include <string.h>

static bool decode_whole_warp(struct decoder *decoder, op_run run)
{
    struct op *op = decoder->op;
    op->kind = OP_COLLECTIVE;
    op->run = run;
    op->warp.member = op->warp.count = SLOT_NONE;
    op->warp.needs_warp = true;
    if (!decode_take(decoder, "sync") || !decode_take(decoder, "aligned"))
        return decode_fail(decoder, ".sync.aligned is expected");
    return true;
}

/* ---- ldmatrix, stmatrix ---- */

enum { MATRIX_TRANSPOSED = 16 }; /* of warp.mode, whose low bits are the number of matrices */

static bool touch_rows(struct execution *execution, struct warp *warp, const struct op *op, bool write, uint32_t slot,
                       uint32_t lanes, void *rows[WARP_LANES])
{
    int32_t count = op->warp.mode & (MATRIX_TRANSPOSED - 1);
    uint32_t with_row = count == 4 ? ALL_LANES : (1u << 8 * count) - 1;
    uint64_t addresses[WARP_LANES];
    with_row &= lanes;
    return memory_addresses(execution, warp, op, slot, op->warp.base_size, op->warp.offset, PTX_SHARED,
                            op->warp.generic, with_row, addresses) &&
           memory_touch(execution, warp, op, write ? ACCESS_WRITE : ACCESS_READ, 16, addresses, with_row, rows);
}

static bool complete_rows(uint32_t lanes, int32_t count)
{
    uint32_t with_row = count == 4 ? ALL_LANES : (1u << 8 * count) - 1;
    return (with_row & ~lanes) == 0;
}

static bool run_ldmatrix(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    void *rows[WARP_LANES];
    int32_t count = op->warp.mode & (MATRIX_TRANSPOSED - 1);
    bool transposed = (op->warp.mode & MATRIX_TRANSPOSED) != 0;
    if (!complete_rows(lanes, count))
        return false;
    if (!touch_rows(execution, warp, op, false, op->slots[op->destination_count], lanes, rows))
        return false;
    for (int32_t i = 0; i < count; i++) {
        uint16_t matrix[8][8];
        uint32_t *destination = warp_slot(warp, op->slots[i]);
        if (!transposed && lanes == ALL_LANES) { /* a row is what its four lanes get, side by side */
            for (int r = 0; r < 8; r++)
                memcpy(destination + 4 * r, rows[8 * i + r], 16);
            continue;
        }
        for (int r = 0; r < 8; r++)
            memcpy(matrix[r], rows[8 * i + r], 16);
        FOR_LANES(lane, lanes)
        {
            uint32_t major = lane / 4, minor = 2 * (lane % 4);
            uint32_t low = transposed ? matrix[minor][major] : matrix[major][minor];
            uint32_t high = transposed ? matrix[minor + 1][major] : matrix[major][minor + 1];
            destination[lane] = low | high << 16;
        }
    }
    execution->machine->counters.ldmatrix++;
    return true;
}

static bool run_stmatrix(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    void *rows[WARP_LANES];
    int32_t count = op->warp.mode & (MATRIX_TRANSPOSED - 1), first = op->warp.base_size > 0;
    bool transposed = (op->warp.mode & MATRIX_TRANSPOSED) != 0;
    if (lanes != ALL_LANES || !touch_rows(execution, warp, op, true, op->slots[0], lanes, rows))
        return false;
    for (int32_t i = 0; i < count; i++) {
        const uint32_t *source = warp_slot(warp, op->slots[first + i]);
        for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
            for (uint32_t half = 0; half < 2; half++) {
                uint32_t major = lane / 4, minor = 2 * (lane % 4) + half;
                uint32_t row = transposed ? minor : major, column = transposed ? major : minor;
                uint16_t element = (uint16_t)(source[lane] >> 16 * half);
                memcpy((char *)rows[8 * i + (int32_t)row] + 2 * column, &element, 2);
            }
        }
    }
    return true;
}

static bool decode_matrix_shape(struct decoder *decoder)
{
    struct op *op = decoder->op;
    enum ptx_space space = PTX_SHARED;
    if (!decode_take(decoder, "m8n8"))
        return decode_fail(decoder, "only .m8n8 is known");
    op->warp.mode = decode_take(decoder, "x1")   ? 1
                    : decode_take(decoder, "x2") ? 2
                    : decode_take(decoder, "x4") ? 4
                                                 : 0;
    if (op->warp.mode == 0)
        return decode_fail(decoder, ".x1, .x2 or .x4 is expected");
    if (decode_take(decoder, "trans"))
        op->warp.mode |= MATRIX_TRANSPOSED;
    op->warp.generic = !memory_space_named(decode_next(decoder), &space);
    decoder->next_modifier += !op->warp.generic;
    if (space != PTX_SHARED || !decode_take(decoder, "b16"))
        return decode_fail(decoder, ".shared and .b16 are expected");
    return decode_end(decoder) && decode_operand_count(decoder, 2, 2);
}

static bool decode_fragment(struct decoder *decoder, const struct ptx_operand *operand, int32_t count, bool destination,
                            enum ptx_type type)
{
    const struct ptx_operand *elements = operand->kind == PTX_OPERAND_VECTOR ? operand->elements : operand;
    int32_t found = operand->kind == PTX_OPERAND_VECTOR ? operand->count : 1;
    if (found != count)
        return decode_fail(decoder, "a vector of %d registers is expected, %d are found", (int)count, (int)found);
    for (int32_t i = 0; i < count; i++) {
        if (!(destination ? decode_destination(decoder, &elements[i], type)
                          : decode_source(decoder, &elements[i], type)))
            return false;
    }
    return true;
}

bool decode_ldmatrix(struct decoder *decoder)
{
    struct op *op = decoder->op;
    return decode_whole_warp(decoder, run_ldmatrix) && decode_matrix_shape(decoder) &&
           decode_fragment(decoder, decode_operand(decoder, 0), op->warp.mode & (MATRIX_TRANSPOSED - 1), true,
                           PTX_B32) &&
           decode_address(decoder, decode_operand(decoder, 1), PTX_SHARED, op->warp.generic, &op->warp.offset,
                          &op->warp.base_size);
}

bool decode_stmatrix(struct decoder *decoder)
{
    struct op *op = decoder->op;
    if (decoder->machine->settings.limits.major < 9)
        return decode_fail(decoder, "it needs sm_90");
    return decode_whole_warp(decoder, run_stmatrix) && decode_matrix_shape(decoder) &&
           decode_address(decoder, decode_operand(decoder, 0), PTX_SHARED, op->warp.generic, &op->warp.offset,
                          &op->warp.base_size) &&
           decode_fragment(decoder, decode_operand(decoder, 1), op->warp.mode & (MATRIX_TRANSPOSED - 1), false,
                           PTX_B32);
}

/* ---- mma ---- */

static void gather(const struct warp *warp, const uint32_t *slots, int count, void *registers)
{
    for (int i = 0; i < count; i++)
        memcpy((uint32_t *)registers + WARP_LANES * i, warp_slot(warp, slots[i]), WARP_LANES * 4);
}

static bool run_mma(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    uint32_t a[4][WARP_LANES], b[2][WARP_LANES];
    float c[4][WARP_LANES], d[4][WARP_LANES];
    int a_count = op->warp.mode == 16 ? 4 : 2, b_count = a_count / 2;
    bool truncate = execution->machine->settings.truncate;
    gather(warp, op->slots + 4, a_count, a);
    gather(warp, op->slots + 4 + a_count, b_count, b);
    gather(warp, op->slots + 4 + a_count + b_count, 4, c);
    if (op->warp.mode == 16)
        mma_m16n8k16_bf16(d, (const uint32_t(*)[32])a, (const uint32_t(*)[32])b, (const float(*)[32])c, truncate);
    else
        mma_m16n8k8_bf16(d, (const uint32_t(*)[32])a, (const uint32_t(*)[32])b, (const float(*)[32])c, truncate);
    for (int i = 0; i < 4; i++) {
        float *destination = warp_slot(warp, op->slots[i]);
        if (lanes == ALL_LANES)
            memcpy(destination, d[i], sizeof d[i]);
        FOR_LANES(lane, lanes == ALL_LANES ? 0 : lanes)
        destination[lane] = d[i][lane];
    }
    execution->machine->counters.mma++;
    return true;
}

bool decode_mma(struct decoder *decoder)
{
    static const char *const rest[] = {"row", "col", "f32", "bf16", "bf16", "f32"};
    struct op *op = decoder->op;
    if (!decode_whole_warp(decoder, run_mma))
        return false;
    op->warp.mode = decode_take(decoder, "m16n8k16") ? 16 : decode_take(decoder, "m16n8k8") ? 8 : 0;
    if (op->warp.mode == 0)
        return decode_fail(decoder, "only m16n8k16 and m16n8k8 are known");
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        if (!decode_take(decoder, rest[i]))
            return decode_fail(decoder, "only .row.col.f32.bf16.bf16.f32 is known");
    }
    int32_t a_count = op->warp.mode == 16 ? 4 : 2;
    return decode_end(decoder) && decode_operand_count(decoder, 4, 4) &&
           decode_fragment(decoder, decode_operand(decoder, 0), 4, true, PTX_F32) &&
           decode_fragment(decoder, decode_operand(decoder, 1), a_count, false, PTX_B32) &&
           decode_fragment(decoder, decode_operand(decoder, 2), a_count / 2, false, PTX_B32) &&
           decode_fragment(decoder, decode_operand(decoder, 3), 4, false, PTX_F32);
}
