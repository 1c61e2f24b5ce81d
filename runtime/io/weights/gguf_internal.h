/* What an open GGUF file is, shared by the reader of its values and that of its tensors. */
#ifndef SPIRITLM_IO_WEIGHTS_GGUF_INTERNAL_H
#define SPIRITLM_IO_WEIGHTS_GGUF_INTERNAL_H

#include "io/mapped_file.h"
#include "io/weights/gguf.h"

struct gguf {
    struct mapped_file map;
    int64_t at; /* while the header is read: the next byte */
    int64_t version, alignment;
    struct gguf_value *values; /* sorted by key */
    int64_t value_count;
    struct stored_tensor *tensors; /* sorted by name */
    int64_t tensor_count;
};

/* Little-endian numbers of the header, from file->at on. STATUS_CORRUPT, "ends inside WHAT", past the file's end. */
enum status gguf_read_u32(struct gguf *file, const char *what, uint32_t *value);
enum status gguf_read_u64(struct gguf *file, const char *what, uint64_t *value);

/* A name: its length and its bytes. Allocated. STATUS_CORRUPT when it is empty, longer than 1,024 bytes or has a NUL. */
enum status gguf_read_name(struct gguf *file, const char *what, char **name);

/* All `count` values. */
enum status gguf_read_values(struct gguf *file, int64_t count);

#endif
