/* Windows of the model's context, packed; what cross-entropy says of each target is its loss. */
#include "eval/scoring/scorer.h"

#include "core/log.h"
#include "eval/scoring/packer.h"

#include <math.h>
#include <stdlib.h>

/* What a batch needs beside the packer. */
struct scorer {
    struct llama *model;
    float *losses; /* pinned, [positions] */
    int64_t positions;
};

static enum status run(void *context, struct llama_workspace *workspace, const struct llama_batch *batch,
                       void *const *destinations)
{
    enum status result = STATUS_OK;
    struct scorer *scorer = context;
    const struct llama *model = scorer->model;
    if (batch->length > scorer->positions) {
        model->kernels->release_host(model->context, scorer->losses);
        scorer->losses = NULL;
        TRY(model->kernels->allocate_host(model->context, (size_t)batch->length * sizeof(float),
                                          (void **)&scorer->losses));
        scorer->positions = batch->length;
    }
    TRY(llama_losses(scorer->model, workspace, batch, scorer->losses));
    for (int64_t i = 0; i < batch->length; i++)
        if (destinations[i]) {
            if (!isfinite(scorer->losses[i]))
                FAIL(STATUS_CORRUPT, "the model's losses are not finite: its weights are damaged or diverged");
            *(float *)destinations[i] = scorer->losses[i];
        }
fail:
    return result;
}

/* A window is scored but for its first token, which the window before has scored: they overlap by one. */
static enum status add_sequence(struct packer *packer, const struct scored_sequence *sequence, int64_t window)
{
    enum status result = STATUS_OK;
    for (int64_t begin = 0; begin + 1 < sequence->count; begin += window - 1) {
        int64_t left = sequence->count - begin, count = left < window ? left : window;
        TRY(packer_add(packer, sequence->ids + begin, count - 1, 1, sequence->losses + begin + 1, sizeof(float)));
    }
fail:
    return result;
}

enum status scorer_run(struct llama *model, struct scored_sequence *sequences, int64_t count)
{
    enum status result = STATUS_OK;
    int64_t context = model->config.maximum_positions, longest = 0, tokens = 0;
    struct scorer scorer = {.model = model};
    struct packer *packer = NULL;
    struct progress progress;
    for (int64_t i = 0; i < count; i++) {
        longest = sequences[i].count > longest ? sequences[i].count : longest;
        tokens += sequences[i].count > 1 ? sequences[i].count - 1 : 0;
        if (sequences[i].count > 0)
            sequences[i].losses[0] = 0;
    }
    if (longest < 2)
        return STATUS_OK; /* nothing has anything before it */
    if (context < 2)
        return status_set(STATUS_USAGE, "a context of %lld token: nothing can be scored", (long long)context);
    longest = longest < context ? longest : context;
    TRY(packer_create(
        model, &(struct packer_options){.tokens = tokens, .longest = longest - 1, .run = run, .context = &scorer},
        &packer));
    progress_start(&progress, "scoring", "sequences", count);
    for (int64_t i = 0; i < count; i++) {
        TRY(add_sequence(packer, &sequences[i], longest));
        progress_update(&progress, i + 1, "");
    }
    TRY(packer_flush(packer));
    progress_finish(&progress, count, "");
fail:
    packer_destroy(packer);
    model->kernels->release_host(model->context, scorer.losses);
    return result;
}
