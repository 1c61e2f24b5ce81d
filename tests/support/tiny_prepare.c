#include "support/tiny_prepare.h"
#include "support/files.h"

#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "io/atomic_file.h"
#include "io/audio/audio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A second of noise that rises and falls. */
static void write_clip(const char *folder, const char *name, uint64_t seed)
{
    enum { COUNT = 16000 };
    static float samples[COUNT];
    char path[900];
    struct rng rng = rng_make(seed, RNG_TEST, 55, 0);
    for (int i = 0; i < COUNT; i++)
        samples[i] = ((float)rng_u32(&rng) / 4294967296.0f - 0.5f) * (float)(i % 1600) / 1600.0f;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(wav_write(path, samples, COUNT));
}

void tiny_prepare_make(const char *folder)
{
    struct tiny_corpus corpus;
    char path[900], text[4000];
    snprintf(path, sizeof path, "%s/corpus", folder);
    assert_ok(tiny_corpus_write(path, 4, 1, &corpus));
    for (int version = 1; version <= 2; version++) {
        snprintf(path, sizeof path, "%s/%d", folder, version);
        assert_ok(make_directories(path));
        write_clip(path, "a.wav", 1);
        write_clip(path, "b.wav", (uint64_t)version);
        write_text_in(path, "speech.jsonl",
                      version == 1 ? "{\"id\": \"a\", \"audio\": \"a.wav\"}\n{\"id\": \"b\", \"audio\": \"b.wav\"}\n"
                                   : "{\"id\": \"a\", \"audio\": \"a.wav\"}\n{\"id\": \"c\", \"audio\": \"b.wav\"}\n");
        write_text_in(path, "text.jsonl",
                      version == 1
                          ? "{\"id\": \"a\", \"text\": \"abc def\"}\n{\"id\": \"b\", \"text\": \"fed\"}\n"
                          : "{\"id\": \"a\", \"text\": \"abc def\"}\n{\"id\": \"b\", \"text\": \"cab fed\"}\n");
    }
    snprintf(text, sizeof text,
             "tokenizer:\n  text_model: %s\n  units: 24\n  pitch_codes: 4\n  iterations: 3\n"
             "prepare:\n  fit: [speech]\n  threads: 1\n",
             corpus.text_model);
    write_text_in(folder, "prepare.yaml", text);
}

int tiny_prepare_run(const char *folder, int version, const char *out, const char *output, const char *const *variables)
{
    char program[900], config[900], manifests[2000], tokenizer[900], datasets[900];
    snprintf(program, sizeof program, "%s/prepare", TEST_PROGRAM_DIRECTORY);
    snprintf(config, sizeof config, "%s/prepare.yaml", folder);
    snprintf(manifests, sizeof manifests, "prepare.manifests=%s/%d/speech.jsonl,%s/%d/text.jsonl", folder, version,
             folder, version);
    snprintf(tokenizer, sizeof tokenizer, "tokenizer.folder=%s/tokenizer", out);
    snprintf(datasets, sizeof datasets, "prepare.output=%s/datasets", out);
    const char *argv[] = {program, "--config", config, manifests, tokenizer, datasets, NULL};
    return process_wait(process_start(argv, variables, output));
}

static bool same_name(const char *out, const char *other, const char *name)
{
    char a[1200], b[1200];
    snprintf(a, sizeof a, "%s/%s", out, name);
    snprintf(b, sizeof b, "%s/%s", other, name);
    return same_file(a, b);
}

static char problem[2048];

/* Where there is an index, everything that it names must be of its version. */
static const char *bad_index(const char *out, const char *dataset, const char *reference, const char *old)
{
    static const char *const files[] = {"shard_00000.h5", "rejects.jsonl"};
    char name[200], path[1200];
    struct stat information;
    snprintf(name, sizeof name, "datasets/%s/index.json", dataset);
    snprintf(path, sizeof path, "%s/%s", out, name);
    if (stat(path, &information) != 0)
        return NULL;
    const char *version = same_name(out, reference, name) ? reference : old;
    for (size_t i = 0; version && i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "datasets/%s/%s", dataset, files[i]);
        if (!same_name(out, version, name)) {
            snprintf(problem, sizeof problem, "%s/%s is not what %s vouches for", out, name, path);
            return problem;
        }
    }
    return NULL;
}

const char *tiny_prepare_bad(const char *out, const char *reference, const char *old)
{
    static char names[1 << 14];
    char path[1200];
    struct stat information;
    assert_int_equal(
        run_command(names, sizeof names,
                    "test -d '%s' || exit 0; cd '%s' && find . -type f ! -path '*.tmp-*' ! -name '.*.lock' "
                    "! -path '*/parts/shard_*'",
                    out, out),
        0);
    snprintf(path, sizeof path, "%s/tokenizer", out);
    if (stat(path, &information) == 0 && directory_verify(path, true) != STATUS_OK)
        return status_text();
    for (char *name = strtok(names, "\n"); name; name = strtok(NULL, "\n"))
        if (!same_name(out, reference, name) && (!old || !same_name(out, old, name))) {
            snprintf(problem, sizeof problem, "%s/%s is neither old nor new", out, name);
            return problem;
        }
    const char *bad = bad_index(out, "speech", reference, old);
    return bad ? bad : bad_index(out, "text", reference, old);
}

const char *tiny_prepare_unlike(const char *out, const char *reference)
{
    return run_command(problem, sizeof problem, "diff -r '%s' '%s'", out, reference) == 0 ? NULL : problem;
}
