/* A pass over a batch of clips, and the memory that it needs. The pass is gone through twice: first to find the largest scratch of its
 * operations, without computing anything, then to compute. */
#include "models/encoder/encoder_internal.h"

#include "core/memory_plan.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 512 };

int64_t encoder_padded_frames(int64_t clips, int64_t frames)
{
    int64_t least = clips > 0 ? (ENCODER_LEAST_ROWS + clips - 1) / clips : 0;
    return frames > least ? frames : least;
}

/* ---- the workspace ---- */

enum status encoder_workspace_create(const struct encoder *encoder, struct device_context *context,
                                     struct encoder_workspace **out)
{
    enum status result = STATUS_OK;
    struct encoder_workspace *workspace = calloc(1, sizeof *workspace);
    *out = NULL;
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for an encoder's workspace");
    *workspace = (struct encoder_workspace){.encoder = encoder, .context = context};
    workspace->tile_frames = encoder_tile_frames(encoder);
    workspace->block_rows = encoder->kernels->block_rows > BLOCK_ROWS ? encoder->kernels->block_rows : BLOCK_ROWS;
    TRY(encoder->kernels->event_create(context, &workspace->sent));
    *out = workspace;
    return STATUS_OK;
fail:
    encoder_workspace_destroy(workspace);
    return result;
}

static void release_buffers(struct encoder_workspace *workspace)
{
    const struct kernels *kernels = workspace->encoder->kernels;
    if (workspace->sent) /* host memory is in use until its copies are over */
        (void)kernels->synchronize(workspace->context);
    kernels->release(workspace->context, workspace->memory);
    kernels->release_host(workspace->context, workspace->host_samples);
    kernels->release_host(workspace->context, workspace->host_first);
    kernels->release_host(workspace->context, workspace->host_lengths);
    free(workspace->clip_frames);
    workspace->memory = NULL;
    workspace->host_samples = workspace->host_first = NULL;
    workspace->host_lengths = NULL;
    workspace->clip_frames = NULL;
    workspace->clips = workspace->frames = workspace->samples = 0;
}

void encoder_workspace_destroy(struct encoder_workspace *workspace)
{
    if (!workspace)
        return;
    release_buffers(workspace);
    workspace->encoder->kernels->event_destroy(workspace->context, workspace->sent);
    free(workspace);
}

/* Where a buffer lies: filled in once the plan is complete. */
struct place {
    void **pointer;
    int64_t offset;
};

enum { BUFFERS = 12 };

static enum status plan_buffers(struct encoder_workspace *workspace, struct place places[BUFFERS],
                                struct memory_plan *plan)
{
    const struct encoder_config *config = &workspace->encoder->config;
    struct encoder_buffers *b = &workspace->buffers;
    int64_t rows = workspace->clips * workspace->frames, hidden = config->hidden_size;
    int64_t block = workspace->block_rows + ENCODER_LEAST_ROWS;
    int64_t tile = encoder_tile_elements(workspace->encoder, workspace->tile_frames);
    const struct encoder_convolution *first = &config->convolutions[0];
    const struct {
        void *pointer;
        const char *name;
        int64_t elements;
    } wanted[BUFFERS] = {{&b->samples, "samples", workspace->samples},
                         {&b->first_weight, "first convolution", first->channels * first->kernel},
                         {&b->first_bias, "its bias", first->channels},
                         {&b->tiles[0], "tile", tile},
                         {&b->tiles[1], "tile", tile},
                         {&b->features, "features", rows * encoder_width(workspace->encoder, ENCODER_FEATURES)},
                         {&b->x, "x", rows * hidden},
                         {&b->y, "y", rows * hidden},
                         {&b->normal, "normalised", rows * hidden},
                         {&b->output, "attention", rows * hidden},
                         {&b->qkv, "queries, keys, values", 3 * rows * hidden},
                         {&b->wide, "feed-forward", (rows < block ? rows : block) * config->intermediate_size}};
    for (int i = 0; i < BUFFERS; i++) {
        places[i] = (struct place){.pointer = wanted[i].pointer};
        places[i].offset = memory_plan_add(plan, wanted[i].elements * (int64_t)sizeof(float), "%s", wanted[i].name);
        if (places[i].offset < 0)
            return status_set(STATUS_INTERNAL, "no memory for the plan of an encoder's workspace");
    }
    return STATUS_OK;
}

static enum status allocate_buffers(struct encoder_workspace *workspace)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = workspace->encoder->kernels;
    const struct encoder_convolution *first = &workspace->encoder->config.convolutions[0];
    struct memory_plan plan = {.name = "encoder"};
    struct place places[BUFFERS];
    size_t clips = (size_t)workspace->clips;
    void *samples = NULL, *weights = NULL, *lengths = NULL;
    TRY(plan_buffers(workspace, places, &plan));
    int64_t lengths_offset = memory_plan_add(&plan, (int64_t)(clips * sizeof(int32_t)), "lengths");
    if (lengths_offset < 0)
        FAIL(STATUS_INTERNAL, "no memory for the plan of an encoder's workspace");
    TRY(kernels->allocate(workspace->context, (size_t)plan.total, &workspace->memory));
    for (int i = 0; i < BUFFERS; i++) {
        float *address = element_at(workspace->memory, DTYPE_U8, places[i].offset);
        memcpy(places[i].pointer, &address, sizeof address);
    }
    workspace->buffers.lengths = element_at(workspace->memory, DTYPE_U8, lengths_offset);
    TRY(kernels->allocate_host(workspace->context, (size_t)workspace->samples * sizeof(float), &samples));
    workspace->host_samples = samples;
    TRY(kernels->allocate_host(workspace->context, (size_t)(first->channels * (first->kernel + 1)) * sizeof(float),
                               &weights));
    workspace->host_first = weights;
    TRY(kernels->allocate_host(workspace->context, clips * sizeof(int32_t), &lengths));
    workspace->host_lengths = lengths;
    if (!(workspace->clip_frames = calloc(clips, sizeof *workspace->clip_frames)))
        FAIL(STATUS_INTERNAL, "no memory for the lengths of %zu clips", clips);
fail:
    memory_plan_free(&plan);
    return result;
}

/* Room for a batch: new memory only where the batch is larger than all before. */
static enum status make_room(struct encoder_workspace *workspace, int64_t clips, int64_t frames, int64_t samples)
{
    if (clips <= workspace->clips && frames <= workspace->frames && samples <= workspace->samples)
        return STATUS_OK;
    int64_t rows_clips = workspace->clips > clips ? workspace->clips : clips;
    int64_t rows_frames = workspace->frames > frames ? workspace->frames : frames;
    int64_t most_samples = workspace->samples > samples ? workspace->samples : samples;
    release_buffers(workspace);
    workspace->clips = rows_clips;
    workspace->frames = rows_frames;
    workspace->samples = most_samples;
    enum status result = allocate_buffers(workspace);
    if (result != STATUS_OK)
        release_buffers(workspace);
    return result;
}

/* ---- the pass ---- */

static enum status run(const struct encoder_pass *pass, const struct encoder_clip *clips, const float **values)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < pass->clips; i++)
        TRY(encoder_run_features(pass, &clips[i], i, pass->workspace->clip_frames[i]));
    TRY(encoder_run_layers(pass, values));
fail:
    return result;
}

static enum status send_lengths(struct encoder_workspace *workspace, int64_t clips)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = workspace->encoder->kernels;
    TRY(kernels->event_wait(workspace->context, workspace->sent));
    for (int64_t i = 0; i < clips; i++)
        workspace->host_lengths[i] = (int32_t)workspace->clip_frames[i];
    TRY(kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.lengths, workspace->host_lengths,
                                (size_t)clips * sizeof(int32_t)));
    TRY(kernels->event_record(workspace->context, QUEUE_COMPUTE, workspace->sent));
fail:
    return result;
}

static enum status run_to(struct encoder_workspace *workspace, const struct encoder_clip *clips, int64_t count,
                          int64_t stop, const struct encoder_tap *tap, struct encoder_output *output)
{
    enum status result = STATUS_OK;
    const struct encoder *encoder = workspace->encoder;
    int64_t frames = 0, samples = 0;
    size_t scratch = 0;
    const float *values = NULL;
    *output = (struct encoder_output){.width = encoder_width(encoder, stop), .clips = count};
    if (stop < ENCODER_FEATURES || stop > encoder->layer)
        FAIL(STATUS_INTERNAL, "layer %lld of an encoder that was read up to layer %lld", (long long)stop,
             (long long)encoder->layer);
    if (count == 0)
        return STATUS_OK;
    for (int64_t i = 0; i < count; i++) {
        int64_t own = encoder_config_frames(&encoder->config, clips[i].count);
        frames = own > frames ? own : frames;
        samples = clips[i].count > samples ? clips[i].count : samples;
    }
    frames = encoder_padded_frames(count, frames);
    if (frames * count > INT32_MAX)
        FAIL(STATUS_USAGE, "a batch of %lld clips of up to %lld frames is too large", (long long)count,
             (long long)frames);
    TRY(make_room(workspace, count, frames, samples));
    for (int64_t i = 0; i < count; i++)
        workspace->clip_frames[i] = encoder_config_frames(&encoder->config, clips[i].count);
    struct encoder_pass pass = {.compute = {.kernels = encoder->kernels,
                                            .context = workspace->context,
                                            .dtype = DTYPE_F32,
                                            .measure = &scratch},
                                .encoder = encoder,
                                .workspace = workspace,
                                .clips = count,
                                .frames = frames,
                                .rows = count * frames,
                                .stop = stop,
                                .tap = tap};
    TRY(run(&pass, clips, &values));
    TRY(device_context_reserve(encoder->kernels, workspace->context, scratch));
    pass.compute.measure = NULL;
    TRY(send_lengths(workspace, count));
    TRY(run(&pass, clips, &values));
    output->values = values;
    output->frames = workspace->clip_frames;
    output->stride = frames;
fail:
    return result;
}

enum status encoder_run(struct encoder_workspace *workspace, const struct encoder_clip *clips, int64_t count,
                        int64_t stop, struct encoder_output *output)
{
    return run_to(workspace, clips, count, stop, NULL, output);
}

enum status encoder_run_tapped(struct encoder_workspace *workspace, const struct encoder_clip *clips, int64_t count,
                               const struct encoder_tap *tap, struct encoder_output *output)
{
    return run_to(workspace, clips, count, ENCODER_LAST, tap, output);
}

enum status encoder_copy(const struct encoder_workspace *workspace, const struct encoder_output *output, int64_t clip,
                         int64_t first, int64_t count, float *values)
{
    const struct kernels *kernels = workspace->encoder->kernels;
    const float *from = output->values + (clip * output->stride + first) * output->width;
    enum status result = kernels->copy_to_host(workspace->context, QUEUE_COMPUTE, values, from,
                                               (size_t)(count * output->width) * sizeof(float));
    return result == STATUS_OK ? kernels->synchronize(workspace->context) : result;
}
