/* GGUF files, versions 2 and 3 (the format of llama.cpp; ggml's docs/gguf.md): a header, values by key, a table of tensors,
 * and behind a multiple of the alignment the tensors' data. The file is mapped; every count, length and offset is checked
 * against the file's size before anything is allocated or read, names and keys are unique, and tensors do not overlap.
 * Refused by name: version 1, big-endian files, arrays of arrays, element types not listed in stored_tensor.h, and one
 * part of a model that is split over several files. */
#ifndef SPIRITLM_IO_WEIGHTS_GGUF_H
#define SPIRITLM_IO_WEIGHTS_GGUF_H

#include "io/weights/stored_tensor.h"

#include <stdbool.h>
#include <stdint.h>

enum gguf_type { /* the file's numbers */
                 GGUF_U8,
                 GGUF_I8,
                 GGUF_U16,
                 GGUF_I16,
                 GGUF_U32,
                 GGUF_I32,
                 GGUF_F32,
                 GGUF_BOOL,
                 GGUF_STRING,
                 GGUF_ARRAY,
                 GGUF_U64,
                 GGUF_I64,
                 GGUF_F64,
                 GGUF_TYPES
};
const char *gguf_type_name(enum gguf_type type);

struct gguf_string { /* not NUL-terminated, any bytes */
    const char *text;
    int64_t size;
};

struct gguf_value {
    const char *key;
    enum gguf_type type;       /* of the value, or of an array's elements */
    bool is_array;             /* count and data are those of the elements; else count is 1 */
    int64_t count;             /* elements */
    const unsigned char *data; /* of the first element, in the file */
    const int64_t *strings;    /* of an array of strings: where each begins behind `data` */
};

struct gguf;

enum status gguf_open(const char *path, struct gguf **file);
void gguf_close(struct gguf *file);
const char *gguf_path(const struct gguf *file);
int64_t gguf_version(const struct gguf *file);

int64_t gguf_tensor_count(const struct gguf *file);
const struct stored_tensor *gguf_tensor(const struct gguf *file, int64_t index);         /* in order of names */
const struct stored_tensor *gguf_find_tensor(const struct gguf *file, const char *name); /* NULL: none */

int64_t gguf_value_count(const struct gguf *file);
const struct gguf_value *gguf_value(const struct gguf *file, int64_t index);  /* in order of keys */
const struct gguf_value *gguf_find(const struct gguf *file, const char *key); /* NULL: none */

/* Elements of a value, index < count. Numbers of any type; the integers of U64 above INT64_MAX become INT64_MAX. */
int64_t gguf_element_integer(const struct gguf_value *value, int64_t index); /* integers and bool */
double gguf_element_number(const struct gguf_value *value, int64_t index);   /* and reals */
struct gguf_string gguf_element_string(const struct gguf_value *value, int64_t index);

/* A value by its key. A missing key leaves *value alone, and is STATUS_CORRUPT when `required`; so is another type (any
 * type of integer serves, and for a number a real too) or one out of range. */
enum status gguf_get_integer(const struct gguf *file, const char *key, bool required, int64_t minimum, int64_t maximum,
                             int64_t *value);
enum status gguf_get_number(const struct gguf *file, const char *key, bool required, double *value);
enum status gguf_get_bool(const struct gguf *file, const char *key, bool required, bool *value);
enum status gguf_get_string(const struct gguf *file, const char *key, bool required, struct gguf_string *value);
/* An array of strings (GGUF_STRING), or of one of the number types, `count` of them; -1: any number. */
enum status gguf_get_array(const struct gguf *file, const char *key, bool required, enum gguf_type type, int64_t count,
                           const struct gguf_value **value);

#endif
