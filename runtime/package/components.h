/* What a language model needs around its weights: the text model, the id map, and the speech tokenizer with its
 * vocoder. Training loads them from the configuration and puts them into every checkpoint, so that a checkpoint is
 * complete by itself; each part has a fingerprint, and parts that do not belong together are refused. */
#ifndef SPIRITLM_PACKAGE_COMPONENTS_H
#define SPIRITLM_PACKAGE_COMPONENTS_H

#include "io/atomic_file.h"
#include "speech/component.h"
#include "text/sentencepiece.h"
#include "text/vocabulary.h"

#include <jansson.h>
#include <stdbool.h>

enum component {
    COMPONENT_TEXT,
    COMPONENT_HUBERT,
    COMPONENT_PITCH,
    COMPONENT_STYLE,
    COMPONENT_VOCABULARY,
    COMPONENT_VOCODER,
    COMPONENT_COUNT
};
const char *component_name(enum component component); /* "text", "hubert", "pitch", "style", "vocabulary", "vocoder" */

struct components_options {
    const char *text_model;    /* a SentencePiece .model file */
    const char *speech_folder; /* NULL or "": units are made elsewhere, no speech can be made */
    struct speech *speech;     /* a set that is open already, to be taken over; NULL: speech_folder is opened */
    bool expressive;           /* pitch and style in the vocabulary */
    bool task_tags;            /* [ASR] and [TTS] */
    enum dummy_prefix dummy_prefix;
    int32_t codes[STREAM_COUNT];       /* vocabulary sizes where there is no speech folder */
    struct unit_rates rates;           /* likewise */
    struct sha256 units[STREAM_COUNT]; /* likewise: the fingerprints of units made elsewhere */
};

struct components {
    struct sentencepiece *text;
    struct speech *speech; /* NULL: none; its files are what checkpoints hold */
    struct vocabulary vocabulary;
    struct unit_rates rates;
    struct sha256 fingerprints[COMPONENT_COUNT]; /* zero: absent */
    void *text_file;                             /* the .model file's bytes */
    int64_t text_file_size;
    char *speech_folder;                /* where `speech` comes from; NULL: not from a folder */
    struct sentencepiece **tagged_text; /* [1]: see components_tagged_text; NULL until then */
};

/* options->speech belongs to the components from the call on, also when it fails. */
enum status components_load(const struct components_options *options, struct components **components);

/* The text model in which tags and units are pieces, as checkpoints hold it. It is made at the first call, which takes
 * milliseconds, and kept; not by two threads at once. */
enum status components_tagged_text(const struct components *components, const struct sentencepiece **tagged);

/* From a checkpoint folder; every fingerprint written there must equal that of the part found there. */
enum status components_load_checkpoint(const char *folder, struct components **components);
void components_free(struct components *components);

/* An object of all components by name: the fingerprint's digits, null for one that is absent. NULL: out of memory. */
json_t *components_fingerprints_json(const struct components *components);

/* Puts tokenizer.model, speech_tokenizer/ and spiritlm.json into a checkpoint that is being made. */
enum status components_write(const struct components *components, struct atomic_directory *directory);

/* STATUS_USAGE when the checkpoint was trained with components other than these: its ids would mean something else. */
enum status components_match_checkpoint(const struct components *components, const char *folder);

/* STATUS_USAGE naming the component, both values and both sources when they differ and neither is absent. */
enum status components_match(enum component component, const struct sha256 *a, const char *a_source,
                             const struct sha256 *b, const char *b_source);

#endif
