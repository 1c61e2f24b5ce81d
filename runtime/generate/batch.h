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
    bool ended;      /* by EOS; false: by `stop`, max_new_tokens or the model's context */
    bool stopped;    /* by `stop` */
    bool not_finite; /* the model's logits were not: nothing follows the ids */
};

/* What all requests of a batch share. */
struct generation_batch {
    struct sampling sampling;
    int64_t rows; /* samples decoded together; 0: GENERATION_ROWS, fewer where memory for them would be large */
    int64_t prefill_tokens; /* of a prompt computed at a time; 0: as many as suit the device */
    bool quiet;             /* no progress on standard error */
    /* Ids with which the prompts of all requests begin, the shots of few-shot prompts, borrowed; count 0: none. The keys and
     * values of all but the last of them are computed once per cache, not once per prompt (the last has the logits of a prompt
     * that ends with it). */
    const int32_t *shared;
    int64_t shared_count;
    /* NULL, or asked after every new id that is not EOS: does the sample end here? `ids` are all `count` new ones, which it
     * keeps if so. min_new_tokens does not matter to it. */
    bool (*stop)(void *argument, int64_t request, const int32_t *ids, int64_t count);
    /* Called once per request, in their order, as soon as those before it are done. `generated`, of request->samples, belongs
     * to the callee, for generated_free(). */
    enum status (*done)(void *argument, int64_t request, struct generated *generated);
    void *argument; /* of both */
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
 * A sample that ends leaves its row to the next. A request that fails generation_request_check() fails all; one that does
 * not begin with `shared` is STATUS_INTERNAL. Shows progress on standard error,
 * unless it is quiet.
 *
 * A prompt goes through the model prefill_tokens at a time, from its beginning, and with shared ids also cut before the last
 * of these. Products of other numbers of rows may have other last bits, so a request's ids depend on prefill_tokens and
 * shared_count too, but not on whether anybody shares. Where shared_count - 1 is a multiple of prefill_tokens, the cuts and
 * the ids are those of the same prompts without `shared`. */
enum status generate_batch(struct llama *model, const struct components *components,
                           const struct generation_request *requests, int64_t count,
                           const struct generation_batch *batch);

void generated_free(struct generated *generated, int64_t samples);

#endif
