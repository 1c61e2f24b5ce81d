/* Samples of one prompt, decoded together: the prompt goes through the model once, each sample has a row of the cache, and
 * a step draws an id for every sample that has not ended. Logits stay on the device; the host sees ids alone, because it
 * must know which samples end. */
#include "generate/generator.h"

#include "core/log.h"
#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

/* ---- decoding ---- */

struct decoding {
    struct llama_session *session;
    const struct generation_options *options;
    struct generated *generated;
    struct rng *rngs;
    uint8_t *allowed;
    /* Of the samples that have not ended, packed: which they are, their uniform numbers, their latest ids. */
    int64_t *active;
    double *uniforms;
    int32_t *ids;
    int64_t active_count;
    int32_t eos;
};

static enum status allocate(struct decoding *decoding, int64_t rows, int64_t capacity)
{
    int64_t samples = decoding->options->samples;
    decoding->generated = calloc((size_t)samples, sizeof *decoding->generated);
    decoding->rngs = calloc((size_t)samples, sizeof *decoding->rngs);
    decoding->allowed = calloc((size_t)rows, sizeof *decoding->allowed);
    decoding->active = calloc((size_t)samples, sizeof *decoding->active);
    decoding->uniforms = calloc((size_t)samples, sizeof *decoding->uniforms);
    decoding->ids = calloc((size_t)samples, sizeof *decoding->ids);
    if (!decoding->generated || !decoding->rngs || !decoding->allowed || !decoding->active || !decoding->uniforms ||
        !decoding->ids)
        return status_set(STATUS_INTERNAL, "no memory to decode %lld samples", (long long)samples);
    for (int64_t i = 0; i < samples; i++) {
        decoding->generated[i].ids = calloc((size_t)capacity + 1, sizeof(int32_t));
        if (!decoding->generated[i].ids)
            return status_set(STATUS_INTERNAL, "no memory to decode %lld tokens", (long long)capacity);
    }
    return STATUS_OK;
}

/* The draw of the active samples' next ids. */
static struct llama_draw next_draw(struct decoding *decoding)
{
    const struct sampling *sampling = &decoding->options->sampling;
    for (int64_t i = 0; i < decoding->active_count && sampling->temperature > 0; i++)
        decoding->uniforms[i] = rng_uniform(&decoding->rngs[decoding->active[i]]);
    return (struct llama_draw){.count = decoding->active_count,
                               .rows = decoding->active,
                               .uniforms = decoding->uniforms,
                               .temperature = sampling->temperature,
                               .top_k = sampling->top_k,
                               .top_p = sampling->top_p,
                               .ids = decoding->ids};
}

/* Notes what was drawn; samples that end leave the list. */
static enum status take_ids(struct decoding *decoding)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < decoding->active_count; i++) {
        int64_t sample = decoding->active[i];
        struct generated *generated = &decoding->generated[sample];
        int32_t id = decoding->ids[i];
        if (id < 0)
            return status_set(STATUS_CORRUPT, "the model's logits are not finite: its weights are damaged or diverged");
        if (id == decoding->eos) {
            generated->ended = true;
            continue;
        }
        generated->ids[generated->count++] = id;
        decoding->active[kept] = sample;
        decoding->ids[kept++] = id;
    }
    decoding->active_count = kept;
    return STATUS_OK;
}

static enum status decode(struct decoding *decoding, const struct prompt *prompt, int64_t limit)
{
    enum status result = STATUS_OK;
    int64_t samples = decoding->options->samples, step = 0;
    struct progress progress;
    progress_start(&progress, "generating", "tokens", limit);
    TRY(llama_session_prefill(decoding->session, 0, prompt->ids, prompt->count, NULL));
    for (int64_t i = 0; i < samples; i++) {
        decoding->rngs[i] = rng_make(decoding->options->seed, RNG_GENERATE, (uint64_t)i, 0);
        decoding->active[i] = i;
        TRY(llama_session_copy_row(decoding->session, i, 0));
    }
    decoding->active_count = samples;
    while (step < limit && decoding->active_count > 0) {
        const struct llama_draw draw = next_draw(decoding);
        TRY(step == 0 ? llama_session_draw_first(decoding->session, &draw)
                      : llama_session_draw(decoding->session, &draw));
        TRY(take_ids(decoding));
        progress_update(&progress, ++step, "");
    }
    progress_finish(&progress, step, "");
fail:
    return result;
}

enum status generate_tokens(struct llama *model, const struct vocabulary *vocabulary, const struct prompt *prompt,
                            const struct generation_options *options, struct generated **generated)
{
    enum status result = STATUS_OK;
    struct decoding decoding = {.options = options, .eos = vocabulary->eos};
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
    const struct llama_session_options session = {.rows = options->samples,
                                                  .capacity = prompt->count + limit,
                                                  .prefill_tokens = options->prefill_tokens,
                                                  .masks = decoding.allowed,
                                                  .mask_count = 1};
    TRY(llama_session_create(model, &session, &decoding.session));
    TRY(decode(&decoding, prompt, limit));
    *generated = decoding.generated;
    decoding.generated = NULL;
fail:
    llama_session_destroy(decoding.session);
    generated_free(decoding.generated, options->samples);
    free(decoding.rngs);
    free(decoding.allowed);
    free(decoding.active);
    free(decoding.uniforms);
    free(decoding.ids);
    return result;
}

void generated_free(struct generated *generated, int64_t samples)
{
    for (int64_t i = 0; generated && i < samples; i++)
        free(generated[i].ids);
    free(generated);
}
