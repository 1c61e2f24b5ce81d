/* The convolution's gradient of x. The input frames of one remainder modulo the stride see the same taps, and neighbours among
 * them neighbouring output frames: for each remainder it is a product like the forward's, whose left side are frames of
 * the gradient and whose depth are those taps and the outputs of the group. The weights [O][K][C] are its right side as
 * they lie, by depth. */
#include "kernels/cuda/conv1d_gradients.cuh"
#include "kernels/cuda/conv1d_window.cuh"

/* The taps that input frames of a remainder meet: first, first + step, ...; tap first meets output frame i + frame for the
 * remainder's i-th frame, and each further tap one that is `apart` earlier. */
struct taps {
    int64_t first, step, count, frame, apart;
};

static __device__ inline struct taps taps_of(const struct conv1d_forward &p, int64_t remainder, int64_t step)
{
    const int64_t stride = p.stride;
    const int32_t back = (int32_t)(p.dilation % stride);
    int32_t k = 0, place = (int32_t)((remainder + p.padding_left) % stride);
    struct taps taps = {0, step, 0, 0, step * p.dilation / stride};
    while (place != 0 && k < p.kernel && k < stride) {
        place -= back;
        place += place < 0 ? (int32_t)stride : 0;
        k++;
    }
    if (place != 0 || k >= p.kernel)
        return taps;
    taps.first = k;
    taps.count = (p.kernel - 1 - k) / step + 1;
    taps.frame = (remainder + p.padding_left - k * p.dilation) / stride;
    return taps;
}

template <typename T>
static __device__ inline rows_operand<T>
gradient_operand(const struct conv1d_forward &p, const struct conv1d_gradient &z, const struct conv1d_block &at,
                 const struct taps &taps, int64_t rows, int64_t outputs)
{
    rows_operand<T> o;
    o.inner = p.output_channels / p.groups;
    o.frame = at.frame + taps.frame;
    o.first = static_cast<const T *>(z.values) + at.b * z.batch_stride + o.frame * z.row_stride + at.group * o.inner;
    o.row_stride = z.row_stride;
    o.tap_stride = -taps.apart * z.row_stride;
    o.depth = taps.count * o.inner;
    o.rows = rows;
    o.row_step = 1;
    o.tap_step = -taps.apart;
    o.frames = outputs;
    return o;
}

template <typename T>
static __device__ inline depth_operand<T> weights_operand(const struct conv1d_forward &p, int64_t group, int64_t column,
                                                          const struct taps &taps)
{
    depth_operand<T> o;
    const int64_t channels = p.channels / p.groups;
    o.inners = p.output_channels / p.groups;
    o.first = static_cast<const T *>(p.weight) + (group * o.inners * p.kernel + taps.first) * channels;
    o.outer_stride = taps.step * channels;
    o.inner_stride = p.kernel * channels;
    o.begin = 0;
    o.depth = taps.count * o.inners;
    o.columns = o.width = channels;
    o.column = column;
    o.tap_stride = o.frame = o.tap_step = o.inner_step = 0;
    return o;
}

/* What depth_copy asks of the weights: every tap has all outputs of the group. */
struct weight_limits {
    int64_t outputs;
    __device__ struct outer_limits operator()(int64_t) const
    {
        return {outputs, 1};
    }
};

/* The sums of a block's tile, of `rows` frames; `outputs`: those of the row of the batch. */
template <typename T, int COLUMNS, enum tile_source SOURCE>
static __device__ inline void find_sums(const struct conv1d_forward &f, const struct conv1d_gradient &z,
                                        const struct conv1d_block &at, const struct taps &taps, int64_t rows,
                                        int64_t outputs, unsigned char *memory)
{
    constexpr int THREADS = tile_shape<T, COLUMNS>::THREADS;
    const rows_operand<T> left = gradient_operand<T>(f, z, at, taps, rows, outputs);
    const depth_operand<T> right = weights_operand<T>(f, at.group, at.column, taps);
    const struct weight_limits limits = {right.inners};
    rows_copy<T, TILE_ROWS, THREADS> a(left);
    depth_copy<T, COLUMNS, THREADS, struct weight_limits> b(right, limits);
    tile_product<T, COLUMNS, false, true>(memory, left.depth, rows, right.columns - at.column,
                                          [&](unsigned char *to_a, unsigned char *to_b) {
                                              a.template copy<SOURCE>(left, to_a);
                                              b.template copy<SOURCE>(right, limits, to_b);
                                          });
}
template <>
__device__ inline void
find_sums<cuda_bfloat16, WINDOW_COLUMNS, SOURCE_WINDOW>(const struct conv1d_forward &f, const struct conv1d_gradient &z,
                                                        const struct conv1d_block &at, const struct taps &taps,
                                                        int64_t rows, int64_t outputs, unsigned char *memory)
{
    using T = cuda_bfloat16;
    const rows_operand<T> left = gradient_operand<T>(f, z, at, taps, rows, outputs);
    const depth_operand<T> right = weights_operand<T>(f, at.group, at.column, taps);
    const struct weight_limits limits = {right.inners};
    depth_copy<T, WINDOW_COLUMNS, window_shape::THREADS, struct weight_limits> b(right, limits);
    window_product<true>(memory, left, taps.count, right.columns - at.column,
                         [&](unsigned char *tile) { b.copy<SOURCE_CHUNKS>(right, limits, tile); });
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static __global__ void __launch_bounds__(tile_shape<T, COLUMNS>::THREADS)
    x_kernel(const struct conv1d_backward p, const struct conv1d_gradient z, int64_t remainders, int64_t tap_step,
             struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr int THREADS = tile_shape<T, COLUMNS>::THREADS;
    const struct conv1d_forward &f = p.forward;
    const int64_t channels = f.channels / f.groups, stride = f.stride;
    struct conv1d_block at =
        conv1d_block_of((f.frames + stride - 1) / stride, channels, f.groups * remainders, COLUMNS);
    const int64_t remainder = at.group % remainders;
    at.group /= remainders;
    const int64_t length = conv1d_row_frames(f, at.b, fault, CUDA_conv1d_backward);
    /* frames of this remainder, from the tile's first on: those of the row, and those of the array */
    const int64_t rows = (length - remainder + stride - 1) / stride - at.frame;
    const int64_t all = (f.frames - remainder + stride - 1) / stride - at.frame;
    if (rows > 0)
        find_sums<T, COLUMNS, SOURCE>(f, z, at, taps_of(f, remainder, tap_step), rows, conv1d_row_outputs(f, length),
                                      memory);
    const int64_t first =
        at.b * f.x_batch_stride + (at.frame * stride + remainder) * f.x_row_stride + at.group * channels + at.column;
    conv1d_finish<COLUMNS, THREADS>(
        memory, all, channels - at.column, rows, [&](int row, int column, float(&values)[QUAD]) {
            store_quad(static_cast<T *>(p.grad_x) + first + row * stride * f.x_row_stride + column, values,
                       channels - at.column - column);
        });
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static enum status run(const struct device_context *context, const struct conv1d_backward *p,
                       const struct conv1d_gradient *z, int shared = tile_shape<T, COLUMNS>::SHARED)
{
    const struct conv1d_forward *f = &p->forward;
    const int64_t remainders = f->stride < f->frames ? f->stride : f->frames;
    return launch_tensor(context, "conv1d_backward", x_kernel<T, COLUMNS, SOURCE>,
                         conv1d_blocks(f->batch, divide_up(f->frames, f->stride), f->channels / f->groups,
                                       f->groups * remainders, COLUMNS),
                         tile_shape<T, COLUMNS>::THREADS, shared, *p, *z, remainders,
                         f->stride / greatest_divisor(f->stride, f->dilation), cuda_fault_word(context));
}

static bool whole_chunks(const struct conv1d_forward *f, const struct conv1d_gradient *z)
{
    return conv1d_gradient_whole(f, z) && conv1d_whole_chunks(f->type, f->weight, 0, 0, f->channels / f->groups);
}

/* Elements one by one go into wide tiles alone, as in the forward pass. */
template <typename T>
static enum status choose(const struct device_context *context, const struct conv1d_backward *p,
                          const struct conv1d_gradient *z)
{
    if (!whole_chunks(&p->forward, z))
        return run<T, CONV1D_TILE, SOURCE_ELEMENTS>(context, p, z);
    return conv1d_columns(p->forward.channels / p->forward.groups) == CONV1D_NARROW
               ? run<T, CONV1D_NARROW, SOURCE_CHUNKS>(context, p, z)
               : run<T, CONV1D_TILE, SOURCE_CHUNKS>(context, p, z);
}

enum status cuda_conv1d_backward_x(const struct device_context *context, const struct conv1d_backward *p,
                                   const struct conv1d_gradient *z)
{
    const struct conv1d_forward *f = &p->forward;
    const int64_t channels = f->channels / f->groups, outputs = f->output_channels / f->groups;
    if (f->output_frames > 0 && whole_chunks(f, z) && window_fits(f, outputs, channels))
        return run<cuda_bfloat16, WINDOW_COLUMNS, SOURCE_WINDOW>(context, p, z,
                                                                 (int)window_shared(f->kernel, f->dilation, outputs));
    return f->type == DTYPE_F32 ? choose<float>(context, p, z) : choose<cuda_bfloat16>(context, p, z);
}
