/* The demo's corpus, made from what Debian ships (data/demo_sources.h) and from synthetic speech (data/synthesize.h):
 *   speech_train.jsonl, speech_validation.jsonl   manifests of recorded and synthetic speech
 *   text_train.jsonl, text_validation.jsonl       passages of the Bible
 *   real/NNN.wav, synthetic/NNN.wav               16 kHz
 *   text_for_bpe.txt                              every text of the training side, one a line
 *   corpus.json, SOURCES.md                       what it was made with; whose the parts are
 * Split by normalised text: whatever is said or written on the held-out side occurs nowhere on the training side. */
#ifndef SPIRITLM_DATA_DEMO_CORPUS_H
#define SPIRITLM_DATA_DEMO_CORPUS_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct demo_corpus_options {
    double synthetic_minutes;
    uint64_t seed;
    int64_t workers; /* processes that render; the result does not depend on it */
};

/* Writes the folder atomically. One that stands there, verifies and was made with the same options is left alone
 * (*reused). STATUS_USAGE names a missing package. */
enum status demo_corpus_make(const char *folder, const struct demo_corpus_options *options, bool *reused);

#endif
