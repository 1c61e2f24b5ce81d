/* The tensor core's product, D = A B + C for a tile of 16 x 8 by 16 or 8 terms of bf16, with the fragments that PTX ISA
 * gives each lane ("Matrix Fragments for mma.m16n8k16"). A lane is (group, thread) = (lane / 4, lane % 4):
 *
 *   A, row-major   register i holds row group + 8 (i % 2), columns 2 thread + 8 (i / 2) and the next one
 *   B, col-major   register i holds rows 2 thread + 8 i and the next one of column group
 *   C and D        register i holds row group + 8 (i / 2), column 2 thread + i % 2
 *
 * The lower half of a register is the element that is named first. Products of two bf16 are exact in f32. */
#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

#include <math.h>

enum { ROWS = 16, COLUMNS = 8, TERMS = 16 };

struct tile {
    float a[ROWS][TERMS], b[COLUMNS][TERMS];
};

static void take_fragments(struct tile *tile, const uint32_t (*a)[32], const uint32_t (*b)[32], int terms)
{
    for (int lane = 0; lane < 32; ++lane) {
        const int group = lane / 4, thread = lane % 4;
        for (int i = 0; i < terms / 4; ++i) {
            float *pair = &tile->a[group + 8 * (i % 2)][2 * thread + 8 * (i / 2)];
            pair[0] = alu_from_bf16(a[i][lane] & 0xffff);
            pair[1] = alu_from_bf16(a[i][lane] >> 16);
        }
        for (int i = 0; i < terms / 8; ++i) {
            float *pair = &tile->b[group][2 * thread + 8 * i];
            pair[0] = alu_from_bf16(b[i][lane] & 0xffff);
            pair[1] = alu_from_bf16(b[i][lane] >> 16);
        }
    }
}

/* The largest exponent among c and the products decides the grid: bits below its 24th are cut off from every addend, and
 * the sum, which then is exact in 64 bits, is cut off to f32 once more. */
static float sum_truncated(const float *a, const float *b, float c, int terms)
{
    double addends[TERMS + 1] = {c};
    int largest = -1000;
    double special = c;
    for (int k = 0; k < terms; ++k) {
        addends[k + 1] = (double)a[k] * b[k];
        special += addends[k + 1];
    }
    if (!isfinite(special))
        return (float)special;
    for (int k = 0; k <= terms; ++k)
        if (addends[k] != 0) {
            const int exponent = ilogb(addends[k]);
            largest = exponent > largest ? exponent : largest;
        }
    int64_t sum = 0;
    for (int k = 0; k <= terms; ++k)
        sum += (int64_t)ldexp(addends[k], 23 - largest); /* the conversion cuts off */
    return alu_float(alu_narrow(ldexp((double)sum, largest - 23), &alu_format_f32, ALU_ZERO));
}

static void multiply_truncated(float d[4][32], const struct tile *tile, const float (*c)[32], int terms)
{
    for (int i = 0; i < 4; ++i)
        for (int lane = 0; lane < 32; ++lane) {
            const float *row = tile->a[lane / 4 + 8 * (i / 2)], *column = tile->b[2 * (lane % 4) + i % 2];
            d[i][lane] = alu_float(alu_result_f32(sum_truncated(row, column, c[i][lane], terms)));
        }
}

/* Four columns of a row: a vector of GCC's and Clang's, because their vectorisers turn the loops over k instead. */
typedef float columns __attribute__((vector_size(16)));

/* In order of k, each sum rounded to nearest. A row of D at a time, so that its eight sums stay in registers. */
static void multiply_rounded(float d[4][32], const struct tile *tile, const float (*c)[32], int terms)
{
    columns b[TERMS][2];
    for (int k = 0; k < terms; ++k)
        for (int n = 0; n < COLUMNS; ++n)
            b[k][n / 4][n % 4] = tile->b[n][k];
    for (int row = 0; row < ROWS; ++row) {
        const int first = 2 * (row / 8), lane = 4 * (row % 8);
        columns low, high;
        for (int n = 0; n < 4; ++n) {
            low[n] = c[first + n % 2][lane + n / 2];
            high[n] = c[first + n % 2][lane + 2 + n / 2];
        }
        for (int k = 0; k < terms; ++k) {
            low += tile->a[row][k] * b[k][0];
            high += tile->a[row][k] * b[k][1];
        }
        for (int n = 0; n < 4; ++n) {
            d[first + n % 2][lane + n / 2] = alu_float(alu_result_f32(low[n]));
            d[first + n % 2][lane + 2 + n / 2] = alu_float(alu_result_f32(high[n]));
        }
    }
}

static void multiply(float d[4][32], const struct tile *tile, const float (*c)[32], int terms, bool truncate)
{
    if (truncate)
        multiply_truncated(d, tile, c, terms);
    else
        multiply_rounded(d, tile, c, terms);
}

void mma_m16n8k16_bf16(float d[4][32], const uint32_t a[4][32], const uint32_t b[2][32], const float c[4][32],
                       bool truncate)
{
    struct tile tile;
    take_fragments(&tile, a, b, 16);
    multiply(d, &tile, c, 16, truncate);
}

void mma_m16n8k8_bf16(float d[4][32], const uint32_t a[2][32], const uint32_t b[1][32], const float c[4][32],
                      bool truncate)
{
    struct tile tile;
    take_fragments(&tile, a, b, 8);
    multiply(d, &tile, c, 8, truncate);
}
