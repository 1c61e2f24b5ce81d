/* A trained model as a folder for other programs: without the state of its training, and with the files that they look for. */
#ifndef SPIRITLM_PACKAGE_EXPORT_H
#define SPIRITLM_PACKAGE_EXPORT_H

#include "models/llama/llama.h"

enum export_layout {
    /* FOLDER is what LlamaForCausalLM and AutoTokenizer open: config.json, generation_config.json, safetensors, the text model
     * with tags and units as pieces. spiritlm.json and speech_tokenizer/ lie beside them, so that it is also a model of ours. */
    EXPORT_HUGGING_FACE,
    /* FOLDER/spiritlm_model/spirit-lm-base-7b or spirit-lm-expressive-7b, as the release of Spirit LM lays out its models and
     * its code looks for them, whatever the model's size: the same files, and special_tokens_map.json. */
    EXPORT_SPIRITLM
};

struct exported {
    char *folder; /* where config.json is; for free */
    struct llama_copy weights;
};

/* Writes what model_open would open at `name`, in the type of its weights; f16 and blocks of quantised numbers become f32. The
 * folder appears whole or not at all and must not be there before: STATUS_USAGE. So is a model that the layout cannot hold. */
enum status model_export(const char *name, enum export_layout layout, const char *folder, struct exported *exported);

#endif
