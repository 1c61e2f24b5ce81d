/* What the readers of the layouts share. */
#ifndef SPIRITLM_MODELS_LLAMA_SOURCE_INTERNAL_H
#define SPIRITLM_MODELS_LLAMA_SOURCE_INTERNAL_H

#include "io/weights/gguf.h"
#include "io/weights/torch_archive.h"
#include "models/llama/llama_source.h"

struct llama_source {
    char *path;
    enum llama_layout layout;
    struct safetensors_folder *folder;
    struct gguf *gguf;
    struct torch_archive **archives;
    char **archive_names; /* without the folder */
    int64_t archive_count;
    int64_t width;                 /* hidden size, of Meta's layout */
    struct source_tensor *tensors; /* sorted by name */
    int64_t count;
    char (*names)[96];            /* those that are not the file's */
    struct stored_tensor *stored; /* those that are not the file's */
    const struct stored_tensor **parts;
    int64_t part_count;
};

/* Which layout `path` has: of a folder by the files in it; a file is taken for GGUF. STATUS_USAGE when it is not there. */
enum status llama_layout_of(const char *path, enum llama_layout *layout);

/* Opens one more file of PyTorch in the source's folder. */
enum status llama_source_open_archive(struct llama_source *source, const char *name);
void llama_source_close_archives(struct llama_source *source);

/* Room for `tensors` tensors of at most `parts` parts in all. */
enum status llama_source_reserve(struct llama_source *source, int64_t tensors, int64_t parts);

/* A tensor that is one stored tensor as it is, under `name`, which stays the caller's. Behind its part there is room for as
 * many more as the source has archives. */
void llama_source_add(struct llama_source *source, const char *name, const struct stored_tensor *stored,
                      int64_t rotary_size);

void llama_source_sort(struct llama_source *source); /* by name, once all are there */

/* Each fills in the tensors of its layout. */
enum status llama_source_open_gguf(struct llama_source *source);
enum status llama_source_open_torch(struct llama_source *source);
enum status llama_source_open_meta(struct llama_source *source);

/* What params.json says; vocabulary_size is -1 where it leaves that to the tensors. */
enum status meta_read_params(const char *folder, struct llama_config *config);

/* The configuration that a GGUF file holds. */
enum status gguf_read_llama_config(const struct gguf *file, struct llama_config *config);

#endif
