/* How fast is a speech encoder?
 *   benchmark_speech_encoder FOLDER-OR-FILE [SECONDS [CLIPS]]
 * A batch of CLIPS (1) clips of SECONDS (10) of noise goes through the whole encoder, and through its convolutions alone. Printed beside
 * one plain sgemm per thread in the same run, and in times real time. benchmarks/peer_speech_encoder.py makes such a folder and
 * measures transformers on the same. SPIRITLM_THREADS sets the number of threads. */
#include "benchmarks/measure.h"
#include "kernels/cpu/cpu.h"
#include "models/encoder/encoder.h"

struct run {
    struct encoder_workspace *workspace;
    struct encoder_clip *clips;
    int64_t count, stop;
    const struct kernels *kernels;
    struct device_context *context;
};

static void run(void *argument)
{
    struct run *run = argument;
    struct encoder_output output;
    must(encoder_run(run->workspace, run->clips, run->count, run->stop, &output));
    must(run->kernels->synchronize(run->context));
}

/* Multiplications and additions of a clip of so many samples, each counted as one. */
static void count_work(const struct encoder_config *config, int64_t samples, double *convolutions, double *rest)
{
    double frames = (double)samples, channels = 1, hidden = (double)config->hidden_size;
    *convolutions = *rest = 0;
    for (int64_t i = 0; i < config->convolution_count; i++) {
        const struct encoder_convolution *c = &config->convolutions[i];
        frames = floor((frames - (double)c->kernel) / (double)c->stride) + 1;
        *convolutions += 2 * frames * channels * (double)(c->kernel * c->channels);
        channels = (double)c->channels;
    }
    *rest += 2 * frames * channels * hidden;
    *rest += 2 * frames * hidden * hidden * (double)(config->positional_kernel / config->positional_groups);
    *rest += (double)config->layers * 2 * frames *
             (4 * hidden * hidden + 2 * hidden * (double)config->intermediate_size + 2 * frames * hidden);
}

static void report(const char *what, struct measurement m, double work, double seconds, struct ceiling ceiling)
{
    double gflops = 1e-9 * work;
    printf("%-14s %8.1f %8.1f %8.1f %9.1f %7.0f %6.0f %%\n", what, 1e3 * m.median, 1e3 * m.best, 1e3 * m.work,
           seconds / m.median, gflops / m.best, 100 * gflops / m.work / ceiling.work);
}

int main(int argc, char **argv)
{
    struct thread_pool *pool;
    struct device_context context;
    struct encoder *encoder;
    const struct kernels *kernels = kernels_cpu();
    const struct encoder_options options = {.layer = ENCODER_LAST};
    double seconds = argc > 2 ? atof(argv[2]) : 10;
    struct run state = {.count = argc > 3 ? atoll(argv[3]) : 1, .kernels = kernels, .context = &context};
    if (argc < 2 || seconds <= 0 || state.count < 1) {
        fprintf(stderr, "usage: benchmark_speech_encoder FOLDER-OR-FILE [SECONDS [CLIPS]]\n");
        return 2;
    }
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels, pool, 0, &context));
    must(encoder_open(argv[1], &options, kernels, &context, &encoder));
    must(encoder_workspace_create(encoder, &context, &state.workspace));
    int64_t samples = (int64_t)(seconds * (double)encoder_config(encoder)->sample_rate);
    float *noise = some_floats(samples, 0.1f);
    state.clips = must_allocate((size_t)state.count * sizeof *state.clips);
    for (int64_t i = 0; i < state.count; i++)
        state.clips[i] = (struct encoder_clip){.samples = noise, .count = samples};
    double convolutions, rest, all = seconds * (double)state.count;
    count_work(encoder_config(encoder), samples, &convolutions, &rest);
    convolutions *= (double)state.count;
    rest *= (double)state.count;
    struct ceiling ceiling = gemm_ceiling(pool);
    printf("%s; %d threads; sgemm %.0f GFLOP/s, %.0f per processor second\n", kernels->describe(&context),
           thread_pool_threads(pool), ceiling.rate, ceiling.work);
    printf("%-14s %8s %8s %8s %9s %7s %8s\n", "ms", "median", "best", "work", "x real", "GFLOP/s", "work/sgemm");
    state.stop = ENCODER_FEATURES;
    report("convolutions", measure(run, &state, 3), convolutions, all, ceiling);
    state.stop = ENCODER_LAST;
    report("encoder", measure(run, &state, 5), convolutions + rest, all, ceiling);
    encoder_workspace_destroy(state.workspace);
    encoder_close(encoder);
    device_context_destroy(kernels, &context);
    thread_pool_destroy(pool);
    free(state.clips);
    free(noise);
    return 0;
}
