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

enum { ROWS = 16, COLUMNS = 8, TERMS = 16, AT_ONCE = 8 };

/* The compiler's vectors: a row's eight columns side by side, and half of them where numbers have 64 bits. */
typedef float row __attribute__((vector_size(4 * COLUMNS)));
enum { HALF = COLUMNS / 2 };
typedef float half_row __attribute__((vector_size(4 * HALF)));
typedef double double_row __attribute__((vector_size(8 * HALF)));
typedef int64_t bits_row __attribute__((vector_size(8 * HALF)));
typedef int32_t integer_row __attribute__((vector_size(4 * HALF)));

struct tile {
    float a[ROWS][TERMS], b[TERMS][COLUMNS], c[ROWS][COLUMNS];
};

/* Four lanes of a group hold eight neighbours of a row of A, in order, and likewise of a column of B; so registers are
 * taken eight elements at a time. */
static void take_eight(float to[8], const uint32_t from[4])
{
    for (int i = 0; i < 4; ++i) {
        to[2 * i] = alu_from_bf16(from[i] & 0xffff);
        to[2 * i + 1] = alu_from_bf16(from[i] >> 16);
    }
}

static void take_fragments(struct tile *tile, const uint32_t (*a)[32], const uint32_t (*b)[32], const float (*c)[32],
                           int terms)
{
    for (int i = 0; i < terms / 4; ++i)
        for (int group = 0; group < 8; ++group)
            take_eight(&tile->a[group + 8 * (i % 2)][8 * (i / 2)], a[i] + 4 * group);
    for (int i = 0; i < terms / 8; ++i)
        for (int thread = 0; thread < 4; ++thread) {
            float *low = tile->b[2 * thread + 8 * i], *high = tile->b[2 * thread + 8 * i + 1];
            for (int group = 0; group < 8; ++group) {
                low[group] = alu_from_bf16(b[i][4 * group + thread] & 0xffff);
                high[group] = alu_from_bf16(b[i][4 * group + thread] >> 16);
            }
        }
    for (int m = 0; m < ROWS; ++m) {
        const float *even = c[m / 8 * 2] + 4 * (m % 8), *odd = c[m / 8 * 2 + 1] + 4 * (m % 8);
        for (int thread = 0; thread < 4; ++thread) {
            tile->c[m][2 * thread] = even[thread];
            tile->c[m][2 * thread + 1] = odd[thread];
        }
    }
}

/* In order of k, each sum rounded to nearest. Products of two bf16 are exact in f32, short of underflow. Eight rows at a
 * time, because each sum waits for the one before it. */
static void sum_rounded(struct tile *tile, int m, int terms)
{
    row sums[AT_ONCE];
    memcpy(sums, tile->c[m], sizeof sums);
    for (int k = 0; k < terms; ++k) {
        row b;
        memcpy(&b, tile->b[k], sizeof b);
        for (int i = 0; i < AT_ONCE; ++i)
            sums[i] += tile->a[m + i][k] * b;
    }
    memcpy(tile->c[m], sums, sizeof sums);
}

/* The sum of integers on a grid of 2^-23 of the largest addend, cut off to the 24 bits of f32. */
static float cut_off(int32_t sum, double unit)
{
    const uint32_t magnitude = (uint32_t)(sum < 0 ? -sum : sum);
    const int bits = magnitude == 0 ? 0 : 32 - __builtin_clz(magnitude), drop = bits > 24 ? bits - 24 : 0;
    const double kept = (double)(magnitude >> drop << drop) * (sum < 0 ? -unit : unit);
    return fabs(kept) < 0x1p-126 ? alu_float(alu_narrow(kept, &alu_format_f32, ALU_ZERO)) : (float)kept;
}

/* The addends of half a row, their plain sum, and the largest exponent of each column as a double has it. */
struct addends {
    double_row values[TERMS + 1], total;
    bits_row largest;
};

static void make_addends(struct addends *addends, const float *sums, const float *a, const float (*b)[COLUMNS],
                         int terms)
{
    half_row c;
    memcpy(&c, sums, sizeof c);
    double_row total = __builtin_convertvector(c, double_row);
    bits_row largest = (bits_row)total >> 52 & 0x7ff;
    addends->values[terms] = total;
    for (int k = 0; k < terms; ++k) {
        half_row factors;
        memcpy(&factors, b[k], sizeof factors);
        const double_row products = (double)a[k] * __builtin_convertvector(factors, double_row);
        const bits_row exponents = (bits_row)products >> 52 & 0x7ff, above = exponents > largest;
        addends->values[k] = products;
        total += products;
        largest = (exponents & above) | (largest & ~above);
    }
    addends->total = total;
    addends->largest = largest;
}

/* The largest exponent among c and the products decides the grid: what lies below its 24th bit is cut off from every
 * addend. The sum of 17 such integers fits 32 bits. A column with infinities or NaN, and one of zeros, is added as usual. */
static void sum_truncated(float sums[HALF], const float *a, const float (*b)[COLUMNS], int terms)
{
    struct addends addends;
    make_addends(&addends, sums, a, b, terms);
    const bits_row usual = (addends.largest == 0) | (addends.largest == 0x7ff);
    const bits_row exponent = (addends.largest & ~usual) | (1023 & usual);
    const double_row scale = (double_row)((2 * 1023 + 23 - exponent) << 52);
    const double_row unit = (double_row)((exponent - 23) << 52 & ~usual);
    integer_row cut = {0};
    for (int k = 0; k <= terms; ++k) {
        const double_row values = (double_row)((bits_row)addends.values[k] & ~usual);
        cut += __builtin_convertvector(values * scale, integer_row);
    }
    for (int n = 0; n < HALF; ++n)
        sums[n] = unit[n] == 0 ? (float)addends.total[n] : cut_off(cut[n], unit[n]);
}

static void sum_rows(struct tile *tile, int m, int terms, bool truncate)
{
    if (!truncate) {
        sum_rounded(tile, m, terms);
        return;
    }
    for (int i = m; i < m + AT_ONCE; ++i)
        for (int n = 0; n < COLUMNS; n += HALF)
            sum_truncated(&tile->c[i][n], tile->a[i], (const float(*)[COLUMNS]) & tile->b[0][n], terms);
}

static void multiply(float d[4][32], struct tile *tile, int terms, bool truncate)
{
    for (int m = 0; m < ROWS; m += AT_ONCE)
        sum_rows(tile, m, terms, truncate);
    for (int m = 0; m < ROWS; ++m) {
        float *even = d[m / 8 * 2] + 4 * (m % 8), *odd = d[m / 8 * 2 + 1] + 4 * (m % 8);
        for (int thread = 0; thread < 4; ++thread) {
            even[thread] = alu_float(alu_result_f32(tile->c[m][2 * thread]));
            odd[thread] = alu_float(alu_result_f32(tile->c[m][2 * thread + 1]));
        }
    }
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
