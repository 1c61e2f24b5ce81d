#include "programs/common/load_model.h"

#include "data/shard.h"
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

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
        .task_tags = settings->data.mode == INTERLEAVE_ASR_TTS || settings->data.mode == INTERLEAVE_SPANS_ASR_TTS,
        .codes = {(int32_t)tokenizer->units, (int32_t)tokenizer->pitch_codes, (int32_t)tokenizer->style_codes},
    };
    if (!*tokenizer->text_model)
        FAIL(STATUS_USAGE, "tokenizer.text_model is not set: name a SentencePiece .model file");
    if (ready) {
        struct shard_fingerprints fingerprints;
        TRY(prepare_ready_fingerprints(prepare, &fingerprints));
        options.rates = fingerprints.rates;
        memcpy(options.units, fingerprints.stream, sizeof options.units);
    }
    TRY(components_load(&options, components));
fail:
    return result;
}

/* The type in which a checkpoint's weights are stored stands in trainer/state.json; a folder without one is read as
 * f32. */
static enum dtype stored_type(const char *path)
{
    json_t *state = NULL;
    enum dtype type = DTYPE_F32;
    if (checkpoint_read_state(path, &state) == STATUS_OK) {
        const char *name = json_string_value(json_object_get(state, "dtype"));
        if (name && !strcmp(name, dtype_name(DTYPE_BF16)))
            type = DTYPE_BF16;
    }
    json_decref(state);
    return type;
}

enum status model_load(const char *name, struct machine *machine, struct components **components, struct llama **model,
                       char **checkpoint)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    struct llama_config config;
    int64_t rows = 0;
    *components = NULL;
    *model = NULL;
    TRY(checkpoint_resolve(name, &path));
    TRY(components_load_checkpoint(path, components));
    TRY(llama_read_config(path, &config));
    TRY(llama_create(&config, stored_type(path), machine->kernels, &machine->context, model));
    TRY(llama_read_weights(*model, path, NULL, &rows));
    if (rows != config.vocabulary_size || rows < (*components)->vocabulary.size)
        FAIL(STATUS_CORRUPT, "%s has %lld vocabulary rows for %d ids", path, (long long)rows,
             (int)(*components)->vocabulary.size);
    if (checkpoint) {
        *checkpoint = path;
        path = NULL;
    }
fail:
    if (result != STATUS_OK) {
        llama_destroy(*model);
        components_free(*components);
        *model = NULL;
        *components = NULL;
    }
    free(path);
    return result;
}
