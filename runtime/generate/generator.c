/* The prompt is run once, and what it left in the cache is copied to every sample; then all samples advance together, a
 * batch of one token each. A sample that has ended leaves the batch. Each has a random stream of its own, so that
 * sample 3 is the same whether 4 or 40 are asked for. */
#include "generate/generator.h"

#include "core/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- decoding ---- */

struct decoding {
    struct llama *model;
    struct llama_session *session;
    struct sampler *sampler;
    const struct generation_options *options;
    struct generated *generated;
    struct rng *rngs;
    bool *allowed;
    float *logits;   /* [samples][rows]: of the active samples, packed */
    int64_t *active; /* samples that have not ended */
    int32_t *next;   /* their tokens */
    int64_t active_count;
    int32_t eos;
};

static enum status allocate(struct decoding *decoding, int64_t rows, int64_t capacity)
{
    int64_t samples = decoding->options->samples;
    decoding->generated = calloc((size_t)samples, sizeof *decoding->generated);
    decoding->rngs = calloc((size_t)samples, sizeof *decoding->rngs);
    decoding->allowed = calloc((size_t)rows, sizeof *decoding->allowed);
    decoding->logits = calloc((size_t)(samples * rows), sizeof *decoding->logits);
    decoding->active = calloc((size_t)samples, sizeof *decoding->active);
    decoding->next = calloc((size_t)samples, sizeof *decoding->next);
    if (!decoding->generated || !decoding->rngs || !decoding->allowed || !decoding->logits || !decoding->active ||
        !decoding->next)
        return status_set(STATUS_INTERNAL, "no memory to decode %lld samples", (long long)samples);
    for (int64_t i = 0; i < samples; i++) {
        decoding->generated[i].ids = calloc((size_t)capacity + 1, sizeof(int32_t));
        if (!decoding->generated[i].ids)
            return status_set(STATUS_INTERNAL, "no memory to decode %lld tokens", (long long)capacity);
    }
    return STATUS_OK;
}

/* Samples a token for each active row from its logits; rows that end leave the list. */
static enum status pick_tokens(struct decoding *decoding, int64_t rows)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < decoding->active_count; i++) {
        int64_t sample = decoding->active[i];
        struct generated *generated = &decoding->generated[sample];
        int32_t id = sampler_pick(decoding->sampler, &decoding->options->sampling, decoding->logits + i * rows,
                                  decoding->allowed, &decoding->rngs[sample]);
        if (id < 0)
            return status_set(STATUS_CORRUPT, "the model's logits are not finite: its weights are damaged or diverged");
        if (id == decoding->eos) {
            generated->ended = true;
            continue;
        }
        generated->ids[generated->count++] = id;
        decoding->active[kept] = sample;
        decoding->next[kept++] = id;
    }
    decoding->active_count = kept;
    return STATUS_OK;
}

static enum status decode(struct decoding *decoding, const struct prompt *prompt, int64_t limit)
{
    enum status result = STATUS_OK;
    int64_t rows = decoding->model->config.vocabulary_size, samples = decoding->options->samples;
    struct progress progress;
    progress_start(&progress, "generating", "tokens", limit);
    TRY(llama_session_prefill(decoding->session, 0, prompt->ids, prompt->count, decoding->logits));
    for (int64_t i = 0; i < samples; i++) {
        decoding->rngs[i] = rng_make(decoding->options->seed, RNG_GENERATE, (uint64_t)i, 0);
        decoding->active[i] = i;
        if (i > 0) {
            TRY(llama_session_copy_row(decoding->session, i, 0));
            memcpy(decoding->logits + i * rows, decoding->logits, (size_t)rows * sizeof(float));
        }
    }
    decoding->active_count = samples;
    int64_t step = 0;
    while (step < limit) {
        TRY(pick_tokens(decoding, rows));
        step++;
        progress_update(&progress, step, "");
        if (step == limit || decoding->active_count == 0)
            break;
        TRY(llama_session_decode(decoding->session, decoding->active, decoding->next, decoding->active_count,
                                 decoding->logits));
    }
    progress_finish(&progress, step, "");
fail:
    return result;
}

enum status generate_tokens(struct llama *model, const struct vocabulary *vocabulary, const struct prompt *prompt,
                            const struct generation_options *options, struct generated **generated)
{
    enum status result = STATUS_OK;
    struct decoding decoding = {.model = model, .options = options, .eos = vocabulary->eos};
    int64_t context = model->config.maximum_positions, rows = model->config.vocabulary_size;
    *generated = NULL;
    TRY(sampling_check(&options->sampling));
    if (options->samples < 1 || options->max_new_tokens < 1)
        FAIL(STATUS_USAGE, "nothing to generate: %lld samples of %lld tokens", (long long)options->samples,
             (long long)options->max_new_tokens);
    if (rows < vocabulary->size)
        FAIL(STATUS_USAGE, "the model has %lld vocabulary rows, its vocabulary %d ids", (long long)rows,
             (int)vocabulary->size);
    if (prompt->count >= context)
        FAIL(STATUS_USAGE, "the prompt has %lld tokens, the model's context %lld: shorten it", (long long)prompt->count,
             (long long)context);
    int64_t limit =
        options->max_new_tokens < context - prompt->count ? options->max_new_tokens : context - prompt->count;
    TRY(allocate(&decoding, rows > vocabulary->padded_size ? rows : vocabulary->padded_size, limit));
    output_mask(vocabulary, options->output, decoding.allowed);
    TRY(sampler_create(rows, &decoding.sampler));
    TRY(llama_session_create(model, options->samples, prompt->count + limit, &decoding.session));
    TRY(decode(&decoding, prompt, limit));
    *generated = decoding.generated;
    decoding.generated = NULL;
fail:
    llama_session_destroy(decoding.session);
    sampler_destroy(decoding.sampler);
    generated_free(decoding.generated, options->samples);
    free(decoding.rngs);
    free(decoding.allowed);
    free(decoding.logits);
    free(decoding.active);
    free(decoding.next);
    return result;
}

void generated_free(struct generated *generated, int64_t samples)
{
    for (int64_t i = 0; generated && i < samples; i++)
        free(generated[i].ids);
    free(generated);
}
