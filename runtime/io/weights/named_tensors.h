/* The tensors of a checkpoint by name, whichever format it has: a file of safetensors or of PyTorch, or a Hugging Face folder
 * with model.safetensors or pytorch_model.bin (one file, or shards with an index). For models that read a handful of formats
 * and ask only for the tensors that they know. Files are mapped; nothing is read until it is asked for. */
#ifndef SPIRITLM_IO_WEIGHTS_NAMED_TENSORS_H
#define SPIRITLM_IO_WEIGHTS_NAMED_TENSORS_H

#include "io/weights/torch_archive.h"

struct named_tensors;

/* STATUS_USAGE when there is nothing of that kind, STATUS_CORRUPT when it is damaged. */
enum status named_tensors_open(const char *path, struct named_tensors **tensors);
void named_tensors_close(struct named_tensors *tensors); /* NULL is fine */

/* The path that was opened: for errors. */
const char *named_tensors_path(const struct named_tensors *tensors);

/* The value that a file of PyTorch holds besides its tensors; NULL for safetensors and for shards. */
const struct torch_value *named_tensors_root(const struct named_tensors *tensors);

int64_t named_tensors_count(const struct named_tensors *tensors);
const struct stored_tensor *named_tensors_tensor(const struct named_tensors *tensors, int64_t index);  /* by name */
const struct stored_tensor *named_tensors_find(const struct named_tensors *tensors, const char *name); /* NULL: none */

/* Whether the tensor `name` is there with this shape and a type of real numbers: STATUS_CORRUPT names the file and the tensor. */
enum status named_tensors_check(const struct named_tensors *tensors, const char *name, int rank, const int64_t *shape);

/* All elements of the tensor `name` as f32, in the order of their indices, into values [product of shape]. STATUS_CORRUPT names
 * the file and the tensor when it is missing, has another shape or a type that is no real number, or holds a number that is not
 * finite. */
enum status named_tensors_read(const struct named_tensors *tensors, const char *name, int rank, const int64_t *shape,
                               float *values);

#endif
