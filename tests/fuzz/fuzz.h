/* What the fuzz targets share. A target is one program: libFuzzer's main, one parser, and what must hold of whatever it
 * lets through. */
#ifndef SPIRITLM_TESTS_FUZZ_H
#define SPIRITLM_TESTS_FUZZ_H

#include "core/rng.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer calls these... */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed);
/* ...and offers this: its own mutations, in place. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t limit);

/* A path under which the bytes can be read: a file in memory, the same one every time. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* Ends the program when a promise is broken; libFuzzer keeps the input. */
void fuzz_require(bool holds, const char *promise);

/* An input was refused: with a code of refusal, and a text that names it. */
void fuzz_require_refusal(enum status status, const char *name);

/* Reads every byte, so that the sanitizer sees memory that is not there. */
void fuzz_touch(const void *data, int64_t size);

/* JSON, or what was: a number becomes an edge, a value changes places with another, a part is taken out or doubled, or
 * libFuzzer does as it likes. Never longer than `limit`. */
size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t limit, struct rng *rng);

/* Replaces data[at, at + old) by `bytes` when the whole stays within `limit`; the new size. */
size_t fuzz_splice(uint8_t *data, size_t size, size_t limit, size_t at, size_t old, const void *bytes, size_t count);

#endif
