/* Token sequences side by side in one long row, without attention between them: the batches of every task that scores. */
#ifndef SPIRITLM_EVAL_SCORING_PACKER_H
#define SPIRITLM_EVAL_SCORING_PACKER_H

#include "models/llama/llama.h"

struct packer;

/* Computes a batch. destinations[i] says where what the model says of the target of position i belongs; NULL: nowhere. */
typedef enum status packer_run(void *context, struct llama_workspace *workspace, const struct llama_batch *batch,
                               void *const *destinations);

/* What is going to be packed. */
struct packer_options {
    int64_t tokens;  /* of all sequences together: what the model reads of them */
    int64_t longest; /* of one of them; 1 at least */
    packer_run *run;
    void *context; /* its first argument */
};

/* Batches have at most 4096 positions, or as many as the longest sequence. */
enum status packer_create(struct llama *model, const struct packer_options *options, struct packer **packer);
void packer_destroy(struct packer *packer); /* NULL is fine */

bool packer_fits(const struct packer *packer, int64_t reads);

/* Adds the first `reads` of ids[reads + 1] as a sequence of its own, after a flush where it does not fit. The targets are the
 * ids from ids[first] on (first >= 1); where the first belongs, and how many bytes further each next one. */
enum status packer_add(struct packer *packer, const int32_t *ids, int64_t reads, int64_t first, void *destination,
                       size_t stride);
/* Computes what is there. */
enum status packer_flush(struct packer *packer);

#endif
