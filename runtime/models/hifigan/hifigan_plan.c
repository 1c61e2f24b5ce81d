/* What a chunk computes. Samples are wanted; back from them, each layer needs a few frames more on either side, but none before
 * the beginning or behind the end of the speech, where convolutions see zeros. Within a stage all residual blocks run over one
 * range: at its edges, where the chunk has no frames but the speech has, they compute what nobody uses. */
#include "models/hifigan/hifigan_internal.h"

static struct hifigan_range widen(struct hifigan_range range, int64_t reach, int64_t length)
{
    range.first = range.first > reach ? range.first - reach : 0;
    range.end = range.end + reach < length ? range.end + reach : length;
    return range;
}

/* Frames of a transposed convolution's input that the output frames of a range are sums of: t with t * rate + k - padding = u. */
static struct hifigan_range before_stage(const struct hifigan_config *config, int64_t stage, struct hifigan_range range,
                                         int64_t length)
{
    int64_t rate = config->rates[stage], kernel = config->kernels[stage], padding = (kernel - rate) / 2;
    int64_t first = range.first + padding - (kernel - 1), end = (range.end - 1 + padding) / rate + 1;
    return (struct hifigan_range){.first = first > 0 ? (first + rate - 1) / rate : 0,
                                  .end = end < length ? end : length};
}

void hifigan_plan_make(const struct hifigan_config *config, struct hifigan_range wanted, int64_t total,
                       struct hifigan_plan *plan)
{
    int64_t lengths[HIFIGAN_STAGES + 1] = {total}; /* of the whole speech, before each stage and behind the last */
    for (int64_t stage = 0; stage < config->stages; stage++)
        lengths[stage + 1] = lengths[stage] * config->rates[stage];
    plan->samples.first = wanted.first * config->frame_samples;
    plan->samples.end = wanted.end * config->frame_samples;
    plan->inputs[config->stages] = widen(plan->samples, HIFIGAN_OUTPUT_KERNEL / 2, lengths[config->stages]);
    for (int64_t stage = config->stages - 1; stage >= 0; stage--) {
        plan->blocks[stage] = widen(plan->inputs[stage + 1], hifigan_config_reach(config), lengths[stage + 1]);
        plan->inputs[stage] = before_stage(config, stage, plan->blocks[stage], lengths[stage]);
    }
    plan->frames = widen(plan->inputs[0], HIFIGAN_INPUT_KERNEL / 2, total);
}

int64_t hifigan_plan_elements(const struct hifigan_config *config, const struct hifigan_plan *plan)
{
    int64_t most = (plan->frames.end - plan->frames.first) * config->channels;
    for (int64_t stage = 0; stage < config->stages; stage++) {
        int64_t frames = (plan->inputs[stage].end - plan->inputs[stage].first) * config->rates[stage];
        int64_t elements = frames * hifigan_channels(config, stage);
        most = elements > most ? elements : most;
    }
    return most;
}
