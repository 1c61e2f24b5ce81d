/* What vocoders and the pitch extractors do beside a speech encoder, in f32: HiFi-GAN's convolutions with their LeakyReLU and
 * residual, wide, narrow and the last one, two of its transposed ones, and its embeddings, repeated to the frame rate; FCPE's
 * depthwise convolution and gated linear unit; the VQ-VAE's strided convolution and its codes. A tiny run has the same operations
 * with a few frames. */
#include "gpu_check/benchmark.h"

#include <stdlib.h>

enum { UNIT_RATE = 50 };

static void row_of(struct benchmark *b, enum benchmark_operation operation, const void *parameters, const char *shape,
                   double flops)
{
    benchmark_row(b, &(struct benchmark_case){operation, parameters, shape, DTYPE_F32, 0, flops, NULL, 0});
}

/* The convolution of `p`'s frames, channels, outputs, kernel, stride, dilation and groups, with as many frames as there are steps. */
static struct conv1d_forward conv1d_of(struct benchmark *b, struct conv1d_forward p)
{
    const int64_t padding = (p.kernel - 1) * p.dilation + 1 - p.stride;
    p.batch = 1;
    p.padding_left = padding / 2;
    p.padding_right = padding - padding / 2;
    p.output_frames = conv1d_frames(&p, p.frames);
    p.x_row_stride = p.channels;
    p.output_row_stride = p.output_channels;
    p.type = DTYPE_F32;
    p.x = benchmark_numbers(b, DTYPE_F32, p.frames * p.channels, 1);
    p.weight = benchmark_numbers(b, DTYPE_F32, p.output_channels * p.kernel * p.channels / p.groups, 0.05);
    p.bias = benchmark_numbers(b, DTYPE_F32, p.output_channels, 0.1);
    p.output = benchmark_numbers(b, DTYPE_F32, p.output_frames * p.output_channels, 1);
    return p;
}

static void row_of_conv1d(struct benchmark *b, const char *what, const struct conv1d_forward *p)
{
    char shape[64];
    double sums = (double)(p->output_frames * p->output_channels);
    snprintf(shape, sizeof shape, "%s k%lld s%lld d%lld, %lld to %lld", what, (long long)p->kernel,
             (long long)p->stride, (long long)p->dilation, (long long)p->channels, (long long)p->output_channels);
    row_of(b, BENCHMARK_conv1d_forward, p, shape, 2 * sums * (double)(p->kernel * p->channels / p->groups));
}

/* A step of a residual block, and the last layer behind it. */
static void bench_vocoder_layers(struct benchmark *b, int64_t frames, int64_t channels, int64_t kernel,
                                 int64_t dilation)
{
    const struct conv1d_forward shape = {.frames = frames,
                                         .channels = channels,
                                         .output_channels = channels,
                                         .kernel = kernel,
                                         .stride = 1,
                                         .dilation = dilation,
                                         .groups = 1,
                                         .input_activation = ACTIVATION_LEAKY_RELU,
                                         .input_slope = 0.1f};
    struct conv1d_forward p = conv1d_of(b, shape), last = shape;
    p.residual = p.x;
    row_of_conv1d(b, "vocoder", &p);
    if (dilation > 3) {
        last.output_channels = last.dilation = 1;
        last.kernel = 7;
        last.activation = ACTIVATION_TANH;
        last = conv1d_of(b, last);
        row_of_conv1d(b, "vocoder, last", &last);
    }
    benchmark_next(b);
}

static void bench_upsampling(struct benchmark *b, int64_t frames, int64_t channels, int64_t kernel, int64_t stride)
{
    const int64_t outputs = channels / 2;
    const struct conv1d_transposed p = {.batch = 1,
                                        .frames = frames,
                                        .channels = channels,
                                        .output_frames = frames * stride,
                                        .output_channels = outputs,
                                        .kernel = kernel,
                                        .stride = stride,
                                        .padding = (kernel - stride) / 2,
                                        .x = benchmark_numbers(b, DTYPE_F32, frames * channels, 1),
                                        .weight = benchmark_numbers(b, DTYPE_F32, kernel * outputs * channels, 0.05),
                                        .bias = benchmark_numbers(b, DTYPE_F32, outputs, 0.1),
                                        .output = benchmark_numbers(b, DTYPE_F32, frames * stride * outputs, 1),
                                        .x_row_stride = channels,
                                        .output_row_stride = outputs,
                                        .input_activation = ACTIVATION_LEAKY_RELU,
                                        .input_slope = 0.1f,
                                        .type = DTYPE_F32};
    char shape[64];
    snprintf(shape, sizeof shape, "k%lld stride %lld, %lld to %lld", (long long)kernel, (long long)stride,
             (long long)channels, (long long)outputs);
    row_of(b, BENCHMARK_conv1d_transposed, &p, shape, 2.0 * (double)(frames * channels) * (double)(kernel * outputs));
    benchmark_next(b);
}

static void bench_conformer(struct benchmark *b, int64_t frames)
{
    const int64_t channels = b->tiny ? 16 : 1024, kernel = b->tiny ? 5 : 31;
    const struct conv1d_forward p = conv1d_of(b, (struct conv1d_forward){.frames = frames,
                                                                         .channels = channels,
                                                                         .output_channels = channels,
                                                                         .kernel = kernel,
                                                                         .stride = 1,
                                                                         .dilation = 1,
                                                                         .groups = channels,
                                                                         .activation = ACTIVATION_SILU});
    char shape[64];
    snprintf(shape, sizeof shape, "depthwise k%lld, %lld x %lld", (long long)kernel, (long long)frames,
             (long long)channels);
    row_of(b, BENCHMARK_conv1d_forward, &p, shape, 0);
    float *wide = benchmark_numbers(b, DTYPE_F32, frames * 2 * channels, 1);
    const struct glu gate = {frames, channels, wide, p.output, DTYPE_F32};
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)frames, (long long)channels);
    row_of(b, BENCHMARK_glu, &gate, shape, 0);
    const struct activate tanh = {frames * channels, wide, p.output, ACTIVATION_TANH, 0, DTYPE_F32};
    snprintf(shape, sizeof shape, "tanh %lld x %lld", (long long)frames, (long long)channels);
    row_of(b, BENCHMARK_activate, &tanh, shape, 0);
    benchmark_next(b);
}

/* Half as many frames, and the nearest code of each of a sixteenth. */
static void bench_pitch_codes(struct benchmark *b, int64_t frames)
{
    const int64_t channels = b->tiny ? 8 : 32, width = b->tiny ? 16 : 128, codes = b->tiny ? 9 : 64;
    const int64_t rows = frames / 16;
    const struct conv1d_forward p = conv1d_of(b, (struct conv1d_forward){.frames = frames,
                                                                         .channels = channels,
                                                                         .output_channels = channels,
                                                                         .kernel = 4,
                                                                         .stride = 2,
                                                                         .dilation = 1,
                                                                         .groups = 1});
    row_of_conv1d(b, "pitch", &p);
    const struct kmeans_assign nearest = {.rows = rows,
                                          .channels = width,
                                          .clusters = codes,
                                          .x = benchmark_numbers(b, DTYPE_F32, rows * width, 1),
                                          .centroids = benchmark_numbers(b, DTYPE_F32, codes * width, 1),
                                          .x_row_stride = width,
                                          .labels = benchmark_numbers(b, DTYPE_F32, rows, 0)};
    char shape[64];
    snprintf(shape, sizeof shape, "pitch codes %lld x %lld, %lld", (long long)rows, (long long)width, (long long)codes);
    row_of(b, BENCHMARK_kmeans_assign, &nearest, shape, 2.0 * (double)(rows * width) * (double)codes);
    benchmark_next(b);
}

static void bench_embeddings(struct benchmark *b, int64_t frames)
{
    const int64_t channels = b->tiny ? 16 : 128, tokens = frames / 2;
    int32_t *ids = malloc((size_t)tokens * sizeof *ids);
    if (!ids) {
        fprintf(stderr, "error: no memory for %lld ids\n", (long long)tokens);
        exit(1);
    }
    for (int64_t n = 0; n < tokens; n++)
        ids[n] = (int32_t)(n * 37 % 500);
    const struct gather_repeat p = {.tokens = tokens,
                                    .channels = channels,
                                    .rows = 500,
                                    .frames = tokens * 2,
                                    .ids = benchmark_values(b, sizeof(int32_t), tokens, ids),
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
    free(ids);
    benchmark_next(b);
}

void benchmark_vocoder(struct benchmark *b)
{
    const int64_t seconds = b->tiny ? 1 : b->sizes.seconds, units = seconds * UNIT_RATE;
    const int64_t frames = b->tiny ? 40 : units * 20;
    bench_vocoder_layers(b, frames, b->tiny ? 16 : 128, 7, 3);
    bench_vocoder_layers(b, b->tiny ? 40 : units * 160, b->tiny ? 4 : 16, 11, 5);
    bench_upsampling(b, b->tiny ? 10 : units, b->tiny ? 16 : 512, 11, 5);
    bench_upsampling(b, frames, b->tiny ? 16 : 128, 8, 4);
    bench_conformer(b, b->tiny ? 20 : seconds * 100);
    bench_pitch_codes(b, b->tiny ? 40 : seconds * 200);
    bench_embeddings(b, units);
}
