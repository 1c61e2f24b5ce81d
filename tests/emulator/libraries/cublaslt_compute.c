/* The arithmetic of the emulated cublasLtMatmul. Each element of D is one chain of f32 fused multiply-adds over k in rising
 * order from 0, then alpha times the sum, then fma(beta, C, that), then the bias is added, then one rounding to bf16
 * where D is bf16. Every element's chain is the same whatever the shape, so rows do not depend on each other.
 *
 * A and B are unpacked to f32 once per batch; tiles of 256 rows by 4 columns keep their sums in registers and the first
 * cache, and neighbouring rows fill vector registers without changing any chain. */
#include "emulator/libraries/cublaslt_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_ROWS = 256, TILE_COLUMNS = 4 };

#if defined(__x86_64__)
#define WITH_FMA __attribute__((target_clones("default", "arch=haswell")))
#else
#define WITH_FMA
#endif

static float from_bfloat(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static uint16_t to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFF) > 0x7F800000)
        return 0x7FFF;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16); /* to nearest, ties to even */
}

static float load(const unsigned char *memory, const struct cublaslt_matrix *matrix, uint64_t row, uint64_t column)
{
    const unsigned char *element =
        memory + (row * matrix->row_step + column * matrix->column_step) * matrix->element_bytes;
    if (matrix->bfloat) {
        uint16_t bits;
        memcpy(&bits, element, sizeof bits);
        return from_bfloat(bits);
    }
    float value;
    memcpy(&value, element, sizeof value);
    return value;
}

static void store(unsigned char *memory, const struct cublaslt_matrix *matrix, uint64_t row, uint64_t column,
                  float value)
{
    unsigned char *element = memory + (row * matrix->row_step + column * matrix->column_step) * matrix->element_bytes;
    if (matrix->bfloat) {
        uint16_t bits = to_bfloat(value);
        memcpy(element, &bits, sizeof bits);
    } else {
        memcpy(element, &value, sizeof value);
    }
}

/* unpacked[j rows + i] = op(matrix)[i][j]. */
static float *unpack(const unsigned char *memory, const struct cublaslt_matrix *matrix, bool transposed)
{
    uint64_t rows = transposed ? matrix->columns : matrix->rows, columns = transposed ? matrix->rows : matrix->columns;
    float *unpacked = malloc(rows * columns * sizeof *unpacked);
    if (!unpacked)
        runtime_fatal("no host memory for a product");
    for (uint64_t j = 0; j < columns; j++)
        for (uint64_t i = 0; i < rows; i++) {
            float value = transposed ? load(memory, matrix, j, i) : load(memory, matrix, i, j);
            unpacked[j * rows + i] = value;
        }
    return unpacked;
}

/* sums[c][r] of `rows` rows and TILE_COLUMNS columns: a is [k][m] at its first row, b the columns of op(B). */
WITH_FMA static void tile(float sums[TILE_COLUMNS][TILE_ROWS], const float *restrict a, uint64_t m, uint64_t rows,
                          const float *const b[TILE_COLUMNS], uint64_t k)
{
    memset(sums, 0, TILE_COLUMNS * sizeof *sums);
    for (uint64_t p = 0; p < k; p++) {
        const float *restrict line = a + p * m;
        for (int c = 0; c < TILE_COLUMNS; c++) {
            float factor = b[c][p];
            float *restrict sum = sums[c];
            for (uint64_t r = 0; r < rows; r++)
                sum[r] = __builtin_fmaf(line[r], factor, sum[r]);
        }
    }
}

struct batch {
    const unsigned char *c, *bias;
    unsigned char *d;
};

static void finish(const struct cublaslt_product *product, const struct batch *batch, uint64_t row, uint64_t column,
                   float sum)
{
    float value = product->reads_ab ? product->alpha * sum : 0.0f;
    if (product->reads_c)
        value = fmaf(product->beta, load(batch->c, &product->c, row, column), value);
    if (batch->bias)
        value += load(batch->bias, &product->bias, row, 0);
    store(batch->d, &product->d, row, column, value);
}

static void compute_batch(const struct cublaslt_product *product, const float *a, const float *b,
                          const struct batch *batch)
{
    uint64_t m = product->m, n = product->n, k = product->k;
    float(*sums)[TILE_ROWS] = malloc(TILE_COLUMNS * sizeof *sums);
    if (!sums)
        runtime_fatal("no host memory for a product");
    for (uint64_t column = 0; column < n; column += TILE_COLUMNS) {
        const float *columns[TILE_COLUMNS];
        for (uint64_t c = 0; c < TILE_COLUMNS; c++)
            columns[c] = b + (column + c < n ? column + c : n - 1) * k;
        for (uint64_t row = 0; row < m; row += TILE_ROWS) {
            uint64_t rows = m - row < TILE_ROWS ? m - row : TILE_ROWS;
            if (product->reads_ab)
                tile(sums, a + row, m, rows, columns, k);
            for (uint64_t c = 0; c < TILE_COLUMNS && column + c < n; c++)
                for (uint64_t r = 0; r < rows; r++)
                    finish(product, batch, row + r, column + c, product->reads_ab ? sums[c][r] : 0.0f);
        }
    }
    free(sums);
}

static unsigned char *bytes_at(struct device *device, const struct cublaslt_matrix *matrix, uint64_t batch)
{
    return (unsigned char *)machine_host_pointer(device->machine, matrix->address) +
           batch * matrix->stride * matrix->element_bytes;
}

static void mark_written(struct device *device, const struct cublaslt_matrix *d)
{
    bool by_column = d->row_step == 1;
    uint64_t line = (by_column ? d->rows : d->columns) * d->element_bytes, lines = by_column ? d->columns : d->rows;
    uint64_t pitch = (by_column ? d->column_step : d->row_step) * d->element_bytes;
    for (uint64_t batch = 0; batch < d->batches; batch++)
        for (uint64_t i = 0; i < lines; i++)
            machine_mark_defined(device->machine, d->address + batch * d->stride * d->element_bytes + i * pitch, line,
                                 true);
}

void cublaslt_compute(struct device *device, const struct cublaslt_product *product)
{
    for (uint64_t i = 0; i < product->d.batches; i++) {
        float *a = NULL, *b = NULL;
        if (product->reads_ab) {
            a = unpack(bytes_at(device, &product->a, i), &product->a, product->transpose_a);
            b = unpack(bytes_at(device, &product->b, i), &product->b, product->transpose_b);
        }
        const struct batch batch = {.c = product->reads_c ? bytes_at(device, &product->c, i) : NULL,
                                    .bias = product->bias.rows ? bytes_at(device, &product->bias, i) : NULL,
                                    .d = bytes_at(device, &product->d, i)};
        compute_batch(product, a, b, &batch);
        free(a);
        free(b);
    }
    mark_written(device, &product->d);
}
