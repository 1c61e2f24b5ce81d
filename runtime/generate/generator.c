/* One prompt's samples, as a batch of one request. */
#include "generate/generator.h"

static enum status keep(void *argument, int64_t request, struct generated *generated)
{
    (void)request;
    *(struct generated **)argument = generated;
    return STATUS_OK;
}

enum status generated_check(const struct generated *generated, int64_t samples)
{
    for (int64_t i = 0; i < samples; i++)
        if (generated[i].not_finite)
            return status_set(STATUS_CORRUPT, "the model's logits are not finite: its weights are damaged or diverged");
    return STATUS_OK;
}

enum status generate_tokens(struct llama *model, const struct components *components, const struct prompt *prompt,
                            const struct generation_options *options, struct generated **generated)
{
    enum status result = STATUS_OK;
    const struct generation_request request = {.ids = prompt->ids,
                                               .count = prompt->count,
                                               .output = options->output,
                                               .samples = options->samples,
                                               .min_new_tokens = options->min_new_tokens,
                                               .max_new_tokens = options->max_new_tokens,
                                               .seed = options->seed};
    const struct generation_batch batch = {
        .sampling = options->sampling, .prefill_tokens = options->prefill_tokens, .done = keep, .argument = generated};
    *generated = NULL;
    TRY(generate_batch(model, components, &request, 1, &batch));
    TRY(generated_check(*generated, options->samples));
    return STATUS_OK;
fail:
    generated_free(*generated, options->samples);
    *generated = NULL;
    return result;
}
