/* A pass over one clip. Products and norms go through the clip a block of rows at a time, so that the widest array, four times as
 * wide as a frame, stays small; the depthwise convolution of a block looks a few frames to both sides of it. The pass is gone
 * through twice: first to find the largest scratch of its operations, without computing anything, then to compute. */
#include "models/fcpe/fcpe_internal.h"

#include "core/memory_plan.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 512, BUFFERS = 8 };
static const double OFFSET = 1e-9, FLOOR = 1e-5; /* of the spectrum's power, and of what the logarithm is taken of */

/* Device memory. R rows of a block, F frames of the clip, C channels. */
struct buffers {
    float *samples;
    float *mel;                    /* [F][bands] */
    float *x;                      /* [F][C] */
    float *gated;                  /* [F][2C] */
    float *normal, *wide, *middle; /* [R][C], [R][4C], [R][2C] */
    float *values;                 /* [R][steps] */
};

struct fcpe_workspace {
    const struct fcpe *fcpe;
    struct device_context *context;
    int64_t block_rows;
    int64_t samples, frames; /* what the buffers have room for */
    void *memory;            /* device: all of them */
    struct buffers buffers;
    float *host_samples, *host_values; /* pinned */
};

struct pass {
    struct compute compute;
    const struct fcpe *fcpe;
    struct fcpe_workspace *workspace;
    int64_t samples, frames; /* samples: with the zeros that fill up a short clip */
    float *frequency, *confidence;
};

int64_t fcpe_frames(const struct fcpe *fcpe, int64_t samples)
{
    return samples / fcpe->config.hop + 1;
}

/* ---- the workspace ---- */

enum status fcpe_workspace_create(const struct fcpe *fcpe, struct device_context *context, struct fcpe_workspace **out)
{
    struct fcpe_workspace *workspace = calloc(1, sizeof *workspace);
    *out = workspace;
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for FCPE's workspace");
    *workspace = (struct fcpe_workspace){.fcpe = fcpe, .context = context};
    workspace->block_rows = fcpe->kernels->block_rows > BLOCK_ROWS ? fcpe->kernels->block_rows : BLOCK_ROWS;
    return STATUS_OK;
}

static void release_buffers(struct fcpe_workspace *workspace)
{
    const struct kernels *kernels = workspace->fcpe->kernels;
    if (workspace->host_samples) /* host memory is in use until its copies are over */
        (void)kernels->synchronize(workspace->context);
    kernels->release(workspace->context, workspace->memory);
    kernels->release_host(workspace->context, workspace->host_samples);
    kernels->release_host(workspace->context, workspace->host_values);
    workspace->memory = NULL;
    workspace->host_samples = workspace->host_values = NULL;
    workspace->samples = workspace->frames = 0;
}

void fcpe_workspace_destroy(struct fcpe_workspace *workspace)
{
    if (!workspace)
        return;
    release_buffers(workspace);
    free(workspace);
}

static enum status allocate_buffers(struct fcpe_workspace *workspace, int64_t samples, int64_t frames)
{
    enum status result = STATUS_OK;
    const struct fcpe_config *config = &workspace->fcpe->config;
    const struct kernels *kernels = workspace->fcpe->kernels;
    struct buffers *b = &workspace->buffers;
    struct memory_plan plan = {.name = "fcpe"};
    int64_t rows = frames < workspace->block_rows ? frames : workspace->block_rows, offsets[BUFFERS];
    int64_t hidden = config->hidden, inner = fcpe_inner(config);
    void *host = NULL;
    const struct {
        float **pointer;
        int64_t elements;
    } wanted[BUFFERS] = {{&b->samples, samples},      {&b->mel, frames * config->bands}, {&b->x, frames * hidden},
                         {&b->gated, frames * inner}, {&b->normal, rows * hidden},       {&b->wide, rows * 2 * inner},
                         {&b->middle, rows * inner},  {&b->values, rows * config->steps}};
    for (int i = 0; i < BUFFERS; i++) {
        offsets[i] = memory_plan_add(&plan, wanted[i].elements * (int64_t)sizeof(float), "buffer");
        if (offsets[i] < 0)
            FAIL(STATUS_INTERNAL, "no memory for the plan of FCPE's workspace");
    }
    TRY(kernels->allocate(workspace->context, (size_t)plan.total, &workspace->memory));
    for (int i = 0; i < BUFFERS; i++)
        *wanted[i].pointer = element_at(workspace->memory, DTYPE_U8, offsets[i]);
    TRY(kernels->allocate_host(workspace->context, (size_t)samples * sizeof(float), &host));
    workspace->host_samples = host;
    TRY(kernels->allocate_host(workspace->context, (size_t)(rows * config->steps) * sizeof(float), &host));
    workspace->host_values = host;
    workspace->samples = samples;
    workspace->frames = frames;
fail:
    memory_plan_free(&plan);
    return result;
}

/* New memory only where a clip is longer than all before. */
static enum status make_room(struct fcpe_workspace *workspace, int64_t samples, int64_t frames)
{
    if (samples <= workspace->samples && frames <= workspace->frames)
        return STATUS_OK;
    release_buffers(workspace);
    enum status result = allocate_buffers(workspace, samples, frames);
    if (result != STATUS_OK)
        release_buffers(workspace);
    return result;
}

/* ---- the layers ---- */

static const float *weight(const struct pass *pass, int64_t offset)
{
    return pass->fcpe->weights + offset;
}

/* The convolution computes frames [first, first + rows) of the clip; the frames around them that it looks at lie at x, which is
 * frame 0. */
static enum status convolve(const struct pass *pass, struct conv1d_forward conv, const struct fcpe_pair *pair,
                            const float *x, int64_t first, int64_t rows)
{
    int64_t side = conv.kernel / 2;
    int64_t begin = first > side ? first - side : 0;
    int64_t end = first + rows + side < pass->frames ? first + rows + side : pass->frames;
    conv.batch = conv.stride = conv.dilation = 1;
    conv.frames = end - begin;
    conv.output_frames = rows;
    conv.padding_left = begin - (first - side);
    conv.padding_right = first + rows + side - end;
    conv.x = x + begin * conv.channels;
    conv.x_row_stride = conv.channels;
    conv.x_batch_stride = conv.frames * conv.channels;
    conv.output_row_stride = conv.output_channels;
    conv.output_batch_stride = rows * conv.output_channels;
    conv.weight = weight(pass, pair->weight);
    conv.bias = weight(pass, pair->bias);
    return compute_run(&pass->compute, conv1d_forward, &conv);
}

static enum status norm(const struct pass *pass, const struct fcpe_pair *pair, const float *x, int64_t rows,
                        float *output)
{
    const struct layer_norm_forward norm = {.rows = rows,
                                            .channels = pass->fcpe->config.hidden,
                                            .x = x,
                                            .weight = weight(pass, pair->weight),
                                            .bias = weight(pass, pair->bias),
                                            .output = output,
                                            .epsilon = FCPE_EPSILON};
    return compute_run(&pass->compute, layer_norm_forward, &norm);
}

/* output[rows][out] = x W' + bias, with `add` to what is there. */
static enum status product(const struct pass *pass, const struct fcpe_pair *pair, const float *x, int64_t rows,
                           int64_t in, int64_t out, bool add, float *output)
{
    const struct matmul matmul = {.m = rows,
                                  .n = out,
                                  .k = in,
                                  .batch = 1,
                                  .a = x,
                                  .b = weight(pass, pair->weight),
                                  .c = output,
                                  .bias = weight(pass, pair->bias),
                                  .a_row_stride = in,
                                  .b_row_stride = in,
                                  .c_row_stride = out,
                                  .b_transposed = true,
                                  .alpha = 1,
                                  .beta = add ? 1 : 0};
    return compute_run(&pass->compute, matmul, &matmul);
}

static int64_t block_of(const struct pass *pass, int64_t first)
{
    int64_t left = pass->frames - first;
    return left < pass->workspace->block_rows ? left : pass->workspace->block_rows;
}

/* gated = GLU(W1 LayerNorm(x)), then x += W2 SiLU(depthwise(gated)). */
static enum status run_layer(const struct pass *pass, const struct fcpe_layer *layer)
{
    enum status result = STATUS_OK;
    const struct buffers *b = &pass->workspace->buffers;
    int64_t hidden = pass->fcpe->config.hidden, inner = fcpe_inner(&pass->fcpe->config);
    for (int64_t first = 0, rows; first < pass->frames; first += rows) {
        rows = block_of(pass, first);
        const struct glu glu = {.rows = rows, .channels = inner, .x = b->wide, .output = b->gated + first * inner};
        TRY(norm(pass, &layer->norm, b->x + first * hidden, rows, b->normal));
        TRY(product(pass, &layer->expand, b->normal, rows, hidden, 2 * inner, false, b->wide));
        TRY(compute_run(&pass->compute, glu, &glu));
    }
    for (int64_t first = 0, rows; first < pass->frames; first += rows) {
        const struct conv1d_forward depthwise = {.channels = inner,
                                                 .output_channels = inner,
                                                 .groups = inner,
                                                 .kernel = FCPE_KERNEL,
                                                 .output = b->middle,
                                                 .activation = ACTIVATION_SILU};
        rows = block_of(pass, first);
        TRY(convolve(pass, depthwise, &layer->depthwise, b->gated, first, rows));
        TRY(product(pass, &layer->contract, b->middle, rows, inner, hidden, true, b->x + first * hidden));
    }
fail:
    return result;
}

/* ---- the ends ---- */

static enum status run_spectrum(const struct pass *pass)
{
    enum status result = STATUS_OK;
    const struct fcpe_config *config = &pass->fcpe->config;
    const struct fcpe_mel *tables = &pass->fcpe->mel;
    const struct buffers *b = &pass->workspace->buffers;
    struct log_mel_spectrum spectrum = {.batch = 1,
                                        .samples = pass->samples,
                                        .bands = config->bands,
                                        .window_size = config->window,
                                        .hop = config->hop,
                                        .padding = (config->window - config->hop) / 2,
                                        .x = b->samples,
                                        .x_stride = pass->samples,
                                        .window = tables->window,
                                        .weights = tables->weights,
                                        .weight_count = tables->weight_count,
                                        .band_first = tables->first,
                                        .band_length = tables->length,
                                        .band_offset = tables->offset,
                                        .output = b->mel,
                                        .offset = OFFSET,
                                        .floor = FLOOR,
                                        .magnitude = true,
                                        .mirrored = true};
    spectrum.frames = log_mel_frames_of(&spectrum, pass->samples);
    TRY(compute_run(&pass->compute, log_mel_spectrum, &spectrum));
    if (spectrum.frames < pass->frames && !pass->compute.measure)
        TRY(pass->fcpe->kernels->copy(pass->workspace->context, b->mel + spectrum.frames * config->bands,
                                      b->mel + (spectrum.frames - 1) * config->bands,
                                      (size_t)config->bands * sizeof(float)));
fail:
    return result;
}

static enum status run_entry(const struct pass *pass)
{
    enum status result = STATUS_OK;
    const struct fcpe *fcpe = pass->fcpe;
    const struct buffers *b = &pass->workspace->buffers;
    int64_t hidden = fcpe->config.hidden;
    float *between = b->gated; /* not in use yet */
    struct conv1d_forward conv = {.channels = fcpe->config.bands,
                                  .output_channels = hidden,
                                  .groups = 1,
                                  .kernel = FCPE_ENTRY_KERNEL,
                                  .output = between};
    const struct group_norm_forward group_norm = {.batch = 1,
                                                  .frames = pass->frames,
                                                  .channels = hidden,
                                                  .groups = FCPE_GROUPS,
                                                  .x = between,
                                                  .weight = weight(pass, fcpe->entry_norm.weight),
                                                  .bias = weight(pass, fcpe->entry_norm.bias),
                                                  .output = between,
                                                  .epsilon = FCPE_EPSILON,
                                                  .activation = ACTIVATION_LEAKY_RELU,
                                                  .slope = FCPE_SLOPE};
    TRY(convolve(pass, conv, &fcpe->entry[0], b->mel, 0, pass->frames));
    TRY(compute_run(&pass->compute, group_norm_forward, &group_norm));
    conv.channels = hidden;
    conv.output = b->x;
    TRY(convolve(pass, conv, &fcpe->entry[1], between, 0, pass->frames));
fail:
    return result;
}

static enum status fetch(const struct pass *pass, int64_t first, int64_t rows)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = pass->fcpe->kernels;
    const struct fcpe_workspace *workspace = pass->workspace;
    int64_t steps = pass->fcpe->config.steps;
    TRY(kernels->copy_to_host(workspace->context, QUEUE_COMPUTE, workspace->host_values, workspace->buffers.values,
                              (size_t)(rows * steps) * sizeof(float)));
    TRY(kernels->synchronize(workspace->context));
    for (int64_t t = 0; t < rows; t++)
        fcpe_decode(workspace->host_values + t * steps, steps, pass->fcpe->cent_table, &pass->frequency[first + t],
                    &pass->confidence[first + t]);
fail:
    return result;
}

static enum status run_head(const struct pass *pass)
{
    enum status result = STATUS_OK;
    const struct fcpe *fcpe = pass->fcpe;
    const struct buffers *b = &pass->workspace->buffers;
    for (int64_t first = 0, rows; first < pass->frames; first += rows) {
        rows = block_of(pass, first);
        const struct activate sigmoid = {
            .count = rows * fcpe->config.steps, .x = b->values, .output = b->values, .activation = ACTIVATION_SIGMOID};
        TRY(norm(pass, &fcpe->norm, b->x + first * fcpe->config.hidden, rows, b->normal));
        TRY(product(pass, &fcpe->head, b->normal, rows, fcpe->config.hidden, fcpe->config.steps, false, b->values));
        TRY(compute_run(&pass->compute, activate, &sigmoid));
        if (!pass->compute.measure)
            TRY(fetch(pass, first, rows));
    }
fail:
    return result;
}

static enum status run(const struct pass *pass)
{
    enum status result = STATUS_OK;
    TRY(run_spectrum(pass));
    TRY(run_entry(pass));
    for (int64_t i = 0; i < pass->fcpe->config.layers; i++)
        TRY(run_layer(pass, &pass->fcpe->layers[i]));
    TRY(run_head(pass));
fail:
    return result;
}

enum status fcpe_run(struct fcpe_workspace *workspace, const float *samples, int64_t count, float *frequency,
                     float *confidence)
{
    enum status result = STATUS_OK;
    const struct fcpe *fcpe = workspace->fcpe;
    size_t scratch = 0;
    int64_t padded = count < fcpe->config.hop ? fcpe->config.hop : count;
    struct pass pass = {.fcpe = fcpe,
                        .workspace = workspace,
                        .samples = padded,
                        .frames = fcpe_frames(fcpe, count),
                        .frequency = frequency,
                        .confidence = confidence};
    pass.compute = (struct compute){
        .kernels = fcpe->kernels, .context = workspace->context, .dtype = DTYPE_F32, .measure = &scratch};
    if (count < 0 || padded > INT32_MAX)
        FAIL(STATUS_USAGE, "a clip of %lld samples is too long", (long long)count);
    TRY(make_room(workspace, padded, pass.frames));
    TRY(run(&pass));
    TRY(device_context_reserve(fcpe->kernels, workspace->context, scratch));
    pass.compute.measure = NULL;
    memset(workspace->host_samples, 0, (size_t)padded * sizeof *samples);
    if (count > 0)
        memcpy(workspace->host_samples, samples, (size_t)count * sizeof *samples);
    TRY(fcpe->kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.samples,
                                      workspace->host_samples, (size_t)padded * sizeof *samples));
    TRY(run(&pass));
fail:
    return result;
}

enum status fcpe_track(struct fcpe_workspace *workspace, const float *samples, int64_t count, float *f0,
                       uint8_t *voiced)
{
    enum status result = STATUS_OK;
    int64_t frames = fcpe_frames(workspace->fcpe, count);
    float *frequency = malloc((size_t)frames * sizeof *frequency);
    float *confidence = malloc((size_t)frames * sizeof *confidence);
    if (!frequency || !confidence)
        FAIL(STATUS_INTERNAL, "no memory for %lld frames", (long long)frames);
    TRY(fcpe_run(workspace, samples, count, frequency, confidence));
    fcpe_make_track(frequency, confidence, frames, fcpe_track_length(count), f0, voiced);
fail:
    free(frequency);
    free(confidence);
    return result;
}
