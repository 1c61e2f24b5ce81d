/* What vocoders and the pitch extractor do beside a speech encoder, in f32: one of HiFi-GAN's convolutions with its LeakyReLU and
 * residual, a transposed one, a depthwise one, the gated linear unit, and embeddings repeated to the frame rate. A tiny run has the
 * same operations with a few frames. */
#include "gpu_check/benchmark.h"

#include <stdlib.h>

enum { UNIT_RATE = 50 };

static void row_of(struct benchmark *b, enum benchmark_operation operation, const void *parameters, const char *shape,
                   double flops)
{
    benchmark_row(b, &(struct benchmark_case){operation, parameters, shape, DTYPE_F32, 0, flops, NULL, 0});
}

static struct conv1d_forward conv1d_of(struct benchmark *b, int64_t frames, int64_t channels, int64_t kernel,
                                       int64_t dilation, int64_t groups)
{
    struct conv1d_forward p = {.batch = 1,
                               .frames = frames,
                               .channels = channels,
                               .output_frames = frames,
                               .output_channels = channels,
                               .kernel = kernel,
                               .stride = 1,
                               .dilation = dilation,
                               .groups = groups,
                               .padding_left = (kernel - 1) * dilation / 2,
                               .padding_right = (kernel - 1) * dilation / 2,
                               .x_row_stride = channels,
                               .output_row_stride = channels,
                               .type = DTYPE_F32};
    p.x = benchmark_numbers(b, DTYPE_F32, frames * channels, 1);
    p.weight = benchmark_numbers(b, DTYPE_F32, channels * kernel * channels / groups, 0.05);
    p.bias = benchmark_numbers(b, DTYPE_F32, channels, 0.1);
    p.output = benchmark_numbers(b, DTYPE_F32, frames * channels, 1);
    return p;
}

static void bench_convolutions(struct benchmark *b, int64_t frames)
{
    const int64_t channels = b->tiny ? 16 : 128, kernel = 7, dilation = 3;
    struct conv1d_forward p = conv1d_of(b, frames, channels, kernel, dilation, 1);
    p.residual = p.x;
    p.input_activation = ACTIVATION_LEAKY_RELU;
    p.input_slope = 0.1f;
    char shape[64];
    snprintf(shape, sizeof shape, "vocoder k7 dilation 3, %lld", (long long)channels);
    row_of(b, BENCHMARK_conv1d_forward, &p, shape, 2.0 * (double)(frames * channels) * (double)(kernel * channels));
    const struct conv1d_transposed up = {.batch = 1,
                                         .frames = frames,
                                         .channels = channels,
                                         .output_frames = frames * 4,
                                         .output_channels = channels / 2,
                                         .kernel = 8,
                                         .stride = 4,
                                         .padding = 2,
                                         .x = p.x,
                                         .weight = benchmark_numbers(b, DTYPE_F32, 8 * channels * channels / 2, 0.05),
                                         .bias = p.bias,
                                         .output = benchmark_numbers(b, DTYPE_F32, frames * 2 * channels, 1),
                                         .x_row_stride = channels,
                                         .output_row_stride = channels / 2,
                                         .input_activation = ACTIVATION_LEAKY_RELU,
                                         .input_slope = 0.1f,
                                         .type = DTYPE_F32};
    snprintf(shape, sizeof shape, "k8 stride 4, %lld to %lld", (long long)channels, (long long)channels / 2);
    row_of(b, BENCHMARK_conv1d_transposed, &up, shape, 2.0 * (double)(frames * channels) * (double)(4 * channels));
    benchmark_next(b);
}

static void bench_conformer(struct benchmark *b, int64_t frames)
{
    const int64_t channels = b->tiny ? 16 : 1024, kernel = b->tiny ? 5 : 31;
    struct conv1d_forward p = conv1d_of(b, frames, channels, kernel, 1, channels);
    p.activation = ACTIVATION_SILU;
    char shape[64];
    snprintf(shape, sizeof shape, "depthwise k%lld, %lld x %lld", (long long)kernel, (long long)frames,
             (long long)channels);
    row_of(b, BENCHMARK_conv1d_forward, &p, shape, 0);
    float *wide = benchmark_numbers(b, DTYPE_F32, frames * 2 * channels, 1);
    const struct glu gate = {frames, channels, wide, p.output, DTYPE_F32};
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)frames, (long long)channels);
    row_of(b, BENCHMARK_glu, &gate, shape, 0);
    const struct activate tanh = {frames * channels, wide, p.output, ACTIVATION_TANH, 0, DTYPE_F32};
    row_of(b, BENCHMARK_activate, &tanh, shape, 0);
    benchmark_next(b);
}

static void bench_embeddings(struct benchmark *b, int64_t frames)
{
    const int64_t channels = b->tiny ? 16 : 128, tokens = frames / 2;
    const struct gather_repeat p = {.tokens = tokens,
                                    .channels = channels,
                                    .rows = 500,
                                    .frames = tokens * 2,
                                    .ids = benchmark_numbers(b, DTYPE_F32, tokens, 0), /* zeros are ids, too */
                                    .repeat = 2,
                                    .table = benchmark_numbers(b, DTYPE_F32, 500 * channels, 1),
                                    .output = benchmark_numbers(b, DTYPE_F32, frames * 5 * channels, 1),
                                    .output_row_stride = 5 * channels,
                                    .type = DTYPE_F32};
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x 2 of %lld", (long long)tokens, (long long)channels);
    benchmark_row(b,
                  &(struct benchmark_case){BENCHMARK_gather_repeat, &p, shape, DTYPE_F32,
                                           4.0 * 2 * (double)(p.frames * channels) + 4.0 * (double)tokens, 0, NULL, 0});
    benchmark_next(b);
}

void benchmark_vocoder(struct benchmark *b)
{
    const int64_t seconds = b->tiny ? 1 : b->sizes.seconds, units = seconds * UNIT_RATE;
    bench_convolutions(b, b->tiny ? 40 : units * 20);
    bench_conformer(b, b->tiny ? 20 : seconds * 100);
    bench_embeddings(b, units);
}
