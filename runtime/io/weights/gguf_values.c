/* The values by key of a GGUF file. Values stay in the file: what is kept of one is where it lies, and for an array of
 * strings, whose elements differ in length, where each of them begins. */
#include "io/weights/gguf_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LIMIT = 1024, LENGTH_BYTES = 8 };

static const int type_bytes[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

const char *gguf_type_name(enum gguf_type type)
{
    static const char *const names[GGUF_TYPES] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                  "bool", "string", "array", "u64", "i64", "f64"};
    return type < GGUF_TYPES ? names[type] : "unknown";
}

/* ---- reading the header ---- */

static uint64_t little_endian(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static enum status take(struct gguf *file, const char *what, int64_t bytes, const unsigned char **data)
{
    if (bytes < 0 || bytes > file->map.size - file->at)
        return status_set(STATUS_CORRUPT, "%s: the file ends inside %s", file->map.path, what);
    *data = file->map.bytes + file->at;
    file->at += bytes;
    return STATUS_OK;
}

enum status gguf_read_u32(struct gguf *file, const char *what, uint32_t *value)
{
    const unsigned char *data;
    enum status result = take(file, what, 4, &data);
    if (result == STATUS_OK)
        *value = (uint32_t)little_endian(data, 4);
    return result;
}

enum status gguf_read_u64(struct gguf *file, const char *what, uint64_t *value)
{
    const unsigned char *data;
    enum status result = take(file, what, 8, &data);
    if (result == STATUS_OK)
        *value = little_endian(data, 8);
    return result;
}

enum status gguf_read_name(struct gguf *file, const char *what, char **name)
{
    uint64_t size;
    const unsigned char *data;
    enum status result = STATUS_OK;
    *name = NULL;
    TRY(gguf_read_u64(file, what, &size));
    if (size < 1 || size > NAME_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: %s of %" PRIu64 " bytes, expected 1 to %d", file->map.path, what, size, NAME_LIMIT);
    TRY(take(file, what, (int64_t)size, &data));
    if (memchr(data, 0, (size_t)size))
        FAIL(STATUS_CORRUPT, "%s: %s with a NUL inside", file->map.path, what);
    *name = strndup((const char *)data, (size_t)size);
    if (!*name)
        FAIL(STATUS_INTERNAL, "%s: out of memory", file->map.path);
fail:
    return result;
}

/* Steps over a string and its length. */
static enum status skip_string(struct gguf *file, const char *key)
{
    uint64_t size;
    const unsigned char *data;
    enum status result = gguf_read_u64(file, key, &size);
    if (result != STATUS_OK)
        return result;
    return take(file, key, size > INT64_MAX ? -1 : (int64_t)size, &data);
}

static enum status read_strings(struct gguf *file, struct gguf_value *value)
{
    enum status result = STATUS_OK;
    /* Each string has at least its length, so the table is no larger than the file. */
    if (value->count > (file->map.size - file->at) / LENGTH_BYTES)
        return status_set(STATUS_CORRUPT, "%s: the file ends inside %s", file->map.path, value->key);
    int64_t *strings = malloc((size_t)(value->count + 1) * sizeof *strings);
    if (!strings)
        return status_set(STATUS_INTERNAL, "%s: no memory for %s", file->map.path, value->key);
    value->strings = strings;
    for (int64_t i = 0, begin = file->at; result == STATUS_OK && i < value->count; i++) {
        strings[i] = file->at - begin;
        result = skip_string(file, value->key);
    }
    return result;
}

static enum status read_element_type(struct gguf *file, struct gguf_value *value)
{
    uint32_t type;
    enum status result = gguf_read_u32(file, value->key, &type);
    if (result != STATUS_OK)
        return result;
    if (type >= GGUF_TYPES || (value->is_array && type == GGUF_ARRAY))
        return status_set(STATUS_CORRUPT, "%s: %s: type %" PRIu32 "%s is not supported", file->map.path, value->key,
                          type, value->is_array ? " of an array's elements" : "");
    value->type = (enum gguf_type)type;
    return STATUS_OK;
}

static enum status read_value(struct gguf *file, struct gguf_value *value)
{
    enum status result = STATUS_OK;
    char *key;
    const unsigned char *data;
    uint64_t count = 1;
    int64_t bytes;
    TRY(gguf_read_name(file, "a key", &key));
    *value = (struct gguf_value){.key = key};
    TRY(read_element_type(file, value));
    if (value->type == GGUF_ARRAY) {
        value->is_array = true;
        TRY(read_element_type(file, value));
        TRY(gguf_read_u64(file, value->key, &count));
    }
    value->data = file->map.bytes + file->at;
    if (__builtin_mul_overflow(count, (uint64_t)type_bytes[value->type], (uint64_t *)&bytes) || bytes < 0 ||
        count > INT64_MAX)
        FAIL(STATUS_CORRUPT, "%s: %s: %" PRIu64 " elements are more than the file holds", file->map.path, value->key,
             count);
    value->count = (int64_t)count;
    if (value->type == GGUF_STRING)
        TRY(value->is_array ? read_strings(file, value) : skip_string(file, value->key));
    else
        TRY(take(file, value->key, bytes, &data));
fail:
    return result;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct gguf_value *)a)->key, ((const struct gguf_value *)b)->key);
}

enum status gguf_read_values(struct gguf *file, int64_t count)
{
    enum status result = STATUS_OK;
    file->values = calloc((size_t)count + 1, sizeof *file->values);
    if (!file->values)
        FAIL(STATUS_INTERNAL, "%s: out of memory", file->map.path);
    while (file->value_count < count) /* counted before it is read, so that what a failure leaves is freed */
        TRY(read_value(file, &file->values[file->value_count++]));
    if (count > 1)
        qsort(file->values, (size_t)count, sizeof *file->values, compare_keys);
    for (int64_t i = 0; i + 1 < count; i++)
        if (compare_keys(&file->values[i], &file->values[i + 1]) == 0)
            FAIL(STATUS_CORRUPT, "%s: the key %s is there twice", file->map.path, file->values[i].key);
fail:
    return result;
}

/* ---- values ---- */

int64_t gguf_value_count(const struct gguf *file)
{
    return file->value_count;
}

const struct gguf_value *gguf_value(const struct gguf *file, int64_t index)
{
    return &file->values[index];
}

const struct gguf_value *gguf_find(const struct gguf *file, const char *key)
{
    const struct gguf_value wanted = {.key = key};
    return file->value_count
               ? bsearch(&wanted, file->values, (size_t)file->value_count, sizeof *file->values, compare_keys)
               : NULL;
}

int64_t gguf_element_integer(const struct gguf_value *value, int64_t index)
{
    int bytes = type_bytes[value->type];
    uint64_t bits = little_endian(value->data + index * bytes, bytes);
    switch (value->type) {
    case GGUF_I8:
        return (int8_t)bits;
    case GGUF_I16:
        return (int16_t)bits;
    case GGUF_I32:
        return (int32_t)bits;
    case GGUF_I64:
        return (int64_t)bits;
    case GGUF_BOOL:
        return bits != 0;
    default:
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    }
}

double gguf_element_number(const struct gguf_value *value, int64_t index)
{
    int bytes = type_bytes[value->type];
    if (value->type == GGUF_F32) {
        float number;
        uint32_t bits = (uint32_t)little_endian(value->data + index * bytes, bytes);
        memcpy(&number, &bits, sizeof number);
        return (double)number;
    }
    if (value->type == GGUF_F64) {
        double number;
        uint64_t bits = little_endian(value->data + index * bytes, bytes);
        memcpy(&number, &bits, sizeof number);
        return number;
    }
    return (double)gguf_element_integer(value, index);
}

struct gguf_string gguf_element_string(const struct gguf_value *value, int64_t index)
{
    const unsigned char *data = value->data + (value->strings ? value->strings[index] : 0);
    return (struct gguf_string){.text = (const char *)data + LENGTH_BYTES,
                                .size = (int64_t)little_endian(data, LENGTH_BYTES)};
}

/* ---- values by key, with their type checked ---- */

static bool is_integer(enum gguf_type type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

/* *value is NULL for a key that is missing and need not be there. */
static enum status find_typed(const struct gguf *file, const char *key, bool required, bool array, const char *expected,
                              bool (*fits)(enum gguf_type type), const struct gguf_value **value)
{
    *value = gguf_find(file, key);
    if (!*value)
        return required ? status_set(STATUS_CORRUPT, "%s: the key %s is missing", file->map.path, key) : STATUS_OK;
    if ((*value)->is_array != array || !fits((*value)->type))
        return status_set(STATUS_CORRUPT, "%s: %s: expected %s, found %s%s", file->map.path, key, expected,
                          (*value)->is_array ? "an array of " : "", gguf_type_name((*value)->type));
    return STATUS_OK;
}

enum status gguf_get_integer(const struct gguf *file, const char *key, bool required, int64_t minimum, int64_t maximum,
                             int64_t *value)
{
    const struct gguf_value *found;
    enum status result = find_typed(file, key, required, false, "an integer", is_integer, &found);
    if (result != STATUS_OK || !found)
        return result;
    int64_t number = gguf_element_integer(found, 0);
    if (number < minimum || number > maximum)
        return status_set(STATUS_CORRUPT, "%s: %s: expected %" PRId64 " to %" PRId64 ", found %" PRId64, file->map.path,
                          key, minimum, maximum, number);
    *value = number;
    return STATUS_OK;
}

static bool is_number(enum gguf_type type)
{
    return is_integer(type) || type == GGUF_F32 || type == GGUF_F64;
}

enum status gguf_get_number(const struct gguf *file, const char *key, bool required, double *value)
{
    const struct gguf_value *found;
    enum status result = find_typed(file, key, required, false, "a number", is_number, &found);
    if (result == STATUS_OK && found)
        *value = gguf_element_number(found, 0);
    return result;
}

static bool is_bool(enum gguf_type type)
{
    return type == GGUF_BOOL;
}

enum status gguf_get_bool(const struct gguf *file, const char *key, bool required, bool *value)
{
    const struct gguf_value *found;
    enum status result = find_typed(file, key, required, false, "true or false", is_bool, &found);
    if (result == STATUS_OK && found)
        *value = gguf_element_integer(found, 0) != 0;
    return result;
}

static bool is_string(enum gguf_type type)
{
    return type == GGUF_STRING;
}

enum status gguf_get_string(const struct gguf *file, const char *key, bool required, struct gguf_string *value)
{
    const struct gguf_value *found;
    enum status result = find_typed(file, key, required, false, "a string", is_string, &found);
    if (result == STATUS_OK && found)
        *value = gguf_element_string(found, 0);
    return result;
}

enum status gguf_get_array(const struct gguf *file, const char *key, bool required, enum gguf_type type, int64_t count,
                           const struct gguf_value **value)
{
    enum status result = type == GGUF_STRING
                             ? find_typed(file, key, required, true, "an array of strings", is_string, value)
                             : find_typed(file, key, required, true, "an array of numbers", is_number, value);
    if (result == STATUS_OK && *value && count >= 0 && (*value)->count != count)
        return status_set(STATUS_CORRUPT, "%s: %s: expected %" PRId64 " elements, found %" PRId64, file->map.path, key,
                          count, (*value)->count);
    return result;
}
