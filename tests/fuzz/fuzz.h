/* What the fuzz targets share. A target is one program: libFuzzer's main, one parser, and what must hold for everything
 * that it accepts. */
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

/* Where the file that was mapped last lies, in targets with exact_map.c. */
extern const void *fuzz_mapped;

/* Ends the program when a promise is broken; libFuzzer keeps the input. */
void fuzz_require(bool holds, const char *promise);

/* Requires that an input was refused properly: with a code for refusals, and a text that names the input. */
void fuzz_require_refusal(enum status status, const char *name);

/* Reads every byte, so that the sanitizer notices memory that is not there. */
void fuzz_touch(const void *data, int64_t size);

/* Mutates JSON, or what was once JSON: a number becomes an edge value, one value replaces another, a part is removed or
 * doubled, or libFuzzer makes a mutation of its own. The result is never longer than `limit`. */
size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t limit, struct rng *rng);

/* Replaces data[at, at + old) by `bytes` if the whole stays within `limit`; returns the new size. */
size_t fuzz_splice(uint8_t *data, size_t size, size_t limit, size_t at, size_t old, const void *bytes, size_t count);

#endif
