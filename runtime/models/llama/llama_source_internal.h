/* What the readers of the layouts share. */
#ifndef SPIRITLM_MODELS_LLAMA_SOURCE_INTERNAL_H
#define SPIRITLM_MODELS_LLAMA_SOURCE_INTERNAL_H

#include "io/weights/gguf.h"
#include "models/llama/llama_source.h"

struct llama_source {
    char *path;
    enum llama_layout layout;
    struct safetensors_folder *folder;
    struct gguf *gguf;
    struct source_tensor *tensors; /* sorted by name */
    int64_t count;
    char (*names)[96];            /* those that are not the file's */
    struct stored_tensor *stored; /* those that are not the file's */
    const struct stored_tensor **parts;
};

/* Which layout `path` has: of a folder by the files in it, of a file by how it begins. *torch_or_safetensors is left to
 * whoever opens a Hugging Face folder: LLAMA_SAFETENSORS stands for both. */
enum status llama_layout_of(const char *path, enum llama_layout *layout);

/* Room for `tensors` tensors of `parts` parts in all. */
enum status llama_source_reserve(struct llama_source *source, int64_t tensors, int64_t parts);

/* A tensor that is one stored tensor as it is, under `name`, which stays the caller's. */
void llama_source_add(struct llama_source *source, const char *name, const struct stored_tensor *stored,
                      int64_t rotary_size);

/* Each fills in the tensors of its layout. */
enum status llama_source_open_gguf(struct llama_source *source);

/* The configuration that a GGUF file holds. */
enum status gguf_read_llama_config(const struct gguf *file, struct llama_config *config);

#endif
