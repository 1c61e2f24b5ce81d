/* Memory for synthesis: all of it when the workspace is made, as much as a chunk in the midst of long speech needs. */
#include "models/hifigan/hifigan_internal.h"

#include "core/memory_plan.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_FRAMES = 200, LONGEST_CHUNK = 1 << 18 };

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
    struct hifigan_pass pass = {.compute = {.kernels = hifigan->kernels, .dtype = DTYPE_F32, .measure = &scratch},
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
    TRY(hifigan_run_chunk(&pass));
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
