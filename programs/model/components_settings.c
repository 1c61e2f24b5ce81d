/* The components of a new model, as the configuration names them. */
#include "programs/model/components_settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum status components_from_settings(const struct settings *settings, struct components **components)
{
    enum status result = STATUS_OK;
    const struct tokenizer_settings *tokenizer = &settings->tokenizer;
    const struct prepare_settings *prepare = &settings->prepare;
    bool ready = *prepare->ready.label != 0;
    struct components_options options = {
        .text_model = tokenizer->text_model,
        .speech_folder = ready ? NULL : tokenizer->folder,
        .expressive = settings->data.expressive,
        .bos = {.given = tokenizer->bos >= 0, .id = (int32_t)tokenizer->bos},
        .eos = {.given = tokenizer->eos >= 0, .id = (int32_t)tokenizer->eos},
        .dummy_prefix = (enum dummy_prefix)tokenizer->dummy_prefix,
        .span_space = tokenizer->span_space,
        .task_tags = settings->data.mode == INTERLEAVE_ASR_TTS || settings->data.mode == INTERLEAVE_SPANS_ASR_TTS,
        .codes = {(int32_t)tokenizer->units, (int32_t)tokenizer->pitch_codes, (int32_t)tokenizer->style_codes},
    };
    if (!*tokenizer->text_model)
        FAIL(STATUS_USAGE,
             "tokenizer.text_model is not set: name a SentencePiece .model file (docs/text.md says how to "
             "train one), a tokenizer.json of byte-level BPE or a .gguf file; or continue a model that has one "
             "(model.initialize_from)");
    if (!ready && access(tokenizer->folder, F_OK) != 0)
        FAIL(STATUS_USAGE, "%s: there is no such folder; tokenizer.folder names what prepare makes: run it first",
             tokenizer->folder);
    if (ready) {
        struct shard_fingerprints fingerprints;
        TRY(ready_fingerprints(prepare, &fingerprints));
        options.rates = fingerprints.rates;
        memcpy(options.units, fingerprints.stream, sizeof options.units);
    }
    TRY(components_load(&options, components));
fail:
    return result;
}
