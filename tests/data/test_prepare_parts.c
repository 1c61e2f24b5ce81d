/* prepare from nothing, as one process or as an array job: however many parts run side by side and however many threads
 * each has, the tokenizer, the shards, the index, the rejects and the report are the same bytes. */
#include "support/sentencepiece_builder.h"
#include "support/test_support.h"

#include "core/rng.h"
#include "data/prepare/prepare.h"
#include "data/shard.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPEECH_ROWS = 46, TEXT_ROWS = 29, READY_ROWS = 17, SHARD_OF = 4, WIDE_SECONDS = 12 };

static char here[600]; /* before anything forks */
static bool rejected[SPEECH_ROWS];

static void path_of(char path[1000], const char *name)
{
    snprintf(path, 1000, "%s/%s", here, name);
}

/* ---- the corpus ---- */

/* 44.1 kHz, two channels, 16 bits: tones that wander, and noise. Rows of the manifest are pieces of it. */
static void write_wide_audio(const char *path)
{
    enum { RATE = 44100, FRAMES = RATE * WIDE_SECONDS };
    static int16_t samples[FRAMES][2];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 120, 0);
    int64_t phase = 0;
    for (int64_t i = 0; i < FRAMES; i++) {
        phase += 200 + (i / 4410 * 37) % 400;
        for (int c = 0; c < 2; c++) {
            int64_t tone = phase * (c + 1) % RATE - RATE / 2; /* a saw tooth of 200 to 600 Hz */
            samples[i][c] = (int16_t)(tone * 12000 / RATE + (int64_t)rng_below(&rng, 2000) - 1000);
        }
    }
    const uint32_t bytes = sizeof samples, riff = 36 + bytes, format_bytes = 16, rate = RATE, byte_rate = RATE * 4;
    const uint16_t pcm = 1, channels = 2, block = 4, bits = 16;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite("RIFF", 1, 4, file);
    fwrite(&riff, 4, 1, file);
    fwrite("WAVEfmt ", 1, 8, file);
    fwrite(&format_bytes, 4, 1, file);
    fwrite(&pcm, 2, 1, file);
    fwrite(&channels, 2, 1, file);
    fwrite(&rate, 4, 1, file);
    fwrite(&byte_rate, 4, 1, file);
    fwrite(&block, 2, 1, file);
    fwrite(&bits, 2, 1, file);
    fwrite("data", 1, 4, file);
    fwrite(&bytes, 4, 1, file);
    fwrite(samples, 1, sizeof samples, file);
    assert_int_equal(fclose(file), 0);
}

/* Pieces of one long file between clips that are aligned, so that some neighbours share an audio file and others do
 * not, and unusable rows in between. */
static void write_speech_row(FILE *file, int row)
{
    static const char *const cards[][2] = {{"001", "ten of clubs"}, {"003", "seven of clubs"}, {"004", "five five"}};
    fprintf(file, "{\"id\": \"s%d\", ", row);
    rejected[row] = row % 5 == 3 || row == 0;
    if (row % 10 == 3 || row == 0)
        fprintf(file, "\"audio\": \"/nonexistent/%d.wav\"}\n", row);
    else if (row % 5 == 3)
        fprintf(file, "\"audio\": \"%s/wide.wav\", \"begin\": %d, \"end\": %d.01}\n", here, row % 9, row % 9);
    else if (row % 4 == 1)
        fprintf(file, "\"audio\": \"/usr/share/pocketsphinx/test/data/cards/%s.wav\", \"text\": \"%s\"}\n",
                cards[row % 3][0], cards[row % 3][1]);
    else
        fprintf(file, "\"audio\": \"%s/wide.wav\", \"begin\": %d.%d, \"end\": %d.75}\n", here, row * 7 % 10, row % 5,
                row * 7 % 10 + 1);
}

static int make_corpus(void **state)
{
    (void)state;
    char path[1000];
    const char *none[] = {NULL};
    snprintf(here, sizeof here, "%s", test_directory());
    path_of(path, "wide.wav");
    write_wide_audio(path);
    path_of(path, "speech.jsonl");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int row = 0; row < SPEECH_ROWS; row++)
        write_speech_row(file, row);
    assert_int_equal(fclose(file), 0);
    path_of(path, "text.jsonl");
    assert_non_null(file = fopen(path, "wb"));
    for (int row = 0; row < TEXT_ROWS; row++)
        fprintf(file, "{\"id\": \"t%d\", \"text\": \"%.*s\"}\n", row, 1 + row % 30,
                "the quick brown fox is over all of it");
    assert_int_equal(fclose(file), 0);
    path_of(path, "ready.jsonl");
    assert_non_null(file = fopen(path, "wb"));
    for (int row = 0; row < READY_ROWS; row++) /* words past the end make a row unusable */
        fprintf(file, "{\"id\": \"r%d\", \"hubert\": [%d, 2, 2, 9], \"text\": \"hi\", \"words\": [[\"hi\", 0, %s]]}\n",
                row, row % 11, row % 6 == 5 ? "7" : "0.12");
    assert_int_equal(fclose(file), 0);
    struct bytes model = build_small_model(none, 0);
    path_of(path, "letters.model");
    assert_ok(atomic_write(path, model.data, (int64_t)model.size));
    bytes_free(&model);
    return 0;
}

/* ---- jobs ---- */

struct job {
    char folder[1000], output[1000], text_model[1000], manifests[3][1000];
    const char *manifest_list[3], *fit_list[1];
    struct tokenizer_settings tokenizer;
    struct prepare_settings prepare;
    struct interleave_options interleave;
    struct prepare_options options;
};

static void job_make(struct job *job, const char *name, int threads)
{
    static const char *const manifests[] = {"speech.jsonl", "text.jsonl", "ready.jsonl"};
    *job = (struct job){.interleave = {INTERLEAVE_SPANS, 1, 2, 1, 2, 7}, .fit_list = {"speech"}};
    snprintf(job->folder, sizeof job->folder, "%s/%s/tokenizer", here, name);
    snprintf(job->output, sizeof job->output, "%s/%s/datasets", here, name);
    path_of(job->text_model, "letters.model");
    for (int i = 0; i < 3; i++) {
        path_of(job->manifests[i], manifests[i]);
        job->manifest_list[i] = job->manifests[i];
    }
    job->tokenizer = (struct tokenizer_settings){.folder = job->folder,
                                                 .text_model = job->text_model,
                                                 .units = 12,
                                                 .pitch_codes = 8,
                                                 .style_codes = 4,
                                                 .iterations = 4,
                                                 .seed = 3,
                                                 .sample_hours = 1};
    job->prepare = (struct prepare_settings){.manifests = {job->manifest_list, 3},
                                             .output = job->output,
                                             .fit = {job->fit_list, 1},
                                             .threads = threads,
                                             .shard_rows = SHARD_OF,
                                             .align = true,
                                             .minimum_seconds = 0.1,
                                             .maximum_seconds = 60,
                                             .ready = {"", "25", "25/2", "1"}};
    job->options = (struct prepare_options){.tokenizer = &job->tokenizer,
                                            .prepare = &job->prepare,
                                            .interleave = &job->interleave,
                                            .stages = PREPARE_ALL,
                                            .part = 1,
                                            .parts = 1};
}

/* The parts of an array job, each a process of its own, all at the same time. */
static void run_parts(struct job *job, int parts)
{
    pid_t children[8];
    job->options.stages = PREPARE_SHARDS;
    job->options.parts = parts;
    fflush(stdout);
    for (int part = 1; part <= parts; part++) {
        children[part - 1] = fork();
        assert_true(children[part - 1] >= 0);
        if (children[part - 1] == 0) {
            job->options.part = part;
            _exit(prepare_run(&job->options) == STATUS_OK ? 0 : 1);
        }
    }
    for (int part = 1; part <= parts; part++) {
        int status;
        assert_int_equal(waitpid(children[part - 1], &status, 0), children[part - 1]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void run_job(const char *name, int parts, int threads)
{
    struct job job;
    job_make(&job, name, threads);
    if (parts > 1) {
        job.options.stages = PREPARE_FIT;
        assert_ok(prepare_run(&job.options));
        run_parts(&job, parts);
        job.options.stages = PREPARE_INDEX;
        job.options.part = job.options.parts = 1;
    }
    assert_ok(prepare_run(&job.options));
}

/* Names and hashes of all files; the caller frees. */
static char *contents_of(const char *name)
{
    char *text = malloc(1 << 18);
    assert_non_null(text);
    assert_int_equal(run_command(text, 1 << 18,
                                 "cd '%s/%s' && find . -type f | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 sha256sum",
                                 here, name),
                     0);
    return text;
}

/* ---- tests ---- */

static void parts_and_threads_change_no_byte(void **state)
{
    (void)state;
    static const char *const files[] = {"tokenizer/MANIFEST",          "datasets/speech/shard_00011.h5",
                                        "datasets/speech/index.json",  "datasets/speech/rejects.jsonl",
                                        "datasets/speech/report.json", "datasets/text/shard_00007.h5",
                                        "datasets/text/index.json",    "datasets/ready/shard_00004.h5",
                                        "datasets/ready/rejects.jsonl"};
    char *expected = NULL;
    for (int parts = 1; parts <= 3; parts++)
        for (int threads = 1; threads <= 2; threads++) {
            char name[40];
            snprintf(name, sizeof name, "job-%d-%d", parts, threads);
            run_job(name, parts, threads);
            char *found = contents_of(name);
            for (size_t i = 0; i < sizeof files / sizeof *files; i++)
                if (!strstr(found, files[i]))
                    fail_msg("%s: no %s", name, files[i]);
            if (expected)
                assert_string_equal(found, expected);
            else
                expected = strdup(found);
            free(found);
        }
    free(expected);
}

/* With existing results, a different division into parts, a lost shard and a different number of threads still give the
 * same bytes. */
static void parts_may_come_again(void **state)
{
    (void)state;
    struct job job;
    char *expected = contents_of("job-1-1"), *found;
    job_make(&job, "job-again", 1);
    job.options.stages = PREPARE_FIT;
    assert_ok(prepare_run(&job.options));
    run_parts(&job, 3);
    job.options.parts = 2; /* now other parts: what is already there is current */
    job.options.part = 2;
    job.options.stages = PREPARE_SHARDS;
    assert_ok(prepare_run(&job.options));
    char path[1000];
    path_of(path, "job-again/datasets/speech/shard_00003.h5");
    assert_int_equal(unlink(path), 0);
    job.options.parts = job.options.part = 1;
    job.options.stages = PREPARE_ALL;
    job.prepare.threads = 2;
    assert_ok(prepare_run(&job.options));
    found = contents_of("job-again");
    assert_string_equal(found, expected);
    free(expected);
    free(found);
}

/* The contents: rows and rejects are in the manifest's order, and together they are all of its rows. */
static void rows_and_rejects_keep_the_manifest_s_order(void **state)
{
    (void)state;
    char path[1000], *text;
    int64_t size, at = 0;
    struct dataset *dataset;
    path_of(path, "job-3-2/datasets/speech/rejects.jsonl");
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    path_of(path, "job-3-2/datasets/speech");
    assert_ok(dataset_open(path, &dataset));
    char *line = strtok(text, "\n");
    for (int row = 0; row < SPEECH_ROWS; row++) {
        char id[20];
        snprintf(id, sizeof id, "s%d", row);
        if (rejected[row]) {
            const char *found;
            json_t *root;
            assert_non_null(line);
            assert_ok(jdoc_parse("rejects", line, (int64_t)strlen(line), &root));
            assert_ok(jdoc_get_string("rejects", root, "id", &found));
            assert_string_equal(found, id);
            json_decref(root);
            line = strtok(NULL, "\n");
        } else {
            struct shard_row found;
            assert_ok(dataset_row(dataset, at++, &found));
            assert_int_equal(found.id_length, strlen(id));
            assert_memory_equal(found.id, id, strlen(id));
        }
    }
    assert_null(line);
    assert_int_equal(at, dataset_rows(dataset));
    dataset_close(dataset);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_and_threads_change_no_byte),
        cmocka_unit_test(parts_may_come_again),
        cmocka_unit_test(rows_and_rejects_keep_the_manifest_s_order),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
