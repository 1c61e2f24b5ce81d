/* How fast are a vocoder's convolutions on the CPU, and how far from what the machine can do? HiFi-GAN's layers by channels, kernel and
 * dilation, with the LeakyReLU before and the residual after; its transposed ones; and the depthwise one of a conformer. Products are
 * compared with a plain sgemm of 1024^3 on every thread. Usage: benchmark_convolutions [threads] [seconds of audio] */
#include "benchmarks/measure.h"

struct setting {
    const struct kernels *kernels;
    struct device_context context;
    struct ceiling gemm;
    double seconds, total_flops, total_best, total_work;
};

struct run_forward {
    struct setting *s;
    struct conv1d_forward p;
};

static void run_forward(void *argument)
{
    struct run_forward *run = argument;
    must(run->s->kernels->conv1d_forward(&run->s->context, &run->p));
}

struct run_transposed {
    struct setting *s;
    struct conv1d_transposed p;
};

static void run_transposed(void *argument)
{
    struct run_transposed *run = argument;
    must(run->s->kernels->conv1d_transposed(&run->s->context, &run->p));
}

static void print_row(struct setting *s, const char *shape, struct measurement m, double flops)
{
    double rate = 1e-9 * flops / m.best;
    printf("%-44s %9.3f %8.1f %5.0f %% %5.0f %%\n", shape, 1e3 * m.best, rate, 100 * rate / s->gemm.rate,
           100 * 1e-9 * flops / m.work / s->gemm.work);
    s->total_flops += flops;
    s->total_best += m.best;
    s->total_work += m.work;
}

static void bench_forward(struct setting *s, int64_t frames, int64_t channels, int64_t outputs, int64_t kernel,
                          int64_t dilation, int64_t groups)
{
    int64_t padding = (kernel - 1) * dilation / 2;
    float *x = some_floats(frames * channels, 1), *weight = some_floats(outputs * kernel * channels / groups, 0.1f);
    float *bias = some_floats(outputs, 1), *output = some_floats(frames * outputs, 1);
    struct run_forward run = {s,
                              {.batch = 1,
                               .frames = frames,
                               .channels = channels,
                               .output_frames = frames,
                               .output_channels = outputs,
                               .kernel = kernel,
                               .stride = 1,
                               .dilation = dilation,
                               .groups = groups,
                               .padding_left = padding,
                               .padding_right = padding,
                               .x = x,
                               .weight = weight,
                               .bias = bias,
                               .residual = channels == outputs && groups == 1 ? x : NULL,
                               .output = output,
                               .x_row_stride = channels,
                               .output_row_stride = outputs,
                               .activation = outputs == 1 ? ACTIVATION_TANH
                                             : groups > 1 ? ACTIVATION_SILU
                                                          : ACTIVATION_NONE,
                               .input_activation = groups > 1 ? ACTIVATION_NONE : ACTIVATION_LEAKY_RELU,
                               .input_slope = 0.1f,
                               .type = DTYPE_F32}};
    char shape[96];
    snprintf(shape, sizeof shape, "%lld frames, %lld -> %lld, k %lld, dilation %lld%s", (long long)frames,
             (long long)channels, (long long)outputs, (long long)kernel, (long long)dilation,
             groups > 1 ? ", depthwise" : "");
    print_row(s, shape, measure(run_forward, &run, s->seconds),
              2.0 * (double)(frames * outputs) * (double)(kernel * channels / groups));
    free(x);
    free(weight);
    free(bias);
    free(output);
}

static void bench_transposed(struct setting *s, int64_t frames, int64_t channels, int64_t kernel, int64_t stride)
{
    int64_t padding = (kernel - stride) / 2, outputs = channels / 2;
    float *x = some_floats(frames * channels, 1), *weight = some_floats(outputs * kernel * channels, 0.1f);
    float *bias = some_floats(outputs, 1), *output = some_floats((frames + 1) * stride * outputs + kernel * outputs, 1);
    struct run_transposed run = {s,
                                 {.batch = 1,
                                  .frames = frames,
                                  .channels = channels,
                                  .output_channels = outputs,
                                  .kernel = kernel,
                                  .stride = stride,
                                  .padding = padding,
                                  .x = x,
                                  .weight = weight,
                                  .bias = bias,
                                  .output = output,
                                  .x_row_stride = channels,
                                  .output_row_stride = outputs,
                                  .input_activation = ACTIVATION_LEAKY_RELU,
                                  .input_slope = 0.1f,
                                  .type = DTYPE_F32}};
    run.p.output_frames = conv1d_transposed_frames(&run.p, frames);
    char shape[96];
    snprintf(shape, sizeof shape, "%lld frames, %lld -> %lld, k %lld, stride %lld", (long long)frames,
             (long long)channels, (long long)outputs, (long long)kernel, (long long)stride);
    print_row(s, shape, measure(run_transposed, &run, s->seconds),
              2.0 * (double)(frames * outputs) * (double)(kernel * channels));
    free(x);
    free(weight);
    free(bias);
    free(output);
}

/* One generator of 512 channels: per stage its transposed convolution and the six shapes of its ResBlocks. */
static void bench_vocoder(struct setting *s, double audio)
{
    static const int64_t strides[] = {5, 4, 4, 2, 2}, kernels[] = {11, 8, 8, 4, 4}, widths[] = {3, 7, 11};
    int64_t frames = (int64_t)(audio * 50), channels = 512;
    bench_forward(s, frames, 256, channels, 7, 1, 1);
    for (int stage = 0; stage < 5; stage++) {
        bench_transposed(s, frames, channels, kernels[stage], strides[stage]);
        frames *= strides[stage];
        channels /= 2;
        for (int k = 0; k < 3; k++)
            for (int64_t dilation = 1; dilation <= 5; dilation += 2)
                bench_forward(s, frames, channels, channels, widths[k], dilation, 1);
    }
    bench_forward(s, frames, channels, 1, 7, 1, 1);
    double rate = 1e-9 * s->total_flops / s->total_best;
    printf("%-44s %9.3f %8.1f %5.0f %% %5.0f %%\n", "all of them", 1e3 * s->total_best, rate, 100 * rate / s->gemm.rate,
           100 * 1e-9 * s->total_flops / s->total_work / s->gemm.work);
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    double audio = count > 2 ? atof(arguments[2]) : 2;
    struct setting s = {.kernels = kernels_cpu(), .seconds = 0.2};
    struct thread_pool *pool;
    must(thread_pool_create(threads, &pool));
    must(device_context_create(s.kernels, pool, 0, &s.context));
    s.gemm = gemm_ceiling(pool);
    printf("%d threads, %s; ceiling: sgemm of 1024^3, %.1f GFLOP/s by the clock, %.1f per processor second\n", threads,
           s.kernels->describe(&s.context), s.gemm.rate, s.gemm.work);
    printf("%-44s %9s %8s %7s %7s\n", "", "ms", "GFLOP/s", "clock", "work");
    bench_vocoder(&s, audio);
    bench_forward(&s, (int64_t)(audio * 100), 1024, 1024, 31, 1, 1024);
    bench_forward(&s, (int64_t)(audio * 100), 1024, 1024, 3, 1, 1024);
    device_context_destroy(s.kernels, &s.context);
    thread_pool_destroy(pool);
    return 0;
}
