/* From manifests to datasets (docs/prepare.md): *fit* makes the speech tokenizer once, *shards* turns rows into shards,
 * part by part, *index* verifies them all and publishes the dataset. Each manifest X.jsonl becomes the folder OUTPUT/X.
 */
#ifndef SPIRITLM_DATA_PREPARE_H
#define SPIRITLM_DATA_PREPARE_H

#include "core/status.h"
#include "data/interleave.h"
#include "io/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Section `tokenizer`: which tokenizers everything uses, and how the speech tokenizer is fitted. */
struct tokenizer_settings {
    const char *folder;     /* the speech tokenizer (speech/embedded/speech_tokenizer.h) */
    const char *text_model; /* a SentencePiece .model; "": none */
    int64_t units, pitch_codes, style_codes, iterations, seed;
    double sample_hours;
};

/* Section `prepare`. */
struct prepare_settings {
    struct config_list manifests;
    const char *output;
    struct config_list fit; /* base names of the manifests to fit on; none: all with audio */
    int64_t threads, shard_rows;
    bool align;
    double align_threshold; /* 0: the aligner's own */
    double minimum_seconds, maximum_seconds;
    struct {
        const char *label, *hubert_rate, *pitch_rate, *style_rate;
    } ready;
};

extern const struct config_field tokenizer_fields[], prepare_fields[];
extern const int64_t tokenizer_field_count, prepare_field_count;

struct shard_fingerprints;
/* What the ready units of prepare.ready.* are known by: their label and rates. STATUS_USAGE for an impossible rate. */
enum status prepare_ready_fingerprints(const struct prepare_settings *settings,
                                       struct shard_fingerprints *fingerprints);

enum prepare_stage { PREPARE_FIT = 1, PREPARE_SHARDS = 2, PREPARE_INDEX = 4, PREPARE_ALL = 7 };

struct prepare_options {
    const struct tokenizer_settings *tokenizer;
    const struct prepare_settings *prepare;
    const struct interleave_options *interleave; /* for the report; NULL: no interleaving in it */
    unsigned stages;                             /* mask of enum prepare_stage */
    int64_t part, parts;                         /* this process makes the shards k with k mod parts = part - 1 */
    FILE *report;                                /* the data report as text; NULL: none */
};

/* Does what is missing or no longer current, and nothing else: what stands there is verified first. Times a stage go to
 * the log. STATUS_USAGE for settings that do not fit together or an earlier stage that is missing, STATUS_CORRUPT for
 * a broken manifest or one without a usable row, STATUS_IO. */
enum status prepare_run(const struct prepare_options *options);

#endif
