/* Checkpoints as torch.save and safetensors write them. In a file of PyTorch all tensors are views of one storage, as those of
 * fairseq's flattened models are, so that a file of any number of tensors has one record of numbers. */
#include "support/models/checkpoint_files.h"

#include "support/files.h"
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

/* ---- the tensors ---- */

void checkpoint_make(const char *tag, struct checkpoint *checkpoint)
{
    struct formula_weights weights;
    memset(checkpoint, 0, sizeof *checkpoint);
    formula_weights_load(&weights);
    checkpoint->tensors = calloc((size_t)weights.count, sizeof *checkpoint->tensors);
    checkpoint->values = calloc((size_t)weights.count, sizeof *checkpoint->values);
    assert_non_null(checkpoint->tensors);
    assert_non_null(checkpoint->values);
    for (int64_t i = 0; i < weights.count; i++) {
        const struct formula_tensor *tensor = &weights.tensors[i];
        if (strcmp(tensor->tag, tag) != 0)
            continue;
        int64_t place = checkpoint->count++;
        int64_t bytes = tensor->count * (int64_t)sizeof(float);
        checkpoint->tensors[place] =
            (struct tensor_info){.name = strdup(tensor->name), .type = DTYPE_F32, .rank = tensor->rank, .bytes = bytes};
        memcpy(checkpoint->tensors[place].shape, tensor->shape, sizeof tensor->shape);
        checkpoint->values[place] = malloc((size_t)bytes);
        assert_non_null(checkpoint->values[place]);
        formula_weights_fill(&weights, tensor, checkpoint->values[place]);
    }
    formula_weights_free(&weights);
    assert_true(checkpoint->count > 0);
}

void checkpoint_free(struct checkpoint *checkpoint)
{
    for (int64_t i = 0; i < checkpoint->count; i++) {
        free((char *)(uintptr_t)checkpoint->tensors[i].name);
        free(checkpoint->values[i]);
    }
    free(checkpoint->tensors);
    free(checkpoint->values);
    memset(checkpoint, 0, sizeof *checkpoint);
}

static int64_t place_of(const struct checkpoint *checkpoint, const char *name)
{
    for (int64_t i = 0; i < checkpoint->count; i++)
        if (checkpoint->tensors[i].name && strcmp(checkpoint->tensors[i].name, name) == 0)
            return i;
    return -1;
}

float *checkpoint_find(const struct checkpoint *checkpoint, const char *name)
{
    int64_t place = place_of(checkpoint, name);
    return place < 0 ? NULL : checkpoint->values[place];
}

void checkpoint_rename(struct checkpoint *checkpoint, const char *name, const char *new_name)
{
    int64_t place = place_of(checkpoint, name);
    assert_true(place >= 0);
    free((char *)(uintptr_t)checkpoint->tensors[place].name);
    checkpoint->tensors[place].name = new_name ? strdup(new_name) : NULL;
}

/* ---- pickles ---- */

static void pickle_real(struct bytes *pickle, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bytes_add(pickle, "G", 1);
    for (int shift = 56; shift >= 0; shift -= 8) /* the highest byte first */
        bytes_add(pickle, &(uint8_t){(uint8_t)(bits >> shift)}, 1);
}

void pickle_json(struct bytes *pickle, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        pickle_raw(pickle, "}(");
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
        {
            pickle_text(pickle, key);
            pickle_json(pickle, member);
        }
        pickle_raw(pickle, "u");
        break;
    case JSON_ARRAY:
        pickle_raw(pickle, "](");
        json_array_foreach(value, i, member) pickle_json(pickle, member);
        pickle_raw(pickle, "e");
        break;
    case JSON_STRING:
        pickle_text(pickle, json_string_value(value));
        break;
    case JSON_INTEGER:
        pickle_integer(pickle, json_integer_value(value));
        break;
    case JSON_REAL:
        pickle_real(pickle, json_real_value(value));
        break;
    default:
        pickle_raw(pickle, json_is_null(value) ? "N" : json_is_true(value) ? "\x88" : "\x89");
    }
}

static void pickle_tensor(struct bytes *pickle, const struct tensor_info *tensor, int64_t first, int64_t elements)
{
    pickle_text(pickle, tensor->name);
    pickle_class(pickle, "torch._utils", "_rebuild_tensor_v2");
    pickle_raw(pickle, "(");
    pickle_storage(pickle, "FloatStorage", "0", elements);
    pickle_integer(pickle, first);
    pickle_raw(pickle, "(");
    for (int i = 0; i < tensor->rank; i++)
        pickle_integer(pickle, tensor->shape[i]);
    pickle_raw(pickle, "t(");
    for (int i = 0; i < tensor->rank; i++) {
        int64_t stride = 1;
        for (int j = i + 1; j < tensor->rank; j++)
            stride *= tensor->shape[j];
        pickle_integer(pickle, stride);
    }
    pickle_raw(pickle, "t\x89");
    pickle_class(pickle, "collections", "OrderedDict");
    pickle_raw(pickle, ")RtR");
}

void checkpoint_write_torch(const struct checkpoint *checkpoint, const char *path, const json_t *values,
                            const char *key)
{
    struct bytes pickle = {0}, numbers = {0}, file = {0};
    const char *name;
    json_t *member;
    int64_t first = 0, elements = 0;
    for (int64_t i = 0; i < checkpoint->count; i++)
        elements += checkpoint->tensors[i].name ? checkpoint->tensors[i].bytes / 4 : 0;
    pickle_raw(&pickle, "\x80\x02}(");
    json_object_foreach((json_t *)(uintptr_t)values, name, member)
    {
        pickle_text(&pickle, name);
        pickle_json(&pickle, member);
    }
    if (key) {
        pickle_text(&pickle, key);
        pickle_class(&pickle, "collections", "OrderedDict");
        pickle_raw(&pickle, ")R(");
    }
    for (int64_t i = 0; i < checkpoint->count; i++) {
        if (!checkpoint->tensors[i].name)
            continue;
        pickle_tensor(&pickle, &checkpoint->tensors[i], first, elements);
        first += checkpoint->tensors[i].bytes / 4;
        bytes_add(&numbers, checkpoint->values[i], (size_t)checkpoint->tensors[i].bytes);
    }
    pickle_raw(&pickle, key ? "uu." : "u.");
    const struct zip_piece storage = {.data = numbers.data, .size = numbers.size};
    torch_build(&file, pickle.data, pickle.size, &storage, 1);
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&pickle);
    bytes_free(&numbers);
    bytes_free(&file);
}

void checkpoint_write_safetensors(const struct checkpoint *checkpoint, const char *path)
{
    json_t *header = json_object();
    struct bytes numbers = {0}, file = {0};
    for (int64_t i = 0; i < checkpoint->count; i++) {
        const struct tensor_info *tensor = &checkpoint->tensors[i];
        json_int_t begin = (json_int_t)numbers.size, end = begin + tensor->bytes;
        json_t *shape = json_array();
        if (!tensor->name)
            continue;
        for (int j = 0; j < tensor->rank; j++)
            json_array_append_new(shape, json_integer(tensor->shape[j]));
        json_object_set_new(header, tensor->name,
                            json_pack("{s:s,s:o,s:[I,I]}", "dtype", "F32", "shape", shape, "data_offsets", begin, end));
        bytes_add(&numbers, checkpoint->values[i], (size_t)tensor->bytes);
    }
    char *text = json_dumps(header, JSON_COMPACT);
    assert_non_null(text);
    uint64_t length = strlen(text);
    bytes_add(&file, &length, sizeof length);
    bytes_add(&file, text, length);
    bytes_add(&file, numbers.data, numbers.size);
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&file);
    bytes_free(&numbers);
    free(text);
    json_decref(header);
}
