/* What synthesis and durations share: a convolution, embeddings, and ids on their way to the device. */
#include "models/hifigan/hifigan_internal.h"

enum status hifigan_convolve(const struct compute *compute, const struct hifigan *hifigan,
                             const struct hifigan_convolution *convolution)
{
    int64_t padding = (convolution->kernel - 1) / 2 * convolution->dilation;
    bool activated = convolution->input_slope < 1;
    const struct conv1d_forward parameters = {
        .batch = 1,
        .frames = convolution->frames,
        .channels = convolution->channels,
        .output_frames = convolution->frames,
        .output_channels = convolution->outputs,
        .kernel = convolution->kernel,
        .stride = 1,
        .dilation = convolution->dilation,
        .groups = 1,
        .padding_left = padding,
        .padding_right = padding,
        .x = convolution->x,
        .weight = hifigan_weight(hifigan, convolution->place.weight),
        .bias = hifigan_weight(hifigan, convolution->place.bias),
        .residual = convolution->residual,
        .output = convolution->output,
        .x_row_stride = convolution->channels,
        .x_batch_stride = convolution->frames * convolution->channels,
        .output_row_stride = convolution->outputs,
        .output_batch_stride = convolution->frames * convolution->outputs,
        .activation = convolution->activation,
        .input_activation = activated ? ACTIVATION_LEAKY_RELU : ACTIVATION_NONE,
        .input_slope = activated ? convolution->input_slope : 0,
        .type = DTYPE_F32,
    };
    return compute_run(compute, conv1d_forward, &parameters);
}

enum status hifigan_embed(const struct compute *compute, const struct hifigan_workspace *workspace,
                          enum hifigan_table table, int64_t frames, float *output, int64_t width)
{
    const struct hifigan *hifigan = workspace->hifigan;
    const struct gather_repeat parameters = {
        .tokens = table >= HIFIGAN_SPEAKER ? 1 : frames, /* one id for all frames */
        .channels = hifigan->config.width,
        .rows = hifigan->config.rows[table],
        .frames = frames,
        .ids = workspace->buffers.ids + table * workspace->room,
        .repeat = 1,
        .table = hifigan_weight(hifigan, hifigan->layout.tables[table]),
        .output = output,
        .output_row_stride = width,
        .type = DTYPE_F32,
    };
    return compute_run(compute, gather_repeat, &parameters);
}

enum status hifigan_send_ids(struct hifigan_workspace *workspace)
{
    const struct kernels *kernels = workspace->hifigan->kernels;
    enum status result =
        kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.ids, workspace->host_ids,
                                (size_t)(HIFIGAN_TABLES * workspace->room) * sizeof(int32_t));
    return result == STATUS_OK ? kernels->event_record(workspace->context, QUEUE_COMPUTE, workspace->sent) : result;
}
