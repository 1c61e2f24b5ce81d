/* The tensor core's product, D = A B + C for a tile of 16 x 8 by 16 or 8 terms of bf16, with the fragments that PTX ISA
 * gives each lane ("Matrix Fragments for mma.m16n8k16"). A lane is (group, thread) = (lane / 4, lane % 4):
 *
 *   A, row-major   register i holds row group + 8 (i % 2), columns 2 thread + 8 (i / 2) and the next one
 *   B, col-major   register i holds rows 2 thread + 8 i and the next one of column group
 *   C and D        register i holds row group + 8 (i / 2), column 2 thread + i % 2
 *
 * The lower half of a register is the element that is named first. Everything is computed a row of C at a time, whose
 * eight columns fill a vector; the order of sums within a column is that of k. */
#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

#include <math.h>

enum { ROWS = 16, COLUMNS = 8, TERMS = 16 };

struct tile {
    float a[ROWS][TERMS], b[TERMS][COLUMNS], c[ROWS][COLUMNS];
};

static void take_fragments(struct tile *tile, const uint32_t (*a)[32], const uint32_t (*b)[32], const float (*c)[32],
                           int terms)
{
    for (int lane = 0; lane < 32; ++lane) {
        const int group = lane / 4, thread = lane % 4;
        for (int i = 0; i < terms / 4; ++i) {
            float *pair = &tile->a[group + 8 * (i % 2)][2 * thread + 8 * (i / 2)];
            pair[0] = alu_from_bf16(a[i][lane] & 0xffff);
            pair[1] = alu_from_bf16(a[i][lane] >> 16);
        }
        for (int i = 0; i < terms / 8; ++i) {
            const int k = 2 * thread + 8 * i;
            tile->b[k][group] = alu_from_bf16(b[i][lane] & 0xffff);
            tile->b[k + 1][group] = alu_from_bf16(b[i][lane] >> 16);
        }
        for (int i = 0; i < 4; ++i)
            tile->c[group + 8 * (i / 2)][2 * thread + i % 2] = c[i][lane];
    }
}

/* In order of k, each sum rounded to nearest. Products of two bf16 are exact in f32, short of underflow. */
static void sum_rounded(float sums[COLUMNS], const float *a, const float (*b)[COLUMNS], int terms)
{
    for (int k = 0; k < terms; ++k)
        for (int n = 0; n < COLUMNS; ++n)
            sums[n] += a[k] * b[k][n];
}

/* The sum of integers on a grid of 2^-23 of the largest addend, cut off to the 24 bits of f32. */
static float cut_off(int32_t sum, double unit)
{
    const uint32_t magnitude = (uint32_t)(sum < 0 ? -sum : sum);
    const int bits = magnitude == 0 ? 0 : 32 - __builtin_clz(magnitude), drop = bits > 24 ? bits - 24 : 0;
    const double kept = (double)(magnitude >> drop << drop) * (sum < 0 ? -unit : unit);
    return fabs(kept) < 0x1p-126 ? alu_float(alu_narrow(kept, &alu_format_f32, ALU_ZERO)) : (float)kept;
}

/* The largest exponent among c and the products decides the grid: what lies below its 24th bit is cut off from every
 * addend. The sum of 17 such integers fits 32 bits. */
static void sum_truncated(float sums[COLUMNS], const float *a, const float (*b)[COLUMNS], int terms)
{
    double addends[TERMS + 1][COLUMNS], total[COLUMNS];
    uint64_t largest[COLUMNS] = {0};
    int32_t cut[COLUMNS] = {0};
    for (int n = 0; n < COLUMNS; ++n)
        total[n] = addends[terms][n] = sums[n];
    for (int k = 0; k < terms; ++k)
        for (int n = 0; n < COLUMNS; ++n)
            total[n] += addends[k][n] = (double)a[k] * b[k][n];
    for (int k = 0; k <= terms; ++k)
        for (int n = 0; n < COLUMNS; ++n) {
            const uint64_t exponent = alu_double_bits(addends[k][n]) >> 52 & 0x7ff;
            largest[n] = exponent > largest[n] ? exponent : largest[n];
        }
    for (int n = 0; n < COLUMNS; ++n) {
        sums[n] = (float)total[n]; /* which stays where it is zero, infinite or no number */
        if (largest[n] == 0 || largest[n] == 0x7ff)
            continue;
        const double scale = alu_double((2 * UINT64_C(1023) + 23 - largest[n]) << 52);
        for (int k = 0; k <= terms; ++k)
            cut[n] += (int32_t)(addends[k][n] * scale);
        sums[n] = cut_off(cut[n], alu_double((largest[n] - 23) << 52));
    }
}

static void multiply(float d[4][32], struct tile *tile, int terms, bool truncate)
{
    for (int m = 0; m < ROWS; ++m)
        (truncate ? sum_truncated : sum_rounded)(tile->c[m], tile->a[m], (const float(*)[COLUMNS])tile->b, terms);
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < 4; ++i)
            d[i][lane] = alu_float(alu_result_f32(tile->c[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2]));
}

void mma_m16n8k16_bf16(float d[4][32], const uint32_t a[4][32], const uint32_t b[2][32], const float c[4][32],
                       bool truncate)
{
    struct tile tile;
    take_fragments(&tile, a, b, c, 16);
    multiply(d, &tile, 16, truncate);
}

void mma_m16n8k8_bf16(float d[4][32], const uint32_t a[2][32], const uint32_t b[1][32], const float c[4][32],
                      bool truncate)
{
    struct tile tile;
    take_fragments(&tile, a, b, c, 8);
    multiply(d, &tile, 8, truncate);
}
