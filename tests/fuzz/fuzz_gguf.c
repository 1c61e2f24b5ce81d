/* GGUF files, and the text model in them. The mutator knows where the file's counts, lengths, types, shapes and offsets are, takes
 * values and tensors out, doubles them or puts them elsewhere with the right counts, and moves the data behind a header of
 * another length to where they belong: plain mutations would make nearly every offset a wrong one. */
#include "fuzz/fuzz.h"

#include "io/weights/gguf.h"
#include "text/text_model.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 24, TENSOR_COUNT = 8, VALUE_COUNT = 16, RANKS = 4, LIMIT = 4096 };

/* ---- the promises ---- */

/* Elements and bytes of a block of each type, by ggml's documentation of the types. */
static const int64_t block_sizes[BLOCK_TYPES][2] = {
    [BLOCK_Q4_0] = {32, 18}, [BLOCK_Q4_1] = {32, 20}, [BLOCK_Q5_0] = {32, 22},
    [BLOCK_Q5_1] = {32, 24}, [BLOCK_Q8_0] = {32, 34}, [BLOCK_Q4_K] = {256, 144}};

static bool fits(const struct stored_tensor *tensor)
{
    __int128 elements = 1, block = 1, bytes = (__int128)dtype_size(tensor->type);
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 1)
            return false;
        elements *= tensor->shape[i];
        if (elements > INT64_MAX)
            return false;
    }
    if (tensor->block != BLOCK_NONE) {
        block = block_sizes[tensor->block][0];
        bytes = block_sizes[tensor->block][1];
        if (tensor->rank == 0 || tensor->shape[tensor->rank - 1] % block)
            return false;
    }
    return elements / block * bytes == tensor->bytes;
}

static bool inside(const void *data, int64_t bytes, size_t size)
{
    size_t begin = (size_t)((const char *)data - (const char *)fuzz_mapped);
    return bytes >= 0 && begin <= size && (size_t)bytes <= size - begin;
}

static void check_tensors(const struct gguf *file, size_t size)
{
    for (int64_t i = 0; i < gguf_tensor_count(file); i++) {
        const struct stored_tensor *tensor = gguf_tensor(file, i);
        fuzz_require(gguf_find_tensor(file, tensor->name) == tensor, "a tensor is found by its name");
        fuzz_require(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0, "names are unique and in order");
        fuzz_require(tensor->rank >= 0 && tensor->rank <= RANKS, "the rank is in range");
        fuzz_require(tensor->block < BLOCK_TYPES && tensor->type <= DTYPE_F64, "the type is one that is read");
        fuzz_require(fits(tensor), "bytes follow from the shape");
        fuzz_require(inside(tensor->data, tensor->bytes, size), "a tensor lies in the file");
        for (int64_t j = 0; j < i && i < 100; j++) {
            const struct stored_tensor *other = gguf_tensor(file, j);
            const char *begin = tensor->data, *start = other->data;
            fuzz_require(begin + tensor->bytes <= start || start + other->bytes <= begin, "tensors do not overlap");
        }
        float values[64];
        int64_t elements = stored_tensor_elements(tensor), count = elements < 64 ? elements : 64;
        stored_tensor_read(tensor, 0, count, values);
        stored_tensor_read(tensor, elements - count, count, values);
        if (i < 100)
            fuzz_touch(tensor->data, tensor->bytes);
    }
}

static void check_values(const struct gguf *file, size_t size)
{
    for (int64_t i = 0; i < gguf_value_count(file); i++) {
        const struct gguf_value *value = gguf_value(file, i);
        fuzz_require(gguf_find(file, value->key) == value, "a value is found by its key");
        fuzz_require(i == 0 || strcmp(value[-1].key, value->key) < 0, "keys are unique and in order");
        fuzz_require(value->type < GGUF_TYPES && value->type != GGUF_ARRAY, "the type is one that is read");
        fuzz_require(value->count >= 0 && (value->is_array || value->count == 1), "counts are in range");
        fuzz_require(inside(value->data, 0, size), "a value lies in the file");
        for (int64_t e = 0; e < value->count && e < LIMIT; e++) {
            int64_t index = e % 2 ? value->count - 1 - e / 2 : e / 2; /* from both ends */
            if (value->type != GGUF_STRING) {
                volatile double number = gguf_element_number(value, index);
                (void)number;
                continue;
            }
            struct gguf_string text = gguf_element_string(value, index);
            fuzz_require(inside(text.text, text.size, size), "a string lies in the file");
            fuzz_touch(text.text, text.size);
        }
    }
}

static void check_text_model(const char *path)
{
    static const char text[] = "the king said 12 \xc3\xa9\xff";
    struct text_model *model;
    int32_t *ids;
    int64_t count;
    enum status status = text_model_load(path, &model);
    if (status != STATUS_OK) {
        fuzz_require(model == NULL, "a refused text model is not given out");
        fuzz_require_refusal(status, path);
        return;
    }
    fuzz_require(text_model_encode(model, text, sizeof text - 1, true, &ids, &count) == STATUS_OK, "a text has ids");
    for (int64_t i = 0; i < count; i++)
        fuzz_require(ids[i] >= 0 && ids[i] < text_model_size(model), "ids are those of pieces");
    free(ids);
    text_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    struct gguf *file = NULL;
    enum status status = gguf_open(path, &file);
    if (status != STATUS_OK) {
        fuzz_require(file == NULL, "a refused file is not given out");
        fuzz_require_refusal(status, path);
        return 0;
    }
    fuzz_require(gguf_version(file) == 2 || gguf_version(file) == 3, "the version is one that is read");
    check_tensors(file, size);
    check_values(file, size);
    bool text = gguf_find(file, "tokenizer.ggml.model");
    gguf_close(file);
    if (text)
        check_text_model(path);
    return 0;
}

/* ---- the mutator ---- */

struct field {
    size_t at;
    int bytes; /* 0: text of `size` bytes, behind its length */
    size_t size;
};

/* A file taken apart, as far as it can be followed. */
struct parts {
    struct field fields[LIMIT];
    int field_count;
    size_t entries[LIMIT + 1]; /* where each value or tensor begins; where the last ends */
    int value_count, entry_count;
    bool whole; /* the header was followed to its end */
};

static uint64_t number_at(const uint8_t *data, size_t at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)data[at + (size_t)i] << (8 * i);
    return value;
}

static void put_number(uint8_t *data, size_t at, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++)
        data[at + (size_t)i] = (uint8_t)(value >> (8 * i));
}

struct cursor {
    const uint8_t *data;
    size_t size, at;
    struct parts *parts;
    bool lost;
};

static uint64_t follow(struct cursor *cursor, int bytes)
{
    if (cursor->lost || cursor->size - cursor->at < (size_t)bytes) {
        cursor->lost = true;
        return 0;
    }
    if (cursor->parts->field_count < LIMIT)
        cursor->parts->fields[cursor->parts->field_count++] = (struct field){cursor->at, bytes, 0};
    cursor->at += (size_t)bytes;
    return number_at(cursor->data, cursor->at - (size_t)bytes, bytes);
}

static void follow_text(struct cursor *cursor)
{
    uint64_t size = follow(cursor, 8);
    if (cursor->lost || size > cursor->size - cursor->at) {
        cursor->lost = true;
        return;
    }
    if (cursor->parts->field_count < LIMIT)
        cursor->parts->fields[cursor->parts->field_count++] = (struct field){cursor->at, 0, (size_t)size};
    cursor->at += (size_t)size;
}

static void follow_value(struct cursor *cursor)
{
    static const int type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    follow_text(cursor);
    uint64_t type = follow(cursor, 4), count = 1;
    if (type == GGUF_ARRAY) {
        type = follow(cursor, 4);
        count = follow(cursor, 8);
    }
    if (type >= GGUF_TYPES || type == GGUF_ARRAY)
        cursor->lost = true;
    for (uint64_t i = 0; !cursor->lost && i < count; i++)
        if (type == GGUF_STRING)
            follow_text(cursor);
        else
            (void)follow(cursor, type_bytes[type]);
}

static void follow_tensor(struct cursor *cursor)
{
    follow_text(cursor);
    uint64_t rank = follow(cursor, 4);
    for (uint64_t i = 0; !cursor->lost && i < rank && i < 8; i++)
        (void)follow(cursor, 8);
    (void)follow(cursor, 4);
    (void)follow(cursor, 8);
}

/* Where the header ends; 0 when it cannot be followed that far. */
static size_t take_apart(const uint8_t *data, size_t size, struct parts *parts)
{
    struct cursor cursor = {.data = data, .size = size, .parts = parts};
    *parts = (struct parts){0};
    (void)follow(&cursor, 4);
    (void)follow(&cursor, 4);
    uint64_t tensors = follow(&cursor, 8), values = follow(&cursor, 8);
    if (cursor.lost || tensors > LIMIT / 2 || values > LIMIT / 2)
        return 0;
    for (uint64_t i = 0; !cursor.lost && i < values + tensors; i++) {
        parts->entries[parts->entry_count++] = cursor.at;
        if (i < values)
            follow_value(&cursor);
        else
            follow_tensor(&cursor);
    }
    parts->entries[parts->entry_count] = cursor.at;
    parts->value_count = (int)values;
    parts->whole = !cursor.lost;
    return cursor.lost ? 0 : cursor.at;
}

/* An edge value, something near the old one, or a power of two. */
static uint64_t other_number(uint64_t old, size_t size, struct rng *rng)
{
    switch (rng_below(rng, 8)) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    case 2:
        return rng_below(rng, 34);
    case 3:
        return ((uint64_t)1 << rng_below(rng, 64)) - rng_below(rng, 3);
    case 4:
        return UINT64_MAX - rng_below(rng, 40);
    case 5:
        return size - rng_below(rng, size);
    case 6:
        return old * 32;
    default:
        return old ^ ((uint64_t)1 << rng_below(rng, 64));
    }
}

static size_t change_field(uint8_t *data, size_t size, size_t limit, const struct parts *parts, struct rng *rng)
{
    const struct field *field = &parts->fields[rng_below(rng, (uint64_t)parts->field_count)];
    if (field->bytes) {
        put_number(data, field->at, field->bytes, other_number(number_at(data, field->at, field->bytes), size, rng));
        return size;
    }
    /* The text of another field, or one of libFuzzer's, with its length. */
    uint8_t text[1100];
    size_t length = field->size < sizeof text ? field->size : sizeof text;
    memcpy(text, data + field->at, length);
    const struct field *other = &parts->fields[rng_below(rng, (uint64_t)parts->field_count)];
    if (!other->bytes && other->size <= sizeof text && rng_below(rng, 2)) {
        length = other->size;
        memcpy(text, data + other->at, length);
    } else {
        length = LLVMFuzzerMutate(text, length, sizeof text);
    }
    if (size - field->size + length > limit)
        return size;
    put_number(data, field->at - 8, 8, length);
    return fuzz_splice(data, size, limit, field->at, field->size, text, length);
}

/* Takes a value or tensor out, doubles it, or puts one in another's place. */
static size_t change_entries(uint8_t *data, size_t size, size_t limit, const struct parts *parts, struct rng *rng)
{
    if (parts->entry_count == 0)
        return size;
    int chosen = (int)rng_below(rng, (uint64_t)parts->entry_count);
    bool value = chosen < parts->value_count;
    int first = value ? 0 : parts->value_count, count = value ? parts->value_count : parts->entry_count - first;
    int other = first + (int)rng_below(rng, (uint64_t)count);
    size_t at = parts->entries[chosen], length = parts->entries[chosen + 1] - at;
    size_t from = parts->entries[other], taken = parts->entries[other + 1] - from;
    uint64_t kind = rng_below(rng, 3), entries = (uint64_t)count;
    uint8_t *copy = malloc(taken + 1);
    if (!copy || size + taken > limit) {
        free(copy);
        return size;
    }
    memcpy(copy, data + from, taken);
    if (kind == 0) /* out */
        size = fuzz_splice(data, size, limit, at, length, copy, 0);
    else /* in, beside the chosen one or in its place */
        size = fuzz_splice(data, size, limit, at, kind == 1 ? 0 : length, copy, taken);
    entries = kind == 0 ? entries - 1 : kind == 1 ? entries + 1 : entries;
    put_number(data, value ? VALUE_COUNT : TENSOR_COUNT, 8, entries);
    free(copy);
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    static struct parts parts;
    enum { ALIGNMENT = 32 };
    struct rng rng = rng_make(seed, RNG_TEST, 5, 0);
    size_t head = size >= HEADER ? take_apart(data, size, &parts) : 0;
    if (head == 0 || rng_below(&rng, 16) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    if (rng_below(&rng, 16) == 0) /* a truncated file */
        return 1 + rng_below(&rng, size);
    size_t begin = (head + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, rest = size > begin ? size - begin : 0;
    uint8_t *values = malloc(rest + 1);
    if (!values)
        return size;
    memcpy(values, data + (rest ? begin : 0), rest);
    size_t made = head;
    for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0 && made; changes--) {
        made = rng_below(&rng, 3) ? change_field(data, made, limit, &parts, &rng)
                                  : change_entries(data, made, limit, &parts, &rng);
        if (take_apart(data, made, &parts) != made) /* a count or length was changed: what follows is not to be found */
            break;
    }
    begin = (made + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (begin + rest <= limit && rest > 0) {
        memset(data + made, 0, begin - made);
        memcpy(data + begin, values, rest);
        made = begin + rest;
    }
    free(values);
    return made;
}
