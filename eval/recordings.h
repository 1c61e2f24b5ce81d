/* The units of an archive's recordings, as the ids that a model reads: what every spoken benchmark begins with. */
#ifndef SPIRITLM_EVAL_RECORDINGS_H
#define SPIRITLM_EVAL_RECORDINGS_H

#include "io/archive/archive.h"
#include "package/components.h"

struct recording {
    int32_t *ids; /* owned; NULL: not wanted */
    int64_t count;
};

struct recordings {
    struct recording *items; /* one per member of the archive */
    int64_t count;
};

/* Reads and encodes the members for which `wanted` holds, in one pass; shows progress. Any rate and number of channels (they are
 * averaged) is resampled to 16 kHz. Errors name the archive and the member. */
enum status recordings_encode(const struct components *components, struct archive *archive, const bool *wanted,
                              struct recordings *recordings);
void recordings_free(struct recordings *recordings);

#endif
