/* Answers of a model to the items of a generation task: several decoded together, several ranks side by side, finished ones
 * kept in a journal.
 *
 * What an item gets depends on its prompt, its group, its id, the seed and the try alone: not on the number of ranks, on how
 * many are decoded together, nor on what was finished before. */
#ifndef SPIRITLM_EVAL_GENERATIONS_H
#define SPIRITLM_EVAL_GENERATIONS_H

#include "eval/journal/journal.h"
#include "eval/task.h"
#include "generate/batch.h"

struct generation_item {
    const char *id;     /* borrowed; unique among all items of the journal */
    const int32_t *ids; /* the prompt, borrowed */
    int64_t count;
    int64_t group; /* the items of a group begin alike, with all examples that they have: computed once */
    uint64_t seed;

    int32_t *generated; /* owned: the new ids */
    int64_t generated_count;
    bool ended;   /* by EOS */
    bool stopped; /* by `stops` */
    bool failed;  /* not accepted in any try; the ids are those of the last */
    int64_t tries;
};

struct generation_plan {
    const struct task *task;
    struct journal *journal;
    enum output_modality output;
    struct sampling sampling;
    int64_t limit; /* new tokens */
    int64_t tries; /* at most */
    /* Both may be NULL and depend on the ids alone; threads call them at the same time. */
    bool (*stops)(const void *argument, const int32_t *ids, int64_t count);
    bool (*accepts)(const void *argument, const int32_t *ids, int64_t count);
    const void *argument;
};

/* Fills all items; shows progress. STATUS_CORRUPT when the model's logits are not finite. */
enum status generations_run(const struct generation_plan *plan, struct generation_item *items, int64_t count);

void generation_items_free(struct generation_item *items, int64_t count); /* also what they own; NULL is fine */

#endif
