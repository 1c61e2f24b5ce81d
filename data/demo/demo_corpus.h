/* The demo's corpus, made from what Debian ships (data/demo/demo_sources.h) and from synthetic speech
 * (data/demo/synthesize.h):
 *   speech_train.jsonl, speech_validation.jsonl   manifests of recorded and synthetic speech (data/manifest.h);
 *                                                 synthetic rows have the synthesiser's word times, "emotion",
 *                                                 "passage"
 *   text_train.jsonl, text_validation.jsonl       passages of the Bible
 *   real/NAME.wav, synthetic/NNNN.wav             16 kHz
 *   text_for_bpe.txt                              every text of the training side, one per line
 *   corpus.json, SOURCES.md                       the options and the totals; the sources and their licences
 * Split by normalised text (data/demo/demo_split.h): no sentence of the held-out side is said or written on the
 * training side. */
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

struct demo_corpus_totals {
    int64_t clips[2], renders[2], passages[2], words[2]; /* [0] training, [1] held out; words of the passages */
    double real_minutes[2], synthetic_minutes[2];
};

/* Writes the folder atomically. An existing one that verifies and was made with the same options is left alone
 * (*reused); a different corpus is replaced; a folder that is not a corpus is refused. STATUS_USAGE names a missing
 * package. */
enum status demo_corpus_make(const char *folder, const struct demo_corpus_options *options, bool *reused,
                             struct demo_corpus_totals *totals);

#endif
