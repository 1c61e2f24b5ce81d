/* What a language model needs around its weights: the text model, the id map, and the speech tokenizer with its
 * vocoder. Training loads them from the configuration and puts them into every checkpoint, so that a checkpoint is
 * complete by itself; each part has a fingerprint, and parts that do not belong together are refused. */
#ifndef SPIRITLM_PACKAGE_COMPONENTS_H
#define SPIRITLM_PACKAGE_COMPONENTS_H

#include "io/atomic_file.h"
#include "speech/component.h"
#include "text/text_model.h"
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

struct special_id {
    bool given;
    int32_t id; /* -1: none */
};

struct components_options {
    const char *text_model;     /* what text_model_load reads */
    struct special_id bos, eos; /* instead of those that the text model's file names */
    const char *speech_folder;  /* NULL or "": units are made elsewhere, no speech can be made */
    struct speech *speech;      /* a set that is open already, to be taken over; NULL: speech_folder is opened */
    bool expressive;            /* pitch and style in the vocabulary */
    bool task_tags;             /* [ASR] and [TTS] */
    enum dummy_prefix dummy_prefix;
    bool span_space;
    int32_t codes[STREAM_COUNT];       /* vocabulary sizes where there is no speech folder */
    struct unit_rates rates;           /* likewise */
    struct sha256 units[STREAM_COUNT]; /* likewise: the fingerprints of units made elsewhere */
};

struct components {
    struct text_model *text;
    struct speech *speech; /* NULL: none; its files are what checkpoints hold */
    struct vocabulary vocabulary;
    struct unit_rates rates;
    struct sha256 fingerprints[COMPONENT_COUNT]; /* zero: absent */
    char *speech_folder;                         /* where `speech` comes from; NULL: not from a folder */
};

/* options->speech belongs to the components from the call on, also when it fails. */
enum status components_load(const struct components_options *options, struct components **components);

/* Those of a model as its owner distributes it, without a spiritlm.json; `path` is what text_model_load reads.
 * Of text alone: a document begins with BOS only where the text model is used so, and no tag stands before its text.
 * Spirit LM as released, whose text model ends with tags and units: the speech tokenizer is that of the release, in
 * speech_tokenizer/ beside the spiritlm_model/ that the folder lies in, or below SPIRITLM_CHECKPOINTS_DIR. Its files are read when it
 * is first used, and have no fingerprints here. */
enum status components_load_distributed(const char *path, struct components **components);

/* From a checkpoint folder; every fingerprint written there must equal that of the part found there. */
enum status components_load_checkpoint(const char *folder, struct components **components);
void components_free(struct components *components);

/* An object of all components by name: the fingerprint's digits, null for one that is absent. NULL: out of memory. */
json_t *components_fingerprints_json(const struct components *components);

/* Puts the text model's files (text/text_model.h), speech_tokenizer/ and spiritlm.json into a checkpoint that is being made. */
enum status components_write(const struct components *components, struct atomic_directory *directory);

/* STATUS_USAGE when the checkpoint was trained with components other than these: its ids would mean something else. */
enum status components_match_checkpoint(const struct components *components, const char *folder);

/* STATUS_USAGE naming the component, both values and both sources when they differ and neither is absent. */
enum status components_match(enum component component, const struct sha256 *a, const char *a_source,
                             const struct sha256 *b, const char *b_source);

#endif
