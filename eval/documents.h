/* Every row of some datasets as token ids of one modality: what learning, pairs and bigrams are computed from. */
#ifndef SPIRITLM_EVAL_DOCUMENTS_H
#define SPIRITLM_EVAL_DOCUMENTS_H

#include "data/interleave.h"
#include "eval/scorer.h"
#include "package/components.h"

struct document_list {
    struct scored_sequence *sequences; /* ids and losses owned by the list */
    bool *synthetic;                   /* by the row's meta */
    int64_t count;
};

/* Documents of one modality as the model's own vocabulary has them: with pitch and style when it knows them, whatever a
 * configuration says. Borrows the components. */
struct interleaver documents_interleaver(const struct components *components);

/* All rows of the datasets of this kind, in order. Rows without units or text are left out. */
enum status documents_read(const struct interleaver *interleaver, struct dataset *const *datasets,
                           int64_t dataset_count, enum dataset_kind kind, struct document_list *list);
void documents_free(struct document_list *list);

#endif
