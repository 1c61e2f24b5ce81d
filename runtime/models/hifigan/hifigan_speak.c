/* From frames to samples, a chunk at a time. The stages of a chunk go through four arrays:
 *   upsampled = transposed convolution (LeakyReLU (sum of the stage before))
 *   per block, beginning with running = upsampled, at each dilation:
 *     between = dilated convolution (LeakyReLU (running));   running += convolution (LeakyReLU (between))
 *   sum = the blocks' results added up (their mean: hifigan_load.c)
 * The last step of a block goes right into the sum; what the block has come to by then is added to it by a convolution of each
 * channel by itself, of which all weights are one. */
#include "models/hifigan/hifigan_internal.h"

#include <string.h>

static const float SLOPE = 0.1f, OUTPUT_SLOPE = 0.01f;

/* ---- layers ---- */

static enum status upsample(const struct hifigan_pass *pass, int64_t stage, const float *x)
{
    const struct hifigan *hifigan = pass->workspace->hifigan;
    const struct hifigan_config *config = &hifigan->config;
    const struct hifigan_range *input = &pass->plan.inputs[stage];
    int64_t frames = input->end - input->first, rate = config->rates[stage], outputs = hifigan_channels(config, stage);
    const struct conv1d_transposed parameters = {
        .batch = 1,
        .frames = frames,
        .channels = hifigan_channels(config, stage - 1),
        .output_frames = frames * rate,
        .output_channels = outputs,
        .kernel = config->kernels[stage],
        .stride = rate,
        .padding = (config->kernels[stage] - rate) / 2,
        .x = x,
        .weight = hifigan_weight(hifigan, hifigan->layout.stages[stage].weight),
        .bias = hifigan_weight(hifigan, hifigan->layout.stages[stage].bias),
        .output = pass->workspace->buffers.upsampled,
        .x_row_stride = hifigan_channels(config, stage - 1),
        .x_batch_stride = frames * hifigan_channels(config, stage - 1),
        .output_row_stride = outputs,
        .output_batch_stride = frames * rate * outputs,
        .input_activation = ACTIVATION_LEAKY_RELU,
        .input_slope = SLOPE,
        .type = DTYPE_F32,
    };
    return compute_run(&pass->compute, conv1d_transposed, &parameters);
}

/* sum += x */
static enum status add(const struct hifigan_pass *pass, int64_t frames, int64_t channels, const float *x, float *sum)
{
    const struct hifigan *hifigan = pass->workspace->hifigan;
    const struct conv1d_forward parameters = {
        .batch = 1,
        .frames = frames,
        .channels = channels,
        .output_frames = frames,
        .output_channels = channels,
        .kernel = 1,
        .stride = 1,
        .dilation = 1,
        .groups = channels,
        .x = x,
        .weight = hifigan_weight(hifigan, hifigan->layout.ones),
        .residual = sum,
        .output = sum,
        .x_row_stride = channels,
        .x_batch_stride = frames * channels,
        .output_row_stride = channels,
        .output_batch_stride = frames * channels,
        .type = DTYPE_F32,
    };
    return compute_run(&pass->compute, conv1d_forward, &parameters);
}

static enum status run_block(const struct hifigan_pass *pass, int64_t stage, int64_t block, const float *x)
{
    enum status result = STATUS_OK;
    const struct hifigan *hifigan = pass->workspace->hifigan;
    const struct hifigan_config *config = &hifigan->config;
    const struct hifigan_buffers *buffers = &pass->workspace->buffers;
    int64_t frames = pass->plan.blocks[stage].end - pass->plan.blocks[stage].first;
    int64_t channels = hifigan_channels(config, stage);
    struct hifigan_convolution step = {.frames = frames,
                                       .channels = channels,
                                       .outputs = channels,
                                       .kernel = config->block_kernels[block],
                                       .input_slope = SLOPE};
    for (int d = 0; d < HIFIGAN_DILATIONS; d++) {
        bool last = d == HIFIGAN_DILATIONS - 1;
        step.place = hifigan->layout.blocks[stage][block][d][0];
        step.dilation = config->dilations[block][d];
        step.x = x;
        step.residual = NULL;
        step.output = buffers->between;
        TRY(hifigan_convolve(&pass->compute, hifigan, &step));
        if (last && block > 0)
            TRY(add(pass, frames, channels, x, buffers->sum));
        step.place = hifigan->layout.blocks[stage][block][d][1];
        step.dilation = 1;
        step.x = buffers->between;
        step.residual = last && block > 0 ? buffers->sum : x;
        step.output = last ? buffers->sum : buffers->running;
        TRY(hifigan_convolve(&pass->compute, hifigan, &step));
        x = buffers->running;
    }
fail:
    return result;
}

/* Frame `frame` of an array that begins with frame `first`. */
static const float *frame_of(const float *array, int64_t frame, int64_t first, int64_t channels)
{
    return element_at(array, DTYPE_F32, (frame - first) * channels);
}

static enum status run_input(const struct hifigan_pass *pass)
{
    enum status result = STATUS_OK;
    const struct hifigan *hifigan = pass->workspace->hifigan;
    const struct hifigan_config *config = &hifigan->config;
    const struct hifigan_buffers *buffers = &pass->workspace->buffers;
    int64_t frames = pass->plan.frames.end - pass->plan.frames.first, column = 0;
    int64_t inputs = hifigan_config_inputs(config);
    for (int table = 0; table < HIFIGAN_TABLES; table++)
        if (config->rows[table] > 0) {
            float *output = element_at(buffers->inputs, DTYPE_F32, column);
            TRY(hifigan_embed(&pass->compute, pass->workspace, (enum hifigan_table)table, frames, output, inputs));
            column += config->width;
        }
    TRY(hifigan_convolve(&pass->compute, hifigan,
                         &(struct hifigan_convolution){.frames = frames,
                                                       .channels = inputs,
                                                       .outputs = config->channels,
                                                       .kernel = HIFIGAN_INPUT_KERNEL,
                                                       .dilation = 1,
                                                       .place = hifigan->layout.input,
                                                       .x = buffers->inputs,
                                                       .output = buffers->sum,
                                                       .input_slope = 1}));
fail:
    return result;
}

enum status hifigan_run_chunk(const struct hifigan_pass *pass)
{
    enum status result = STATUS_OK;
    const struct hifigan *hifigan = pass->workspace->hifigan;
    const struct hifigan_config *config = &hifigan->config;
    const struct hifigan_plan *plan = &pass->plan;
    const struct hifigan_buffers *buffers = &pass->workspace->buffers;
    TRY(run_input(pass));
    const float *x = frame_of(buffers->sum, plan->inputs[0].first, plan->frames.first, config->channels);
    for (int64_t stage = 0; stage < config->stages; stage++) {
        int64_t channels = hifigan_channels(config, stage);
        TRY(upsample(pass, stage, x));
        x = frame_of(buffers->upsampled, plan->blocks[stage].first, plan->inputs[stage].first * config->rates[stage],
                     channels);
        for (int64_t block = 0; block < config->blocks; block++)
            TRY(run_block(pass, stage, block, x));
        x = frame_of(buffers->sum, plan->inputs[stage + 1].first, plan->blocks[stage].first, channels);
    }
    TRY(hifigan_convolve(
        &pass->compute, hifigan,
        &(struct hifigan_convolution){.frames = plan->inputs[config->stages].end - plan->inputs[config->stages].first,
                                      .channels = hifigan_channels(config, config->stages - 1),
                                      .outputs = 1,
                                      .kernel = HIFIGAN_OUTPUT_KERNEL,
                                      .dilation = 1,
                                      .place = hifigan->layout.output,
                                      .x = x,
                                      .output = buffers->between,
                                      .input_slope = OUTPUT_SLOPE,
                                      .activation = ACTIVATION_TANH}));
fail:
    return result;
}

static enum status speak_chunk(struct hifigan_workspace *workspace, const struct hifigan_frames *frames,
                               struct hifigan_range wanted, float *samples)
{
    enum status result = STATUS_OK;
    const struct hifigan *hifigan = workspace->hifigan;
    const struct kernels *kernels = hifigan->kernels;
    struct hifigan_pass pass = {.compute = {.kernels = kernels, .context = workspace->context, .dtype = DTYPE_F32},
                                .workspace = workspace};
    hifigan_plan_make(&hifigan->config, wanted, frames->count, &pass.plan);
    TRY(kernels->event_wait(workspace->context, workspace->sent));
    for (int table = 0; table <= HIFIGAN_STYLE_CODE; table++)
        if (frames->ids[table])
            memcpy(workspace->host_ids + table * workspace->room, frames->ids[table] + pass.plan.frames.first,
                   (size_t)(pass.plan.frames.end - pass.plan.frames.first) * sizeof(int32_t));
    workspace->host_ids[HIFIGAN_SPEAKER * workspace->room] = frames->speaker;
    workspace->host_ids[HIFIGAN_STYLE * workspace->room] = frames->style_row;
    TRY(hifigan_send_ids(workspace));
    TRY(hifigan_run_chunk(&pass));
    int64_t skipped = pass.plan.samples.first - pass.plan.inputs[hifigan->config.stages].first;
    TRY(kernels->copy_to_host(workspace->context, QUEUE_COMPUTE, samples, workspace->buffers.between + skipped,
                              (size_t)(pass.plan.samples.end - pass.plan.samples.first) * sizeof *samples));
    TRY(kernels->synchronize(workspace->context));
fail:
    return result;
}

enum status hifigan_speak(struct hifigan_workspace *workspace, const struct hifigan_frames *frames, int64_t first,
                          int64_t count, float *samples)
{
    enum status result = STATUS_OK;
    if (first < 0 || count < 0 || first > frames->count - count)
        FAIL(STATUS_INTERNAL, "frames %lld to %lld of %lld", (long long)first, (long long)(first + count),
             (long long)frames->count);
    for (int64_t done = 0; done < count; done += workspace->chunk_frames) {
        struct hifigan_range wanted = {first + done, first + done + workspace->chunk_frames};
        wanted.end = wanted.end < first + count ? wanted.end : first + count;
        TRY(speak_chunk(workspace, frames, wanted, samples + done * workspace->hifigan->config.frame_samples));
    }
fail:
    return result;
}
