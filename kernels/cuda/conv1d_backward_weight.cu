/* The convolution's gradient of the weight, [O][K][C / groups]: a product of what each output frame saw of x with its gradient,
 * whose depth are the frames of the whole batch, and both of whose sides lie by depth. The sum is long, so blocks take
 * pieces of it, whose number follows from the shape alone, and the pieces are added in their order. Rows of a tile are
 * places of the kernel, [K][C / groups], columns outputs: a group's outputs fill narrow tiles, its places fill whole
 * ones. */
#include "kernels/cuda/conv1d_gradients.cuh"

enum { THREADS = 256 };

template <typename T>
static __device__ inline depth_operand<T> seen_operand(const struct conv1d_forward &p, int64_t group, int64_t place)
{
    depth_operand<T> o;
    o.width = p.channels / p.groups;
    o.first = static_cast<const T *>(p.x) + group * o.width - p.padding_left * p.x_row_stride;
    o.outer_stride = p.x_batch_stride;
    o.inner_stride = p.stride * p.x_row_stride;
    o.tap_stride = p.dilation * p.x_row_stride;
    o.inners = p.output_frames;
    o.columns = p.kernel * o.width;
    o.column = place;
    o.frame = -p.padding_left;
    o.tap_step = p.dilation;
    o.inner_step = p.stride;
    return o;
}

template <typename T>
static __device__ inline depth_operand<T>
gradient_operand(const struct conv1d_forward &p, const struct conv1d_gradient &z, int64_t group, int64_t output)
{
    depth_operand<T> o;
    o.columns = o.width = p.output_channels / p.groups;
    o.first = static_cast<const T *>(z.values) + group * o.columns;
    o.outer_stride = z.batch_stride;
    o.inner_stride = z.row_stride;
    o.inners = p.output_frames;
    o.column = output;
    o.tap_stride = o.frame = o.tap_step = o.inner_step = 0;
    return o;
}

/* Writes, or with `add` adds to, four places of an output, whose first is *to. */
static __device__ inline void finish_quad(float *to, float (&values)[QUAD], int64_t count, bool add)
{
    float before[QUAD];
    if (add) {
        load_quad(before, to, count);
#pragma unroll
        for (int i = 0; i < QUAD; i++)
            values[i] += before[i];
    }
    store_quad(to, values, count);
}

/* Grid: tiles of outputs fastest, tiles of places, groups, pieces. */
template <typename T, int COLUMNS, enum tile_source SOURCE>
static __global__ void __launch_bounds__(tile_shape<T, COLUMNS>::THREADS)
    weight_kernel(const struct conv1d_forward p, const struct conv1d_gradient z, int64_t piece, float *to, bool add,
                  struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr int WIDTH = tile_shape<T, COLUMNS>::THREADS;
    const int64_t places = p.kernel * (p.channels / p.groups), outputs = p.output_channels / p.groups;
    const struct conv1d_block at = conv1d_block_of(places, outputs, p.groups, COLUMNS); /* places as frames */
    const struct conv1d_limits limits = {p, fault};
    depth_operand<T> seen = seen_operand<T>(p, at.group, at.frame);
    depth_operand<T> gradient = gradient_operand<T>(p, z, at.group, at.column);
    const int64_t left = p.batch * p.output_frames - at.b * piece;
    seen.begin = gradient.begin = at.b * piece;
    seen.depth = gradient.depth = left < piece ? left : piece;
    depth_copy<T, TILE_ROWS, WIDTH, struct conv1d_limits> a(seen, limits);
    depth_copy<T, COLUMNS, WIDTH, struct conv1d_limits> b(gradient, limits);
    tile_product<T, COLUMNS, true, true>(memory, seen.depth, places - at.frame, outputs - at.column,
                                         [&](unsigned char *to_a, unsigned char *to_b) {
                                             a.template copy<SOURCE>(seen, limits, to_a);
                                             b.template copy<SOURCE>(gradient, limits, to_b);
                                         });
    const float *sums = reinterpret_cast<const float *>(memory);
    const int row = (int)threadIdx.x % (TILE_ROWS / QUAD) * QUAD;
    to += ((at.b * p.groups + at.group) * outputs + at.column) * places + at.frame + row;
    for (int column = (int)threadIdx.x / (TILE_ROWS / QUAD);
         column < COLUMNS && at.column + column < outputs && at.frame + row < places;
         column += WIDTH / (TILE_ROWS / QUAD)) {
        float values[QUAD];
        load_whole(values, sums + sum_index<true, COLUMNS>(row, column));
        finish_quad(to + column * places, values, places - at.frame - row, add);
    }
}

/* to (+)= the sum over the pieces in their order. */
static __global__ void __launch_bounds__(THREADS)
    add_pieces_kernel(const float *partial, int64_t pieces, int64_t count, float *to, bool add)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * QUAD;
    if (i >= count)
        return;
    float total[QUAD] = {0}, values[QUAD];
#pragma unroll 4
    for (int64_t piece = 0; piece < pieces; piece++) {
        load_quad(values, partial + piece * count + i, count - i);
#pragma unroll
        for (int e = 0; e < QUAD; e++)
            total[e] += values[e];
    }
    finish_quad(to + i, total, count - i, add);
}

enum status cuda_conv1d_add_pieces(const struct device_context *context, const float *partial, int64_t pieces,
                                   int64_t count, float *to, bool overwrite)
{
    return launch(context, "conv1d_backward", add_pieces_kernel, divide_up(count, THREADS * QUAD), 1, THREADS, partial,
                  pieces, count, to, !overwrite);
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static enum status run(const struct device_context *context, const struct conv1d_backward *p,
                       const struct conv1d_gradient *z, float *to, bool add)
{
    const struct conv1d_forward *f = &p->forward;
    return launch_tensor(context, "conv1d_backward", weight_kernel<T, COLUMNS, SOURCE>,
                         conv1d_weight_tiles(f) * conv1d_weight_pieces(f), tile_shape<T, COLUMNS>::THREADS,
                         tile_shape<T, COLUMNS>::SHARED, *f, *z, conv1d_weight_piece(f), to, add,
                         cuda_fault_word(context));
}

/* Elements one by one go into wide tiles alone, as in the forward pass; there are as many of them. */
template <typename T>
static enum status choose(const struct device_context *context, const struct conv1d_backward *p,
                          const struct conv1d_gradient *z, float *to, bool add)
{
    const struct conv1d_forward *f = &p->forward;
    const bool whole = conv1d_gradient_whole(f, z) &&
                       conv1d_whole_chunks(f->type, f->x, f->x_row_stride, f->x_batch_stride, f->channels / f->groups);
    if (!whole)
        return run<T, CONV1D_TILE, SOURCE_ELEMENTS>(context, p, z, to, add);
    return conv1d_columns(f->output_channels / f->groups) == CONV1D_NARROW
               ? run<T, CONV1D_NARROW, SOURCE_CHUNKS>(context, p, z, to, add)
               : run<T, CONV1D_TILE, SOURCE_CHUNKS>(context, p, z, to, add);
}

enum status cuda_conv1d_backward_weight(const struct device_context *context, const struct conv1d_backward *p,
                                        const struct conv1d_gradient *z, float *partial)
{
    const struct conv1d_forward *f = &p->forward;
    const int64_t count = f->output_channels * f->kernel * (f->channels / f->groups);
    const int64_t pieces = f->batch * f->output_frames > 0 ? conv1d_weight_pieces(f) : 0;
    const bool one = pieces == 1;
    float *to = one ? p->grad_weight : partial;
    const bool add = one && !p->overwrite;
    enum status result = STATUS_OK;
    if (pieces > 0)
        result = f->type == DTYPE_F32 ? choose<float>(context, p, z, to, add)
                                      : choose<cuda_bfloat16>(context, p, z, to, add);
    if (result == STATUS_OK && !one)
        result = cuda_conv1d_add_pieces(context, partial, pieces, count, p->grad_weight, p->overwrite);
    return result;
}
