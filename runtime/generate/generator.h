/* Continuations of a prompt: several samples decoded together, and what their ids say as pieces of text and speech. */
#ifndef SPIRITLM_GENERATE_GENERATOR_H
#define SPIRITLM_GENERATE_GENERATOR_H

#include "core/thread_pool.h"
#include "generate/batch.h"
#include "generate/prompt.h"

struct generation_options {
    enum output_modality output;
    struct sampling sampling;
    int64_t min_new_tokens, max_new_tokens, samples;
    int64_t prefill_tokens; /* of the prompt computed at a time; 0: as many as suit the device */
    uint64_t seed;          /* sample i draws from rng(seed, GENERATE, i): it does not depend on how many there are */
};

/* generate_batch() of one prompt: *generated is an array of options->samples, for generated_free. STATUS_USAGE when the
 * prompt does not fit the model's context. */
enum status generate_tokens(struct llama *model, const struct components *components, const struct prompt *prompt,
                            const struct generation_options *options, struct generated **generated);

/* STATUS_CORRUPT when a sample met logits that are not finite. */
enum status generated_check(const struct generated *generated, int64_t samples);

/* One run of one modality. */
struct output_piece {
    bool speech;
    char *text;     /* the text, or the unit string; text may hold any byte, NUL too */
    int64_t size;   /* bytes of it; one more is 0 */
    float *samples; /* speech with a vocoder: 16 kHz, else NULL */
    int64_t sample_count;
};

/* Splits new ids at the tags; speech carries the pitch and style in force on from the prompt and from piece to piece. A
 * piece without a hubert unit has its unit string and no samples. Nothing is dropped. Pieces for output_pieces_free. */
enum status output_split(const struct components *components, const struct prompt *prompt, const int32_t *ids,
                         int64_t count, struct thread_pool *pool, struct output_piece **pieces, int64_t *piece_count);
void output_pieces_free(struct output_piece *pieces, int64_t count);

#endif
