/* From frames to samples, a chunk at a time. The stages of a chunk go through four arrays:
 *   upsampled = transposed convolution (LeakyReLU (sum of the stage before))
 *   per block, beginning with running = upsampled, at each dilation:
 *     between = dilated convolution (LeakyReLU (running));   running += convolution (LeakyReLU (between))
 *   sum = the blocks' results added up (their mean: hifigan_load.c)
 * The last step of a block goes right into the sum; what the block has come to by then is added to it by a convolution of each
 * channel by itself, of which all weights are one. */
#include "models/hifigan/hifigan_internal.h"

#include "core/memory_plan.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_FRAMES = 200, LONGEST_CHUNK = 1 << 18 };
static const float SLOPE = 0.1f, OUTPUT_SLOPE = 0.01f;

/* ---- layers ---- */

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

/* One chunk on its way. */
struct pass {
    struct compute compute;
    const struct hifigan_workspace *workspace;
    struct hifigan_plan plan;
};

static enum status upsample(const struct pass *pass, int64_t stage, const float *x)
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
static enum status add(const struct pass *pass, int64_t frames, int64_t channels, const float *x, float *sum)
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

static enum status run_block(const struct pass *pass, int64_t stage, int64_t block, const float *x)
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

static enum status run_input(const struct pass *pass)
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

/* The samples lie in `between` then, from the first frame of the last convolution's input on. */
static enum status run(const struct pass *pass)
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

static enum status run_chunk(struct hifigan_workspace *workspace, const struct hifigan_frames *frames,
                             struct hifigan_range wanted, float *samples)
{
    enum status result = STATUS_OK;
    const struct hifigan *hifigan = workspace->hifigan;
    const struct kernels *kernels = hifigan->kernels;
    struct pass pass = {.compute = {.kernels = kernels, .context = workspace->context, .dtype = DTYPE_F32},
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
    TRY(run(&pass));
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
        TRY(run_chunk(workspace, frames, wanted, samples + done * workspace->hifigan->config.frame_samples));
    }
fail:
    return result;
}

/* ---- the workspace ---- */

enum status hifigan_send_ids(struct hifigan_workspace *workspace)
{
    const struct kernels *kernels = workspace->hifigan->kernels;
    enum status result =
        kernels->copy_to_device(workspace->context, QUEUE_COMPUTE, workspace->buffers.ids, workspace->host_ids,
                                (size_t)(HIFIGAN_TABLES * workspace->room) * sizeof(int32_t));
    return result == STATUS_OK ? kernels->event_record(workspace->context, QUEUE_COMPUTE, workspace->sent) : result;
}

enum { BUFFERS = 6 };

static enum status allocate_buffers(struct hifigan_workspace *workspace, int64_t elements)
{
    enum status result = STATUS_OK;
    const struct hifigan_config *config = &workspace->hifigan->config;
    const struct kernels *kernels = workspace->hifigan->kernels;
    struct hifigan_buffers *b = &workspace->buffers;
    struct memory_plan plan = {.name = "vocoder"};
    const struct {
        void *pointer;
        const char *name;
        int64_t elements; /* all of 4 bytes */
    } wanted[BUFFERS] = {{&b->ids, "ids", HIFIGAN_TABLES * workspace->room},
                         {&b->inputs, "embeddings", workspace->room * hifigan_config_inputs(config)},
                         {&b->upsampled, "upsampled", elements},
                         {&b->running, "running", elements},
                         {&b->between, "between", elements},
                         {&b->sum, "sum", elements}};
    int64_t offsets[BUFFERS];
    void *ids = NULL, *logarithms = NULL;
    for (int i = 0; i < BUFFERS; i++)
        if ((offsets[i] = memory_plan_add(&plan, wanted[i].elements * 4, "%s", wanted[i].name)) < 0)
            FAIL(STATUS_INTERNAL, "no memory for the plan of a vocoder's workspace");
    TRY(kernels->allocate(workspace->context, (size_t)plan.total, &workspace->memory));
    for (int i = 0; i < BUFFERS; i++) {
        void *address = element_at(workspace->memory, DTYPE_U8, offsets[i]);
        memcpy(wanted[i].pointer, &address, sizeof address);
    }
    TRY(kernels->allocate_host(workspace->context, (size_t)(HIFIGAN_TABLES * workspace->room) * sizeof(int32_t), &ids));
    workspace->host_ids = ids;
    TRY(kernels->allocate_host(workspace->context, HIFIGAN_DURATION_UNITS * sizeof(float), &logarithms));
    workspace->host_logarithms = logarithms;
fail:
    memory_plan_free(&plan);
    return result;
}

enum status hifigan_workspace_create(const struct hifigan *hifigan, struct device_context *context,
                                     int64_t chunk_frames, struct hifigan_workspace **out)
{
    enum status result = STATUS_OK;
    const struct hifigan_config *config = &hifigan->config;
    size_t scratch = 0;
    *out = NULL;
    if (chunk_frames > LONGEST_CHUNK)
        return status_set(STATUS_USAGE, "chunks of %lld frames; expected at most %d", (long long)chunk_frames,
                          LONGEST_CHUNK);
    struct hifigan_workspace *workspace = calloc(1, sizeof *workspace);
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for a vocoder's workspace");
    *workspace = (struct hifigan_workspace){
        .hifigan = hifigan, .context = context, .chunk_frames = chunk_frames > 0 ? chunk_frames : CHUNK_FRAMES};
    struct pass pass = {.compute = {.kernels = hifigan->kernels, .dtype = DTYPE_F32, .measure = &scratch},
                        .workspace = workspace};
    /* A chunk in the midst of long speech, which needs the most. */
    int64_t middle = 1 << 20;
    hifigan_plan_make(config, (struct hifigan_range){middle, middle + workspace->chunk_frames}, INT32_MAX, &pass.plan);
    workspace->room = pass.plan.frames.end - pass.plan.frames.first;
    if (workspace->room < HIFIGAN_DURATION_UNITS + 4)
        workspace->room = HIFIGAN_DURATION_UNITS + 4; /* with what two convolutions of three taps look at */
    int64_t elements = hifigan_plan_elements(config, &pass.plan);
    if (elements < workspace->room * config->duration_channels)
        elements = workspace->room * config->duration_channels;
    TRY(hifigan->kernels->event_create(context, &workspace->sent));
    TRY(allocate_buffers(workspace, elements));
    TRY(run(&pass));
    TRY(hifigan_run_durations(&pass.compute, workspace, workspace->room));
    TRY(device_context_reserve(hifigan->kernels, context, scratch));
    *out = workspace;
    return STATUS_OK;
fail:
    hifigan_workspace_destroy(workspace);
    return result;
}

void hifigan_workspace_destroy(struct hifigan_workspace *workspace)
{
    if (!workspace)
        return;
    const struct kernels *kernels = workspace->hifigan->kernels;
    if (workspace->sent) /* host memory is in use until its copies are over */
        (void)kernels->synchronize(workspace->context);
    kernels->release(workspace->context, workspace->memory);
    kernels->release_host(workspace->context, workspace->host_ids);
    kernels->release_host(workspace->context, workspace->host_logarithms);
    kernels->event_destroy(workspace->context, workspace->sent);
    free(workspace);
}
