/* Passes of encoder and decoder. The rectifiers of a block are applied as its convolutions read and write, and the sum with the
 * block's input is the last one's residual, so that a block is two operations and works in place. */
#include "models/vqvae/vqvae_internal.h"

#include "core/memory_plan.h"

#include <stdlib.h>
#include <string.h>

enum { ENCODER, DECODER };

/* Device memory; every array has room for `elements` numbers. */
struct buffers {
    float *x, *y, *hidden;
    int32_t *codes; /* as many as there are frames */
};

struct vqvae_workspace {
    const struct vqvae *vqvae;
    struct device_context *context;
    int64_t elements, frames; /* what the buffers have room for */
    void *memory;             /* device: all of them */
    struct buffers buffers;
    void *sent, *received; /* pinned: `elements` numbers each, on their way to the device and from it */
};

struct pass {
    struct compute compute;
    const struct vqvae *vqvae;
    struct vqvae_workspace *workspace;
};

/* ---- sizes ---- */

int64_t vqvae_frames_after(const struct vqvae_convolution *c, int64_t frames)
{
    const struct conv1d_forward forward = {.kernel = c->kernel,
                                           .stride = c->stride,
                                           .dilation = c->dilation,
                                           .padding_left = c->padding,
                                           .padding_right = c->padding};
    const struct conv1d_transposed back = {.kernel = c->kernel, .stride = c->stride, .padding = c->padding};
    return c->transposed ? conv1d_transposed_frames(&back, frames) : conv1d_frames(&forward, frames);
}

static int64_t frames_after_steps(const struct vqvae *vqvae, int which, int64_t frames)
{
    const struct vqvae_coder_config *config = which == ENCODER ? &vqvae->config.encoder : &vqvae->config.decoder;
    for (int64_t i = 0; i < config->steps; i++)
        frames = vqvae_frames_after(&vqvae->coders[which].steps[i].scale, frames);
    return frames;
}

int64_t vqvae_codes(const struct vqvae *vqvae, int64_t frames)
{
    return frames_after_steps(vqvae, ENCODER, frames);
}

int64_t vqvae_decoded_frames(const struct vqvae *vqvae, int64_t codes)
{
    return vqvae->decoder ? frames_after_steps(vqvae, DECODER, codes) : 0;
}

/* The most numbers that an array of a pass has. */
static int64_t most_elements(const struct vqvae *vqvae, int which, int64_t frames)
{
    const struct vqvae_coder_config *config = which == ENCODER ? &vqvae->config.encoder : &vqvae->config.decoder;
    int64_t widest = VQVAE_CHANNELS, longest = frames;
    const int64_t widths[] = {vqvae->config.width, config->width, config->hidden};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        widest = widths[i] > widest ? widths[i] : widest;
    for (int64_t i = 0; i < config->steps; i++) {
        frames = vqvae_frames_after(&vqvae->coders[which].steps[i].scale, frames);
        longest = frames > longest ? frames : longest;
    }
    return longest > INT32_MAX / widest ? -1 : longest * widest;
}

/* ---- the workspace ---- */

enum status vqvae_workspace_create(const struct vqvae *vqvae, struct device_context *context,
                                   struct vqvae_workspace **out)
{
    struct vqvae_workspace *workspace = calloc(1, sizeof *workspace);
    *out = workspace;
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for a VQ-VAE's workspace");
    *workspace = (struct vqvae_workspace){.vqvae = vqvae, .context = context};
    return STATUS_OK;
}

static void release_buffers(struct vqvae_workspace *workspace)
{
    const struct kernels *kernels = workspace->vqvae->kernels;
    if (workspace->sent) /* host memory is in use until its copies are over */
        (void)kernels->synchronize(workspace->context);
    kernels->release(workspace->context, workspace->memory);
    kernels->release_host(workspace->context, workspace->sent);
    workspace->memory = workspace->sent = workspace->received = NULL;
    workspace->elements = workspace->frames = 0;
}

void vqvae_workspace_destroy(struct vqvae_workspace *workspace)
{
    if (!workspace)
        return;
    release_buffers(workspace);
    free(workspace);
}

/* New memory only where a clip is longer than all before. */
static enum status make_room(struct vqvae_workspace *workspace, int64_t elements, int64_t frames)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = workspace->vqvae->kernels;
    struct buffers *b = &workspace->buffers;
    if (elements < 0)
        return status_set(STATUS_USAGE, "a clip of %lld frames is too long", (long long)frames);
    if (elements <= workspace->elements && frames <= workspace->frames)
        return STATUS_OK;
    release_buffers(workspace);
    int64_t array = memory_align(elements * (int64_t)sizeof(float));
    TRY(kernels->allocate(workspace->context, (size_t)(3 * array + frames * (int64_t)sizeof(int32_t)),
                          &workspace->memory));
    TRY(kernels->allocate_host(workspace->context, (size_t)(2 * array), &workspace->sent));
    workspace->received = element_at(workspace->sent, DTYPE_U8, array);
    b->x = workspace->memory;
    b->y = element_at(workspace->memory, DTYPE_U8, array);
    b->hidden = element_at(workspace->memory, DTYPE_U8, 2 * array);
    b->codes = element_at(workspace->memory, DTYPE_U8, 3 * array);
    workspace->elements = elements;
    workspace->frames = frames;
    return STATUS_OK;
fail:
    release_buffers(workspace);
    return result;
}

/* ---- layers ---- */

/* What surrounds a convolution. */
struct surroundings {
    enum activation before, after;
    const float *residual;
};

static enum status convolve(const struct pass *pass, const struct vqvae_convolution *c, int64_t frames, const float *x,
                            const struct surroundings *around, float *output)
{
    const struct conv1d_forward forward = {.batch = 1,
                                           .frames = frames,
                                           .channels = c->channels,
                                           .output_frames = vqvae_frames_after(c, frames),
                                           .output_channels = c->output_channels,
                                           .kernel = c->kernel,
                                           .stride = c->stride,
                                           .dilation = c->dilation,
                                           .groups = 1,
                                           .padding_left = c->padding,
                                           .padding_right = c->padding,
                                           .x = x,
                                           .weight = pass->vqvae->weights + c->weight,
                                           .bias = pass->vqvae->weights + c->bias,
                                           .residual = around->residual,
                                           .output = output,
                                           .x_row_stride = c->channels,
                                           .x_batch_stride = frames * c->channels,
                                           .output_row_stride = c->output_channels,
                                           .output_batch_stride = vqvae_frames_after(c, frames) * c->output_channels,
                                           .activation = around->after,
                                           .input_activation = around->before};
    return compute_run(&pass->compute, conv1d_forward, &forward);
}

static enum status convolve_back(const struct pass *pass, const struct vqvae_convolution *c, int64_t frames,
                                 const float *x, float *output)
{
    const struct conv1d_transposed back = {.batch = 1,
                                           .frames = frames,
                                           .channels = c->channels,
                                           .output_frames = vqvae_frames_after(c, frames),
                                           .output_channels = c->output_channels,
                                           .kernel = c->kernel,
                                           .stride = c->stride,
                                           .padding = c->padding,
                                           .x = x,
                                           .weight = pass->vqvae->weights + c->weight,
                                           .bias = pass->vqvae->weights + c->bias,
                                           .output = output,
                                           .x_row_stride = c->channels,
                                           .x_batch_stride = frames * c->channels,
                                           .output_row_stride = c->output_channels,
                                           .output_batch_stride = vqvae_frames_after(c, frames) * c->output_channels};
    return compute_run(&pass->compute, conv1d_transposed, &back);
}

static const struct surroundings bare = {ACTIVATION_NONE, ACTIVATION_NONE, NULL};

/* x[frames][width] = all blocks of a step, one after the other. */
static enum status run_blocks(const struct pass *pass, const struct vqvae_step *step, int64_t depth, int64_t frames,
                              float *x)
{
    enum status result = STATUS_OK;
    const struct surroundings rectified = {ACTIVATION_RELU, ACTIVATION_RELU, NULL};
    const struct surroundings joining = {ACTIVATION_NONE, ACTIVATION_NONE, x};
    float *hidden = pass->workspace->buffers.hidden;
    for (int64_t d = 0; d < depth; d++) {
        TRY(convolve(pass, &step->blocks[d][0], frames, x, &rectified, hidden));
        TRY(convolve(pass, &step->blocks[d][1], frames, hidden, &joining, x));
    }
fail:
    return result;
}

static void swap(float **x, float **y)
{
    float *kept = *x;
    *x = *y;
    *y = kept;
}

/* From channels at buffers.x to codes; *vectors: where the encoder's vectors lie. */
static enum status run_encoder(const struct pass *pass, int64_t frames, const float **vectors)
{
    enum status result = STATUS_OK;
    const struct vqvae_config *config = &pass->vqvae->config;
    const struct vqvae_coder *coder = &pass->vqvae->coders[ENCODER];
    float *x = pass->workspace->buffers.x, *y = pass->workspace->buffers.y;
    for (int64_t i = 0; i < config->encoder.steps; i++) {
        TRY(convolve(pass, &coder->steps[i].scale, frames, x, &bare, y));
        swap(&x, &y);
        frames = vqvae_frames_after(&coder->steps[i].scale, frames);
        TRY(run_blocks(pass, &coder->steps[i], config->encoder.depth, frames, x));
    }
    TRY(convolve(pass, &coder->last, frames, x, &bare, y));
    *vectors = y;
    const struct kmeans_assign assign = {.rows = frames,
                                         .channels = config->width,
                                         .clusters = config->codes,
                                         .x = y,
                                         .centroids = pass->vqvae->weights + pass->vqvae->codebook,
                                         .x_row_stride = config->width,
                                         .labels = pass->workspace->buffers.codes};
    TRY(compute_run(&pass->compute, kmeans_assign, &assign));
fail:
    return result;
}

/* From buffers.codes to channels; *channels: where they lie. */
static enum status run_decoder(const struct pass *pass, int64_t frames, const float **channels)
{
    enum status result = STATUS_OK;
    const struct vqvae_config *config = &pass->vqvae->config;
    const struct vqvae_coder *coder = &pass->vqvae->coders[DECODER];
    float *x = pass->workspace->buffers.x, *y = pass->workspace->buffers.y;
    const struct embedding_forward embedding = {.tokens = frames,
                                                .channels = config->width,
                                                .rows = config->codes,
                                                .ids = pass->workspace->buffers.codes,
                                                .table = pass->vqvae->weights + pass->vqvae->codebook,
                                                .output = x};
    TRY(compute_run(&pass->compute, embedding_forward, &embedding));
    TRY(convolve(pass, &coder->first, frames, x, &bare, y));
    swap(&x, &y);
    for (int64_t i = 0; i < config->decoder.steps; i++) {
        TRY(run_blocks(pass, &coder->steps[i], config->decoder.depth, frames, x));
        TRY(convolve_back(pass, &coder->steps[i].scale, frames, x, y));
        swap(&x, &y);
        frames = vqvae_frames_after(&coder->steps[i].scale, frames);
    }
    TRY(convolve(pass, &coder->last, frames, x, &bare, y));
    *channels = y;
fail:
    return result;
}

/* ---- passes ---- */

void vqvae_prepare(const struct vqvae_config *config, const float *f0, const uint8_t *voiced, int64_t frames,
                   const double *mean, float *channels)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t t = 0; t < frames; t++)
        if (voiced[t]) {
            sum += (double)f0[t];
            count++;
        }
    float shift = 0;
    if (config->speaker_norm)
        shift = (float)(mean ? *mean : count > 0 ? sum / (double)count : 0);
    for (int64_t t = 0; t < frames; t++) {
        channels[t * VQVAE_CHANNELS] = f0[t] != 0 ? f0[t] - shift : 0;
        channels[t * VQVAE_CHANNELS + 1] = voiced[t] ? 1 : 0;
    }
}

static struct pass pass_of(struct vqvae_workspace *workspace, size_t *scratch)
{
    const struct vqvae *vqvae = workspace->vqvae;
    struct pass pass = {.vqvae = vqvae, .workspace = workspace};
    pass.compute = (struct compute){
        .kernels = vqvae->kernels, .context = workspace->context, .dtype = DTYPE_F32, .measure = scratch};
    return pass;
}

/* `bytes` from device memory to `to`, through pinned memory. */
static enum status fetch(struct vqvae_workspace *workspace, const void *from, size_t bytes, void *to)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = workspace->vqvae->kernels;
    TRY(kernels->copy_to_host(workspace->context, QUEUE_COMPUTE, workspace->received, from, bytes));
    TRY(kernels->synchronize(workspace->context));
    memcpy(to, workspace->received, bytes);
fail:
    return result;
}

enum status vqvae_encode(struct vqvae_workspace *workspace, const float *f0, const uint8_t *voiced, int64_t frames,
                         const double *mean, int32_t *codes, float *vectors)
{
    enum status result = STATUS_OK;
    const struct vqvae *vqvae = workspace->vqvae;
    size_t scratch = 0, count = (size_t)vqvae_codes(vqvae, frames);
    struct pass pass = pass_of(workspace, &scratch);
    const float *device = NULL;
    if (count == 0)
        return STATUS_OK;
    TRY(make_room(workspace, most_elements(vqvae, ENCODER, frames), frames));
    TRY(run_encoder(&pass, frames, &device));
    TRY(device_context_reserve(vqvae->kernels, workspace->context, scratch));
    pass.compute.measure = NULL;
    vqvae_prepare(&vqvae->config, f0, voiced, frames, mean, workspace->sent);
    TRY(vqvae->kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.x, workspace->sent,
                                       (size_t)(frames * VQVAE_CHANNELS) * sizeof(float)));
    TRY(run_encoder(&pass, frames, &device));
    TRY(fetch(workspace, workspace->buffers.codes, count * sizeof *codes, codes));
    if (vectors)
        TRY(fetch(workspace, device, count * (size_t)vqvae->config.width * sizeof *vectors, vectors));
fail:
    return result;
}

enum status vqvae_decode(struct vqvae_workspace *workspace, const int32_t *codes, int64_t count, float *channels)
{
    enum status result = STATUS_OK;
    const struct vqvae *vqvae = workspace->vqvae;
    size_t scratch = 0, frames = (size_t)vqvae_decoded_frames(vqvae, count);
    struct pass pass = pass_of(workspace, &scratch);
    const float *device = NULL;
    if (!vqvae->decoder)
        FAIL(STATUS_INTERNAL, "the VQ-VAE was opened without its decoder");
    for (int64_t i = 0; i < count; i++)
        if (codes[i] < 0 || codes[i] >= vqvae->config.codes)
            FAIL(STATUS_USAGE, "pitch code %lld: expected 0 to %lld, found %d", (long long)i,
                 (long long)vqvae->config.codes - 1, (int)codes[i]);
    if (frames == 0)
        return STATUS_OK;
    TRY(make_room(workspace, most_elements(vqvae, DECODER, count), count));
    TRY(run_decoder(&pass, count, &device));
    TRY(device_context_reserve(vqvae->kernels, workspace->context, scratch));
    pass.compute.measure = NULL;
    memcpy(workspace->sent, codes, (size_t)count * sizeof *codes);
    TRY(vqvae->kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.codes, workspace->sent,
                                       (size_t)count * sizeof *codes));
    TRY(run_decoder(&pass, count, &device));
    TRY(fetch(workspace, device, frames * VQVAE_CHANNELS * sizeof *channels, channels));
fail:
    return result;
}
