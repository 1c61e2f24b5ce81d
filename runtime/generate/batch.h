/* Continuations of many prompts, decoded together: a step reads the weights once for all rows, so sixteen rows cost little
 * more than one. */
#ifndef SPIRITLM_GENERATE_BATCH_H
#define SPIRITLM_GENERATE_BATCH_H

#include "generate/sampler.h"
#include "models/llama/llama.h"
#include "package/components.h"

struct generation_request {
    const int32_t *ids; /* the prompt, borrowed */
    int64_t count;
    enum output_modality output;
    int64_t samples;
    int64_t min_new_tokens; /* EOS is not drawn before; 0: it may be the first */
    int64_t max_new_tokens;
    uint64_t seed; /* sample i draws from rng(seed, GENERATE, i): it does not depend on how many there are */
};

struct generated {
    int32_t *ids; /* new tokens, without the EOS that ended them */
    int64_t count;
    bool ended;      /* by EOS; false: by max_new_tokens or the model's context */
    bool not_finite; /* the model's logits were not: nothing follows the ids */
};

/* What all requests of a batch share. */
struct generation_batch {
    struct sampling sampling;
    int64_t rows; /* samples decoded together; 0: GENERATION_ROWS, fewer where memory for them would be large */
    int64_t prefill_tokens; /* of a prompt computed at a time; 0: as many as suit the device */
    /* Called once per request, in their order, as soon as those before it are done. `generated`, of request->samples, belongs
     * to the callee, for generated_free(). */
    enum status (*done)(void *argument, int64_t request, struct generated *generated);
    void *argument;
};

enum {
    GENERATION_ROWS = 16,
    GENERATION_MOST_ROWS = 4096,
    GENERATION_MOST_SAMPLES = 4096,
    GENERATION_MOST_TOKENS = 1 << 20
};

/* How many new tokens a sample of the request may have: max_new_tokens, or fewer where the model's context ends. */
int64_t generation_limit(const struct llama *model, const struct generation_request *request);

/* STATUS_USAGE when the request can be met by no sample: no prompt, one as long as the context, no room for
 * min_new_tokens, counts below 1. */
enum status generation_request_check(const struct llama *model, const struct generation_request *request);

/* Each request gets the ids, to the bit, that it gets alone: whatever the number of rows, the other requests and their order.
 * A sample that ends leaves its row to the next. A request that fails generation_request_check() fails all. Shows
 * progress on standard error. */
enum status generate_batch(struct llama *model, const struct components *components,
                           const struct generation_request *requests, int64_t count,
                           const struct generation_batch *batch);

void generated_free(struct generated *generated, int64_t samples);

#endif
