/* The samples are judged by a bigram, not by the model that made them: a model finds its own output likely, whatever it
 * sounds like. Held-out speech under the same bigram gives the value to compare with; lower is not better, because a
 * loop of one unit would be the most predictable of all. */
#include "eval/generation.h"

#include <math.h>
#include <stdlib.h>

enum status generation_evaluate(struct llama *model, const struct learning_data *data,
                                const struct generation_options *options, struct generation_result *out)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &data->components->vocabulary;
    struct kneser_ney *bigram = NULL;
    struct prompt prompt = {0};
    struct generated *generated = NULL;
    int32_t *units = NULL;
    double nats = 0;
    *out = (struct generation_result){.samples = options->samples};
    TRY(unit_bigram_create(data, &bigram));
    TRY(unit_bigram_held_out(data, bigram, &out->held_out, &out->held_out_units));
    TRY(prompt_create(data->components, NULL, 0, OUTPUT_SPEECH, &prompt));
    TRY(generate_tokens(model, data->components, &prompt, options, &generated));
    units = calloc((size_t)options->max_new_tokens + 1, sizeof *units);
    if (!units)
        FAIL(STATUS_INTERNAL, "no memory for generated units");
    for (int64_t i = 0; i < options->samples; i++) {
        int64_t count = hubert_subsequence(vocabulary, generated[i].ids, generated[i].count, units);
        nats += kneser_ney_nats(bigram, units, count);
        out->units += count;
    }
    if (out->units == 0)
        FAIL(STATUS_CORRUPT, "the model generated no speech units in %lld samples", (long long)options->samples);
    out->generated = nats / (double)out->units;
fail:
    free(units);
    generated_free(generated, options->samples);
    prompt_free(&prompt);
    kneser_ney_free(bigram);
    return result;
}

enum status generation_judge(const struct generation_result *generation)
{
    if (fabs(generation->generated / generation->held_out - 1) <= 0.25) /* false for a NaN */
        return STATUS_OK;
    return status_set(STATUS_UNMET,
                      "nats per generated unit under the bigram differ by more than 25 %% from held-out speech");
}
