/* What the files that write a Hugging Face folder share, and tests that need small shards. */
#ifndef SPIRITLM_MODELS_LLAMA_FOLDER_H
#define SPIRITLM_MODELS_LLAMA_FOLDER_H

#include "io/atomic_file.h"
#include "models/llama/llama.h"

/* config.json and generation_config.json; a negative id is written as null. */
enum status llama_write_configs(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                                int32_t eos_id);

#define LLAMA_SHARD_BYTES ((int64_t)4 << 30)

/* The weights in files of at most `shard_bytes` of tensors (a larger tensor has a file of its own). */
enum status llama_write_weights(const struct llama *model, struct atomic_directory *directory, int64_t shard_bytes);

/* Where the numbers of a view come from: `read` puts elements [first, first + count), at most WEIGHT_PIECE, in the model's
 * type into `piece`. */
struct weight_pieces {
    enum status (*read)(const struct weight_pieces *pieces, const struct parameter_view *view, int64_t first,
                        int64_t count);
    const void *argument;
    void *piece;
};

/* The same with numbers from elsewhere: of the model only config, dtype and layout are looked at. */
enum status llama_write_pieces(const struct llama *model, struct atomic_directory *directory, int64_t shard_bytes,
                               const struct weight_pieces *pieces);

#endif
