/* Replaces the aligners in a build without pocketsphinx (-DSPIRITLM_PREPARE=OFF). */
#include "data/align/align.h"

#include <stddef.h>

enum status aligner_create(const struct aligner_model *model, struct aligner **aligner)
{
    (void)model;
    *aligner = NULL;
    return status_set(STATUS_USAGE, "this build cannot align words with speech, because it was configured with "
                                    "-DSPIRITLM_PREPARE=OFF");
}

void aligner_destroy(struct aligner *aligner)
{
    (void)aligner;
}

enum status aligner_align(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                          struct alignment *alignment, const char **reason)
{
    (void)aligner;
    (void)samples;
    (void)count;
    (void)text;
    *alignment = (struct alignment){0};
    *reason = "no aligner";
    return STATUS_OK;
}

void alignment_free(struct alignment *alignment)
{
    *alignment = (struct alignment){0};
}
