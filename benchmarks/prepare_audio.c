/* How many seconds of sound one core turns into 16 kHz samples and into pitch per second, and how many it could at
 * best: with the library call alone, or with the stage's arithmetic at the multiply-and-add rate measured here.
 *
 *     benchmark_prepare_audio [FOLDER of .g722]     default: the clips of asterisk-core-sounds-en-g722 */
#include "benchmarks/measure.h"
#include "core/double4.h"
#include "core/fft.h"
#include "core/path.h"
#include "io/audio/audio.h"
#include "speech/f0/f0.h"
#include "speech/f0/f0_stages.h"

#include <glob.h>
#include <sndfile.h>
#include <soxr.h>
#include <spandsp.h>
#include <unistd.h>

enum { ROUNDS = 7, LENGTH = 100 * AUDIO_RATE };

static float *sound; /* LENGTH samples of speech */
static double peak;  /* multiplications and additions per second */

static void fatal(const char *what)
{
    fprintf(stderr, "error: %s: %s\n", what, status_text());
    exit(74);
}

/* `best`: the seconds that the same work would take at best; 0: unknown. */
static void report(const char *what, double seconds[ROUNDS], double audio, double best, const char *ceiling)
{
    qsort(seconds, ROUNDS, sizeof *seconds, compare_doubles);
    double median = seconds[ROUNDS / 2];
    printf("%-34s %9.0f %9.0f %9.0f", what, audio / median, audio / seconds[ROUNDS - 1], audio / seconds[0]);
    if (best > 0)
        printf(" %9.0f  %3.0f %% of %s\n", audio / best, 100 * best / median, ceiling);
    else
        printf("         -\n");
}

static void measure_peak(void)
{
    enum { TURNS = 1 << 20 };
    for (int round = 0; round < 5; round++) {
        double4 a = {1, 2, 3, 4}, b = a, c = a, d = a, e = a, f = a, g = a, h = a;
        double factor = 1 - 1e-9 * round, start = thread_seconds();
        for (int i = 0; i < TURNS; i++) { /* eight independent chains */
            a = a * factor + factor;
            b = b * factor + factor;
            c = c * factor + factor;
            d = d * factor + factor;
            e = e * factor + factor;
            f = f * factor + factor;
            g = g * factor + factor;
            h = h * factor + factor;
        }
        double seconds = thread_seconds() - start;
        volatile double keep = (a + b + c + d + e + f + g + h)[0];
        (void)keep;
        peak = fmax(peak, 8.0 * 4 * 2 * TURNS / seconds);
    }
}

/* All clips through audio_read; the ceiling is the decoder alone, on bytes in memory. Fills `sound`. */
static void g722(const char *folder)
{
    char pattern[PATH_BYTES];
    if (path_format(pattern, "%s/*.g722", folder) != STATUS_OK)
        fatal("folder");
    glob_t files;
    if (glob(pattern, 0, NULL, &files) != 0) {
        fprintf(stderr, "error: no .g722 in %s\n", folder);
        exit(2);
    }
    double seconds[ROUNDS], best = INFINITY, audio = 0;
    int64_t filled = 0;
    uint8_t *bytes = malloc(1 << 24);
    int16_t *decoded = malloc(sizeof *decoded << 25);
    if (!bytes || !decoded)
        fatal("memory");
    for (int round = 0; round < ROUNDS; round++) {
        double whole = 0, alone = 0;
        audio = 0;
        for (size_t i = 0; i < files.gl_pathc; i++) {
            float *samples;
            int64_t count;
            double start = thread_seconds();
            if (audio_read(files.gl_pathv[i], -1, &samples, &count) != STATUS_OK)
                fatal("audio_read");
            whole += thread_seconds() - start;
            audio += (double)count / AUDIO_RATE;
            for (int64_t s = 0; s < count && filled < LENGTH; s++)
                sound[filled++] = samples[s];
            free(samples);
            FILE *file = fopen(files.gl_pathv[i], "rb");
            size_t size = file ? fread(bytes, 1, 1 << 24, file) : 0;
            if (file)
                fclose(file);
            start = thread_seconds();
            g722_decode_state_t *decoder = g722_decode_init(NULL, 64000, 0);
            g722_decode(decoder, decoded, bytes, (int)size);
            g722_decode_free(decoder);
            alone += thread_seconds() - start;
        }
        seconds[round] = whole;
        best = fmin(best, alone);
    }
    report("read .g722", seconds, audio, best, "spandsp alone");
    while (filled > 0 && filled < LENGTH) {
        sound[filled] = sound[filled % 16000];
        filled++;
    }
    globfree(&files);
    free(bytes);
    free(decoded);
}

static void resample(int rate)
{
    char path[] = "/tmp/benchmark-audio-XXXXXX", what[64];
    int descriptor = mkstemp(path);
    int64_t frames = 100 * (int64_t)rate;
    float *input = malloc((size_t)frames * sizeof *input), *output = malloc(LENGTH * sizeof *output);
    if (descriptor < 0 || !input || !output)
        fatal("temporary file");
    for (int64_t i = 0; i < frames; i++)
        input[i] = sound[i * AUDIO_RATE / rate];
    SF_INFO info = {.samplerate = rate, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *file = sf_open_fd(descriptor, SFM_WRITE, &info, SF_TRUE);
    if (!file || sf_writef_float(file, input, frames) != frames || sf_close(file) != 0)
        fatal("temporary file");
    double seconds[ROUNDS], best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        float *samples;
        int64_t count;
        double start = thread_seconds();
        if (audio_read(path, -1, &samples, &count) != STATUS_OK)
            fatal("audio_read");
        seconds[round] = thread_seconds() - start;
        free(samples);
        size_t used, made;
        soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
        start = thread_seconds();
        if (soxr_oneshot(rate, AUDIO_RATE, 1, input, (size_t)frames, &used, output, LENGTH, &made, NULL, &quality,
                         NULL))
            fatal("soxr");
        best = fmin(best, thread_seconds() - start);
    }
    snprintf(what, sizeof what, "read 16-bit WAV of %d Hz", rate);
    report(what, seconds, 100, best, "soxr alone");
    unlink(path);
    free(input);
    free(output);
}

/* The number of multiplications and additions in the cross-correlations along a track. */
static double nccf_operations(const double *track, double deviation, int64_t frames)
{
    double sum = 0;
    for (int64_t f = 0; f < frames; f++) {
        int first = (int)(F0_RATE / fmin(track[f] + 2 * deviation, F0_HIGHEST)) - 2;
        int end = (int)(F0_RATE / fmax(track[f] - 2 * deviation, F0_LOWEST)) + 2;
        sum += 2.0 * 2 * (end - first) * (F0_NCCF_FRAME - end);
    }
    return sum;
}

enum { FILTER, ENERGY, HARMONICS, TRACK, NCCF, PATH, STAGES };
static const char *const stage_names[STAGES] = {"  band-pass filters",     "  low-frequency energy",
                                                "  harmonics correlation", "  spectral track",
                                                "  cross-correlations",    "  refine and last search"};

/* One run through the stages, in f0_extract's order; adds each one's seconds and, where counted, its operations. */
static void run_stages(double *seconds, double operations[STAGES])
{
    const int64_t frames = LENGTH / F0_HOP, length = LENGTH + 2 * F0_PADDING;
    size_t room = (size_t)length + F0_SHC_FRAME, count = (size_t)frames;
    double *input = calloc(room, sizeof *input), *signal = calloc(room, sizeof *signal);
    double *squared = calloc(room, sizeof *squared), *energy = calloc(count * 3, sizeof *energy);
    double *track = energy + frames, *pitch = track + frames, deviation, times[STAGES + 1];
    uint8_t *voiced = calloc(count * 2, 1), *needed = voiced + frames;
    struct f0_candidate *harmonic = calloc(count * F0_SHC_CANDIDATES, sizeof *harmonic);
    struct f0_candidate *rows = calloc(count * F0_ROWS, sizeof *rows);
    struct fft *fft = NULL;
    struct f0_harmonics *harmonics = NULL;
    if (!input || !signal || !squared || !energy || !voiced || !harmonic || !rows ||
        fft_create(F0_SHC_FFT, &fft) != STATUS_OK || f0_harmonics_create(fft, &harmonics) != STATUS_OK)
        fatal("memory");
    for (int64_t i = 0; i < LENGTH; i++)
        input[F0_PADDING + i] = sound[i];
    times[FILTER] = thread_seconds();
    f0_filter(input, length, signal);
    for (int64_t i = 0; i < length; i++)
        input[i] *= input[i];
    f0_filter(input, length, squared);
    times[ENERGY] = thread_seconds();
    f0_energy(signal, frames, energy);
    times[HARMONICS] = thread_seconds();
    double with_harmonics = 0;
    for (int64_t f = 0; f < frames; f++) {
        voiced[f] = energy[f] > F0_VOICED_ENERGY;
        needed[f] = energy[f] > F0_SILENT_ENERGY;
        with_harmonics += voiced[f];
        if (voiced[f])
            f0_harmonics_find(harmonics, squared + f * F0_HOP, harmonic + f * F0_SHC_CANDIDATES);
    }
    times[TRACK] = thread_seconds();
    f0_spectral_track(harmonic, frames, track, &deviation);
    times[NCCF] = thread_seconds();
    f0_nccf_track(signal, track, deviation, frames, needed, rows);
    f0_nccf_track(squared, track, deviation, frames, needed, rows + F0_NCCF_CANDIDATES);
    times[PATH] = thread_seconds();
    f0_refine(rows, track, energy, voiced, frames);
    f0_final_path(rows, energy, frames, pitch);
    times[STAGES] = thread_seconds();
    for (int s = 0; s < STAGES; s++)
        seconds[s] = times[s + 1] - times[s];
    operations[FILTER] = 2.0 * 2 * F0_TAPS * LENGTH;
    operations[ENERGY] = 2.0 * 2 * 145 * (F0_FRAME / 2.0) * (double)frames;
    /* four complex transforms of 1024 in radix 4 (34 operations per butterfly), and 226 x 21 sums of four products */
    operations[HARMONICS] = with_harmonics * (4.0 * 5 * 256 * 34 + 226.0 * 21 * 4);
    operations[NCCF] = 0;
    for (int64_t f = 0; f < frames; f++)
        operations[NCCF] += needed[f] ? nccf_operations(track + f, deviation, 1) : 0;
    f0_harmonics_destroy(harmonics);
    fft_destroy(fft);
    free(input);
    free(signal);
    free(squared);
    free(energy);
    free(voiced);
    free(harmonic);
    free(rows);
}

static void pitch(void)
{
    double whole[ROUNDS], stage[ROUNDS][STAGES], operations[STAGES] = {0}, sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct f0_track track;
        double start = thread_seconds();
        if (f0_extract(sound, LENGTH, &track) != STATUS_OK)
            fatal("f0_extract");
        whole[round] = thread_seconds() - start;
        f0_track_free(&track);
        run_stages(stage[round], operations);
    }
    for (int s = 0; s < STAGES; s++)
        sum += operations[s];
    report("F0, all of it", whole, 100, sum / peak, "arithmetic peak");
    for (int s = 0; s < STAGES; s++) {
        double seconds[ROUNDS];
        for (int round = 0; round < ROUNDS; round++)
            seconds[round] = stage[round][s];
        report(stage_names[s], seconds, 100, operations[s] / peak, "arithmetic peak");
    }
}

int main(int argc, char **argv)
{
    sound = calloc(LENGTH, sizeof *sound);
    if (!sound)
        fatal("memory");
    measure_peak();
    printf("one thread, CPU time, %d rounds; peak %.1f Gflop/s in multiplications and additions of doubles\n", ROUNDS,
           peak * 1e-9);
    printf("%-34s %9s %9s %9s %9s\n", "x real time", "median", "worst", "best", "ceiling");
    g722(argc > 1 ? argv[1] : "/usr/share/asterisk/sounds/en_US_f_Allison");
    const int rates[] = {44100, 48000, 8000};
    for (int i = 0; i < 3; i++)
        resample(rates[i]);
    pitch();
    free(sound);
    return 0;
}
