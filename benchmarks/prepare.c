/* Hours of audio that one core prepares per hour, by stage: the calls that bin/prepare makes for each row of a manifest
 * are timed separately, one after the other on one thread, by its processor time or, for what waits for the disk, by
 * the clock.
 *
 *     benchmark_prepare [MANIFEST TOKENIZER]     default: what scripts/demo left in out/demo
 *
 * Rows whose words have times are not aligned, as in prepare; the last line is for a corpus in which no row has them.
 * Here the tokenizer is fitted on the whole manifest, while prepare fits it on a sample. */
#include "benchmarks/measure.h"
#include "core/hash.h"
#include "core/path.h"
#include "data/align/align.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "package/speech_folder.h"
#include "speech/embedded/fit.h"
#include "speech/embedded/log_mel.h"
#include "speech/embedded/unit_quantizer.h"
#include "speech/f0/f0.h"

#include <unistd.h>

enum { ROUNDS = 3 };
enum { READ, HASH, ALIGN, F0, MEL, REST, SHARD, ANALYSE, CLUSTER, STAGES };
static const char *const names[STAGES] = {
    "read, decode, resample",
    "hash of the samples",
    "word times (pocketsphinx)",
    "F0 (pYAAPT)",
    "log-mel",
    "units, pitch, style",
    "shards, fsync counted",
    "fit: analyse",
    "fit: k-means x 3",
};

struct stage {
    double seconds[ROUNDS], audio; /* audio: seconds that went through it in one round */
};

struct bench {
    struct manifest manifest;
    struct speech *speech;
    struct log_mel *mel;
    struct aligner *aligner;
    struct thread_pool *pool;
    const char *scratch; /* folder for what is written and thrown away */
    struct stage stages[STAGES];
};

static void add(struct bench *bench, int stage, int round, double seconds, double audio)
{
    bench->stages[stage].seconds[round] += seconds;
    if (round == 0)
        bench->stages[stage].audio += audio;
}

static double align_row(struct bench *bench, const struct manifest_row *row, const float *samples, int64_t count)
{
    struct alignment alignment = {0};
    const char *reason = NULL;
    double start = thread_seconds();
    must(aligner_align(bench->aligner, samples, count, row->text, &alignment, &reason));
    alignment_free(&alignment);
    return thread_seconds() - start;
}

/* Times F0 and log-mel alone, then all of encode; the rest is what those two do not explain. */
static void encode_row(struct bench *bench, int round, const struct manifest_row *row, const float *samples,
                       int64_t count, struct units *units)
{
    double audio = (double)count / AUDIO_RATE, start = thread_seconds();
    struct f0_track track;
    must(f0_extract(samples, count, &track));
    double f0 = thread_seconds() - start;
    f0_track_free(&track);
    float *bands = must_allocate((size_t)log_mel_frames(count) * UNIT_BANDS * sizeof *bands);
    start = thread_seconds();
    must(log_mel_compute(bench->mel, samples, count, bands));
    double mel = thread_seconds() - start;
    free(bands);
    start = thread_seconds();
    must(speech_encode(bench->speech, samples, count, row->speaker, STREAMS_ALL, units));
    double whole = thread_seconds() - start;
    add(bench, F0, round, f0, audio);
    add(bench, MEL, round, mel, audio);
    add(bench, REST, round, whole - f0 - mel, audio);
}

static struct shard_row shard_row_of(const struct manifest_row *row, const struct units *units, int64_t count,
                                     struct sha256 source)
{
    return (struct shard_row){
        .id = row->id,
        .id_length = (int64_t)strlen(row->id),
        .text = row->text,
        .text_length = row->text ? (int64_t)strlen(row->text) : 0,
        .units = *units,
        .duration = (int32_t)count,
        .score = NAN,
        .source = source,
    };
}

static struct shard_fingerprints fingerprints_of(const struct speech *speech)
{
    struct shard_fingerprints fingerprints = {.rates = speech_rates(speech)};
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        fingerprints.stream[stream] = speech->encoder[stream].fingerprint;
    return fingerprints;
}

static void write_shard(struct bench *bench, int round, struct shard_writer **writer, double audio)
{
    struct shard_fingerprints fingerprints = fingerprints_of(bench->speech);
    char path[PATH_BYTES];
    must(path_format(path, "%s/shard.h5", bench->scratch));
    int64_t bytes;
    struct sha256 hash;
    double start = seconds_now();
    must(shard_writer_write(*writer, path, &fingerprints, &bytes, &hash));
    add(bench, SHARD, round, seconds_now() - start, audio);
    shard_writer_free(*writer);
    *writer = NULL;
    unlink(path);
}

/* Does what prepare does with a row, and then what fitting does with it; returns the seconds of audio. Creates the
 * writer when there is none. */
static double one_row(struct bench *bench, int round, const struct manifest_row *row, struct speech_fit *fit,
                      struct shard_writer **writer)
{
    float *samples = NULL;
    int64_t count = 0;
    struct units units = {0};
    double start = thread_seconds();
    must(audio_read(row->audio, row->channel, &samples, &count));
    double audio = (double)count / AUDIO_RATE;
    add(bench, READ, round, thread_seconds() - start, audio);
    start = thread_seconds();
    struct sha256 source = sha256_of(samples, (size_t)count * sizeof *samples);
    add(bench, HASH, round, thread_seconds() - start, audio);
    if (row->text && !row->words)
        add(bench, ALIGN, round, align_row(bench, row, samples, count), audio);
    encode_row(bench, round, row, samples, count, &units);
    if (!*writer)
        must(shard_writer_create(writer));
    struct shard_row stored = shard_row_of(row, &units, count, source);
    start = thread_seconds();
    if (units.count[STREAM_HUBERT] > 0)
        must(shard_writer_add(*writer, &stored));
    add(bench, SHARD, round, thread_seconds() - start, 0);
    start = thread_seconds();
    must(speech_fit_add(fit, samples, count, row->speaker));
    add(bench, ANALYSE, round, thread_seconds() - start, audio);
    units_free(&units);
    free(samples);
    return audio;
}

static void one_round(struct bench *bench, int round)
{
    const struct speech_fit_options options = {
        .units = 100, .pitch_codes = 64, .style_codes = 100, .iterations = 20, .seed = 1};
    struct shard_writer *writer = NULL;
    struct speech_fit *fit = NULL;
    double in_shard = 0, all = 0;
    must(speech_fit_begin(&options, &fit));
    for (int64_t i = 0; i < bench->manifest.count; i++) {
        double audio = one_row(bench, round, &bench->manifest.rows[i], fit, &writer);
        in_shard += audio;
        all += audio;
        if (shard_writer_rows(writer) == SHARD_ROWS || i == bench->manifest.count - 1) {
            write_shard(bench, round, &writer, in_shard);
            in_shard = 0;
        }
    }
    char path[PATH_BYTES];
    must(path_format(path, "%s/tokenizer", bench->scratch));
    double start = seconds_now();
    must(speech_fit_finish(fit, bench->pool, path, round > 0));
    add(bench, CLUSTER, round, seconds_now() - start, all);
    speech_fit_free(fit);
}

/* Seconds of work per second of audio; the median of the rounds. */
static double report(struct bench *bench, int stage)
{
    struct stage *s = &bench->stages[stage];
    if (s->audio <= 0) {
        printf("%-28s          -\n", names[stage]);
        return 0;
    }
    qsort(s->seconds, ROUNDS, sizeof *s->seconds, compare_doubles);
    double median = s->seconds[ROUNDS / 2];
    printf("%-28s %10.0f %9.0f %9.0f %9.1f\n", names[stage], s->audio / median, s->audio / s->seconds[ROUNDS - 1],
           s->audio / s->seconds[0], s->audio / 60);
    return median / s->audio;
}

static void report_all(struct bench *bench)
{
    double cost[STAGES], total = bench->stages[READ].audio, given = 0, every = 0;
    printf("%-28s %10s %9s %9s %9s\n", "hours of audio per hour", "median", "worst", "best", "minutes");
    for (int stage = 0; stage < STAGES; stage++) {
        cost[stage] = report(bench, stage);
        given += cost[stage] * bench->stages[stage].audio / total;
        every += cost[stage];
    }
    printf("%-28s %10.0f\n", "all, fitting included", 1 / given);
    printf("%-28s %10.0f\n", "the same, every row aligned", 1 / every);
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    const char *manifest = argc == 3 ? argv[1] : "out/demo/corpus/speech_train.jsonl";
    const char *tokenizer = argc == 3 ? argv[2] : "out/demo/tokenizer";
    char scratch[] = "/tmp/benchmark-prepare-XXXXXX";
    must(manifest_read(manifest, NULL, &bench.manifest));
    must(speech_folder_open(tokenizer, &bench.speech));
    must(log_mel_create(UNIT_BANDS, &bench.mel));
    must(aligner_create(NULL, &bench.aligner));
    must(thread_pool_create(1, &bench.pool));
    bench.scratch = mkdtemp(scratch);
    if (!bench.scratch)
        must(status_set(STATUS_IO, "%s: cannot make a temporary folder", scratch));
    printf("%s: %lld rows, one thread, its processor time, %d rounds\n", manifest, (long long)bench.manifest.count,
           ROUNDS);
    for (int round = 0; round < ROUNDS; round++)
        one_round(&bench, round);
    report_all(&bench);
    if (remove_tree(scratch) != STATUS_OK)
        fprintf(stderr, "warning: %s\n", status_text());
    thread_pool_destroy(bench.pool);
    aligner_destroy(bench.aligner);
    log_mel_free(bench.mel);
    speech_free(bench.speech);
    manifest_free(&bench.manifest);
    return 0;
}
