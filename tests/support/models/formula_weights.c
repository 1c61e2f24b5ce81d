/* Tensors by formula, and the table of them: what is in it came from the program that ran the published implementation, so
 * that a test which reads the table asks for the very tensors that the golden values were computed with. */
#include "support/models/formula_weights.h"

#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const char *tag, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325;
    const char *parts[] = {tag, "/", name};
    for (int part = 0; part < 3; part++)
        for (const char *c = parts[part]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
    return hash;
}

void formula_fill(const char *tag, const char *name, int64_t count, float scale, float offset, float *values)
{
    uint64_t state = hash_of(tag, name);
    for (int64_t i = 0; i < count; i++) {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        z ^= z >> 31;
        float value = (float)(z >> 40) * 0x1p-23f - 1;
        volatile float scaled = value * scale; /* rounded before the sum: no fused multiply-add */
        values[i] = scaled + offset;
    }
}

static void read_line(const char *line, struct formula_tensor *tensor)
{
    char shape[64];
    int fields = sscanf(line, "%23[^\t]\t%127[^\t]\t%63[^\t]\t%f\t%f", tensor->tag, tensor->name, shape, &tensor->scale,
                        &tensor->offset);
    if (fields != 5)
        fail_msg("weights_small.tsv: expected tag, name, shape, scale, offset; found '%s'", line);
    tensor->count = 1;
    for (char *at = shape; *at && tensor->rank < TENSOR_MAX_RANK; at += *at == 'x') {
        int64_t size = strtoll(at, &at, 10);
        assert_true(size > 0 && (*at == 'x' || *at == '\0'));
        tensor->shape[tensor->rank++] = size;
        tensor->count *= size;
    }
}

void formula_weights_load(struct formula_weights *weights)
{
    memset(weights, 0, sizeof *weights);
    FILE *file = fopen(TEST_GOLDEN_DIRECTORY "/speech_models/weights_small.tsv", "r");
    assert_non_null(file);
    char line[512];
    while (fgets(line, sizeof line, file)) {
        size_t bytes = (size_t)(weights->count + 1) * sizeof *weights->tensors;
        struct formula_tensor *grown = realloc(weights->tensors, bytes);
        assert_non_null(grown);
        weights->tensors = grown;
        struct formula_tensor *tensor = &grown[weights->count++];
        memset(tensor, 0, sizeof *tensor);
        read_line(line, tensor);
    }
    fclose(file);
    assert_true(weights->count > 0);
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_models/calibration.safetensors", &weights->fitted));
}

void formula_weights_free(struct formula_weights *weights)
{
    safetensors_close(weights->fitted);
    free(weights->tensors);
    memset(weights, 0, sizeof *weights);
}

const struct formula_tensor *formula_weights_find(const struct formula_weights *weights, const char *tag,
                                                  const char *name)
{
    for (int64_t i = 0; i < weights->count; i++)
        if (!strcmp(weights->tensors[i].tag, tag) && !strcmp(weights->tensors[i].name, name))
            return &weights->tensors[i];
    return NULL;
}

void formula_weights_fill(const struct formula_weights *weights, const struct formula_tensor *tensor, float *values)
{
    char name[sizeof tensor->tag + sizeof tensor->name + 1];
    snprintf(name, sizeof name, "%s/%s", tensor->tag, tensor->name);
    const struct tensor_info *fitted = safetensors_find(weights->fitted, name);
    if (fitted) {
        assert_int_equal(fitted->bytes, tensor->count * (int64_t)sizeof(float));
        memcpy(values, safetensors_data(weights->fitted, fitted), (size_t)fitted->bytes);
        return;
    }
    formula_fill(tensor->tag, tensor->name, tensor->count, tensor->scale, tensor->offset, values);
    if (!strcmp(name, "quantizer/4.bias"))
        values[tensor->count - 1] += 2.5f;
}
