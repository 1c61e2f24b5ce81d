/* The models that the benchmarks run, by the name of their size. */
#ifndef SPIRITLM_BENCHMARKS_MODEL_SIZES_H
#define SPIRITLM_BENCHMARKS_MODEL_SIZES_H

#include "benchmarks/measure.h"
#include "models/llama/llama.h"

enum { VOCABULARY = 32768 };

/* Llama with heads of 64 and a tied table; 135M is SmolLM2's. Ends the program when no size has this name. */
static inline struct llama_config model_of_size(const char *name, int64_t maximum_positions)
{
    static const struct {
        const char *name;
        int64_t vocabulary_size, hidden_size, intermediate_size, layers, heads, kv_heads;
    } sizes[] = {{"15M", VOCABULARY, 256, 704, 8, 4, 4},
                 {"110M", VOCABULARY, 768, 2048, 12, 12, 12},
                 {"135M", 49152, 576, 1536, 30, 9, 3},
                 {"1B", VOCABULARY, 2048, 5632, 22, 32, 4}};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    int s = 0;
    while (s < SIZES && strcmp(sizes[s].name, name) != 0)
        s++;
    if (s == SIZES) {
        fprintf(stderr, "error: size %s; expected 15M, 110M, 135M or 1B\n", name);
        exit(2);
    }
    struct llama_config config = {.vocabulary_size = sizes[s].vocabulary_size,
                                  .hidden_size = sizes[s].hidden_size,
                                  .intermediate_size = sizes[s].intermediate_size,
                                  .layers = sizes[s].layers,
                                  .heads = sizes[s].heads,
                                  .kv_heads = sizes[s].kv_heads,
                                  .head_size = 64,
                                  .maximum_positions = maximum_positions,
                                  .rope_theta = 10000,
                                  .rms_norm_epsilon = 1e-5,
                                  .tie_embeddings = true};
    must(llama_config_check(&config));
    return config;
}

#endif
