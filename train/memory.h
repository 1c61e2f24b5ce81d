/* What a rank of a training keeps in device memory, category by category, from settings and shapes alone: what --dry-run
 * prints, what the trainer allocates, and what it says when the device refuses. */
#ifndef SPIRITLM_TRAIN_MEMORY_H
#define SPIRITLM_TRAIN_MEMORY_H

#include "core/memory_plan.h"
#include "models/llama/llama.h"

enum training_memory_category {
    TRAINING_PARAMETERS,
    TRAINING_GRADIENTS,
    TRAINING_OPTIMIZER,
    TRAINING_ACTIVATIONS, /* and the batches' arrays */
    TRAINING_SCRATCH,
    TRAINING_LIBRARIES, /* what a context takes for itself, and what the driver is expected to take beside it */
    TRAINING_CATEGORIES
};

struct training_shape {
    const struct kernels *kernels;
    struct llama_config config;
    enum dtype dtype;
    struct llama_workspace_options workspace; /* rows: those of a pass */
    int64_t lanes;                            /* of all ranks */
    int ranks;
};

struct training_memory {
    struct memory_plan plans[TRAINING_CATEGORIES];
    int64_t total; /* bytes of all categories, every allocation rounded up to 256 */
};

/* Free with training_memory_free, after a failure too. */
enum status training_memory_plan(const struct training_shape *shape, struct training_memory *memory);
void training_memory_free(struct training_memory *memory);

/* "parameters 12.6 GiB, gradients 25.1 GiB, ...", for one line. */
void training_memory_text(const struct training_memory *memory, char *text, size_t size);

/* STATUS_OK when the plan fits into `bytes` (0: unknown, and fine). Else STATUS_USAGE with one line that says by how much
 * it does not, and names the nearest setting that fits: the largest smaller micro-batch; where none is small enough, with
 * light or block recomputation; then with bf16; then with more ranks. `limit` says whose bytes they are. */
enum status training_memory_check(const struct training_shape *shape, int64_t bytes, const char *limit);

/* "80 GB", "74.5GiB", "17179869184": bytes. "" and NULL are 0. STATUS_USAGE for anything else. */
enum status training_memory_parse(const char *text, int64_t *bytes);

#endif
