/* From a waveform to features, a tile of frames at a time. The first convolution makes a frame of 512 channels from every 5
 * samples, 655 MB for a chunk of 100 s: a tile that goes through all convolutions at once stays in the cache instead. A tile
 * computes the few frames anew that its left neighbour has computed too; each number is the same sum wherever its tile begins.
 *
 * The group norm behind the first convolution wants mean and variance of each channel over the whole clip, before any tile can
 * go on. They need no convolution: with m the means and R the covariances (K x K) of the windows of K samples that the convolution
 * looks at, the channel with the weights w has mean w.m and variance w'Rw. Both are computed in double, and the norm, which is
 * then a factor and a shift per channel, goes into the clip's own copy of the weights. */
#include "models/encoder/encoder_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_ELEMENTS = 1 << 22 };
static const float CONVOLUTION_EPSILON = 1e-5f;

/* ---- tiles ---- */

int64_t encoder_tile_elements(const struct encoder *encoder, int64_t tile_frames)
{
    const struct encoder_config *config = &encoder->config;
    int64_t largest = 0, frames = tile_frames;
    for (int64_t i = config->convolution_count - 1; i >= 0; i--) {
        int64_t elements = frames * config->convolutions[i].channels;
        largest = elements > largest ? elements : largest;
        frames = (frames - 1) * config->convolutions[i].stride + config->convolutions[i].kernel;
    }
    return largest;
}

int64_t encoder_tile_frames(const struct encoder *encoder)
{
    int64_t wish = encoder->kernels->block_elements > 0 ? encoder->kernels->block_elements : TILE_ELEMENTS;
    int64_t frames = 1;
    while (frames < 1 << 20 && encoder_tile_elements(encoder, 2 * frames) <= wish)
        frames *= 2;
    return frames;
}

/* ---- the samples ---- */

/* (x - mean) / sqrt(variance + epsilon), or the samples as they are. */
static void prepare_samples(const struct encoder_config *config, const struct encoder_clip *clip, float *samples)
{
    double sum = 0, squares = 0;
    if (!config->normalize) {
        memcpy(samples, clip->samples, (size_t)clip->count * sizeof *samples);
        return;
    }
    for (int64_t i = 0; i < clip->count; i++)
        sum += (double)clip->samples[i];
    double mean = sum / (double)clip->count;
    for (int64_t i = 0; i < clip->count; i++)
        squares += ((double)clip->samples[i] - mean) * ((double)clip->samples[i] - mean);
    double scale = 1 / sqrt(squares / (double)clip->count + config->normalize_epsilon);
    for (int64_t i = 0; i < clip->count; i++)
        samples[i] = (float)(((double)clip->samples[i] - mean) * scale);
}

/* ---- the first convolution with its group norm ---- */

/* Means [K] and covariances [K][K] of the samples at each place of the convolution's windows. */
static void find_moments(const float *samples, int64_t frames, const struct encoder_convolution *convolution,
                         double *means, double *covariances)
{
    int64_t kernel = convolution->kernel;
    for (int64_t t = 0; t < frames; t++)
        for (int64_t k = 0; k < kernel; k++)
            means[k] += (double)samples[t * convolution->stride + k];
    for (int64_t k = 0; k < kernel; k++)
        means[k] /= (double)frames;
    for (int64_t t = 0; t < frames; t++) {
        const float *window = samples + t * convolution->stride;
        for (int64_t k = 0; k < kernel; k++) {
            double deviation = (double)window[k] - means[k];
            for (int64_t l = k; l < kernel; l++)
                covariances[k * kernel + l] += deviation * ((double)window[l] - means[l]);
        }
    }
    for (int64_t k = 0; k < kernel; k++)
        for (int64_t l = k; l < kernel; l++) {
            covariances[k * kernel + l] /= (double)frames;
            covariances[l * kernel + k] = covariances[k * kernel + l];
        }
}

/* weight' = weight * scale, bias' = norm bias - mean * scale, scale = norm weight / sqrt(variance + epsilon). A bias of the
 * convolution itself would move the mean by as much, and so cancels. */
static void fold(const struct encoder *encoder, const double *means, const double *covariances, float *weights,
                 float *biases)
{
    const struct encoder_convolution *convolution = &encoder->config.convolutions[0];
    int64_t kernel = convolution->kernel;
    for (int64_t o = 0; o < convolution->channels; o++) {
        const float *weight = encoder->first_weight + o * kernel;
        double mean = 0, variance = 0;
        for (int64_t k = 0; k < kernel; k++) {
            double row = 0;
            for (int64_t l = 0; l < kernel; l++)
                row += covariances[k * kernel + l] * (double)weight[l];
            variance += row * (double)weight[k];
            mean += means[k] * (double)weight[k];
        }
        double scale = (double)encoder->first_norm_weight[o] / sqrt(fmax(variance, 0) + (double)CONVOLUTION_EPSILON);
        for (int64_t k = 0; k < kernel; k++)
            weights[o * kernel + k] = (float)((double)weight[k] * scale);
        biases[o] = (float)((double)encoder->first_norm_bias[o] - mean * scale);
    }
}

static enum status make_first(const struct encoder *encoder, const float *samples, int64_t count, float *weights,
                              float *biases)
{
    const struct encoder_convolution *convolution = &encoder->config.convolutions[0];
    int64_t kernel = convolution->kernel, frames = (count - kernel) / convolution->stride + 1;
    double *moments = calloc((size_t)(kernel * (kernel + 1)), sizeof *moments);
    if (!moments)
        return status_set(STATUS_INTERNAL, "no memory for the moments of a clip");
    find_moments(samples, frames, convolution, moments, moments + kernel);
    fold(encoder, moments, moments + kernel, weights, biases);
    free(moments);
    return STATUS_OK;
}

/* Samples and first convolution of a clip go to the device. */
static enum status send_clip(const struct encoder_pass *pass, const struct encoder_clip *clip)
{
    enum status result = STATUS_OK;
    const struct encoder *encoder = pass->encoder;
    struct encoder_workspace *workspace = pass->workspace;
    const struct kernels *kernels = encoder->kernels;
    const struct encoder_convolution *convolution = &encoder->config.convolutions[0];
    int64_t weights = convolution->channels * convolution->kernel;
    float *bias = workspace->host_first + weights;
    TRY(kernels->event_wait(workspace->context, workspace->sent));
    prepare_samples(&encoder->config, clip, workspace->host_samples);
    TRY(kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.samples, workspace->host_samples,
                                (size_t)clip->count * sizeof(float)));
    if (encoder_has_group_norm(&encoder->config)) {
        TRY(make_first(encoder, workspace->host_samples, clip->count, workspace->host_first, bias));
        TRY(kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.first_weight,
                                    workspace->host_first, (size_t)weights * sizeof(float)));
        TRY(kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.first_bias, bias,
                                    (size_t)convolution->channels * sizeof(float)));
    }
    TRY(kernels->event_record(workspace->context, QUEUE_COMPUTE, workspace->sent));
fail:
    return result;
}

/* ---- convolutions ---- */

/* output[frames][O] = GELU(norm(convolution i of x)), where the norm is in the weights, absent, or a layer norm. */
static enum status run_convolution(const struct encoder_pass *pass, int64_t i, const float *x, int64_t frames,
                                   float *output)
{
    enum status result = STATUS_OK;
    const struct encoder *encoder = pass->encoder;
    const struct encoder_buffers *buffers = &pass->workspace->buffers;
    const struct encoder_config *config = &encoder->config;
    const struct encoder_convolution *convolution = &config->convolutions[i];
    bool folded = i == 0 && encoder_has_group_norm(config);
    int64_t channels = i == 0 ? 1 : config->convolutions[i - 1].channels;
    int64_t input_frames = (frames - 1) * convolution->stride + convolution->kernel;
    const float *bias = config->convolution_bias ? encoder_bias(encoder, ENCODER_CONVOLUTION, i) : NULL;
    const struct conv1d_forward conv = {.batch = 1,
                                        .frames = input_frames,
                                        .channels = channels,
                                        .output_frames = frames,
                                        .output_channels = convolution->channels,
                                        .kernel = convolution->kernel,
                                        .stride = convolution->stride,
                                        .dilation = 1,
                                        .groups = 1,
                                        .x = x,
                                        .weight = folded ? buffers->first_weight
                                                         : encoder_weight(encoder, ENCODER_CONVOLUTION, i),
                                        .bias = folded ? buffers->first_bias : bias,
                                        .output = output,
                                        .x_row_stride = channels,
                                        .x_batch_stride = input_frames * channels,
                                        .output_row_stride = convolution->channels,
                                        .output_batch_stride = frames * convolution->channels,
                                        .activation = config->layer_norm_features ? ACTIVATION_NONE : ACTIVATION_GELU};
    TRY(compute_run(&pass->compute, conv1d_forward, &conv));
    if (config->layer_norm_features) {
        const struct layer_norm_forward norm = {.rows = frames,
                                                .channels = convolution->channels,
                                                .x = output,
                                                .weight = encoder_weight(encoder, ENCODER_FEATURE_LAYER_NORM, i),
                                                .bias = encoder_bias(encoder, ENCODER_FEATURE_LAYER_NORM, i),
                                                .output = output,
                                                .epsilon = CONVOLUTION_EPSILON,
                                                .activation = ACTIVATION_GELU};
        TRY(compute_run(&pass->compute, layer_norm_forward, &norm));
    }
fail:
    return result;
}

/* Features [first, first + count) of the clip, to `features`. */
static enum status run_tile(const struct encoder_pass *pass, int64_t first, int64_t count, float *features)
{
    enum status result = STATUS_OK;
    const struct encoder_config *config = &pass->encoder->config;
    const struct encoder_buffers *buffers = &pass->workspace->buffers;
    int64_t frames[ENCODER_MAXIMUM_CONVOLUTIONS], last = config->convolution_count - 1;
    frames[last] = count;
    for (int64_t i = last; i > 0; i--)
        frames[i - 1] = (frames[i] - 1) * config->convolutions[i].stride + config->convolutions[i].kernel;
    const float *x = buffers->samples + first * encoder_config_hop(config);
    for (int64_t i = 0; i <= last; i++) {
        float *output = i == last ? features : buffers->tiles[i % 2];
        TRY(run_convolution(pass, i, x, frames[i], output));
        x = output;
    }
fail:
    return result;
}

enum status encoder_run_features(const struct encoder_pass *pass, const struct encoder_clip *clip, int64_t place,
                                 int64_t frames)
{
    enum status result = STATUS_OK;
    const struct encoder *encoder = pass->encoder;
    int64_t width = encoder_width(encoder, ENCODER_FEATURES), tile = pass->workspace->tile_frames;
    float *features = pass->workspace->buffers.features + place * pass->frames * width;
    if (frames > 0 && !pass->compute.measure)
        TRY(send_clip(pass, clip));
    for (int64_t first = 0; first < frames; first += tile) {
        int64_t count = frames - first < tile ? frames - first : tile;
        TRY(run_tile(pass, first, count, features + first * width));
    }
    if (frames < pass->frames && !pass->compute.measure) /* what is never used must still be numbers */
        TRY(encoder->kernels->fill_zero(pass->workspace->context, features + frames * width,
                                        (size_t)((pass->frames - frames) * width) * sizeof(float)));
fail:
    return result;
}
