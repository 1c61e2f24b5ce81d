/* How the convolution's gradients are cut, and what they keep in scratch: from shapes alone. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_PIECES_H
#define SPIRITLM_KERNELS_CUDA_CONV1D_PIECES_H

#include "kernels/cuda/sizes/pieces.h"

enum {
    CONV1D_TILE = 128,          /* frames, or places of a kernel, of a block */
    CONV1D_NARROW = 64,         /* columns of a block where a group has no more, else CONV1D_TILE */
    CONV1D_WEIGHT_BLOCKS = 256, /* of the weight's gradient, when there are frames enough for as many */
    CONV1D_WEIGHT_FRAMES = 512, /* of a piece of it at least; a multiple of every kernel's step */
    CONV1D_BIAS_PIECES = 128,
    CONV1D_BIAS_FRAMES = 64,
};

static inline int64_t conv1d_columns(int64_t columns)
{
    return columns <= CONV1D_NARROW ? CONV1D_NARROW : CONV1D_TILE;
}

/* ---- the weight's gradient: a sum over frames of the whole batch, [places][outputs of a group] ---- */

static inline int64_t conv1d_weight_tiles(const struct conv1d_forward *p)
{
    int64_t places = p->kernel * (p->channels / p->groups), outputs = p->output_channels / p->groups;
    return p->groups * divide_up(places, CONV1D_TILE) * divide_up(outputs, conv1d_columns(outputs));
}
static inline int64_t conv1d_weight_piece(const struct conv1d_forward *p)
{
    int64_t share = divide_up(p->batch * p->output_frames, divide_up(CONV1D_WEIGHT_BLOCKS, conv1d_weight_tiles(p)));
    return divide_up(larger(share, 1), CONV1D_WEIGHT_FRAMES) * CONV1D_WEIGHT_FRAMES;
}
static inline int64_t conv1d_weight_pieces(const struct conv1d_forward *p)
{
    return divide_up(p->batch * p->output_frames, conv1d_weight_piece(p));
}

/* ---- the bias's ---- */

static inline int64_t conv1d_bias_piece(const struct conv1d_forward *p)
{
    return larger(CONV1D_BIAS_FRAMES, divide_up(p->batch * p->output_frames, CONV1D_BIAS_PIECES));
}
static inline int64_t conv1d_bias_pieces(const struct conv1d_forward *p)
{
    return divide_up(p->batch * p->output_frames, conv1d_bias_piece(p));
}

/* ---- conv1d_group_norm: statistics of a channel over a block of frames ---- */

static inline int64_t conv1d_norm_blocks(const struct conv1d_forward *p)
{
    return divide_up(p->output_frames, CONV1D_TILE);
}

/* ---- scratch of conv1d_backward, in bytes from its beginning ---- */

struct conv1d_room {
    size_t weight, bias, end; /* the gradient of what the activation took comes first, where there is an activation */
};

static inline size_t conv1d_aligned(int64_t bytes)
{
    return (size_t)divide_up(bytes, 256) * 256;
}

/* T [B][T][O]: the gradient before the activation; f32 [pieces][O][K][C / groups], where there are several; f32 [pieces][O]. */
static inline struct conv1d_room conv1d_room(const struct conv1d_backward *p)
{
    const struct conv1d_forward *f = &p->forward;
    int64_t frames = f->batch * f->output_frames, weights = f->output_channels * f->kernel * (f->channels / f->groups);
    int64_t pieces = p->grad_weight ? conv1d_weight_pieces(f) : 0;
    struct conv1d_room room = {0, 0, 0};
    if (f->activation != ACTIVATION_NONE)
        room.weight = conv1d_aligned(frames * f->output_channels * (int64_t)dtype_size(f->type));
    room.bias = room.weight + conv1d_aligned(pieces > 1 ? pieces * weights * (int64_t)sizeof(float) : 0);
    room.end = room.bias +
               conv1d_aligned(p->grad_bias ? conv1d_bias_pieces(f) * f->output_channels * (int64_t)sizeof(float) : 0);
    return room;
}

/* ---- scratch of conv1d_forward by cuDNN, in bytes from its beginning ---- */

enum { CONV1D_CUDNN_WORKSPACE = 32 << 20 };

struct conv1d_cudnn_room {
    size_t y, workspace, end; /* x comes first */
};

/* T [B][left + T + right][C]: x with its padding; T [B][output_frames][O]: the sums; then what cuDNN asks for. By the shape
 * alone, though dense operands need no copies. */
static inline struct conv1d_cudnn_room conv1d_cudnn_room(const struct conv1d_forward *p)
{
    int64_t frames = p->padding_left + p->frames + p->padding_right, bytes = (int64_t)dtype_size(p->type);
    struct conv1d_cudnn_room room = {0, 0, 0};
    room.y = conv1d_aligned(p->batch * frames * p->channels * bytes);
    room.workspace = room.y + conv1d_aligned(p->batch * p->output_frames * p->output_channels * bytes);
    room.end = room.workspace + CONV1D_CUDNN_WORKSPACE;
    return room;
}

#endif
