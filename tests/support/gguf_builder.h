/* GGUF files of a Llama made in memory, of blocks of eight bits. */
#ifndef SPIRITLM_TESTS_GGUF_BUILDER_H
#define SPIRITLM_TESTS_GGUF_BUILDER_H

#include "models/llama/llama.h"
#include "support/sentencepiece_builder.h"

/* Version 3; matrices are Q8_0 with random numbers and scales from `seed`, norms f32 near 1. Widths are multiples of 32. */
void gguf_build_llama(struct bytes *file, const struct llama_config *config, uint64_t seed);

#endif
