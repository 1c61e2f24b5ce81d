/* The safetensors format: u64 header length, JSON header, raw little-endian tensors. Everything is bounded and checked
 * before memory is touched: ranges inside the file, without gap or overlap, of exactly the shape's size, names unique,
 * header <= 100 MB. Types other than those of enum dtype are refused. The file must not shrink while it is open. */
#ifndef SPIRITLM_IO_SAFETENSORS_H
#define SPIRITLM_IO_SAFETENSORS_H

#include "core/dtype.h"
#include "core/status.h"
#include "io/atomic_file.h"

#include <stdint.h>

enum { TENSOR_MAX_RANK = 8 };

struct tensor_info {
    const char *name; /* owned by the file, or by the caller when writing */
    enum dtype type;
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t bytes;
};

struct safetensors; /* an open file, memory-mapped read-only */

enum status safetensors_open(const char *path, struct safetensors **file);
/* The same for files of any size: no tensor is copied, so one whose file does not align it lies at any address. Read it
 * with tensor_to_float. */
enum status safetensors_open_in_place(const char *path, struct safetensors **file);
void safetensors_close(struct safetensors *file);
int64_t safetensors_count(const struct safetensors *file);
const struct tensor_info *safetensors_info(const struct safetensors *file, int64_t index);    /* in order of names */
const struct tensor_info *safetensors_find(const struct safetensors *file, const char *name); /* NULL: none */
/* The tensor's bytes, at a multiple of its element's size. `info` must come from this file. */
const void *safetensors_data(const struct safetensors *file, const struct tensor_info *info);
/* The tensor has been read: its pages are this process's memory no longer. Who reads it again gets it again. */
void safetensors_forget(const struct safetensors *file, const struct tensor_info *info);
const char *safetensors_metadata(const struct safetensors *file, const char *key); /* NULL: none */

/* A model's folder: model.safetensors, or model.safetensors.index.json with its shards. Tensors of all files, opened in
 * place. */
struct safetensors_folder;
enum status safetensors_folder_open(const char *path, struct safetensors_folder **folder);
void safetensors_folder_close(struct safetensors_folder *folder);
int64_t safetensors_folder_count(const struct safetensors_folder *folder);
const struct tensor_info *safetensors_folder_info(const struct safetensors_folder *folder, int64_t index);
const struct tensor_info *safetensors_folder_find(const struct safetensors_folder *folder, const char *name,
                                                  const void **data);
void safetensors_folder_forget(const struct safetensors_folder *folder, const struct tensor_info *info);

/* Elements [first, first + count) of a tensor whose bytes begin at `data`, whatever address that is, as f32. Its type is
 * F32, BF16, F16 or F64. */
void tensor_to_float(const struct tensor_info *info, const void *data, int64_t first, int64_t count, float *values);

/* Writes the tensors (any order of names; they are stored one after the other in the order given, starting at a
 * multiple of 8 bytes) with metadata pairs key, value, key, value... (`metadata_count` pairs) into an open output file.
 * `data[i]` is info[i].bytes long. */
enum status safetensors_write(struct output_file *file, const struct tensor_info *info, const void *const *data,
                              int64_t count, const char *const *metadata, int64_t metadata_count);

/* The same a piece at a time, for tensors that need not lie in memory together: the header, then the bytes of all tensors
 * one after the other, cut as the caller likes. Neither more nor fewer than the header says: STATUS_INTERNAL. */
struct safetensors_writer {
    struct output_file *file; /* borrowed */
    int64_t left;             /* bytes that are still to come */
};
enum status safetensors_begin(struct output_file *file, const struct tensor_info *info, int64_t count,
                              const char *const *metadata, int64_t metadata_count, struct safetensors_writer *writer);
enum status safetensors_append(struct safetensors_writer *writer, const void *data, int64_t bytes);
enum status safetensors_end(const struct safetensors_writer *writer);

/* Bytes of the file that safetensors_write would write, for reserving the space first. */
enum status safetensors_file_bytes(const struct tensor_info *info, int64_t count, const char *const *metadata,
                                   int64_t metadata_count, int64_t *bytes);

/* Bytes of a tensor of this type and shape; -1 when it overflows or a dimension is negative. */
int64_t tensor_bytes(enum dtype type, int rank, const int64_t *shape);

#endif
