/* Units of recordings that were encoded before: the file OUT/units_IDENTITY.cache, where IDENTITY stands for the fingerprints of the unit, pitch and
 * style tokenizers and the vocabulary. A recording is known by the SHA-256 of its samples, so nothing that is found can be out of date. */
#ifndef SPIRITLM_EVAL_UNIT_CACHE_H
#define SPIRITLM_EVAL_UNIT_CACHE_H

#include "io/lock.h"
#include "package/components.h"

struct unit_cache;

/* Reads the cache in a folder, which must be there. What a killed process left half-written at its end is cut off. *cache is NULL where
 * components are not known by fingerprints (a release without them). While another process writes, what it has is used and nothing added. */
enum status unit_cache_open(const char *folder, const struct components *components, enum lock_policy locks,
                            struct unit_cache **cache);
/* Writes what is not yet on the disk. STATUS_IO: some of it may be missing, which costs the next run time and nothing else. */
enum status unit_cache_close(struct unit_cache *cache); /* NULL is fine */

/* The ids of some samples, valid until the cache is closed; false: not known. */
bool unit_cache_find(const struct unit_cache *cache, const struct sha256 *samples, const int32_t **ids, int64_t *count);
enum status unit_cache_add(struct unit_cache *cache, const struct sha256 *samples, const int32_t *ids, int64_t count);

int64_t unit_cache_count(const struct unit_cache *cache);

#endif
