/* What a speech encoder does on `seconds` of sound in a batch: HuBERT's layers at its base size, in bf16, and the parts of the
 * embedded tokenizers; convolutions beside cuDNN's, where the build and the machine have it. A tiny run has the same operations
 * with a few frames. */
#include "gpu_check/benchmark.h"
#include "kernels/cuda/conv1d_cudnn.h"
#include "kernels/cuda/sizes/conv1d_engine.h"

#include <stdlib.h>

enum { RATE = 16000, FIRST_KERNEL = 10, FIRST_STRIDE = 5 };

static int64_t batch_of(const struct benchmark *b)
{
    return b->tiny || b->counted ? 1 : 8;
}

static int64_t samples_of(const struct benchmark *b)
{
    return b->tiny ? 600 : b->sizes.seconds * RATE;
}

/* bytes 0: every operand once. */
static void row_of(struct benchmark *b, enum benchmark_operation operation, const void *parameters, int64_t rows,
                   int64_t columns, double bytes)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)rows, (long long)columns);
    benchmark_row(b, &(struct benchmark_case){operation, parameters, shape, DTYPE_BF16, bytes, 0, NULL, 0});
}

/* ---- convolutions ---- */

static struct conv1d_forward conv1d_of(struct benchmark *b, int64_t frames, int64_t channels, int64_t output_channels,
                                       int64_t kernel, int64_t stride, int64_t groups, int64_t padding)
{
    struct conv1d_forward p = {.batch = batch_of(b),
                               .frames = frames,
                               .channels = channels,
                               .output_channels = output_channels,
                               .kernel = kernel,
                               .stride = stride,
                               .dilation = 1,
                               .groups = groups,
                               .padding_left = padding,
                               .padding_right = padding > 0 ? padding - 1 : 0,
                               .x_row_stride = channels,
                               .x_batch_stride = frames * channels,
                               .output_row_stride = output_channels,
                               .activation = ACTIVATION_GELU,
                               .type = DTYPE_BF16};
    p.output_frames = conv1d_frames(&p, frames);
    p.output_batch_stride = p.output_frames * output_channels;
    p.x = benchmark_numbers(b, DTYPE_BF16, p.batch * p.x_batch_stride, 1);
    p.weight = benchmark_numbers(b, DTYPE_BF16, output_channels * kernel * channels / groups, 0.05);
    p.bias = benchmark_numbers(b, DTYPE_BF16, output_channels, 0.1);
    p.output = benchmark_numbers(b, DTYPE_BF16, p.batch * p.output_batch_stride, 1);
    return p;
}

static enum status run_cudnn(struct benchmark *b, const void *parameters)
{
    bool done = false;
    enum status result = cuda_cudnn_forward(&b->context, parameters, &done);
    return result != STATUS_OK || done ? result : status_set(STATUS_USAGE, "cuDNN does not take the convolution");
}

/* The same call by cuDNN, in a context of its own. 0: there is no cuDNN, or it does not take the call, and a line says so. */
static double seconds_of_cudnn(struct benchmark *b, const struct conv1d_forward *p)
{
    struct benchmark other = *b;
    struct benchmark_time time = {0, 0, 0};
    cuda_conv1d_choose(CUDA_CONV1D_CUDNN);
    enum status result =
        device_context_create(b->kernels, NULL, b->kernels->conv1d_forward_scratch_size(p), &other.context);
    if (result == STATUS_OK) {
        result = benchmark_time(&other, run_cudnn, p, &time);
        if (result != STATUS_OK)
            printf("conv1d_forward beside cuDNN: %s\n", status_text());
        device_context_destroy(b->kernels, &other.context);
    } else {
        printf("conv1d_forward beside cuDNN: %s\n", status_text());
    }
    cuda_conv1d_choose(CUDA_CONV1D_OWN);
    return result == STATUS_OK ? time.median : 0;
}

static void bench_conv1d(struct benchmark *b, const char *what, int64_t frames, int64_t channels, int64_t kernel,
                         int64_t stride, int64_t groups, int64_t padding)
{
    char shape[64];
    struct conv1d_forward p = conv1d_of(b, frames, channels, channels, kernel, stride, groups, padding);
    double flops = 2.0 * (double)(p.batch * p.output_frames * channels) * (double)(kernel * channels / groups);
    snprintf(shape, sizeof shape, "%s k%lld s%lld g%lld, %lld", what, (long long)kernel, (long long)stride,
             (long long)groups, (long long)channels);
    const double peer = b->counted ? 0 : seconds_of_cudnn(b, &p);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_conv1d_forward, &p, shape, DTYPE_BF16, 0, flops,
                                              peer > 0 ? "cuDNN" : NULL, peer});
    p.pre_activation = benchmark_numbers(b, DTYPE_BF16, p.batch * p.output_batch_stride, 1);
    const struct conv1d_backward back = {.forward = p,
                                         .grad_output = p.output,
                                         .grad_x = benchmark_numbers(b, DTYPE_BF16, p.batch * p.x_batch_stride, 1),
                                         .grad_weight =
                                             benchmark_numbers(b, DTYPE_F32, channels * kernel * channels / groups, 1),
                                         .grad_bias = benchmark_numbers(b, DTYPE_F32, channels, 1),
                                         .overwrite = true};
    benchmark_row(b,
                  &(struct benchmark_case){BENCHMARK_conv1d_backward, &back, shape, DTYPE_BF16, 0, 2 * flops, NULL, 0});
    benchmark_next(b);
}

/* The first layer, whose result has many times the bytes of its input. */
static void bench_first_layer(struct benchmark *b, int64_t channels)
{
    char shape[64];
    const struct conv1d_group_norm p = {.conv =
                                            conv1d_of(b, samples_of(b), 1, channels, FIRST_KERNEL, FIRST_STRIDE, 1, 0),
                                        .norm_groups = channels,
                                        .norm_weight = benchmark_numbers(b, DTYPE_BF16, channels, 1),
                                        .norm_bias = benchmark_numbers(b, DTYPE_BF16, channels, 1),
                                        .epsilon = 1e-5f};
    snprintf(shape, sizeof shape, "%lld x %lld samples, %lld", (long long)batch_of(b), (long long)samples_of(b),
             (long long)channels);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_conv1d_group_norm, &p, shape, DTYPE_BF16, 0, 0, NULL, 0});
    benchmark_next(b);
}

/* ---- norms and activations ---- */

static void bench_norms(struct benchmark *b, int64_t rows, int64_t channels)
{
    int64_t count = rows * channels;
    void *x = benchmark_numbers(b, DTYPE_BF16, count, 1), *y = benchmark_numbers(b, DTYPE_BF16, count, 1),
         *z = benchmark_numbers(b, DTYPE_BF16, count, 1), *weight = benchmark_numbers(b, DTYPE_BF16, channels, 1);
    float *statistics = benchmark_numbers(b, DTYPE_F32, rows + channels, 1),
          *gradient = benchmark_numbers(b, DTYPE_F32, channels, 1);
    const struct activate gelu = {count, x, y, ACTIVATION_GELU, 0, DTYPE_BF16};
    const struct gelu_backward gelu_back = {count, x, y, z, DTYPE_BF16};
    const struct layer_norm_forward layer = {.rows = rows,
                                             .channels = channels,
                                             .x = x,
                                             .residual = y,
                                             .weight = weight,
                                             .bias = weight,
                                             .output = z,
                                             .mean = statistics,
                                             .rstd = benchmark_numbers(b, DTYPE_F32, rows, 1),
                                             .epsilon = 1e-5f,
                                             .type = DTYPE_BF16};
    const struct layer_norm_backward layer_back = {.rows = rows,
                                                   .channels = channels,
                                                   .sum = x,
                                                   .weight = weight,
                                                   .bias = weight,
                                                   .grad_output = y,
                                                   .mean = statistics,
                                                   .rstd = layer.rstd,
                                                   .grad_sum = z,
                                                   .grad_weight = gradient,
                                                   .grad_bias = benchmark_numbers(b, DTYPE_F32, channels, 1),
                                                   .overwrite = true,
                                                   .type = DTYPE_BF16};
    char shape[64];
    snprintf(shape, sizeof shape, "GELU %lld x %lld", (long long)rows, (long long)channels);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_activate, &gelu, shape, DTYPE_BF16, 0, 0, NULL, 0});
    row_of(b, BENCHMARK_gelu_backward, &gelu_back, rows, channels, 0);
    row_of(b, BENCHMARK_layer_norm_forward, &layer, rows, channels, 0);
    row_of(b, BENCHMARK_layer_norm_backward, &layer_back, rows, channels, 0);
    benchmark_next(b);
}

static void bench_group_norm(struct benchmark *b, int64_t frames, int64_t channels)
{
    int64_t batch = batch_of(b), count = batch * frames * channels, groups = channels;
    const struct group_norm_forward forward = {.batch = batch,
                                               .frames = frames,
                                               .channels = channels,
                                               .groups = groups,
                                               .x = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                               .weight = benchmark_numbers(b, DTYPE_BF16, channels, 1),
                                               .bias = benchmark_numbers(b, DTYPE_BF16, channels, 1),
                                               .output = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                               .mean = benchmark_numbers(b, DTYPE_F32, batch * groups, 1),
                                               .rstd = benchmark_numbers(b, DTYPE_F32, batch * groups, 1),
                                               .epsilon = 1e-5f,
                                               .type = DTYPE_BF16};
    const struct group_norm_backward backward = {.batch = batch,
                                                 .frames = frames,
                                                 .channels = channels,
                                                 .groups = groups,
                                                 .x = forward.x,
                                                 .weight = forward.weight,
                                                 .bias = forward.bias,
                                                 .grad_output = forward.output,
                                                 .mean = forward.mean,
                                                 .rstd = forward.rstd,
                                                 .grad_x = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                                 .grad_weight = benchmark_numbers(b, DTYPE_F32, channels, 1),
                                                 .grad_bias = benchmark_numbers(b, DTYPE_F32, channels, 1),
                                                 .overwrite = true,
                                                 .type = DTYPE_BF16};
    /* What statistics are taken of is read twice, since they come before the first output. */
    row_of(b, BENCHMARK_group_norm_forward, &forward, batch * frames, channels, 3 * 2 * (double)count);
    row_of(b, BENCHMARK_group_norm_backward, &backward, batch * frames, channels, 5 * 2 * (double)count);
    benchmark_next(b);
}

/* ---- sound and units ---- */

static void bench_sound(struct benchmark *b)
{
    enum { WINDOW = 512, BANDS = 80, BINS = WINDOW / 2 + 1 };
    int64_t batch = batch_of(b), samples = samples_of(b);
    int32_t first[BANDS], length[BANDS], offset[BANDS];
    double window[WINDOW], weights[4 * BANDS];
    for (int32_t i = 0; i < BANDS; i++) { /* four bins per band, which overlap */
        first[i] = i * (BINS - 4) / BANDS;
        length[i] = 4;
        offset[i] = 4 * i;
    }
    for (int i = 0; i < WINDOW; i++)
        window[i] = 0.5;
    for (int i = 0; i < 4 * BANDS; i++)
        weights[i] = 0.25;
    const float *x = benchmark_numbers(b, DTYPE_F32, batch * samples, 1);
    const struct waveform_normalise normalise = {.batch = batch,
                                                 .samples = samples,
                                                 .x = x,
                                                 .output = benchmark_numbers(b, DTYPE_F32, batch * samples, 1),
                                                 .x_stride = samples,
                                                 .output_stride = samples,
                                                 .epsilon = 1e-5,
                                                 .type = DTYPE_F32};
    struct log_mel_spectrum mel = {.batch = batch,
                                   .samples = samples,
                                   .bands = BANDS,
                                   .window_size = WINDOW,
                                   .hop = RATE / 100,
                                   .x = x,
                                   .x_stride = samples,
                                   .window = benchmark_values(b, sizeof *window, WINDOW, window),
                                   .weights =
                                       benchmark_values(b, sizeof *weights, sizeof weights / sizeof *weights, weights),
                                   .weight_count = sizeof weights / sizeof *weights,
                                   .band_first = benchmark_values(b, sizeof *first, BANDS, first),
                                   .band_length = benchmark_values(b, sizeof *length, BANDS, length),
                                   .band_offset = benchmark_values(b, sizeof *offset, BANDS, offset),
                                   .floor = 1e-10};
    mel.frames = log_mel_frames_of(&mel, samples);
    mel.output = benchmark_numbers(b, DTYPE_F32, batch * mel.frames * BANDS, 1);
    row_of(b, BENCHMARK_waveform_normalise, &normalise, batch, samples, 3 * 4 * (double)(batch * samples));
    row_of(b, BENCHMARK_log_mel_spectrum, &mel, batch * mel.frames, BANDS, 0);
    benchmark_next(b);
}

static void bench_units(struct benchmark *b, int64_t rows, int64_t channels)
{
    const struct kmeans_assign p = {.rows = rows,
                                    .channels = channels,
                                    .clusters = b->tiny ? 9 : 500,
                                    .x = benchmark_numbers(b, DTYPE_F32, rows * channels, 1),
                                    .centroids = benchmark_numbers(b, DTYPE_F32, 500 * channels, 1),
                                    .x_row_stride = channels,
                                    .labels = benchmark_numbers(b, DTYPE_F32, rows, 0),
                                    .distances = benchmark_numbers(b, DTYPE_F32, rows, 0)};
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld, %lld", (long long)rows, (long long)channels, (long long)p.clusters);
    double flops = 2.0 * (double)(rows * channels) * (double)p.clusters;
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_kmeans_assign, &p, shape, DTYPE_F32, 0, flops, NULL, 0});
    benchmark_next(b);
}

void benchmark_speech(struct benchmark *b)
{
    int64_t channels = b->tiny ? 32 : 512, hidden = b->tiny ? 32 : 768;
    int64_t first = (samples_of(b) - FIRST_KERNEL) / FIRST_STRIDE + 1, frames = first / 64;
    bench_first_layer(b, channels);
    bench_conv1d(b, "layer", b->tiny ? 20 : first, channels, 3, 2, 1, 0);
    bench_conv1d(b, "positions", b->tiny ? 10 : frames, hidden, b->tiny ? 8 : 128, 1, 16, b->tiny ? 4 : 64);
    bench_group_norm(b, b->tiny ? 20 : first, channels);
    bench_norms(b, b->tiny ? 12 : b->counted ? 2048 : batch_of(b) * frames, hidden);
    bench_sound(b);
    bench_units(b, b->tiny ? 12 : batch_of(b) * frames, hidden);
}
