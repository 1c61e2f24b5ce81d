/* From logits to a token: bans, then temperature, then top-k, then top-p, in the order of Spirit LM's release (which
 * is that of transformers). */
#ifndef SPIRITLM_GENERATE_SAMPLER_H
#define SPIRITLM_GENERATE_SAMPLER_H

#include "core/rng.h"
#include "core/status.h"
#include "text/vocabulary.h"

#include <stdbool.h>
#include <stdint.h>

enum output_modality { OUTPUT_TEXT, OUTPUT_SPEECH, OUTPUT_ANY };

struct sampling {
    double temperature; /* 0: greedy, the first of the largest logits */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
};

/* STATUS_USAGE when a value is impossible. */
enum status sampling_check(const struct sampling *sampling);

/* allowed[id] for every row of the embedding. TEXT: text pieces and EOS. SPEECH: units and EOS. ANY: both and the tags.
 * BOS, UNK and padding rows never (the release leaves them possible; ours bans what no document continues with). */
void output_mask(const struct vocabulary *vocabulary, enum output_modality modality, bool *allowed);

struct sampler; /* work space for one vocabulary size */
enum status sampler_create(int64_t vocabulary_rows, struct sampler **sampler);
void sampler_destroy(struct sampler *sampler);

/* Picks an allowed id. -1 when one allowed logit is NaN or plus infinity (the model is damaged: what it says of the
 * others is worth nothing), or when all are minus infinity. Uses one number of `rng` unless greedy. */
int32_t sampler_pick(struct sampler *sampler, const struct sampling *sampling, const float *logits, const bool *allowed,
                     struct rng *rng);

#endif
