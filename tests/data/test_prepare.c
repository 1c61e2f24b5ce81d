/* prepare from manifests to datasets, on the ten recorded clips of pocketsphinx-testdata. */
#include "support/files.h"
#include "support/sentencepiece_builder.h"
#include "support/test_support.h"

#include "data/prepare/prepare.h"
#include "data/shard.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char CLIPS[] = "/usr/share/pocketsphinx/test/data";

/* The package's own transcripts. */
static const struct {
    const char *path, *text;
} clips[] = {
    {"cards/001", "ten of clubs"},
    {"cards/002", "four queen of clubs"},
    {"cards/003", "seven of clubs"},
    {"cards/004", "five five"},
    {"cards/005", "eight of spades four of clubs seven of hearts"},
    {"librivox/sense_and_sensibility_01_austen_64kb-0870",
     "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for "
     "them"},
    {"librivox/sense_and_sensibility_01_austen_64kb-0880", "he was not an ill disposed young man"},
    {"librivox/sense_and_sensibility_01_austen_64kb-0890",
     "unless to be rather cold hearted and rather selfish is to be ill disposed"},
    {"librivox/sense_and_sensibility_01_austen_64kb-0920",
     "had he married a more a amiable woman he might have been made still more respectable than he was"},
    {"librivox/sense_and_sensibility_01_austen_64kb-0930", "he might even have been made amiable himself"},
};
enum { CLIPS_COUNT = sizeof clips / sizeof *clips };

static char *get_file(const char *path, int64_t *size)
{
    void *data = NULL;
    assert_ok(file_read(path, 1 << 28, &data, size));
    return data;
}

/* ---- manifests and options ---- */

static void write_speech_manifest(const char *path, const char *more)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < CLIPS_COUNT; i++)
        fprintf(file,
                "{\"id\": \"%s\", \"audio\": \"%s/%s.wav\", \"text\": \"%s\", \"speaker\": \"%.5s\", \"n\": %d}\n",
                clips[i].path, CLIPS, clips[i].path, clips[i].text, clips[i].path, i);
    fputs(more, file);
    assert_int_equal(fclose(file), 0);
}

static void write_text_manifest(const char *path, int rows)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < rows; i++)
        fprintf(file, "{\"id\": \"t%d\", \"text\": \"%s %d\"}\n", i, clips[i % CLIPS_COUNT].text, i);
    assert_int_equal(fclose(file), 0);
}

struct job {
    struct tokenizer_settings tokenizer;
    struct prepare_settings prepare;
    struct prepare_options options;
    const char *manifests[4];
    char output[800], folder[800];
};

static struct job *new_job(const char *output, const char *manifest)
{
    static struct job job;
    job = (struct job){
        .tokenizer = {.units = 12,
                      .pitch_codes = 8,
                      .style_codes = 4,
                      .iterations = 4,
                      .seed = 3,
                      .sample_hours = 1,
                      .text_model = ""},
        .prepare = {.threads = 1,
                    .shard_rows = 4,
                    .align = true,
                    .minimum_seconds = 0.1,
                    .maximum_seconds = 60,
                    .ready = {"", "25", "25/2", "1"}},
        .options = {.stages = PREPARE_ALL, .part = 1, .parts = 1},
    };
    snprintf(job.folder, sizeof job.folder, "%s", test_path("tokenizer"));
    snprintf(job.output, sizeof job.output, "%s", output);
    job.tokenizer.folder = job.folder;
    job.manifests[0] = manifest;
    job.prepare.manifests = (struct config_list){job.manifests, 1};
    job.prepare.output = job.output;
    job.options.tokenizer = &job.tokenizer;
    job.options.prepare = &job.prepare;
    return &job;
}

/* ---- comparisons ---- */

/* Files and hidden files of a folder and its subfolders, each as "name size hash". */
static void list_contents(const char *folder, char *text, size_t size)
{
    int code = run_command(text, size, "cd '%s' && find . -type f | LC_ALL=C sort | xargs sha256sum", folder);
    assert_int_equal(code, 0);
}

/* ---- the tests ---- */

static const char rejected_rows[] =
    "{\"id\": \"missing\", \"audio\": \"/nonexistent/a.wav\", \"text\": \"x\"}\n"
    "{\"id\": \"empty segment\", \"audio\": \"/usr/share/pocketsphinx/test/data/cards/001.wav\", \"begin\": 90}\n"
    "{\"id\": \"short\", \"audio\": \"/usr/share/pocketsphinx/test/data/cards/001.wav\", \"end\": 0.05}\n"
    "{\"id\": \"no words\", \"audio\": \"/usr/share/pocketsphinx/test/data/cards/001.wav\", \"text\": \"-\"}\n"
    "{\"id\": \"long words\", \"audio\": \"/usr/share/pocketsphinx/test/data/cards/001.wav\", \"text\": \"ten\","
    " \"words\": [[\"ten\", 0, 99]]}\n"
    "{\"id\": \"given\", \"audio\": \"/usr/share/pocketsphinx/test/data/cards/001.wav\", \"text\": \"ten of\","
    " \"words\": [[\"ten\", 0.25, 0.5], [\"of\", 0.5, 0.625]]}\n"
    "{\"id\": \"speech alone\", \"audio\": \"/usr/share/pocketsphinx/test/data/cards/002.wav\", \"begin\": 0.5,"
    " \"end\": 1.5}\n";

static void shards_hold_what_the_manifest_says(void **state)
{
    (void)state;
    const char *manifest = test_path("speech.jsonl");
    write_speech_manifest(manifest, rejected_rows);
    struct job *job = new_job(test_path("out-1-1"), manifest);
    assert_ok(prepare_run(&job->options));
    struct dataset *dataset = NULL;
    assert_ok(dataset_open(test_path("out-1-1/speech"), &dataset));
    assert_int_equal(dataset_kind(dataset), DATASET_SPEECH);
    assert_int_equal(dataset_rows(dataset), CLIPS_COUNT + 2);
    for (int i = 0; i < CLIPS_COUNT + 2; i++) {
        struct shard_row row;
        assert_ok(dataset_row(dataset, i, &row));
        const char *id = i < CLIPS_COUNT ? clips[i].path : i == CLIPS_COUNT ? "given" : "speech alone";
        assert_int_equal(row.id_length, strlen(id));
        assert_memory_equal(row.id, id, strlen(id));
        assert_int_equal(row.units.count[STREAM_HUBERT], row.duration / 640);
        assert_int_equal(row.units.count[STREAM_PITCH], row.duration / 1280);
        assert_int_equal(row.units.count[STREAM_STYLE], (row.units.count[STREAM_HUBERT] + 24) / 25);
        if (i >= CLIPS_COUNT)
            continue;
        float *samples = NULL;
        int64_t count = 0, words = 1;
        char path[300];
        snprintf(path, sizeof path, "%s/%s.wav", CLIPS, clips[i].path);
        assert_ok(audio_read(path, -1, &samples, &count));
        assert_int_equal(row.duration, count);
        struct sha256 hash = sha256_of(samples, (size_t)count * sizeof *samples);
        assert_memory_equal(row.source.bytes, hash.bytes, 32);
        free(samples);
        assert_int_equal(row.text_length, strlen(clips[i].text));
        assert_memory_equal(row.text, clips[i].text, strlen(clips[i].text));
        for (const char *c = clips[i].text; *c; c++)
            words += *c == ' ';
        assert_int_equal(row.word_count, words);
        assert_true(isfinite(row.score));
        assert_memory_equal(row.meta, "{\"n\": ", 6);
    }
    struct shard_row given, alone;
    assert_ok(dataset_row(dataset, CLIPS_COUNT, &given));
    static const struct aligned_word words[] = {{4000, 8000, 0, 3}, {8000, 10000, 4, 6}};
    assert_int_equal(given.word_count, 2);
    assert_memory_equal(given.words, words, sizeof words);
    assert_true(isnan(given.score));
    assert_ok(dataset_row(dataset, CLIPS_COUNT + 1, &alone));
    assert_int_equal(alone.duration, 16000);
    assert_int_equal(alone.word_count, 0);
    dataset_close(dataset);
}

static void rejects_have_their_reason(void **state)
{
    (void)state;
    int64_t size;
    char *text = get_file(test_path("out-1-1/speech/rejects.jsonl"), &size);
    assert_string_equal(text,
                        "{\"id\": \"missing\", \"reason\": \"audio: No such file or directory\"}\n"
                        "{\"id\": \"empty segment\", \"reason\": \"segment outside the audio: 90.000 s to 1.095 s "
                        "of 1.095 s\"}\n"
                        "{\"id\": \"short\", \"reason\": \"audio too short: 0.050 s\"}\n"
                        "{\"id\": \"no words\", \"reason\": \"not aligned: no words\"}\n"
                        "{\"id\": \"long words\", \"reason\": \"words outside the audio: the last ends at 99.000 s "
                        "of 1.095 s\"}\n");
    free(text);
    json_t *report = NULL;
    assert_ok(jdoc_read(test_path("out-1-1/speech/report.json"), &report));
    int64_t rejects, words;
    assert_ok(jdoc_get_int("report", report, "rejects", 0, 100, &rejects));
    assert_ok(jdoc_get_int("report", report, "aligned_words", 0, 1000, &words));
    assert_int_equal(rejects, 5);
    assert_int_equal(words, 93 + 1); /* of the transcripts, and of the row with given words */
    assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "reject_reasons"), "not aligned")), 1);
    json_decref(report);
}

static void parts_and_threads_change_no_byte(void **state)
{
    (void)state;
    char expected[20000], found[20000];
    list_contents(test_path("out-1-1/speech"), expected, sizeof expected);
    assert_non_null(strstr(expected, "shard_00004.h5"));
    assert_non_null(strstr(expected, "index.json"));
    assert_non_null(strstr(expected, "rejects.jsonl"));
    assert_non_null(strstr(expected, "report.json"));
    for (int parts = 1; parts <= 3; parts++)
        for (int threads = 1; threads <= 2; threads++) {
            if (parts == 1 && threads == 1)
                continue;
            char output[800];
            snprintf(output, sizeof output, "%s", test_path("out-%d-%d", parts, threads));
            struct job *job = new_job(output, test_path("speech.jsonl"));
            job->prepare.threads = threads;
            /* The last part first: parts are independent. */
            for (int part = parts; part >= 1; part--) {
                job->options.stages = PREPARE_SHARDS;
                job->options.part = part;
                job->options.parts = parts;
                assert_ok(prepare_run(&job->options));
            }
            job->options.stages = PREPARE_INDEX;
            job->options.part = job->options.parts = 1;
            assert_ok(prepare_run(&job->options));
            list_contents(test_path("out-%d-%d/speech", parts, threads), found, sizeof found);
            assert_string_equal(found, expected);
        }
}

static struct timespec modified(const char *path)
{
    struct stat information;
    assert_int_equal(stat(path, &information), 0);
    return information.st_mtim;
}

static void what_is_current_is_kept(void **state)
{
    (void)state;
    static const char *const files[] = {"shard_00000.h5", "shard_00004.h5", "index.json",
                                        "rejects.jsonl",  "report.json",    "parts/00001.json"};
    enum { FILES = sizeof files / sizeof *files };
    struct timespec before[FILES], after;
    char contents[20000], again[20000];
    list_contents(test_path("out-1-1/speech"), contents, sizeof contents);
    for (int i = 0; i < FILES; i++)
        before[i] = modified(test_path("out-1-1/speech/%s", files[i]));
    struct job *job = new_job(test_path("out-1-1"), test_path("speech.jsonl"));
    assert_ok(prepare_run(&job->options));
    for (int i = 0; i < FILES; i++) {
        after = modified(test_path("out-1-1/speech/%s", files[i]));
        assert_memory_equal(&after, &before[i], sizeof after);
    }
    /* A damaged shard is made again, the others stay. */
    FILE *file = fopen(test_path("out-1-1/speech/shard_00004.h5"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 3000, SEEK_SET), 0);
    assert_true(fputs("damage", file) >= 0);
    assert_int_equal(fclose(file), 0);
    job = new_job(test_path("out-1-1"), test_path("speech.jsonl"));
    job->options.stages = PREPARE_INDEX;
    assert_fails(prepare_run(&job->options), STATUS_CORRUPT, "shard_00004.h5: damaged");
    job->options.stages = PREPARE_ALL;
    assert_ok(prepare_run(&job->options));
    list_contents(test_path("out-1-1/speech"), again, sizeof again);
    assert_string_equal(again, contents);
    after = modified(test_path("out-1-1/speech/shard_00000.h5"));
    assert_memory_equal(&after, before, sizeof after);
}

static double report_number(const json_t *report, const char *outer, const char *key)
{
    const json_t *object = outer ? json_object_get(report, outer) : report;
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail_msg("the report has no %s", key);
    return json_number_value(value);
}

/* A text model of single letters makes one token of each character and one of the dummy prefix; with spans of one word
 * there are as many spans as words. So everything can be counted simply. */
static void the_report_counts_tokens_and_switches(void **state)
{
    (void)state;
    const char *none[] = {NULL};
    struct bytes model = build_small_model(none, 0);
    assert_ok(atomic_write(test_path("letters.model"), model.data, (int64_t)model.size));
    bytes_free(&model);
    struct interleave_options interleave = {INTERLEAVE_SPANS, 1, 1, 1, 1, 7};
    struct job *job = new_job(test_path("out-1-1"), test_path("speech.jsonl"));
    job->tokenizer.text_model = test_path("letters.model");
    job->options.interleave = &interleave;
    job->options.stages = PREPARE_INDEX;
    assert_ok(prepare_run(&job->options));
    int64_t text_tokens = 0, runs[STREAM_COUNT] = {0}, samples = 0, words = 0, aligned = 0;
    struct dataset *dataset = NULL;
    assert_ok(dataset_open(test_path("out-1-1/speech"), &dataset));
    for (int64_t i = 0; i < dataset_rows(dataset); i++) {
        struct shard_row row;
        assert_ok(dataset_row(dataset, i, &row));
        text_tokens += row.text_length > 0 ? row.text_length + 1 : 0;
        samples += row.duration;
        words += row.word_count;
        aligned += row.word_count > 0;
        for (int stream = 0; stream < STREAM_COUNT; stream++)
            for (int64_t j = 0; j < row.units.count[stream]; j++)
                runs[stream] +=
                    j == 0 || stream == STREAM_STYLE || row.units.values[stream][j] != row.units.values[stream][j - 1];
    }
    dataset_close(dataset);
    json_t *report = NULL, *streams;
    assert_ok(jdoc_read(test_path("out-1-1/speech/report.json"), &report));
    streams = json_object_get(report, "streams");
    assert_true(report_number(report, NULL, "text_tokens") == (double)text_tokens);
    assert_true(report_number(streams, "hubert", "tokens") == (double)runs[0]);
    assert_true(report_number(streams, "pitch", "tokens") == (double)runs[1]);
    assert_true(report_number(streams, "style", "tokens") == (double)runs[2]);
    assert_true(fabs(report_number(report, NULL, "hours") * 3600 * AUDIO_RATE - (double)samples) < 1e-6);
    assert_true(fabs(report_number(streams, "hubert", "tokens_per_second") * (double)samples / AUDIO_RATE -
                     (double)runs[0]) < 1e-6);
    assert_true(report_number(report, "interleaved", "words") == (double)words);
    assert_true(report_number(report, "interleaved", "switched_words") == (double)words);
    assert_true(fabs(report_number(report, "interleaved", "spans_per_document") * (double)aligned - (double)words) <
                1e-6);
    json_decref(report);
}

static void text_manifests_follow_their_changes(void **state)
{
    (void)state;
    const char *manifest = test_path("text.jsonl"), *output = test_path("texts");
    write_text_manifest(manifest, 10);
    struct job *job = new_job(output, manifest);
    job->tokenizer.folder = "/nonexistent/never-needed";
    assert_ok(prepare_run(&job->options));
    struct dataset *dataset = NULL;
    struct shard_row row;
    assert_ok(dataset_open(test_path("texts/text"), &dataset));
    assert_int_equal(dataset_kind(dataset), DATASET_TEXT);
    assert_int_equal(dataset_rows(dataset), 10);
    assert_int_equal(dataset_shards(dataset), 3);
    assert_ok(dataset_row(dataset, 9, &row));
    char expected[300];
    snprintf(expected, sizeof expected, "%s 9", clips[9].text);
    assert_int_equal(row.text_length, strlen(expected));
    assert_memory_equal(row.text, expected, strlen(expected));
    assert_int_equal(row.units.count[STREAM_HUBERT], 0);
    dataset_close(dataset);
    /* The manifest is shorter: the surplus shard is removed. */
    write_text_manifest(manifest, 7);
    assert_ok(prepare_run(&job->options));
    assert_ok(dataset_open(test_path("texts/text"), &dataset));
    assert_int_equal(dataset_rows(dataset), 7);
    dataset_close(dataset);
    assert_int_not_equal(access(test_path("texts/text/shard_00002.h5"), F_OK), 0);
    assert_int_not_equal(access(test_path("texts/text/parts/00002.json"), F_OK), 0);
    assert_int_equal(access(test_path("texts/text/shard_00001.h5"), F_OK), 0);
    /* The manifest has changed, but only one of two parts is made again: the old dataset is still there, and whole. */
    write_text_manifest(manifest, 8);
    job->options.stages = PREPARE_SHARDS;
    job->options.parts = 2;
    assert_ok(prepare_run(&job->options));
    job->options.stages = PREPARE_INDEX;
    job->options.parts = 1;
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "shard 1 was made from a different manifest");
    assert_ok(dataset_open(test_path("texts/text"), &dataset));
    assert_int_equal(dataset_rows(dataset), 7);
    for (int64_t i = 0; i < 7; i++)
        assert_ok(dataset_row(dataset, i, &row));
    dataset_close(dataset);
    assert_int_equal(unlink(test_path("texts/text/parts/00001.json")), 0);
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "shard 1 of 2 has not been made");
}

/* All rows of the new manifest are rejected: that ends with 65, and the old dataset is as it was. */
static void a_good_index_outlives_a_bad_manifest(void **state)
{
    (void)state;
    const char *good = "{\"id\": \"a\", \"hubert\": [1, 2, 3]}\n{\"id\": \"b\", \"hubert\": [2, 1]}\n";
    const char *bad = "{\"id\": \"a\", \"hubert\": [1], \"text\": \"x\", \"words\": [[\"x\", 0, 50]]}\n"
                      "{\"id\": \"b\", \"hubert\": [2], \"text\": \"y\", \"words\": [[\"y\", 0, 60]]}\n";
    struct dataset *dataset = NULL;
    struct shard_row row;
    struct job *job = new_job(test_path("outlives"), test_path("outlives.jsonl"));
    write_text(test_path("outlives.jsonl"), good);
    job->tokenizer.folder = "/nonexistent/never-needed";
    job->prepare.ready.label = "other";
    assert_ok(prepare_run(&job->options));
    write_text(test_path("outlives.jsonl"), bad);
    assert_fails(prepare_run(&job->options), STATUS_CORRUPT, "none of its 2 rows can be used");
    assert_ok(dataset_open(test_path("outlives/outlives"), &dataset));
    assert_int_equal(dataset_rows(dataset), 2);
    for (int64_t i = 0; i < 2; i++)
        assert_ok(dataset_row(dataset, i, &row));
    dataset_close(dataset);
    write_text(test_path("outlives.jsonl"), good);
    assert_ok(prepare_run(&job->options));
    assert_int_not_equal(access(test_path("outlives/outlives/parts/shard_00000.h5"), F_OK), 0);
}

static void ready_units_need_no_audio(void **state)
{
    (void)state;
    const char *manifest = test_path("ready.jsonl");
    write_text(manifest,
               "{\"id\": \"a\", \"hubert\": [3, 3, 500, 7], \"pitch\": [1, 2], \"style\": [9], \"text\": \"hi\","
               " \"words\": [[\"hi\", 0, 0.07]], \"units\": \"[Hu3]\"}\n"
               "{\"id\": \"b\", \"hubert\": [1], \"text\": \"hi\", \"words\": [[\"hi\", 0, 9]]}\n");
    struct job *job = new_job(test_path("made"), manifest);
    job->tokenizer.folder = "/nonexistent/never-needed";
    job->prepare.ready.label = "mhubert-500";
    job->prepare.ready.hubert_rate = "50";
    assert_ok(prepare_run(&job->options));
    struct dataset *dataset = NULL;
    struct shard_row row;
    assert_ok(dataset_open(test_path("made/ready"), &dataset));
    assert_int_equal(dataset_rows(dataset), 1);
    assert_ok(dataset_row(dataset, 0, &row));
    assert_int_equal(row.duration, 4 * 320);
    assert_int_equal(row.units.count[STREAM_HUBERT], 4);
    assert_int_equal(row.units.values[STREAM_HUBERT][2], 500);
    assert_int_equal(row.meta_length, 0);
    assert_int_equal(dataset_fingerprints(dataset)->rates.rate[STREAM_HUBERT].numerator, 50);
    assert_int_equal(dataset_totals(dataset)->codes[STREAM_HUBERT], 501);
    struct sha256 first = dataset_fingerprints(dataset)->stream[STREAM_HUBERT];
    dataset_close(dataset);
    job->prepare.ready.label = "another";
    assert_ok(prepare_run(&job->options));
    assert_ok(dataset_open(test_path("made/ready"), &dataset));
    assert_memory_not_equal(first.bytes, dataset_fingerprints(dataset)->stream[STREAM_HUBERT].bytes, 32);
    dataset_close(dataset);
    job->prepare.ready.hubert_rate = "25/0";
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "prepare.ready.hubert_rate");
}

/* Without a label, ready units count as the tokenizer's: units that it does not have are refused. */
static void ready_units_must_be_the_tokenizers(void **state)
{
    (void)state;
    const char *manifest = test_path("claimed.jsonl");
    write_text(manifest, "{\"id\": \"a\", \"hubert\": [3, 11, 7], \"pitch\": [1, 2], \"style\": [0]}\n"
                         "{\"id\": \"b\", \"hubert\": [1, 12], \"pitch\": [1], \"style\": [0]}\n"
                         "{\"id\": \"c\", \"hubert\": [1, 2], \"pitch\": [8], \"style\": [0]}\n");
    struct job *job = new_job(test_path("claims"), manifest);
    assert_ok(prepare_run(&job->options));
    struct dataset *dataset = NULL;
    assert_ok(dataset_open(test_path("claims/claimed"), &dataset));
    assert_int_equal(dataset_rows(dataset), 1);
    dataset_close(dataset);
    char rejects[2000];
    assert_int_equal(run_command(rejects, sizeof rejects, "cat '%s'", test_path("claims/claimed/rejects.jsonl")), 0);
    assert_non_null(strstr(rejects, "unit out of range: hubert 12, the tokenizer has 12"));
    assert_non_null(strstr(rejects, "unit out of range: pitch 8, the tokenizer has 8"));
}

static void settings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const char *speech = test_path("speech.jsonl"), *mixed = test_path("mixed.jsonl");
    write_text(mixed, "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"b\", \"text\": \"x\", \"audio\": \"b.wav\"}\n");
    struct job *job = new_job(test_path("refused"), mixed);
    assert_fails(prepare_run(&job->options), STATUS_CORRUPT, "mixed.jsonl:2: a row with speech");
    write_text(mixed, "{\"id\": \"a\", \"audio\": \"x\"}\n{\"id\": \"b\", \"hubert\": [1]}\n");
    assert_fails(prepare_run(&job->options), STATUS_CORRUPT, "mixed.jsonl:2: a row with ready units");
    write_text(mixed, "{\"id\": \"a\", \"audio\": \"/nonexistent/x.wav\"}\n");
    job->options.stages = PREPARE_SHARDS;
    job->tokenizer.folder = test_path("no-tokenizer");
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "run prepare --stage fit first");
    job->options.stages = PREPARE_ALL;
    assert_fails(
        prepare_run(&job->options), STATUS_CORRUPT,
        "no audio of the manifests can be used, so no speech tokenizer can be fitted; the first clip left out: "
        "/nonexistent/x.wav");
    job->tokenizer.folder = test_path("tokenizer");
    assert_fails(prepare_run(&job->options), STATUS_CORRUPT, "none of its 1 rows can be used");
    job = new_job(test_path("refused"), speech);
    job->tokenizer.units = 13;
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "a tokenizer of 12 units");
    job = new_job(test_path("refused"), speech);
    job->options.parts = 2;
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "--part belongs to --stage shards");
    job->options.part = 3;
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "--part 3/2");
    job = new_job(test_path("refused"), speech);
    job->manifests[1] = test_path("other/../speech.jsonl");
    job->prepare.manifests.count = 2;
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "would both become the dataset");
    const char *names[] = {"nothing"};
    job = new_job(test_path("refused"), speech);
    job->prepare.fit = (struct config_list){names, 1};
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "prepare.fit");
    job = new_job(test_path("refused"), speech);
    job->prepare.minimum_seconds = 60;
    assert_fails(prepare_run(&job->options), STATUS_USAGE, "prepare.maximum_seconds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_hold_what_the_manifest_says),    cmocka_unit_test(rejects_have_their_reason),
        cmocka_unit_test(parts_and_threads_change_no_byte),      cmocka_unit_test(what_is_current_is_kept),
        cmocka_unit_test(the_report_counts_tokens_and_switches), cmocka_unit_test(text_manifests_follow_their_changes),
        cmocka_unit_test(a_good_index_outlives_a_bad_manifest),  cmocka_unit_test(ready_units_need_no_audio),
        cmocka_unit_test(ready_units_must_be_the_tokenizers),    cmocka_unit_test(settings_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
