/* The safetensors format. A file is mapped, not read: its tensors may be larger than memory, and what the page cache holds
 * is shared by all ranks of a machine. Since anyone may have written it, nothing of the header is believed before it has
 * been checked. Writing goes from the header on in one direction, so that a file needs no more memory than its pieces. */
#include "io/safetensors.h"

#include "io/json.h"
#include "io/mapped_file.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_MAX_BYTES = 100000000 };

struct entry {
    struct tensor_info info;
    int64_t begin, end; /* in the data after the header */
    void *copy;         /* of a tensor that does not lie at a multiple of its element size; NULL: none */
};

struct safetensors {
    struct mapped_file map;
    const unsigned char *data; /* after the header */
    json_t *header;
    struct entry *entries; /* sorted by name */
    int64_t count;
};

static const char *const type_names[DTYPE_COUNT] = {"F32", "BF16", "F16", "F64", "I32", "I64",
                                                    "U8",  "U16",  "I16", "I8",  "BOOL"};

int64_t tensor_bytes(enum dtype type, int rank, const int64_t *shape)
{
    int64_t bytes = (int64_t)dtype_size(type);
    if (rank < 0 || rank > TENSOR_MAX_RANK)
        return -1;
    for (int i = 0; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(bytes, shape[i], &bytes))
            return -1;
    return bytes;
}

static enum status parse_shape(const char *where, const json_t *value, struct tensor_info *info)
{
    if (!json_is_array(value) || json_array_size(value) > TENSOR_MAX_RANK)
        return status_set(STATUS_CORRUPT, "%s: \"shape\" should be a list of at most %d numbers", where,
                          TENSOR_MAX_RANK);
    info->rank = (int)json_array_size(value);
    for (int i = 0; i < info->rank; i++) {
        const json_t *dimension = json_array_get(value, (size_t)i);
        if (!json_is_integer(dimension) || json_integer_value(dimension) < 0)
            return status_set(STATUS_CORRUPT, "%s: \"shape\" should hold only sizes", where);
        info->shape[i] = json_integer_value(dimension);
    }
    return STATUS_OK;
}

static enum status parse_entry(const struct safetensors *file, const char *name, const json_t *value,
                               struct entry *entry)
{
    char where[512];
    const char *type;
    snprintf(where, sizeof where, "%s: tensor %.200s", file->map.path, name);
    enum status result = jdoc_get_string(where, value, "dtype", &type);
    if (result != STATUS_OK)
        return result;
    int found = 0;
    while (found < DTYPE_COUNT && strcmp(type_names[found], type) != 0)
        found++;
    if (found == DTYPE_COUNT)
        return status_set(STATUS_CORRUPT, "%s: type \"%.20s\" is not supported", where, type);
    entry->info.type = (enum dtype)found;
    entry->info.name = name;
    result = parse_shape(where, json_object_get(value, "shape"), &entry->info);
    if (result != STATUS_OK)
        return result;
    entry->info.bytes = tensor_bytes(entry->info.type, entry->info.rank, entry->info.shape);
    const json_t *offsets = json_object_get(value, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return status_set(STATUS_CORRUPT, "%s: \"data_offsets\" should be two numbers", where);
    entry->begin = json_integer_value(begin);
    entry->end = json_integer_value(end);
    int64_t available = file->map.size - (file->data - file->map.bytes);
    if (entry->begin < 0 || entry->end < entry->begin || entry->end > available)
        return status_set(STATUS_CORRUPT, "%s: expected bytes within the %lld bytes of data, found bytes %lld to %lld",
                          where, (long long)available, (long long)entry->begin, (long long)entry->end);
    if (entry->info.bytes != entry->end - entry->begin)
        return status_set(STATUS_CORRUPT, "%s: expected %lld bytes for its shape, found %lld", where,
                          (long long)entry->info.bytes, (long long)(entry->end - entry->begin));
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->info.name, ((const struct entry *)b)->info.name);
}

static int compare_places(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    return left->end < right->end ? -1 : left->end > right->end;
}

/* The tensors must fill the data without gap or overlap: bytes that no tensor covers could hide anything. */
static enum status check_places(const struct safetensors *file)
{
    int64_t at = 0, available = file->map.size - (file->data - file->map.bytes);
    if (file->count > 1)
        qsort(file->entries, (size_t)file->count, sizeof *file->entries, compare_places);
    for (int64_t i = 0; i < file->count; at = file->entries[i++].end)
        if (file->entries[i].begin != at)
            return status_set(
                STATUS_CORRUPT,
                "%s: tensor %.200s: expected to begin at byte %lld, where the one before ends, found %lld",
                file->map.path, file->entries[i].info.name, (long long)at, (long long)file->entries[i].begin);
    if (at != available)
        return status_set(STATUS_CORRUPT, "%s: expected %lld bytes of data for its tensors, found %lld", file->map.path,
                          (long long)at, (long long)available);
    return STATUS_OK;
}

/* Writers that do not pad the header leave tensors at unaligned addresses: those are copied. */
static enum status align_entries(struct safetensors *file)
{
    for (int64_t i = 0; i < file->count; i++) {
        struct entry *entry = &file->entries[i];
        const unsigned char *place = file->data + entry->begin;
        if ((uintptr_t)place % dtype_size(entry->info.type) == 0 || entry->info.bytes == 0)
            continue;
        entry->copy = malloc((size_t)entry->info.bytes);
        if (!entry->copy)
            return status_set(STATUS_INTERNAL, "%s: no memory for tensor %.200s", file->map.path, entry->info.name);
        memcpy(entry->copy, place, (size_t)entry->info.bytes);
    }
    return STATUS_OK;
}

static enum status parse_header(struct safetensors *file)
{
    enum status result;
    const char *name;
    json_t *value;
    if (!json_is_object(file->header))
        return status_set(STATUS_CORRUPT, "%s: its header is not an object", file->map.path);
    file->entries = calloc(json_object_size(file->header) + 1, sizeof *file->entries);
    if (!file->entries)
        return status_set(STATUS_INTERNAL, "%s: out of memory", file->map.path);
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            const char *key;
            json_t *text;
            if (!json_is_object(value))
                return status_set(STATUS_CORRUPT, "%s: __metadata__ is not an object", file->map.path);
            json_object_foreach(value, key, text)
            {
                if (!json_is_string(text))
                    return status_set(STATUS_CORRUPT, "%s: __metadata__ \"%.200s\" is not a string", file->map.path,
                                      key);
            }
            continue;
        }
        if ((result = parse_entry(file, name, value, &file->entries[file->count])) != STATUS_OK)
            return result;
        file->count++;
    }
    if ((result = check_places(file)) != STATUS_OK)
        return result;
    if (file->count > 1)
        qsort(file->entries, (size_t)file->count, sizeof *file->entries, compare_names);
    return STATUS_OK;
}

enum status safetensors_open_in_place(const char *path, struct safetensors **out)
{
    enum status result = STATUS_OK;
    struct safetensors *file = calloc(1, sizeof *file);
    *out = NULL;
    if (!file)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(mapped_file_open(path, LENGTH_BYTES + 2, "safetensors file", &file->map));
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)file->map.bytes[i] << (8 * i);
    if (length > HEADER_MAX_BYTES || (int64_t)length > file->map.size - LENGTH_BYTES)
        FAIL(STATUS_CORRUPT, "%s: a header of %llu bytes is impossible in a file of %lld bytes", path,
             (unsigned long long)length, (long long)file->map.size);
    if (file->map.bytes[LENGTH_BYTES] != '{')
        FAIL(STATUS_CORRUPT, "%s: not a safetensors file: its header does not begin with {", path);
    file->data = file->map.bytes + LENGTH_BYTES + length;
    TRY(jdoc_parse(path, (const char *)file->map.bytes + LENGTH_BYTES, (int64_t)length, &file->header));
    TRY(parse_header(file));
    *out = file;
    return STATUS_OK;
fail:
    safetensors_close(file);
    return result;
}

enum status safetensors_open(const char *path, struct safetensors **file)
{
    enum status result = safetensors_open_in_place(path, file);
    if (result == STATUS_OK && (result = align_entries(*file)) != STATUS_OK) {
        safetensors_close(*file);
        *file = NULL;
    }
    return result;
}

void safetensors_close(struct safetensors *file)
{
    if (!file)
        return;
    for (int64_t i = 0; i < file->count; i++)
        free(file->entries[i].copy);
    free(file->entries);
    json_decref(file->header);
    mapped_file_close(&file->map);
    free(file);
}

int64_t safetensors_count(const struct safetensors *file)
{
    return file->count;
}

const struct tensor_info *safetensors_info(const struct safetensors *file, int64_t index)
{
    return &file->entries[index].info;
}

const struct tensor_info *safetensors_find(const struct safetensors *file, const char *name)
{
    struct entry key = {.info = {.name = name}};
    if (!file->count)
        return NULL;
    const struct entry *entry = bsearch(&key, file->entries, (size_t)file->count, sizeof *file->entries, compare_names);
    return entry ? &entry->info : NULL;
}

const void *safetensors_data(const struct safetensors *file, const struct tensor_info *info)
{
    const struct entry *entry = (const struct entry *)info; /* its first member */
    return entry->copy ? entry->copy : file->data + entry->begin;
}

void safetensors_forget(const struct safetensors *file, const struct tensor_info *info)
{
    const struct entry *entry = (const struct entry *)info;
    if (!entry->copy)
        mapped_bytes_forget(file->data + entry->begin, entry->end - entry->begin);
}

void tensor_to_float(const struct tensor_info *info, const void *data, int64_t first, int64_t count, float *values)
{
    enum { PIECE = 1 << 12 };
    _Alignas(double) unsigned char aligned[PIECE];
    size_t size = dtype_size(info->type);
    const unsigned char *bytes = (const unsigned char *)data + (size_t)first * size;
    for (int64_t done = 0, step; done < count; done += step) {
        step = count - done < (int64_t)(PIECE / size) ? count - done : (int64_t)(PIECE / size);
        memcpy(aligned, bytes + (size_t)done * size, (size_t)step * size);
        dtype_to_float(values + done, aligned, info->type, step);
    }
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

/* The header's text, padded with spaces so that the data begins at a multiple of 8. */
static enum status make_header(const struct tensor_info *info, int64_t count, const char *const *metadata,
                               int64_t metadata_count, char **out, int64_t *data_bytes)
{
    enum status result = STATUS_OK;
    int64_t at = 0;
    char *text = NULL;
    json_t *header = json_object(), *texts = metadata_count ? json_object() : NULL;
    if (!header)
        FAIL(STATUS_INTERNAL, "safetensors: out of memory");
    for (int64_t i = 0; i < metadata_count; i++)
        if (json_object_set_new(texts, metadata[2 * i], json_string(metadata[2 * i + 1])) != 0)
            FAIL(STATUS_INTERNAL, "safetensors: cannot write metadata \"%s\"", metadata[2 * i]);
    if (texts && json_object_set(header, "__metadata__", texts) != 0)
        FAIL(STATUS_INTERNAL, "safetensors: out of memory");
    for (int64_t i = 0; i < count; i++) {
        int64_t begin = at, bytes = tensor_bytes(info[i].type, info[i].rank, info[i].shape);
        if ((unsigned)info[i].type >= DTYPE_COUNT || bytes < 0 || bytes != info[i].bytes ||
            __builtin_add_overflow(at, bytes, &at))
            FAIL(STATUS_INTERNAL, "safetensors: tensor %s: expected %lld bytes for its shape, found %lld", info[i].name,
                 (long long)bytes, (long long)info[i].bytes);
        if (json_object_get(header, info[i].name) || strcmp(info[i].name, "__metadata__") == 0)
            FAIL(STATUS_INTERNAL, "safetensors: tensor %s is written twice", info[i].name);
        json_t *shape = json_array();
        for (int d = 0; shape && d < info[i].rank; d++)
            if (json_array_append_new(shape, json_integer(info[i].shape[d])) != 0) {
                json_decref(shape);
                shape = NULL; /* json_pack and the call below it then fail */
            }
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", type_names[info[i].type], "shape", shape,
                                  "data_offsets", (json_int_t)begin, (json_int_t)at);
        if (json_object_set_new(header, info[i].name, entry) != 0)
            FAIL(STATUS_INTERNAL, "safetensors: the name of tensor %lld is not UTF-8, or out of memory", (long long)i);
    }
    text = json_dumps(header, JSON_COMPACT);
    size_t length = text ? strlen(text) : 0, padded = (length + 7) / 8 * 8;
    *out = text ? realloc(text, padded + 1) : NULL;
    if (!*out)
        FAIL(STATUS_INTERNAL, "safetensors: out of memory");
    text = NULL;
    memset(*out + length, ' ', padded - length);
    (*out)[padded] = 0;
    *data_bytes = at;
    if (padded > HEADER_MAX_BYTES) {
        free(*out);
        FAIL(STATUS_INTERNAL, "safetensors: a header of %zu bytes is too large", padded);
    }
fail:
    free(text);
    json_decref(texts);
    json_decref(header);
    return result;
}

enum status safetensors_begin(struct output_file *file, const struct tensor_info *info, int64_t count,
                              const char *const *metadata, int64_t metadata_count, struct safetensors_writer *writer)
{
    char *header;
    *writer = (struct safetensors_writer){.file = file};
    enum status result = make_header(info, count, metadata, metadata_count, &header, &writer->left);
    if (result != STATUS_OK)
        return result;
    uint64_t length = strlen(header);
    unsigned char prefix[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++)
        prefix[i] = (unsigned char)(length >> (8 * i));
    TRY(output_write(file, prefix, sizeof prefix));
    TRY(output_write(file, header, (int64_t)length));
fail:
    free(header);
    return result;
}

enum status safetensors_append(struct safetensors_writer *writer, const void *data, int64_t bytes)
{
    if (bytes < 0 || bytes > writer->left)
        return status_set(STATUS_INTERNAL, "safetensors: %lld more bytes, the header expects %lld", (long long)bytes,
                          (long long)writer->left);
    writer->left -= bytes;
    return output_write(writer->file, data, bytes);
}

enum status safetensors_end(const struct safetensors_writer *writer)
{
    return writer->left == 0 ? STATUS_OK
                             : status_set(STATUS_INTERNAL, "safetensors: %lld bytes of tensors were never written",
                                          (long long)writer->left);
}

enum status safetensors_write(struct output_file *file, const struct tensor_info *info, const void *const *data,
                              int64_t count, const char *const *metadata, int64_t metadata_count)
{
    struct safetensors_writer writer;
    enum status result = safetensors_begin(file, info, count, metadata, metadata_count, &writer);
    for (int64_t i = 0; result == STATUS_OK && i < count; i++)
        result = safetensors_append(&writer, data[i], info[i].bytes);
    return result == STATUS_OK ? safetensors_end(&writer) : result;
}

enum status safetensors_file_bytes(const struct tensor_info *info, int64_t count, const char *const *metadata,
                                   int64_t metadata_count, int64_t *bytes)
{
    char *header;
    enum status result = make_header(info, count, metadata, metadata_count, &header, bytes);
    if (result != STATUS_OK)
        return result;
    if (__builtin_add_overflow(*bytes, (int64_t)strlen(header) + LENGTH_BYTES, bytes))
        result = status_set(STATUS_INTERNAL, "safetensors: too large");
    free(header);
    return result;
}
