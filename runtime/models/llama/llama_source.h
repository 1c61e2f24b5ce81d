/* The weights of a Llama as someone distributes them. Whatever the layout, tensors have the names, shapes and order of rows
 * of Hugging Face's LlamaForCausalLM:
 *
 *   a folder with config.json and safetensors, or pytorch_model.bin (one file, or shards with an index);
 *   a folder with params.json and consolidated.NN.pth, as Meta published LLaMA-2;
 *   a GGUF file, as llama.cpp reads it, of plain or quantised numbers.
 *
 * Meta's files and GGUF hold the rows of q and k in another order: a head's rotary pairs are neighbours, (0, 1), (2, 3)..,
 * where Hugging Face pairs row i with row i + D/2. Files are mapped; nothing is read until it is asked for. */
#ifndef SPIRITLM_MODELS_LLAMA_SOURCE_H
#define SPIRITLM_MODELS_LLAMA_SOURCE_H

#include "io/weights/stored_tensor.h"
#include "models/llama/llama.h"

enum llama_layout { LLAMA_SAFETENSORS, LLAMA_TORCH, LLAMA_META, LLAMA_GGUF };

struct source_tensor {
    const char *name; /* Hugging Face's; the file's own where that has none */
    enum dtype type;  /* of one element; F32 for blocks of quantised numbers */
    enum block_type block;
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    /* The parts that are joined along an axis, most often one. */
    const struct stored_tensor *const *parts;
    int64_t part_count;
    int axis;
    int64_t rotary_size; /* D where the rows of a head are rotary pairs, to be taken apart; else 0 */
};

bool llama_folder_has(const char *folder, const char *name); /* a file of that name */

struct llama_source;

/* STATUS_USAGE when nothing of that kind is there, STATUS_CORRUPT when it is damaged or not a plain Llama. */
enum status llama_source_open(const char *path, struct llama_source **source);
void llama_source_close(struct llama_source *source);
enum llama_layout llama_source_layout(const struct llama_source *source);

int64_t llama_source_count(const struct llama_source *source);
const struct source_tensor *llama_source_tensor(const struct llama_source *source, int64_t index); /* by name */
const struct source_tensor *llama_source_find(const struct llama_source *source, const char *name);

int64_t source_tensor_elements(const struct source_tensor *tensor);

/* Elements [first, first + count) as f32. Threads may read at the same time. */
void source_tensor_read(const struct source_tensor *tensor, int64_t first, int64_t count, float *values);

/* The elements in the file, when they lie there just so: of this type, in one part, without strides or reordered rows, at a
 * multiple of the element's size. Else NULL. */
const void *source_tensor_in_place(const struct source_tensor *tensor, enum dtype type);

/* The tensor has been read: its pages are this process's memory no longer. */
void source_tensor_forget(const struct source_tensor *tensor);

#endif
