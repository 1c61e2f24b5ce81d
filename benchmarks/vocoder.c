/* How fast does a unit HiFi-GAN speak?
 *   benchmark_vocoder FOLDER [SECONDS [CHUNK]]
 * SECONDS (10) of units that last one frame each, in chunks of CHUNK frames (0: the vocoder's choice); speaker 2, style 8. Printed
 * beside one plain sgemm per thread in the same run, and in times real time. benchmarks/peer_vocoder.py makes such a folder,
 * measures PyTorch on the same, and leaves its samples there: then the difference from them is printed, too. SPIRITLM_THREADS sets
 * the number of threads. */
#include "benchmarks/measure.h"
#include "kernels/cpu/cpu.h"
#include "models/hifigan/hifigan.h"

struct run {
    struct hifigan_workspace *workspace;
    struct hifigan_frames frames;
    const int32_t *units;
    int64_t count;
    int32_t *durations;
    float *samples;
};

static void speak(void *argument)
{
    struct run *run = argument;
    must(hifigan_speak(run->workspace, &run->frames, 0, run->frames.count, run->samples));
}

static void find_durations(void *argument)
{
    struct run *run = argument;
    must(hifigan_durations(run->workspace, run->units, run->count, run->durations, NULL));
}

/* Multiplications and additions for so many frames in one piece, each counted as one. */
static double count_work(const struct hifigan_config *c, int64_t frames)
{
    double rows = (double)frames, channels = (double)c->channels, taps = 0;
    double work = 2 * rows * channels * (double)(HIFIGAN_INPUT_KERNEL * hifigan_config_inputs(c));
    for (int64_t i = 0; i < c->blocks; i++)
        taps += 2.0 * HIFIGAN_DILATIONS * (double)c->block_kernels[i];
    for (int64_t stage = 0; stage < c->stages; stage++) {
        work += 2 * rows * channels * (channels / 2) * (double)c->kernels[stage];
        rows *= (double)c->rates[stage];
        channels /= 2;
        work += 2 * rows * channels * channels * taps;
    }
    return work + 2 * rows * channels * HIFIGAN_OUTPUT_KERNEL;
}

/* ||own - expected|| / ||expected||; negative where there is nothing to compare with. */
static double compare(const char *folder, const float *samples, int64_t count)
{
    char path[4096];
    float *expected = must_allocate((size_t)count * sizeof *expected);
    double error = 0, norm = 0;
    snprintf(path, sizeof path, "%s/samples.f32", folder);
    FILE *file = fopen(path, "rb");
    bool there = file && fread(expected, sizeof *expected, (size_t)count, file) == (size_t)count && fgetc(file) == EOF;
    for (int64_t i = 0; there && i < count; i++) {
        error += pow((double)samples[i] - (double)expected[i], 2);
        norm += pow((double)expected[i], 2);
    }
    if (file)
        fclose(file);
    free(expected);
    return there ? sqrt(error / norm) : -1;
}

int main(int argc, char **argv)
{
    struct thread_pool *pool;
    struct device_context context;
    struct hifigan *hifigan;
    const struct kernels *kernels = kernels_cpu();
    double seconds = argc > 2 ? atof(argv[2]) : 10;
    if (argc < 2 || seconds <= 0) {
        fprintf(stderr, "usage: benchmark_vocoder FOLDER [SECONDS [CHUNK]]\n");
        return 2;
    }
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels, pool, 0, &context));
    must(hifigan_open(argv[1], kernels, &context, &hifigan));
    const struct hifigan_config *config = hifigan_config(hifigan);
    int64_t frames = (int64_t)(seconds * (double)config->sample_rate / (double)config->frame_samples);
    struct run run = {.count = frames};
    int32_t *units = must_allocate((size_t)frames * sizeof *units);
    int32_t *ones = must_allocate((size_t)frames * sizeof *ones);
    run.durations = must_allocate((size_t)frames * sizeof *run.durations);
    run.samples = must_allocate((size_t)(frames * config->frame_samples) * sizeof *run.samples);
    for (int64_t i = 0; i < frames; i++) {
        units[i] = (int32_t)(i * 37 % config->rows[HIFIGAN_UNIT]);
        ones[i] = 1;
    }
    run.units = units;
    must(hifigan_workspace_create(hifigan, &context, argc > 3 ? atoll(argv[3]) : 0, &run.workspace));
    const struct hifigan_codes codes = {
        .units = units, .unit_count = frames, .durations = ones, .speaker = 2, .style_row = 8};
    must(hifigan_arrange(run.workspace, &codes, &run.frames));
    struct ceiling ceiling = gemm_ceiling(pool);
    printf("%s; %d threads; sgemm %.0f GFLOP/s, %.0f per processor second\n", kernels->describe(&context),
           thread_pool_threads(pool), ceiling.rate, ceiling.work);
    struct measurement durations = measure(find_durations, &run, 0.5), m = measure(speak, &run, 5);
    double gflops = 1e-9 * count_work(config, frames);
    printf("durations of %lld units: median %.1f ms, work %.1f\n", (long long)frames, 1e3 * durations.median,
           1e3 * durations.work);
    printf(
        "%.1f s: median %.0f ms, best %.0f, work %.0f; %.1f x real time; %.0f GFLOP/s, %.0f %% of sgemm by the clock, "
        "%.0f %% by work\n",
        seconds, 1e3 * m.median, 1e3 * m.best, 1e3 * m.work, seconds / m.median, gflops / m.best,
        100 * gflops / m.best / ceiling.rate, 100 * gflops / m.work / ceiling.work);
    double error = compare(argv[1], run.samples, frames * config->frame_samples);
    if (error >= 0)
        printf("difference from samples.f32: %.1e of their rms\n", error);
    hifigan_frames_free(&run.frames);
    hifigan_workspace_destroy(run.workspace);
    hifigan_close(hifigan);
    device_context_destroy(kernels, &context);
    thread_pool_destroy(pool);
    free(run.samples);
    free(run.durations);
    free(units);
    free(ones);
    return error > 1e-4;
}
