/* Products and copies of tiles that lie in a core's caches: what attention and our own matrix product are made of. A block
 * of C stays in registers through TILE_CHAIN of k, then is added to what came before. Each element is summed in that order and no
 * other, so that its bits depend on its own row and column alone. */
#include "kernels/cpu/tile.h"

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

/* `rows` x (8 * `vectors`) of C stay in registers through all of k, at most TILE_CHAIN: 6 x 2 uses 12 of AVX2's 16. */
INLINE void multiply_chain(int rows, int vectors, int64_t k, const float *a, int64_t a_row, int64_t a_column,
                           const float *b, int64_t b_stride, float *c, int64_t c_stride, bool accumulate)
{
    vector sum[6][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = vector_fill(0);
    for (int64_t p = 0; p < k; p++) {
        vector right[2];
        for (int j = 0; j < vectors; j++)
            right[j] = vector_read(b + p * b_stride + j * LANES);
        for (int i = 0; i < rows; i++) {
            vector left = vector_fill(a[i * a_row + p * a_column]);
            for (int j = 0; j < vectors; j++)
                sum[i][j] = multiply_add(left, right[j], sum[i][j]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) {
            float *to = c + i * c_stride + j * LANES;
            vector_write(to, accumulate ? vector_read(to) + sum[i][j] : sum[i][j]);
        }
}

INLINE void multiply_block(int rows, int vectors, int64_t k, const float *a, int64_t a_row, int64_t a_column,
                           const float *b, int64_t b_stride, float *c, int64_t c_stride, bool accumulate)
{
    int64_t p = 0;
    do {
        int64_t length = k - p < TILE_CHAIN ? k - p : TILE_CHAIN;
        multiply_chain(rows, vectors, length, a + p * a_column, a_row, a_column, b + p * b_stride, b_stride, c,
                       c_stride, accumulate || p > 0);
        p += TILE_CHAIN;
    } while (p < k);
}

INLINE void multiply_columns(int vectors, int64_t m, int64_t k, const float *a, int64_t a_row, int64_t a_column,
                             const float *b, int64_t b_stride, float *c, int64_t c_stride, bool accumulate)
{
    /* six rows at a time; 7 and 8 left go as 4 + 3 and 4 + 4, since a pair alone waits for itself */
    for (int64_t i = 0; i < m;) {
        int64_t left = m - i, rows = left >= 9 || left == 6 ? 6 : left > 6 ? 4 : left;
        const float *from = a + i * a_row;
        float *to = c + i * c_stride;
        if (rows == 6)
            multiply_block(6, vectors, k, from, a_row, a_column, b, b_stride, to, c_stride, accumulate);
        else if (rows == 5)
            multiply_block(5, vectors, k, from, a_row, a_column, b, b_stride, to, c_stride, accumulate);
        else if (rows == 4)
            multiply_block(4, vectors, k, from, a_row, a_column, b, b_stride, to, c_stride, accumulate);
        else if (rows == 3)
            multiply_block(3, vectors, k, from, a_row, a_column, b, b_stride, to, c_stride, accumulate);
        else if (rows == 2)
            multiply_block(2, vectors, k, from, a_row, a_column, b, b_stride, to, c_stride, accumulate);
        else
            multiply_block(1, vectors, k, from, a_row, a_column, b, b_stride, to, c_stride, accumulate);
        i += rows;
    }
}

void tile_multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_column, const float *b,
                   int64_t b_stride, float *c, int64_t c_stride, bool accumulate)
{
    int64_t j = 0;
    for (; j + LANES < n; j += 2 * LANES)
        multiply_columns(2, m, k, a, a_row, a_column, b + j, b_stride, c + j, c_stride, accumulate);
    if (j < n)
        multiply_columns(1, m, k, a, a_row, a_column, b + j, b_stride, c + j, c_stride, accumulate);
}

/* Rows of keys and values lie far apart, on a page each: no processor foresees the next one. */
enum { AHEAD = 16 };

INLINE void prefetch_row(const void *source, int64_t row, int64_t rows, int64_t columns, int64_t stride,
                         enum dtype type)
{
    for (int64_t j = 0; row < rows && j < columns; j += 64 / (int64_t)dtype_size(type))
        __builtin_prefetch(element(source, row * stride + j, type));
}

INLINE void load_rows(float *tile, int64_t rows, int64_t columns, const void *source, int64_t source_stride,
                      enum dtype type, float factor)
{
    int64_t stride = tile_stride(columns);
    for (int64_t i = 0; i < rows; i++) {
        prefetch_row(source, i + AHEAD, rows, columns, source_stride, type);
        int64_t j = 0;
        for (; j + LANES <= columns; j += LANES)
            vector_write(tile + i * stride + j, vector_load(source, i * source_stride + j, LANES, type) * factor);
        if (j < columns)
            vector_write(tile + i * stride + j, vector_load(source, i * source_stride + j, columns - j, type) * factor);
    }
}

void tile_load(float *tile, int64_t rows, int64_t columns, const void *source, int64_t source_stride, enum dtype type,
               float factor)
{
    if (type == DTYPE_F32)
        load_rows(tile, rows, columns, source, source_stride, DTYPE_F32, factor);
    else
        load_rows(tile, rows, columns, source, source_stride, DTYPE_BF16, factor);
}

INLINE void load_panels(float *panels, int64_t panel_floats, int64_t width, int64_t rows, int64_t columns,
                        const void *source, int64_t source_stride, enum dtype type)
{
    /* rows lie far apart, on a page each: the processor does not foresee the next one (measured: 2-4 GB/s, so 7) */
    const int64_t ahead = 8, line = 64 / (int64_t)dtype_size(type);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; i + ahead < rows && j < columns; j += line)
            __builtin_prefetch(element(source, (i + ahead) * source_stride + j, type));
        for (int64_t j = 0; j < columns; j += width) {
            float *to = panels + j / width * panel_floats + i * width;
            int64_t end = columns - j < width ? columns - j : width, v = 0;
            for (; v + LANES <= end; v += LANES)
                vector_write(to + v, vector_load(source, i * source_stride + j + v, LANES, type));
            if (v < end)
                vector_write(to + v, vector_load(source, i * source_stride + j + v, end - v, type));
        }
    }
}

void tile_load_panels(float *panels, int64_t panel_floats, int64_t width, int64_t rows, int64_t columns,
                      const void *source, int64_t source_stride, enum dtype type)
{
    if (type == DTYPE_F32)
        load_panels(panels, panel_floats, width, rows, columns, source, source_stride, DTYPE_F32);
    else
        load_panels(panels, panel_floats, width, rows, columns, source, source_stride, DTYPE_BF16);
}

INLINE void load_transposed(float *tile, int64_t stride, int64_t rows, int64_t columns, const void *source,
                            int64_t source_stride, enum dtype type)
{
    for (int64_t i = 0; i < rows; i += LANES) {
        for (int64_t r = 0; r < LANES; r++)
            prefetch_row(source, i + AHEAD + r, rows, columns, source_stride, type);
        for (int64_t j = 0; j < columns; j += LANES) {
            int64_t count = columns - j < LANES ? columns - j : LANES;
            vector v[8];
            for (int64_t r = 0; r < LANES; r++) {
                if (i + r >= rows)
                    v[r] = vector_fill(0);
                else if (count == LANES)
                    v[r] = vector_load(source, (i + r) * source_stride + j, LANES, type);
                else
                    v[r] = vector_load(source, (i + r) * source_stride + j, count, type);
            }
            vector_transpose(v);
            for (int64_t c = 0; c < count; c++)
                vector_write(tile + (j + c) * stride + i, v[c]);
        }
    }
}

void tile_load_transposed(float *tile, int64_t stride, int64_t rows, int64_t columns, const void *source,
                          int64_t source_stride, enum dtype type)
{
    if (type == DTYPE_F32)
        load_transposed(tile, stride, rows, columns, source, source_stride, DTYPE_F32);
    else
        load_transposed(tile, stride, rows, columns, source, source_stride, DTYPE_BF16);
}

INLINE void store_rows(const float *tile, int64_t rows, int64_t columns, void *destination, int64_t stride,
                       enum dtype type, float factor)
{
    for (int64_t i = 0; i < rows; i++) {
        const float *row = tile + i * tile_stride(columns);
        int64_t j = 0;
        for (; j + LANES <= columns; j += LANES)
            vector_store(destination, i * stride + j, LANES, type, vector_read(row + j) * factor);
        if (j < columns)
            vector_store(destination, i * stride + j, columns - j, type, vector_read(row + j) * factor);
    }
}

void tile_store(const float *tile, int64_t rows, int64_t columns, void *destination, int64_t stride, enum dtype type,
                float factor)
{
    if (type == DTYPE_F32)
        store_rows(tile, rows, columns, destination, stride, DTYPE_F32, factor);
    else
        store_rows(tile, rows, columns, destination, stride, DTYPE_BF16, factor);
}
