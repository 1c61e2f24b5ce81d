/* Opening GGUF files: the header, then the table of tensors, each checked against the size of the file. ggml counts
 * dimensions from the innermost outwards; here they are turned around, as PyTorch has them. */
#include "io/weights/gguf_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAGIC = 0x46554747, /* "GGUF" */
    HEADER_BYTES = 24,
    COUNT_LIMIT = 1 << 16, /* tensors, and values: keeps the tables small beside any file */
    RANK_LIMIT = 4,
    ALIGNMENT_LIMIT = 1 << 16,
    ALIGNMENT = 32 /* where general.alignment does not say */
};

static const struct {
    uint32_t number; /* in the file */
    enum block_type block;
    enum dtype type;
} element_types[] = {
    {0, BLOCK_NONE, DTYPE_F32},  {1, BLOCK_NONE, DTYPE_F16},   {2, BLOCK_Q4_0, DTYPE_F32}, {3, BLOCK_Q4_1, DTYPE_F32},
    {6, BLOCK_Q5_0, DTYPE_F32},  {7, BLOCK_Q5_1, DTYPE_F32},   {8, BLOCK_Q8_0, DTYPE_F32}, {12, BLOCK_Q4_K, DTYPE_F32},
    {28, BLOCK_NONE, DTYPE_F64}, {30, BLOCK_NONE, DTYPE_BF16},
};

/* Names of ggml's types that a user may have and that are not read, for the error. */
static const char *other_type_name(uint32_t number)
{
    static const char *const names[] = {
        [9] = "q8_1",    [10] = "q2_k",    [11] = "q3_k",   [13] = "q5_k",    [14] = "q6_k",
        [15] = "q8_k",   [16] = "iq2_xxs", [17] = "iq2_xs", [18] = "iq3_xxs", [19] = "iq1_s",
        [20] = "iq4_nl", [21] = "iq3_s",   [22] = "iq2_s",  [23] = "iq4_xs",  [24] = "i8",
        [25] = "i16",    [26] = "i32",     [27] = "i64",    [29] = "iq1_m"};
    return number < sizeof names / sizeof *names && names[number] ? names[number] : "unknown";
}

static enum status read_type(struct gguf *file, struct stored_tensor *tensor)
{
    uint32_t number;
    enum status result = gguf_read_u32(file, tensor->name, &number);
    if (result != STATUS_OK)
        return result;
    for (size_t i = 0; i < sizeof element_types / sizeof *element_types; i++)
        if (element_types[i].number == number) {
            tensor->block = element_types[i].block;
            tensor->type = element_types[i].type;
            return STATUS_OK;
        }
    return status_set(STATUS_CORRUPT,
                      "%s: tensor %s: type %" PRIu32 " (%s) is not supported; expected f32, f16, bf16, q8_0, q4_0, "
                      "q4_1, q5_0, q5_1 or q4_k",
                      file->map.path, tensor->name, number, other_type_name(number));
}

/* Shape and strides; a block must not reach beyond a row. */
static enum status read_shape(struct gguf *file, struct stored_tensor *tensor)
{
    enum status result = STATUS_OK;
    uint32_t rank;
    TRY(gguf_read_u32(file, tensor->name, &rank));
    if (rank > RANK_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: tensor %s has %" PRIu32 " dimensions, expected at most %d", file->map.path,
             tensor->name, rank, RANK_LIMIT);
    tensor->rank = (int)rank;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        uint64_t size;
        TRY(gguf_read_u64(file, tensor->name, &size));
        if (size < 1 || size > INT64_MAX)
            FAIL(STATUS_CORRUPT, "%s: tensor %s: a dimension of %" PRIu64 " is impossible", file->map.path,
                 tensor->name, size);
        tensor->shape[i] = (int64_t)size;
    }
fail:
    return result;
}

static enum status measure(const struct gguf *file, struct stored_tensor *tensor)
{
    int64_t elements = 1, width = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        tensor->stride[i] = elements;
        if (__builtin_mul_overflow(elements, tensor->shape[i], &elements))
            return status_set(STATUS_CORRUPT, "%s: tensor %s: its shape is impossible", file->map.path, tensor->name);
    }
    int64_t block = block_elements(tensor->block);
    if (width % block)
        return status_set(STATUS_CORRUPT,
                          "%s: tensor %s has rows of %" PRId64 " elements, expected a multiple of %" PRId64 " for %s",
                          file->map.path, tensor->name, width, block, stored_type_name(tensor));
    int64_t bytes = tensor->block == BLOCK_NONE ? (int64_t)dtype_size(tensor->type) : block_bytes(tensor->block);
    if (__builtin_mul_overflow(elements / block, bytes, &tensor->bytes))
        return status_set(STATUS_CORRUPT, "%s: tensor %s: its shape is impossible", file->map.path, tensor->name);
    return STATUS_OK;
}

/* `data` is the offset until all of the table is read, and it is known where the data begin. */
static enum status read_tensor(struct gguf *file, struct stored_tensor *tensor)
{
    enum status result = STATUS_OK;
    char *name;
    uint64_t offset;
    TRY(gguf_read_name(file, "a tensor's name", &name));
    *tensor = (struct stored_tensor){.name = name};
    TRY(read_shape(file, tensor));
    TRY(read_type(file, tensor));
    TRY(measure(file, tensor));
    TRY(gguf_read_u64(file, tensor->name, &offset));
    if (offset > (uint64_t)file->map.size)
        FAIL(STATUS_CORRUPT, "%s: tensor %s begins at byte %" PRIu64 " of the data, which the file does not have",
             file->map.path, tensor->name, offset);
    tensor->data = file->map.bytes + offset;
fail:
    return result;
}

static int compare_places(const void *a, const void *b)
{
    const struct stored_tensor *left = a, *right = b;
    return left->data != right->data ? (left->data < right->data ? -1 : 1)
                                     : (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct stored_tensor *)a)->name, ((const struct stored_tensor *)b)->name);
}

/* Turns offsets into addresses. */
static enum status place_tensors(struct gguf *file)
{
    int64_t begin = (file->at + file->alignment - 1) / file->alignment * file->alignment, end = 0;
    int64_t available = file->map.size - begin;
    if (file->tensor_count > 1)
        qsort(file->tensors, (size_t)file->tensor_count, sizeof *file->tensors, compare_places);
    for (int64_t i = 0; i < file->tensor_count; i++) {
        struct stored_tensor *tensor = &file->tensors[i];
        int64_t offset = (const unsigned char *)tensor->data - file->map.bytes;
        if (offset % file->alignment)
            return status_set(STATUS_CORRUPT,
                              "%s: tensor %s begins at byte %" PRId64 " of the data, expected a multiple of %" PRId64,
                              file->map.path, tensor->name, offset, file->alignment);
        if (offset < end)
            return status_set(STATUS_CORRUPT, "%s: tensor %s overlaps another", file->map.path, tensor->name);
        if (available < offset || available - offset < tensor->bytes)
            return status_set(STATUS_CORRUPT,
                              "%s: the file ends inside tensor %s: expected %" PRId64 " bytes of data, found %" PRId64,
                              file->map.path, tensor->name, offset + tensor->bytes, available > 0 ? available : 0);
        end = offset + tensor->bytes;
        tensor->data = file->map.bytes + begin + offset;
    }
    return STATUS_OK;
}

static enum status read_tensors(struct gguf *file, int64_t count)
{
    enum status result = STATUS_OK;
    file->tensors = calloc((size_t)count + 1, sizeof *file->tensors);
    if (!file->tensors)
        FAIL(STATUS_INTERNAL, "%s: out of memory", file->map.path);
    while (file->tensor_count < count)
        TRY(read_tensor(file, &file->tensors[file->tensor_count++]));
    TRY(place_tensors(file));
    if (count > 1)
        qsort(file->tensors, (size_t)count, sizeof *file->tensors, compare_names);
    for (int64_t i = 0; i + 1 < count; i++)
        if (compare_names(&file->tensors[i], &file->tensors[i + 1]) == 0)
            FAIL(STATUS_CORRUPT, "%s: the tensor %s is there twice", file->map.path, file->tensors[i].name);
fail:
    return result;
}

static enum status read_header(struct gguf *file, int64_t *tensors, int64_t *values)
{
    enum status result = STATUS_OK;
    uint32_t magic, version;
    uint64_t counts[2];
    TRY(gguf_read_u32(file, "the header", &magic));
    if (magic != MAGIC)
        FAIL(STATUS_CORRUPT, "%s: not a GGUF file: it does not begin with GGUF", file->map.path);
    TRY(gguf_read_u32(file, "the header", &version));
    if (version != 2 && version != 3)
        FAIL(STATUS_CORRUPT, "%s: GGUF version %" PRIu32 " is not supported%s; expected 2 or 3", file->map.path,
             version, version > UINT16_MAX ? " (a big-endian file?)" : "");
    file->version = version;
    for (int i = 0; i < 2; i++) {
        TRY(gguf_read_u64(file, "the header", &counts[i]));
        if (counts[i] > COUNT_LIMIT)
            FAIL(STATUS_CORRUPT, "%s: %" PRIu64 " %s, expected at most %d", file->map.path, counts[i],
                 i ? "values" : "tensors", COUNT_LIMIT);
    }
    *tensors = (int64_t)counts[0];
    *values = (int64_t)counts[1];
fail:
    return result;
}

enum status gguf_open(const char *path, struct gguf **out)
{
    enum status result = STATUS_OK;
    int64_t tensors, values, parts = 1;
    struct gguf *file = calloc(1, sizeof *file);
    *out = NULL;
    if (!file)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(mapped_file_open(path, HEADER_BYTES, "GGUF file", &file->map));
    TRY(read_header(file, &tensors, &values));
    TRY(gguf_read_values(file, values));
    file->alignment = ALIGNMENT;
    TRY(gguf_get_integer(file, "general.alignment", false, 1, ALIGNMENT_LIMIT, &file->alignment));
    TRY(gguf_get_integer(file, "split.count", false, 0, UINT16_MAX, &parts));
    if (parts > 1)
        FAIL(STATUS_CORRUPT, "%s: one of %" PRId64 " parts of a model; join them first (llama-gguf-split --merge)",
             path, parts);
    TRY(read_tensors(file, tensors));
    *out = file;
    return STATUS_OK;
fail:
    gguf_close(file);
    return result;
}

void gguf_close(struct gguf *file)
{
    if (!file)
        return;
    for (int64_t i = 0; i < file->value_count; i++) {
        free((char *)file->values[i].key);
        free((int64_t *)file->values[i].strings);
    }
    for (int64_t i = 0; i < file->tensor_count; i++)
        free((char *)file->tensors[i].name);
    free(file->values);
    free(file->tensors);
    mapped_file_close(&file->map);
    free(file);
}

const char *gguf_path(const struct gguf *file)
{
    return file->map.path;
}

int64_t gguf_version(const struct gguf *file)
{
    return file->version;
}

int64_t gguf_tensor_count(const struct gguf *file)
{
    return file->tensor_count;
}

const struct stored_tensor *gguf_tensor(const struct gguf *file, int64_t index)
{
    return &file->tensors[index];
}

const struct stored_tensor *gguf_find_tensor(const struct gguf *file, const char *name)
{
    const struct stored_tensor wanted = {.name = name};
    return file->tensor_count
               ? bsearch(&wanted, file->tensors, (size_t)file->tensor_count, sizeof *file->tensors, compare_names)
               : NULL;
}
