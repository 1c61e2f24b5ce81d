/* What must hold for every shard that was accepted, and columns as the input of a target. */
#ifndef SPIRITLM_TESTS_FUZZ_SHARD_CHECKS_H
#define SPIRITLM_TESTS_FUZZ_SHARD_CHECKS_H

#include "data/shard_layout.h"

#include <stddef.h>
#include <stdint.h>

/* Checks every promise of struct shard_row and reads every byte. */
void shard_check(const struct shard *shard);

/* Columns as bytes: for each its length (uint16) and its elements. Columns missing at the end are empty. The caller
 * frees the columns with shard_columns_free. */
void columns_from_bytes(const uint8_t *data, size_t size, struct shard_columns *columns);
size_t columns_to_bytes(const struct shard_columns *columns, uint8_t *data, size_t limit); /* 0: no room */

#endif
