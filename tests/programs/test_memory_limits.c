/* Every program under `ulimit -v`: it does its work, or ends within seconds with one line and the code of a shortage of
 * memory; it never hangs, spins, crashes or leaves the line to a library. The limits are drawn around the least that suffices,
 * which is searched for first. Below what the program's own libraries need, the system refuses to start it (127). */
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS = 120, KILOBYTES_MOST = 400000 };

static const char DEMO_CORPUS[] = "demo_corpus"; /* half a minute per start: --long alone */

static const struct {
    const char *name, *command;
} programs[] = {
    {"train", "$B/train --config $D/run.yaml --device cpu train.run=$D/out"},
    {"train on three threads", "$B/train --config $D/run.yaml --device cpu train.run=$D/out train.threads=3"},
    {"resume", "cp -r $D/half $D/out && $B/train --config $D/run.yaml --device cpu train.run=$D/out"},
    {"generate", "$B/generate --model $D/run --text a --output any --samples 2 --seed 1 --device cpu"},
    {"evaluate", "$B/evaluate --config $D/run.yaml --device cpu learning train.run=$D/run"},
    {"inspect a dataset", "$B/inspect --verify $D/corpus/speech"},
    {"inspect a run", "$B/inspect $D/run"},
    {"import", "$B/import folder $D/sounds --output $D/out"},
    {"prepare", "$B/prepare --config $D/prepare.yaml prepare.output=$D/out tokenizer.folder=$D/out/tokenizer"},
    {"prepare on three threads",
     "$B/prepare --config $D/prepare.yaml prepare.output=$D/out prepare.threads=3 tokenizer.folder=$D/tokenizer"},
    {"tokenize", "$B/tokenize --config $D/prepare.yaml $D/tone.wav"},
    {DEMO_CORPUS, "$B/demo_corpus --output $D/out --synthetic-minutes 1"},
};

static char folder[600];

static int run_in_world(char *text, size_t size, const char *command)
{
    return run_command(text, size, "D='%s' B='%s' SPIRITLM_THREADS=1; export D B SPIRITLM_THREADS; rm -rf $D/out; %s",
                       folder, TEST_PROGRAM_DIRECTORY, command);
}

static int run_limited(char *text, size_t size, const char *command, long kilobytes)
{
    char limited[1000];
    snprintf(limited, sizeof limited, "timeout -s KILL %d sh -c 'ulimit -v %ld; %s'", SECONDS, kilobytes, command);
    return run_in_world(text, size, limited);
}

/* NULL when the end is one of those that are allowed. */
static const char *bad_end(int code, const char *text)
{
    const char *error = strstr(text, "error: ");
    if (code == 0)
        return NULL;
    if (code == 127 && (strstr(text, "error while loading shared libraries") || strstr(text, "cannot allocate TLS")))
        return NULL;
    if (code == 1 && strstr(text, "libgomp: Out of memory")) /* which is oneDNN's, when it is loaded */
        return NULL;
    if (code == 128 + SIGKILL)
        return "it took too long";
    if (code != STATUS_INTERNAL)
        return "neither 0 nor 70";
    if (!error)
        return "no error line";
    if (strstr(error + 1, "error: ") || (strchr(error, '\n') && strchr(error, '\n')[1]))
        return "the error is not one last line";
    return NULL;
}

static void write_world(void)
{
    struct tiny_corpus corpus;
    char text[8000];
    static unsigned char sound[44 + 32000];
    snprintf(folder, sizeof folder, "%s/world", test_directory());
    snprintf(text, sizeof text, "%s/corpus", folder);
    assert_ok(tiny_corpus_write(text, 20, 1, &corpus));
    snprintf(text, sizeof text,
             "tokenizer:\n  text_model: %s/corpus/text.model\n  units: 20\n  pitch_codes: 8\n  style_codes: 4\n"
             "prepare:\n  ready.label: tiny\n"
             "data:\n  train: [%s/corpus/speech, %s/corpus/text]\n  validation: [%s/corpus/speech, %s/corpus/text]\n"
             "  lanes: 2\n  sequence_length: 48\n  speech_words_minimum: 1\n  speech_words_maximum: 3\n"
             "model:\n  hidden_size: 16\n  intermediate_size: 24\n  layers: 1\n  heads: 2\n"
             "train:\n  run: %s/run\n  steps: 2\n  save_every: 1\n  validation_rows: 1\n  threads: 1\n",
             folder, folder, folder, folder, folder, folder);
    write_text_in(folder, "run.yaml", text);
    snprintf(text, sizeof text,
             "tokenizer:\n  folder: %s/tokenizer\n  text_model: %s/corpus/text.model\n  units: 24\n  pitch_codes: 4\n"
             "  iterations: 3\nprepare:\n  manifests: [%s/speech.jsonl]\n  output: %s/datasets\n  threads: 1\n",
             folder, folder, folder, folder);
    write_text_in(folder, "prepare.yaml", text);
    write_text_in(folder, "speech.jsonl",
                  "{\"id\": \"a\", \"audio\": \"tone.wav\"}\n{\"id\": \"b\", \"audio\": \"tone.wav\"}\n");
    /* One second of a sawtooth with a slow tremolo, 16 kHz. */
    memcpy(sound,
           "RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0"
           "data\0\x7d\0\0",
           44);
    for (int i = 0; i < 16000; i++) {
        int value = (i % 80 - 40) * (i % 1600) / 8;
        sound[44 + 2 * i] = (unsigned char)value;
        sound[45 + 2 * i] = (unsigned char)(value >> 8);
    }
    snprintf(text, sizeof text, "%s/tone.wav", folder);
    write_plainly(text, sound, sizeof sound);
    static const char *const commands[] = {
        "mkdir $D/sounds && cp $D/tone.wav $D/sounds", "$B/train --config $D/run.yaml --device cpu",
        "cp -r $D/run $D/half && rm -r $D/half/checkpoints/step_00000002", "$B/prepare --config $D/prepare.yaml"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int code = run_in_world(text, sizeof text, commands[i]);
        if (code != 0)
            fail_msg("%s: exit %d: %s", commands[i], code, text);
    }
}

/* The least limit, to two megabytes, from which on `command` ends with 0. */
static long least_that_suffices(const char *command)
{
    char text[8000];
    long low = 0, high = KILOBYTES_MOST;
    int code = run_limited(text, sizeof text, command, high);
    if (code != 0)
        fail_msg("%s: exit %d with %ld kB: %s", command, code, high, text);
    while (high - low > 2000) {
        long middle = (low + high) / 2;
        code = run_limited(text, sizeof text, command, middle);
        const char *bad = bad_end(code, text);
        if (bad)
            fail_msg("%s under ulimit -v %ld: %s: exit %d: %s", command, middle, bad, code, text);
        if (code == 0)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static void programs_end_in_words_whatever_the_limit(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its shadow needs terabytes of address space */
#endif
    char text[8000];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    write_world();
    for (size_t p = 0; p < sizeof programs / sizeof *programs; p++) {
        bool slow = programs[p].name == DEMO_CORPUS;
        if (slow && !test_is_long())
            continue;
        long least = least_that_suffices(programs[p].command);
        int done = 0, refused = 0, not_started = 0;
        for (int i = 0; i < (!test_is_long() ? 6 : slow ? 10 : 200); i++) {
            double share = rng_uniform(&rng); /* half of them just below what suffices */
            long limit = (long)((double)least * (i % 2 ? 0.3 + share : 0.9 + 0.11 * share));
            int code = run_limited(text, sizeof text, programs[p].command, limit);
            const char *bad = bad_end(code, text);
            if (bad)
                fail_msg("%s under ulimit -v %ld: %s: exit %d: %s", programs[p].name, limit, bad, code, text);
            done += code == 0;
            refused += code == STATUS_INTERNAL;
            not_started += code == 127 || code == 1;
        }
        print_message("%-26s needs %4ld MB: %d done, %d refused, %d not started\n", programs[p].name, least / 1000,
                      done, refused, not_started);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs_end_in_words_whatever_the_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
