/* What an aligner is to align.c. */
#ifndef SPIRITLM_DATA_ALIGN_KINDS_H
#define SPIRITLM_DATA_ALIGN_KINDS_H

#include "data/align/align.h"

struct aligner_methods {
    void (*destroy)(struct aligner *aligner);
    enum status (*align)(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                         struct alignment *alignment, const char **reason);
};

/* The first member of each kind's own structure. */
struct aligner {
    const struct aligner_methods *methods;
};

/* ---- align_sphinx.c, align_decoder.c ---- */

enum status sphinx_aligner_create(struct aligner **aligner);
enum status sphinx_fingerprint(struct sha256 *fingerprint);

/* ---- align_ctc.c ---- */

struct ctc_aligner_model;
enum status ctc_aligner_model_open(const struct aligner_options *options, struct ctc_aligner_model **model,
                                   struct sha256 *fingerprint);
void ctc_aligner_model_close(struct ctc_aligner_model *model); /* NULL is fine */
enum status ctc_aligner_create(struct ctc_aligner_model *model, struct aligner **aligner);

#endif
