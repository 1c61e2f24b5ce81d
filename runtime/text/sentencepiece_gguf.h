/* The SentencePiece model that a GGUF file holds (tokenizer.ggml.model "llama"), as a .model file. */
#ifndef SPIRITLM_TEXT_SENTENCEPIECE_GGUF_H
#define SPIRITLM_TEXT_SENTENCEPIECE_GGUF_H

#include "core/status.h"
#include "io/weights/gguf.h"

#include <stdint.h>

/* A file that sentencepiece_load_memory reads, with the pieces, scores and kinds of tokenizer.ggml; *data is allocated for
 * the caller. Where the original .model was LLaMA-2's kind (BPE, identity normaliser), the fingerprint is the original's. */
enum status sentencepiece_file_of_gguf(const struct gguf *file, void **data, int64_t *size);

#endif
