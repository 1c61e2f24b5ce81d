/* How many frames each unit lasts: two convolutions of three taps, each with a ReLU and a layer norm behind it, and a linear layer,
 * over the embeddings of the units (FastSpeech's predictor, Ren et al. 2019). Many units are a few hundred at a time, with two more
 * on either side: what each gives is the same sum wherever its part begins. */
#include "models/hifigan/hifigan_internal.h"

#include <math.h>
#include <string.h>

enum { REACH = 2 * (HIFIGAN_DURATION_KERNEL / 2) };
static const float NORM_EPSILON = 1e-5f;
static const float LONGEST = 1e6f; /* frames of a unit: 11 hours */

static enum status normalise(const struct compute *compute, const struct hifigan *hifigan, int64_t units, int index,
                             float *x)
{
    const struct layer_norm_forward parameters = {
        .rows = units,
        .channels = hifigan->config.duration_channels,
        .x = x,
        .weight = hifigan_weight(hifigan, hifigan->layout.duration_norms[index].weight),
        .bias = hifigan_weight(hifigan, hifigan->layout.duration_norms[index].bias),
        .output = x,
        .epsilon = NORM_EPSILON,
        .type = DTYPE_F32,
    };
    return compute_run(compute, layer_norm_forward, &parameters);
}

/* The logarithms lie in `running` then. */
enum status hifigan_run_durations(const struct compute *compute, const struct hifigan_workspace *workspace,
                                  int64_t units)
{
    enum status result = STATUS_OK;
    const struct hifigan *hifigan = workspace->hifigan;
    const struct hifigan_buffers *buffers = &workspace->buffers;
    int64_t hidden = hifigan->config.duration_channels;
    float *const outputs[] = {buffers->between, buffers->upsampled};
    struct hifigan_convolution layer = {.frames = units,
                                        .channels = hifigan->config.width,
                                        .outputs = hidden,
                                        .kernel = HIFIGAN_DURATION_KERNEL,
                                        .dilation = 1,
                                        .x = buffers->inputs,
                                        .input_slope = 1,
                                        .activation = ACTIVATION_RELU};
    if (hidden == 0)
        return STATUS_OK;
    TRY(hifigan_embed(compute, workspace, HIFIGAN_UNIT, units, buffers->inputs, hifigan->config.width));
    for (int i = 0; i < 2; i++) {
        layer.place = hifigan->layout.durations[i];
        layer.output = outputs[i];
        TRY(hifigan_convolve(compute, hifigan, &layer));
        TRY(normalise(compute, hifigan, units, i, outputs[i]));
        layer.x = outputs[i];
        layer.channels = hidden;
    }
    layer.place = hifigan->layout.duration_output;
    layer.outputs = layer.kernel = 1;
    layer.output = buffers->running;
    layer.activation = ACTIVATION_NONE;
    TRY(hifigan_convolve(compute, hifigan, &layer));
fail:
    return result;
}

/* Logarithms of units [first, end), into host_logarithms. */
static enum status run_part(struct hifigan_workspace *workspace, const int32_t *units, int64_t count, int64_t first,
                            int64_t end)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = workspace->hifigan->kernels;
    const struct compute compute = {.kernels = kernels, .context = workspace->context, .dtype = DTYPE_F32};
    int64_t from = first > REACH ? first - REACH : 0, to = end + REACH < count ? end + REACH : count;
    TRY(kernels->event_wait(workspace->context, workspace->sent));
    memcpy(workspace->host_ids, units + from, (size_t)(to - from) * sizeof *units);
    TRY(hifigan_send_ids(workspace));
    TRY(hifigan_run_durations(&compute, workspace, to - from));
    TRY(kernels->copy_to_host(workspace->context, QUEUE_COMPUTE, workspace->host_logarithms,
                              workspace->buffers.running + (first - from), (size_t)(end - first) * sizeof(float)));
    TRY(kernels->synchronize(workspace->context));
fail:
    return result;
}

enum status hifigan_durations(struct hifigan_workspace *workspace, const int32_t *units, int64_t count,
                              int32_t *durations, float *logarithms)
{
    enum status result = STATUS_OK;
    const struct hifigan_config *config = &workspace->hifigan->config;
    for (int64_t i = 0; i < count; i++) {
        if (units[i] < 0 || units[i] >= config->rows[HIFIGAN_UNIT])
            FAIL(STATUS_USAGE, "unit %lld is %d; the vocoder has 0 to %lld", (long long)i, (int)units[i],
                 (long long)config->rows[HIFIGAN_UNIT] - 1);
    }
    for (int64_t first = 0, end; first < count; first = end) {
        end = first + HIFIGAN_DURATION_UNITS < count ? first + HIFIGAN_DURATION_UNITS : count;
        if (config->duration_channels > 0)
            TRY(run_part(workspace, units, count, first, end));
        for (int64_t i = first; i < end; i++) {
            float x = config->duration_channels > 0 ? workspace->host_logarithms[i - first] : logf(2);
            float frames = rintf(expf(x) - 1); /* halves to even */
            if (!(frames <= LONGEST))
                FAIL(STATUS_CORRUPT, "the vocoder predicts %g frames for unit %lld, %d", (double)frames, (long long)i,
                     (int)units[i]);
            durations[i] = frames < 1 ? 1 : (int32_t)frames;
            if (logarithms)
                logarithms[i] = x;
        }
    }
fail:
    return result;
}
