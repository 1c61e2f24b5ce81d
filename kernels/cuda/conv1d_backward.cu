/* The convolution's gradients. With an activation its slope is applied once, into scratch, in the type of the activations: the
 * gradients of x, of the weight and of the bias then read that, several times. The products are in conv1d_backward_x.cu
 * and conv1d_backward_weight.cu; the bias's gradient is summed here, in pieces of frames that are added in order. */
#include "kernels/cuda/conv1d_gradients.cuh"
#include "kernels/cuda/gelu.cuh"

enum { THREADS = 256 };

/* z = grad_output * the activation's slope, dense; frames behind a row's own stay as they are. One thread for four
 * channels. */
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    slope_kernel(const struct conv1d_backward p, T *z, struct cuda_fault *fault)
{
    const struct conv1d_forward &f = p.forward;
    const int64_t quads = (f.output_channels + QUAD - 1) / QUAD;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = i / quads, column = i % quads * QUAD;
    const int64_t b = n / f.output_frames, t = n % f.output_frames;
    if (b >= f.batch || t >= conv1d_row_outputs(f, conv1d_row_frames(f, b, fault, CUDA_conv1d_backward)))
        return;
    const int64_t index = b * f.output_batch_stride + t * f.output_row_stride + column;
    float gradient[QUAD], before[QUAD];
    load_quad(gradient, static_cast<const T *>(p.grad_output) + index, f.output_channels - column);
    load_quad(before, static_cast<const T *>(f.pre_activation) + index, f.output_channels - column);
#pragma unroll
    for (int e = 0; e < QUAD; e++)
        gradient[e] *= gelu_slope(before[e]);
    store_quad(z + n * f.output_channels + column, gradient, f.output_channels - column);
}

/* partial[piece][channel] = the sum over the piece's frames; one thread for four channels. */
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    bias_kernel(const struct conv1d_forward p, const struct conv1d_gradient z, int64_t piece, float *partial,
                struct cuda_fault *fault)
{
    const int64_t column = ((int64_t)blockIdx.y * blockDim.x + threadIdx.x) * QUAD;
    const int64_t count = p.output_channels - column, all = p.batch * p.output_frames;
    if (count <= 0)
        return;
    const int64_t begin = blockIdx.x * piece, end = begin + piece < all ? begin + piece : all;
    int64_t b = begin / p.output_frames, t = begin % p.output_frames;
    const struct conv1d_limits limits = {p, fault};
    float total[QUAD] = {0}, values[QUAD];
    int64_t outputs = limits(b).inners;
    for (int64_t n = begin; n < end; n++, t++) {
        if (t == p.output_frames) {
            t = 0;
            b++;
            outputs = limits(b).inners;
        }
        if (t >= outputs)
            continue;
        load_quad(values, static_cast<const T *>(z.values) + b * z.batch_stride + t * z.row_stride + column, count);
#pragma unroll
        for (int e = 0; e < QUAD; e++)
            total[e] += values[e];
    }
    store_quad(partial + blockIdx.x * p.output_channels + column, total, count);
}

/* The gradient of what the activation took. */
static enum status find_gradient(const struct device_context *context, const struct conv1d_backward *p,
                                 struct conv1d_gradient *z)
{
    const struct conv1d_forward *f = &p->forward;
    *z = {p->grad_output, f->output_row_stride, f->output_batch_stride};
    if (f->activation == ACTIVATION_NONE)
        return STATUS_OK;
    *z = {context->scratch, f->output_channels, f->output_frames * f->output_channels};
    const int64_t threads = f->batch * f->output_frames * divide_up(f->output_channels, QUAD);
    if (f->type == DTYPE_F32)
        return launch(context, "conv1d_backward", slope_kernel<float>, divide_up(threads, THREADS), 1, THREADS, *p,
                      static_cast<float *>(context->scratch), cuda_fault_word(context));
    return launch(context, "conv1d_backward", slope_kernel<cuda_bfloat16>, divide_up(threads, THREADS), 1, THREADS, *p,
                  static_cast<cuda_bfloat16 *>(context->scratch), cuda_fault_word(context));
}

static enum status find_bias(const struct device_context *context, const struct conv1d_backward *p,
                             const struct conv1d_gradient *z, float *partial)
{
    const struct conv1d_forward *f = &p->forward;
    const int64_t pieces = f->batch * f->output_frames > 0 ? conv1d_bias_pieces(f) : 0;
    const int64_t quads = divide_up(f->output_channels, QUAD);
    const int threads = block_threads(quads, THREADS);
    enum status result = launch(
        context, "conv1d_backward", f->type == DTYPE_F32 ? bias_kernel<float> : bias_kernel<cuda_bfloat16>, pieces,
        divide_up(quads, threads), threads, *f, *z, conv1d_bias_piece(f), partial, cuda_fault_word(context));
    if (result == STATUS_OK)
        result = cuda_conv1d_add_pieces(context, partial, pieces, f->output_channels, p->grad_bias, p->overwrite);
    return result;
}

extern "C" enum status cuda_conv1d_backward(const struct device_context *context, const struct conv1d_backward *p)
{
    const struct conv1d_forward *f = &p->forward;
    const bool work = f->batch > 0 && f->output_frames > 0;
    const struct conv1d_room room = work ? conv1d_room(p) : (struct conv1d_room){0, 0, 0};
    unsigned char *scratch = static_cast<unsigned char *>(context->scratch);
    struct conv1d_gradient z = {NULL, 0, 0};
    enum status result = work ? find_gradient(context, p, &z) : STATUS_OK;
    if (result == STATUS_OK && p->grad_x && f->batch > 0 && f->frames > 0)
        result = cuda_conv1d_backward_x(context, p, &z);
    if (result == STATUS_OK && p->grad_weight && (work || p->overwrite))
        result = cuda_conv1d_backward_weight(context, p, &z, reinterpret_cast<float *>(scratch + room.weight));
    if (result == STATUS_OK && p->grad_bias && (work || p->overwrite))
        result = find_bias(context, p, &z, reinterpret_cast<float *>(scratch + room.bias));
    return result;
}
