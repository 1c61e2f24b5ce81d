/* From features to the output of a layer. All clips go through the products together; attention and the positional convolution
 * know each clip's length and look at nothing behind it. What rows of padding hold is computed like the rest, and never read. */
#include "models/encoder/encoder_internal.h"

#include <math.h>

static enum status norm(const struct encoder_pass *pass, int64_t channels, const float *x, enum encoder_part part,
                        int64_t index, float *output)
{
    const struct layer_norm_forward parameters = {.rows = pass->rows,
                                                  .channels = channels,
                                                  .x = x,
                                                  .weight = encoder_weight(pass->encoder, part, index),
                                                  .bias = encoder_bias(pass->encoder, part, index),
                                                  .output = output,
                                                  .epsilon = (float)pass->encoder->config.epsilon};
    return compute_run(&pass->compute, layer_norm_forward, &parameters);
}

/* output[rows][out] = x[rows][in] W + bias (+ addend) */
static enum status linear(const struct encoder_pass *pass, enum encoder_part part, int64_t index, int64_t rows,
                          int64_t in, int64_t out, const float *x, const float *addend, float *output)
{
    const struct matmul product = {.m = rows,
                                   .n = out,
                                   .k = in,
                                   .batch = 1,
                                   .a = x,
                                   .b = encoder_weight(pass->encoder, part, index),
                                   .c = output,
                                   .addend = addend,
                                   .bias = encoder_bias(pass->encoder, part, index),
                                   .a_row_stride = in,
                                   .b_row_stride = out,
                                   .c_row_stride = out,
                                   .alpha = 1};
    return compute_run(&pass->compute, matmul, &product);
}

/* ---- what enters the layers ---- */

static enum status project(const struct encoder_pass *pass, float *x)
{
    enum status result = STATUS_OK;
    const struct encoder_config *config = &pass->encoder->config;
    const struct encoder_buffers *buffers = &pass->workspace->buffers;
    int64_t width = encoder_width(pass->encoder, ENCODER_FEATURES);
    if (config->projection_norm)
        TRY(norm(pass, width, buffers->features, ENCODER_PROJECTION_NORM, 0, buffers->features));
    if (config->projection)
        TRY(linear(pass, ENCODER_PROJECTION, 0, pass->rows, width, config->hidden_size, buffers->features, NULL, x));
    else if (!pass->compute.measure)
        TRY(pass->encoder->kernels->copy(pass->workspace->context, x, buffers->features,
                                         (size_t)(pass->rows * width) * sizeof(float)));
fail:
    return result;
}

/* output = x + GELU(convolution over each clip). An even kernel with as much padding on both sides would give a frame more. */
static enum status add_positions(const struct encoder_pass *pass, const float *x, float *output)
{
    const struct encoder_config *config = &pass->encoder->config;
    int64_t hidden = config->hidden_size, kernel = config->positional_kernel;
    const struct conv1d_forward conv = {.batch = pass->clips,
                                        .frames = pass->frames,
                                        .channels = hidden,
                                        .output_frames = pass->frames,
                                        .output_channels = hidden,
                                        .kernel = kernel,
                                        .stride = 1,
                                        .dilation = 1,
                                        .groups = config->positional_groups,
                                        .padding_left = kernel / 2,
                                        .padding_right = kernel / 2 - (kernel % 2 == 0),
                                        .x = x,
                                        .weight = encoder_weight(pass->encoder, ENCODER_POSITIONAL, 0),
                                        .bias = encoder_bias(pass->encoder, ENCODER_POSITIONAL, 0),
                                        .residual = x,
                                        .output = output,
                                        .x_row_stride = hidden,
                                        .x_batch_stride = pass->frames * hidden,
                                        .output_row_stride = hidden,
                                        .output_batch_stride = pass->frames * hidden,
                                        .lengths = pass->workspace->buffers.lengths,
                                        .activation = ACTIVATION_GELU};
    return compute_run(&pass->compute, conv1d_forward, &conv);
}

/* ---- a layer ---- */

/* output = x + attention of `normal` */
static enum status attend(const struct encoder_pass *pass, int64_t layer, const float *normal, const float *x,
                          float *output)
{
    enum status result = STATUS_OK;
    const struct encoder_config *config = &pass->encoder->config;
    const struct encoder_buffers *buffers = &pass->workspace->buffers;
    int64_t hidden = config->hidden_size, stride = 3 * hidden;
    const struct attention_forward attention = {.batch = pass->clips,
                                                .query_length = pass->frames,
                                                .key_length = pass->frames,
                                                .heads = config->heads,
                                                .kv_heads = config->heads,
                                                .head_size = hidden / config->heads,
                                                .query = buffers->qkv,
                                                .key = buffers->qkv + hidden,
                                                .value = buffers->qkv + 2 * hidden,
                                                .query_row_stride = stride,
                                                .key_row_stride = stride,
                                                .value_row_stride = stride,
                                                .output_row_stride = hidden,
                                                .query_batch_stride = pass->frames * stride,
                                                .key_batch_stride = pass->frames * stride,
                                                .value_batch_stride = pass->frames * stride,
                                                .output_batch_stride = pass->frames * hidden,
                                                .output = buffers->output,
                                                .key_lengths = buffers->lengths,
                                                .bidirectional = true,
                                                .scale = 1 / sqrtf((float)(hidden / config->heads))};
    TRY(linear(pass, ENCODER_QUERY, layer, pass->rows, hidden, stride, normal, NULL, buffers->qkv));
    TRY(compute_run(&pass->compute, attention_forward, &attention));
    TRY(linear(pass, ENCODER_OUTPUT, layer, pass->rows, hidden, hidden, buffers->output, x, output));
fail:
    return result;
}

/* output = x + W2 GELU(W1 normal), rows of a block at a time; none has fewer than 17 unless there are no more. */
static enum status feed_forward(const struct encoder_pass *pass, int64_t layer, const float *normal, const float *x,
                                float *output)
{
    enum status result = STATUS_OK;
    const struct encoder_config *config = &pass->encoder->config;
    int64_t hidden = config->hidden_size, wide = config->intermediate_size, block = pass->workspace->block_rows;
    float *inner = pass->workspace->buffers.wide;
    for (int64_t first = 0, rows; first < pass->rows; first += rows) {
        rows = pass->rows - first;
        if (rows >= block + ENCODER_LEAST_ROWS)
            rows = block;
        const struct activate gelu = {.count = rows * wide, .x = inner, .output = inner, .activation = ACTIVATION_GELU};
        TRY(linear(pass, ENCODER_EXPAND, layer, rows, hidden, wide, normal + first * hidden, NULL, inner));
        TRY(compute_run(&pass->compute, activate, &gelu));
        TRY(linear(pass, ENCODER_CONTRACT, layer, rows, wide, hidden, inner, x + first * hidden,
                   output + first * hidden));
    }
fail:
    return result;
}

/* x becomes the layer's output; y and normal hold what is between. */
static enum status run_layer(const struct encoder_pass *pass, int64_t layer)
{
    enum status result = STATUS_OK;
    const struct encoder_buffers *b = &pass->workspace->buffers;
    int64_t hidden = pass->encoder->config.hidden_size;
    if (pass->encoder->config.norm_first) {
        TRY(norm(pass, hidden, b->x, ENCODER_ATTENTION_NORM, layer, b->normal));
        TRY(attend(pass, layer, b->normal, b->x, b->y));
        TRY(norm(pass, hidden, b->y, ENCODER_FINAL_NORM, layer, b->normal));
        TRY(feed_forward(pass, layer, b->normal, b->y, b->x));
    } else {
        TRY(attend(pass, layer, b->x, b->x, b->y));
        TRY(norm(pass, hidden, b->y, ENCODER_ATTENTION_NORM, layer, b->normal));
        TRY(feed_forward(pass, layer, b->normal, b->normal, b->y));
        TRY(norm(pass, hidden, b->y, ENCODER_FINAL_NORM, layer, b->x));
    }
fail:
    return result;
}

/* x is what enters a layer, or the output behind the last one. */
static enum status show(const struct encoder_pass *pass, int64_t layer)
{
    if (!pass->tap || pass->compute.measure)
        return STATUS_OK;
    const struct encoder_output output = {.values = pass->workspace->buffers.x,
                                          .frames = pass->workspace->clip_frames,
                                          .clips = pass->clips,
                                          .stride = pass->frames,
                                          .width = pass->encoder->config.hidden_size};
    return pass->tap->take(pass->tap->argument, layer, &output);
}

enum status encoder_run_layers(const struct encoder_pass *pass, const float **values)
{
    enum status result = STATUS_OK;
    const struct encoder_config *config = &pass->encoder->config;
    const struct encoder_buffers *b = &pass->workspace->buffers;
    int64_t layers = pass->stop < config->layers ? pass->stop : config->layers;
    *values = b->features;
    if (pass->stop == ENCODER_FEATURES)
        return STATUS_OK;
    *values = b->x;
    if (pass->stop == ENCODER_PROJECTED)
        return project(pass, b->x);
    TRY(project(pass, config->norm_first ? b->y : b->x));
    if (config->norm_first) {
        TRY(add_positions(pass, b->y, b->x));
    } else {
        TRY(add_positions(pass, b->x, b->y));
        TRY(norm(pass, config->hidden_size, b->y, ENCODER_NORM, 0, b->x));
    }
    for (int64_t layer = 0; layer < layers; layer++) {
        TRY(show(pass, layer));
        TRY(run_layer(pass, layer));
    }
    if (config->norm_first && pass->stop == ENCODER_LAST)
        TRY(norm(pass, config->hidden_size, b->x, ENCODER_NORM, 0, b->x));
    TRY(show(pass, layers));
fail:
    return result;
}
