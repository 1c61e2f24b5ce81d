/* From manifests to datasets (docs/prepare.md): *fit* makes the speech tokenizer once, *shards* turns rows into shards,
 * part by part, *index* verifies them all and publishes the dataset. Each manifest X.jsonl becomes the folder OUTPUT/X.
 */
#ifndef SPIRITLM_DATA_PREPARE_H
#define SPIRITLM_DATA_PREPARE_H

#include "core/status.h"
#include "io/config.h"

#include <stdbool.h>
#include <stdint.h>

/* Section `tokenizer`: which tokenizers everything uses, and how the speech tokenizer is fitted. */
struct tokenizer_settings {
    const char *folder;     /* the speech tokenizer (speech/speech_tokenizer.h) */
    const char *text_model; /* a SentencePiece .model; "": none */
    int64_t units, pitch_codes, style_codes, iterations, seed;
    double sample_hours;
};

/* Section `prepare`. */
struct prepare_settings {
    struct config_list manifests;
    const char *output;
    struct config_list fit; /* base names of the manifests to fit on; none: all with audio */
    int64_t threads;
    bool align;
    double align_threshold; /* 0: the aligner's own */
    double minimum_seconds, maximum_seconds;
    struct {
        const char *label, *hubert_rate, *pitch_rate, *style_rate;
    } ready;
};

extern const struct config_field tokenizer_fields[], prepare_fields[];
extern const int64_t tokenizer_field_count, prepare_field_count;

#endif
