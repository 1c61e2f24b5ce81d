/* The recordings of an archive, decoded one after the other, and their units as the ids that a model reads. */
#ifndef SPIRITLM_EVAL_RECORDINGS_H
#define SPIRITLM_EVAL_RECORDINGS_H

#include "eval/unit_cache.h"
#include "io/archive/archive.h"
#include "package/components.h"

/* Is shown each recording: member `index`, mono samples at 16 kHz, which are valid until it returns; `name` is for errors. */
typedef enum status recording_visit(void *context, int64_t index, const char *name, const float *samples,
                                    int64_t count);

/* Decodes the members for which `wanted` holds, in one pass; shows progress. Any rate is resampled to 16 kHz, channels are averaged.
 * Errors name the archive and the member. */
enum status recordings_stream(struct archive *archive, const bool *wanted, recording_visit *visit, void *context);

/* The ids of some units. */
struct unit_ids {
    int32_t *ids; /* owned; NULL: none yet */
    int64_t count;
};

/* Encodes samples, or finds in the cache (NULL: there is none) what they were encoded to; `name` is for errors: too short for a
 * unit is STATUS_CORRUPT. */
enum status unit_ids_encode(const struct components *components, struct unit_cache *cache, const char *name,
                            const float *samples, int64_t count, struct unit_ids *units);
void unit_ids_free(struct unit_ids *units, int64_t count); /* all of an array, and the array; NULL is fine */

/* The units of every wanted member, one entry for each member of the archive. The caller frees with unit_ids_free. */
enum status recordings_encode(const struct components *components, struct unit_cache *cache, struct archive *archive,
                              const bool *wanted, struct unit_ids **units);

#endif
