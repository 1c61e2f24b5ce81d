/* What the convolution's forward, the one with a group norm behind it and the gradients share. */
#ifndef SPIRITLM_KERNELS_CPU_CONV1D_H
#define SPIRITLM_KERNELS_CPU_CONV1D_H

#include "kernels/cpu/cpu.h"

enum {
    CONV1D_ROWS = 120,      /* frames a task owns at most where it owns all columns; a multiple of tile_multiply's 6 */
    CONV1D_MORE_ROWS = 480, /* and where it owns few, so that weights are brought less often */
    CONV1D_COLUMNS = 128,   /* channels a task owns at most */
    CONV1D_STRIDE = 128 + 16, /* of a tile of weights: not a power of two, which would share cache sets */
    CONV1D_DEPTH = 256,       /* of a product at a time */
    CONV1D_WINDOW = 1 << 18,  /* floats of the frames that a task's products look at */
    CONV1D_SUMS = CONV1D_ROWS * CONV1D_COLUMNS,
};
_Static_assert(CONV1D_WINDOW + 8 + CONV1D_DEPTH * CONV1D_STRIDE + CONV1D_SUMS <= WORKER_SCRATCH_FLOATS,
               "a task's tiles fit");

/* Columns of the tiles of a task that owns at most `outputs` channels, floats between rows of its weights, and frames it owns
 * at most. */
static inline int64_t conv1d_across(int64_t outputs)
{
    return outputs >= CONV1D_COLUMNS ? CONV1D_COLUMNS : (outputs + 7) / 8 * 8;
}
static inline int64_t conv1d_weight_stride(int64_t across)
{
    return across > 16 ? across + 16 : across;
}
static inline int64_t conv1d_rows(int64_t across)
{
    return minimum(CONV1D_MORE_ROWS, CONV1D_SUMS / across / 6 * 6);
}

/* How a convolution is cut: from its shape alone. The frames of one remainder modulo the dilation see only frames of one
 * remainder, so that with stride 1 a dilated convolution is as many without dilation: then `step` is the dilation and a task
 * owns frames of one remainder, `step` apart. */
struct conv1d_cut {
    const struct device_context *context;
    const struct conv1d_forward *p;
    int64_t group_channels, group_outputs;
    int64_t step;           /* between the frames of a task, of x and of the output */
    int64_t tap;            /* frames of the window between taps */
    int64_t part;           /* channels of a group at a time */
    bool merged;            /* the taps of a frame follow each other in the window: one product over all of them */
    int64_t across;         /* floats between rows of the sums */
    int64_t rows;           /* output frames of a task */
    int64_t blocks, strips; /* of one remainder of a row of the batch, and of a group */
};

/* The tile of `task`: output frames first, first + step, ... of which the tile has `rows` and the row `valid`, and output channels
 * [column, column + columns) of group `group`, counted within it. */
struct conv1d_tile {
    int64_t b, group, first, rows, valid, column, columns;
};

/* folded: step may be more than 1. */
struct conv1d_cut conv1d_cut(const struct device_context *context, const struct conv1d_forward *p, bool folded);
int64_t conv1d_tasks(const struct conv1d_cut *cut);
struct conv1d_tile conv1d_tile_of(const struct conv1d_cut *cut, int64_t task);

/* The products of a tile's valid frames, without bias, [valid][cut->across] in the worker's scratch. */
float *conv1d_sums(const struct conv1d_cut *cut, const struct conv1d_tile *tile, int worker);

/* Frames first, first + step, ... of row b of x, so many of them. */
struct conv1d_frames {
    int64_t b, first, step, count;
};

/* window[j * apart + i] = x' of frame j of these and channel `channel` + i, 0 where the row has no such frame. Seven floats
 * after the last are touched too. */
void conv1d_load_window(const struct conv1d_forward *p, struct conv1d_frames frames, int64_t channel, int64_t count,
                        float *window, int64_t apart);

/* What follows the sums of `columns` channels of one frame, from `channel` on, whose first one has this index in the output;
 * and zeros there. */
void conv1d_finish_row(const struct conv1d_forward *p, int64_t index, int64_t channel, const float *sum,
                       int64_t columns);
void conv1d_zero_row(const struct conv1d_forward *p, int64_t index, int64_t columns);

/* conv1d_forward of any shape (conv1d.c). */
void conv1d_general(const struct device_context *context, const struct conv1d_forward *p);

/* conv1d_forward where each channel is a group of its own and has one output. */
enum status conv1d_depthwise(const struct device_context *context, const struct conv1d_forward *p);

/* conv1d_forward where it is a product of matrices (conv1d_product.c). */
bool conv1d_is_product(const struct conv1d_forward *p);
enum status conv1d_product(const struct device_context *context, const struct conv1d_forward *p);

/* Channels of `channels` to take at a time when `extent` frames of them must fit the window. */
int64_t conv1d_part(int64_t channels, int64_t extent);

/* Frames of row b of x, and false after a fault when one of the lengths is outside. */
static inline int64_t conv1d_length(const struct conv1d_forward *p, int64_t b)
{
    return p->lengths ? p->lengths[b] : p->frames;
}
bool conv1d_lengths_fit(const struct device_context *context, const struct conv1d_forward *p, const char *operation);

#endif
