/* Every row of some datasets as token ids of one modality, from which learning, pairs and bigrams are computed. */
#ifndef SPIRITLM_EVAL_DOCUMENTS_H
#define SPIRITLM_EVAL_DOCUMENTS_H

#include "data/interleave.h"
#include "eval/scoring/scorer.h"
#include "package/components.h"

struct document_list {
    struct scored_sequence *sequences; /* ids and losses owned by the list */
    bool *synthetic;                   /* whether the row's meta says so */
    int64_t count;
};

/* Makes documents of one modality as the model's own vocabulary requires: with pitch and style when it has them,
 * whatever a configuration says. Borrows the components. */
struct interleaver documents_interleaver(const struct components *components);

bool document_is_synthetic(const struct shard_row *row); /* whether its meta says so */

/* All rows of the datasets of this kind, in order. Rows without units or text are left out. */
enum status documents_read(const struct interleaver *interleaver, struct dataset *const *datasets,
                           int64_t dataset_count, enum dataset_kind kind, struct document_list *list);
void documents_free(struct document_list *list);

#endif
