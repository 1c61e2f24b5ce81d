/* Two clips and two texts, of which bin/prepare makes a tokenizer and two datasets in less than a second. */
#ifndef SPIRITLM_TESTS_TINY_PREPARE_H
#define SPIRITLM_TESTS_TINY_PREPARE_H

#include <stdbool.h>

/* Writes FOLDER/corpus, clips, manifests of versions 1 and 2, which have different texts and clips under the same
 * names, and FOLDER/prepare.yaml. Fails the test on an error. */
void tiny_prepare_make(const char *folder);

/* Runs bin/prepare on the manifests of that version, into OUT/tokenizer and OUT/datasets; returns its exit code.
 * `variables` are added to the environment as in process.h. */
int tiny_prepare_run(const char *folder, int version, const char *out, const char *output,
                     const char *const *variables);

/* NULL when every file of `out` under a final name is equal to `reference`'s or to `old`'s (NULL: there is none), and
 * the files that an index vouches for are of the index's version (locks and shards that wait for their index
 * aside); otherwise a text, valid until the next call. */
const char *tiny_prepare_bad(const char *out, const char *reference, const char *old);

/* NULL when `out` has exactly the files of `reference`; otherwise a text. */
const char *tiny_prepare_unlike(const char *out, const char *reference);

#endif
