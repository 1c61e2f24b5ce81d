/* What ggml's description of the format says: a header, keys with their types, tensors with dimensions from the innermost to
 * the outermost and offsets into the data, which start at multiples of 32. */
#include "support/gguf_builder.h"

#include "core/rng.h"
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

enum { UINT32 = 4, FLOAT32 = 6, STRING = 8, TENSOR_F32 = 0, TENSOR_Q8_0 = 8, ALIGNMENT = 32, BLOCK = 32 };

static void add_u32(struct bytes *file, uint32_t number)
{
    bytes_add(file, &number, sizeof number);
}

static void add_u64(struct bytes *file, int64_t number)
{
    bytes_add(file, &number, sizeof number);
}

static void add_string(struct bytes *file, const char *text)
{
    add_u64(file, (int64_t)strlen(text));
    bytes_add(file, text, strlen(text));
}

static void add_keys(struct bytes *file, const struct llama_config *config)
{
    const struct {
        const char *key;
        int64_t value;
    } integers[] = {
        {"llama.embedding_length", config->hidden_size},
        {"llama.feed_forward_length", config->intermediate_size},
        {"llama.block_count", config->layers},
        {"llama.context_length", config->maximum_positions},
        {"llama.attention.head_count", config->heads},
        {"llama.attention.head_count_kv", config->kv_heads},
        {"llama.attention.key_length", config->head_size},
        {"llama.attention.value_length", config->head_size},
        {"llama.rope.dimension_count", config->head_size},
    };
    const struct {
        const char *key;
        double value;
    } reals[] = {{"llama.attention.layer_norm_rms_epsilon", config->rms_norm_epsilon},
                 {"llama.rope.freq_base", config->rope_theta}};
    add_u64(file, 1 + sizeof integers / sizeof *integers + sizeof reals / sizeof *reals);
    add_string(file, "general.architecture");
    add_u32(file, STRING);
    add_string(file, "llama");
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        add_string(file, integers[i].key);
        add_u32(file, UINT32);
        add_u32(file, (uint32_t)integers[i].value);
    }
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        float value = (float)reals[i].value;
        add_string(file, reals[i].key);
        add_u32(file, FLOAT32);
        bytes_add(file, &value, sizeof value);
    }
}

static int64_t padded(int64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* columns 0: a norm. */
static int64_t data_bytes(int64_t rows, int64_t columns)
{
    return columns ? rows * columns / BLOCK * (BLOCK + 2) : rows * (int64_t)sizeof(float);
}

static void add_tensor(struct bytes *file, const char *name, int64_t rows, int64_t columns, int64_t *end)
{
    add_string(file, name);
    add_u32(file, columns ? 2 : 1);
    if (columns)
        add_u64(file, columns);
    add_u64(file, rows);
    add_u32(file, columns ? TENSOR_Q8_0 : TENSOR_F32);
    add_u64(file, *end);
    *end += padded(data_bytes(rows, columns));
}

static void add_data(struct bytes *file, int64_t rows, int64_t columns, struct rng *rng)
{
    for (int64_t i = 0; columns == 0 && i < rows; i++) {
        float value = 0.75f + (float)rng_below(rng, 512) / 1024;
        bytes_add(file, &value, sizeof value);
    }
    for (int64_t i = 0; i < rows * columns; i += BLOCK) {
        int8_t numbers[BLOCK];
        uint16_t scale = (uint16_t)(0x1000 + rng_below(rng, 0x400)); /* f16: 2^-11 to 2^-10 */
        for (int j = 0; j < BLOCK; j++)
            numbers[j] = (int8_t)((int)rng_below(rng, 255) - 127);
        bytes_add(file, &scale, sizeof scale);
        bytes_add(file, numbers, sizeof numbers);
    }
    static const char zeros[ALIGNMENT];
    int64_t bytes = data_bytes(rows, columns);
    bytes_add(file, zeros, (size_t)(padded(bytes) - bytes));
}

/* Calls for each tensor; with `rng` its data is added, else its description. */
static void add_tensors(struct bytes *file, const struct llama_config *config, struct rng *rng)
{
    const int64_t hidden = config->hidden_size, inner = config->intermediate_size;
    const int64_t queries = config->heads * config->head_size, keys = config->kv_heads * config->head_size;
    const struct {
        const char *name;
        int64_t rows, columns;
    } layer[] = {{"attn_norm", hidden, 0},    {"attn_q", queries, hidden},      {"attn_k", keys, hidden},
                 {"attn_v", keys, hidden},    {"attn_output", hidden, queries}, {"ffn_norm", hidden, 0},
                 {"ffn_gate", inner, hidden}, {"ffn_up", inner, hidden},        {"ffn_down", hidden, inner}},
      others[] = {{"token_embd", config->vocabulary_size, hidden},
                  {"output_norm", hidden, 0},
                  {"output", config->vocabulary_size, hidden}};
    int64_t end = 0;
    char name[64];
    for (int64_t l = 0; l <= config->layers; l++)
        for (size_t i = 0; i < (l < config->layers ? sizeof layer / sizeof *layer : 3); i++) {
            int64_t rows = l < config->layers ? layer[i].rows : others[i].rows;
            int64_t columns = l < config->layers ? layer[i].columns : others[i].columns;
            if (l < config->layers)
                snprintf(name, sizeof name, "blk.%d.%s.weight", (int)l, layer[i].name);
            else
                snprintf(name, sizeof name, "%s.weight", others[i].name);
            if (rng)
                add_data(file, rows, columns, rng);
            else
                add_tensor(file, name, rows, columns, &end);
        }
}

void gguf_build_llama(struct bytes *file, const struct llama_config *config, uint64_t seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 12, 0);
    static const char zeros[ALIGNMENT];
    bytes_add(file, "GGUF", 4);
    add_u32(file, 3);
    add_u64(file, config->layers * 9 + 3);
    add_keys(file, config);
    add_tensors(file, config, NULL);
    bytes_add(file, zeros, (size_t)(padded((int64_t)file->size) - (int64_t)file->size));
    add_tensors(file, config, &rng);
}
