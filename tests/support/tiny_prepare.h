/* Two clips and two texts that bin/prepare makes a tokenizer and two datasets of, in less than a second. */
#ifndef SPIRITLM_TESTS_TINY_PREPARE_H
#define SPIRITLM_TESTS_TINY_PREPARE_H

#include <stdbool.h>

/* Writes FOLDER/corpus, clips, manifests of version 1 and 2, which have other texts and clips under the same names, and
 * FOLDER/prepare.yaml. Fails the test. */
void tiny_prepare_make(const char *folder);

/* Runs bin/prepare from the manifests of that version into OUT/tokenizer and OUT/datasets: its exit code. Further
 * variables of the environment as in process.h. */
int tiny_prepare_run(const char *folder, int version, const char *out, const char *output,
                     const char *const *variables);

/* NULL when every file of `out` that bears its final name is equal to `reference`'s or (NULL: none) to `old`'s, and
 * those that an index vouches for are of the index's version; else a text, valid until the next call. */
const char *tiny_prepare_bad(const char *out, const char *reference, const char *old);

/* NULL when `out` has all files of `reference`, and no other. */
const char *tiny_prepare_unlike(const char *out, const char *reference);

#endif
