/* The configuration sections `tokenizer`, `prepare` and `data`: which tokenizers everything uses, how shards are made, and
 * what training reads. programs/common/ has their keys and defaults. */
#ifndef SPIRITLM_DATA_SETTINGS_H
#define SPIRITLM_DATA_SETTINGS_H

#include "data/lanes.h"
#include "io/config.h"
#include "package/components.h"
#include "package/speech_composed.h"

#include <stdbool.h>
#include <stdint.h>

/* Section `tokenizer`: which tokenizers everything uses, and how the speech tokenizer is fitted. */
struct tokenizer_settings {
    const char *folder;     /* the speech tokenizer (package/speech_folder.h) */
    const char *text_model; /* what text_model_load reads; "": none */
    int dummy_prefix;       /* enum dummy_prefix */
    bool span_space;
    int64_t bos, eos; /* section `text`; -1: as the text model's file says */
    int64_t units, pitch_codes, style_codes, iterations, seed;
    double sample_hours;
};

/* Section `speech` is struct speech_options (package/speech_composed.h): which components the speech tokenizer has. */

/* Section `prepare`. */
struct prepare_settings {
    struct config_list manifests;
    const char *output;
    struct config_list labels; /* manifest.labels: keys of manifests to be kept although they look like a mistake */
    struct config_list fit;    /* base names of the manifests to fit on; none: all with audio */
    int64_t threads, shard_rows;
    bool align, keep_unaligned;
    double align_threshold; /* 0: the aligner's own */
    int aligner;            /* enum aligner_kind (data/align/align.h) */
    const char *aligner_folder;
    double minimum_seconds, maximum_seconds;
    struct {
        const char *label, *hubert_rate, *pitch_rate, *style_rate;
    } ready;
};

/* The fingerprints of the ready units of prepare.ready.*: of their label and rates. STATUS_USAGE for an impossible rate. */
enum status ready_fingerprints(const struct prepare_settings *settings, struct shard_fingerprints *fingerprints);

/* Section `data`. */
struct data_settings {
    struct config_list train, validation; /* dataset folders made by prepare */
    int64_t lanes, sequence_length;
    double weights[SOURCE_KINDS];
    int mode; /* enum interleave_mode */
    int64_t text_words_minimum, text_words_maximum, speech_words_minimum, speech_words_maximum;
    bool expressive; /* pitch and style units beside hubert's */
    bool mask_documents;
};

struct interleave_options data_interleave_options(const struct data_settings *data);
struct lanes_options data_lanes_options(const struct data_settings *data, uint64_t seed);
struct interleaver data_interleaver(const struct data_settings *data, const struct components *components);

#endif
