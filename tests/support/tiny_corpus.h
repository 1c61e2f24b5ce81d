/* A corpus of a few seconds that tests can train on: a text model written by hand (bytes, letters, no merges), a text
 * dataset and an aligned speech dataset with ready units. */
#ifndef SPIRITLM_TESTS_TINY_CORPUS_H
#define SPIRITLM_TESTS_TINY_CORPUS_H

#include "core/status.h"
#include "package/components.h"

#include <stdint.h>

struct tiny_corpus {
    char text_model[700], speech[700], text[700]; /* FOLDER/text.model, FOLDER/speech, FOLDER/text */
};

enum { TINY_HUBERT = 20, TINY_PITCH = 8, TINY_STYLE = 4, TINY_PIECES = 3 + 256 + 27 };

/* Writes it below `folder`: `rows` utterances and as many texts, all drawn from `seed`. */
enum status tiny_corpus_write(const char *folder, int64_t rows, uint64_t seed, struct tiny_corpus *corpus);

/* The same in test_directory()/corpus; fails the test on an error. */
void tiny_corpus_make(int64_t rows, uint64_t seed, struct tiny_corpus *corpus);

/* The components that fit it: Expressive, without a speech tokenizer. */
enum status tiny_corpus_components(const struct tiny_corpus *corpus, struct components **components);

#endif
