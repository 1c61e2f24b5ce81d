/* Dataset folders of real shards made in a test, without `prepare`. */
#ifndef SPIRITLM_TESTS_DATASET_BUILDER_H
#define SPIRITLM_TESTS_DATASET_BUILDER_H

#include "data/shard.h"

/* Writes `count` rows as a dataset, with `rows_per_shard` rows per shard. Fails the test on an error. Units, where
 * there are any, have rates of 25, 12.5 and 1 per second. */
void build_dataset(const char *folder, enum dataset_kind kind, const struct shard_row *rows, int64_t count,
                   int64_t rows_per_shard);

/* A row of speech with all its parts: two aligned words and some units, among them the smallest and the largest. `id`
 * is borrowed. */
struct shard_row small_speech_row(const char *id);

#endif
