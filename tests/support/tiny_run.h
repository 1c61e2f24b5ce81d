/* A tiny run that bin/train carries out as a user would start it, and what must hold of its folder whatever happened to
 * the process: each checkpoint that bears its name is whole and equal to the undisturbed run's, byte for byte. */
#ifndef SPIRITLM_TESTS_TINY_RUN_H
#define SPIRITLM_TESTS_TINY_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes FOLDER/corpus and FOLDER/run.yaml: a step and a save take milliseconds. Fails the test. */
void tiny_run_make(const char *folder);

/* How to start bin/train. */
struct tiny_start {
    const char *folder;           /* of tiny_run_make */
    const char *run;              /* train.run */
    const char *output;           /* file for what it prints */
    const char *const *arguments; /* further ones, NULL-terminated; NULL: none */
    const char *const *variables; /* NAME=VALUE for its environment, NULL-terminated; NULL: none */
};
pid_t tiny_run_start(const struct tiny_start *start);

/* Starts it and waits for its end: the exit code, or 128 + the signal. */
int tiny_run_train(const struct tiny_start *start);

/* The newest step that the output says was saved; 0 when none. */
int64_t tiny_run_acknowledged(const char *output);

/* The newest step of the folders step_N; 0 when none. */
int64_t tiny_run_newest(const char *run);

/* Each of these returns NULL when all is well, else a text that says what is not (valid until the next call).
 * Every step_N verifies and equals that of the run `reference`, which keeps all; the newest is at least `least`; with
 * `all`, each step up to the newest is there that is a multiple of `every`. */
const char *tiny_run_bad_checkpoint(const char *run, const char *reference, int64_t least, bool all, int64_t every);

/* metrics.jsonl has the reference's lines up to step `last`, in order and with its losses and norms, and no other. */
const char *tiny_run_bad_metrics(const char *run, const char *reference, int64_t last);

/* No file or folder of a write that did not end. */
const char *tiny_run_leftover(const char *run);

#endif
