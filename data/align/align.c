/* One interface to two aligners, pocketsphinx and a CTC model: the one that the options name does the work. */
#include "data/align/align_kinds.h"

#include <stdlib.h>

/* docs/prepare.md says how they were measured, and what each lets through. */
const double ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_KINDS] = {[ALIGNER_POCKETSPHINX] = -2.2, [ALIGNER_CTC] = -0.9};

struct aligner_model {
    struct sha256 fingerprint;
    struct ctc_aligner_model *ctc; /* NULL: pocketsphinx */
};

enum status aligner_model_open(const struct aligner_options *options, struct aligner_model **out)
{
    struct aligner_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model)
        return status_set(STATUS_INTERNAL, "out of memory for an aligner");
    enum status result = options->kind == ALIGNER_CTC
                             ? ctc_aligner_model_open(options, &model->ctc, &model->fingerprint)
                             : sphinx_fingerprint(&model->fingerprint);
    if (result == STATUS_OK)
        *out = model;
    else
        aligner_model_close(model);
    return result;
}

void aligner_model_close(struct aligner_model *model)
{
    if (model)
        ctc_aligner_model_close(model->ctc);
    free(model);
}

const struct sha256 *aligner_model_fingerprint(const struct aligner_model *model)
{
    return &model->fingerprint;
}

enum status aligner_create(const struct aligner_model *model, struct aligner **aligner)
{
    return model && model->ctc ? ctc_aligner_create(model->ctc, aligner) : sphinx_aligner_create(aligner);
}

void aligner_destroy(struct aligner *aligner)
{
    if (aligner)
        aligner->methods->destroy(aligner);
}

enum status aligner_align(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                          struct alignment *alignment, const char **reason)
{
    *alignment = (struct alignment){0};
    *reason = NULL;
    return aligner->methods->align(aligner, samples, count, text, alignment, reason);
}
