/* What the two files that read and write a Hugging Face folder share, and tests that need small shards. */
#ifndef SPIRITLM_MODELS_LLAMA_FOLDER_H
#define SPIRITLM_MODELS_LLAMA_FOLDER_H

#include "io/atomic_file.h"
#include "models/llama/llama.h"

/* config.json and generation_config.json; a negative id is written as null. */
enum status llama_write_configs(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                                int32_t eos_id);

/* The weights in files of at most `shard_bytes` of tensors (a larger tensor has a file of its own). */
enum status llama_write_weights(const struct llama *model, struct atomic_directory *directory, int64_t shard_bytes);

#endif
