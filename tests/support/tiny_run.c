#include "support/tiny_run.h"

#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *problem(const char *format, ...)
{
    static char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

void tiny_run_make(const char *folder)
{
    struct tiny_corpus corpus;
    char path[900], text[4000];
    snprintf(path, sizeof path, "%s/corpus", folder);
    assert_ok(tiny_corpus_write(path, 20, 1, &corpus));
    snprintf(text, sizeof text,
             "tokenizer:\n  text_model: %s\n  units: 20\n  pitch_codes: 8\n  style_codes: 4\n"
             "prepare:\n  ready.label: tiny\n"
             "data:\n  train: [%s, %s]\n  validation: [%s, %s]\n"
             "  lanes: 2\n  sequence_length: 48\n  speech_words_minimum: 1\n  speech_words_maximum: 3\n"
             "model:\n  hidden_size: 16\n  intermediate_size: 24\n  layers: 1\n  heads: 2\n"
             "train:\n  run: %s/run\n  steps: 24\n  learning_rate: 1e-3\n  warmup_steps: 2\n  validation_rows: 1\n"
             "  validate_every: 5\n  save_every: 1\n  threads: 1\n  fruitless_starts: 0\n",
             corpus.text_model, corpus.speech, corpus.text, corpus.speech, corpus.text, folder);
    snprintf(path, sizeof path, "%s/run.yaml", folder);
    assert_ok(atomic_write(path, text, (int64_t)strlen(text)));
}

/* ---- the process ---- */

pid_t tiny_run_start(const struct tiny_start *start)
{
    enum { MOST = 20 };
    char program[900], config[900], run[900];
    const char *argv[MOST + 1] = {program, "--device", "cpu", "--config", config, run};
    snprintf(program, sizeof program, "%s/train", TEST_PROGRAM_DIRECTORY);
    snprintf(config, sizeof config, "%s/run.yaml", start->folder);
    snprintf(run, sizeof run, "train.run=%s", start->run);
    for (int i = 0; start->arguments && start->arguments[i] && i + 6 < MOST; i++)
        argv[i + 6] = start->arguments[i];
    return process_start(argv, start->variables, start->output);
}

int tiny_run_train(const struct tiny_start *start)
{
    return process_wait(tiny_run_start(start));
}

int64_t tiny_run_acknowledged(const char *output)
{
    char *text;
    int64_t size, newest = 0;
    if (file_read(output, 1 << 24, (void **)&text, &size) != STATUS_OK)
        return 0; /* killed before it could be opened */
    for (char *line = text; (line = strstr(line, "saved ")); line++) {
        char *end = strchr(line, '\n'), *name = strstr(line, "/step_");
        if (end && name && name < end && strtoll(name + 6, NULL, 10) > newest)
            newest = strtoll(name + 6, NULL, 10);
    }
    free(text);
    return newest;
}

/* ---- checkpoints ---- */

/* N of "step_0000000N"; 0 for other names. */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, "step_", 5) != 0)
        return 0;
    long long step = strtoll(name + 5, &end, 10);
    return *end ? 0 : step;
}

int64_t tiny_run_newest(const char *run)
{
    char path[900];
    int64_t newest = 0;
    snprintf(path, sizeof path, "%s/checkpoints", run);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        newest = step_of(entry->d_name) > newest ? step_of(entry->d_name) : newest;
    if (folder)
        closedir(folder);
    return newest;
}

/* MANIFEST holds the SHA-256 of weights, masters, moments, and of the state of lanes, guard and counters: two folders
 * that verify against equal ones are equal. */
static const char *bad_folder(const char *run, const char *reference, int64_t step)
{
    char path[900], manifest[1000], expected[1000];
    snprintf(path, sizeof path, "%s/checkpoints/step_%08lld", run, (long long)step);
    if (directory_verify(path, true) != STATUS_OK)
        return problem("%s", status_text());
    snprintf(manifest, sizeof manifest, "%s/MANIFEST", path);
    snprintf(expected, sizeof expected, "%s/checkpoints/step_%08lld/MANIFEST", reference, (long long)step);
    return same_file(manifest, expected) ? NULL : problem("%s differs from the undisturbed run's", path);
}

const char *tiny_run_bad_checkpoint(const char *run, const char *reference, int64_t least, bool all, int64_t every)
{
    char path[900];
    const char *bad = NULL;
    int64_t newest = tiny_run_newest(run);
    if (newest < least)
        return problem("step %lld was saved, the newest checkpoint is %lld", (long long)least, (long long)newest);
    for (int64_t step = 1; all && step <= newest; step++) {
        struct stat information;
        snprintf(path, sizeof path, "%s/checkpoints/step_%08lld", run, (long long)step);
        if (step % every == 0 && stat(path, &information) != 0)
            return problem("%s is missing", path);
    }
    snprintf(path, sizeof path, "%s/checkpoints", run);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && !bad && (entry = readdir(folder));)
        if (step_of(entry->d_name) > 0)
            bad = bad_folder(run, reference, step_of(entry->d_name));
    if (folder)
        closedir(folder);
    return bad;
}

/* ---- metrics ---- */

/* The next line; NULL at the end or where a line is not whole. Moves *at behind it. */
static json_t *next_line(const char **at)
{
    const char *end = strchr(*at, '\n');
    json_t *line = NULL;
    if (!end || jdoc_parse("metrics", *at, end - *at, &line) != STATUS_OK)
        return NULL;
    *at = end + 1;
    return line;
}

static long long step_in(const json_t *line)
{
    return json_integer_value(json_object_get(line, "step"));
}

static const char *bad_line(const json_t *line, const json_t *expected)
{
    static const char *const keys[] = {"loss", "lr", "grad_norm", "tokens", "validation/loss"};
    if (!line)
        return problem("step %lld is missing", step_in(expected));
    if (step_in(line) != step_in(expected))
        return problem("step %lld stands where %lld should", step_in(line), step_in(expected));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *a = json_object_get(line, keys[i]), *b = json_object_get(expected, keys[i]);
        if ((a || b) && !json_equal(a, b))
            return problem("step %lld: %s is %.17g, in the undisturbed run %.17g", step_in(line), keys[i],
                           json_number_value(a), json_number_value(b));
    }
    return NULL;
}

const char *tiny_run_bad_metrics(const char *run, const char *reference, int64_t last)
{
    char path[900], *text[2] = {NULL, NULL};
    const char *bad = NULL, *at[2] = {"", ""};
    int64_t size;
    for (int i = 0; i < 2 && !bad; i++) {
        snprintf(path, sizeof path, "%s/metrics.jsonl", i ? reference : run);
        if (file_read(path, 1 << 24, (void **)&text[i], &size) != STATUS_OK)
            bad = problem("%s", status_text());
        at[i] = text[i];
    }
    for (json_t *expected; !bad && (expected = next_line(&at[1]));) {
        json_t *line = step_in(expected) <= last ? next_line(&at[0]) : NULL;
        if (step_in(expected) <= last)
            bad = bad_line(line, expected);
        json_decref(line);
        json_decref(expected);
    }
    if (!bad && *at[0])
        bad = problem("metrics.jsonl goes on after step %lld: %s", (long long)last, at[0]);
    free(text[0]);
    free(text[1]);
    return bad;
}

const char *tiny_run_leftover(const char *run)
{
    char output[2000];
    assert_int_equal(run_command(output, sizeof output, "find '%s' -name '*.tmp-*'", run), 0);
    return *output ? problem("left behind: %s", output) : NULL;
}
