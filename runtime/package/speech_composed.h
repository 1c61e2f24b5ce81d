/* Speech tokenizers put together from components of different kinds: some embedded, which prepare fits, some neural, which others have
 * trained (speech/neural), some absent. Such a folder has
 *   tokenizer.json         "kind": "components"; for each of hubert, pitch, style and vocoder "embedded", null, or the names of a
 *                          neural one's files with its size, rate and fingerprint; under "embedded" the embedded tokenizer's own
 *   tokenizer.safetensors  the embedded tokenizer's, if a component is
 *   MANIFEST
 * The neural files stay where they are: a folder, and every checkpoint, knows them by name and fingerprint. */
#ifndef SPIRITLM_PACKAGE_SPEECH_COMPOSED_H
#define SPIRITLM_PACKAGE_SPEECH_COMPOSED_H

#include "speech/component.h"

#include <jansson.h>
#include <stdbool.h>

#define COMPOSED_KIND "components"

/* The section `speech` of a configuration. A component is "" where it is embedded, "none" where there is none, else the names of
 * speech/neural/neural.h. No vocoder is named for neural units: there is none, since the embedded one cannot speak them. */
struct speech_options {
    const char *checkpoints; /* root of relative names; "": SPIRITLM_CHECKPOINTS_DIR */
    const char *hubert, *quantizer;
    int64_t layer;
    bool pad;
    const char *pitch, *f0;
    const char *style;
    const char *vocoder;
};

bool speech_options_all_embedded(const struct speech_options *options);
bool speech_options_embed(const struct speech_options *options, enum unit_stream stream);
/* Whether a component is embedded, so that a tokenizer has to be fitted. */
bool speech_options_need_fit(const struct speech_options *options);

/* Over all that is named. */
struct sha256 speech_options_hash(const struct speech_options *options);

/* Opens the components that the options name, the embedded ones from a folder of the kind "embedded" (NULL where none is), and
 * computes on `compute`. Neural files are read now. STATUS_USAGE: options that contradict each other, or a missing file. */
enum status speech_compose(const struct speech_options *options, const char *embedded_folder,
                           const struct speech_compute *compute, struct speech **speech);

/* What is believed of the components of a model that says nothing of them but how many units it has. */
struct speech_belief {
    int32_t sizes[STREAM_COUNT];
    struct unit_rates rates;
};

/* Opens neural components without reading their files yet; those that turn out to have other sizes or rates are refused then. */
enum status speech_compose_unread(const struct speech_options *options, const struct speech_belief *belief,
                                  struct speech **speech);

/* What speech_compose opens, published as a folder, which must not be there. */
enum status speech_compose_folder(const struct speech_options *options, const char *embedded_folder,
                                  const struct speech_compute *compute, const char *folder);

/* Whether a folder, embedded or composed, holds what the options name. STATUS_USAGE says which component differs. */
enum status speech_options_match(const struct speech_options *options, const char *folder);

/* The kind's `open` (package/speech_folder.c). */
enum status composed_open(const char *folder, const json_t *description, struct speech *speech);

#endif
