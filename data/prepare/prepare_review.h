/* What of a corpus was left out or is in the dataset otherwise than it came: counted by kind, and warned of where it is
 * much. */
#ifndef SPIRITLM_DATA_PREPARE_REVIEW_H
#define SPIRITLM_DATA_PREPARE_REVIEW_H

#include "data/prepare/prepare_internal.h"

#include <jansson.h>
#include <stdio.h>

enum { REVIEW_KINDS = 64, KIND_BYTES = 80 };

/* Lines by what they say up to the first colon. */
struct kinds {
    struct {
        char name[KIND_BYTES];
        int64_t count;
    } list[REVIEW_KINDS];
    int count;
};

struct review {
    int64_t rows, rejects; /* of the manifest */
    struct kinds reasons, changes;
    double *scores; /* of all alignments, accepted or not, ascending */
    int64_t score_count, score_room;
    double threshold;
};

enum status review_count(const struct prepare *prepare, const struct prepare_dataset *dataset, struct review *review);
int review_describe(json_t *root, const struct review *review); /* into report.json; not 0: out of memory */
void review_print(FILE *file, const struct review *review);
/* More than a tenth of the rows rejected, or changed in one way: a warning, with the key that decides it. */
void review_warn(const struct prepare_dataset *dataset, const struct review *review);
void review_free(struct review *review);

#endif
