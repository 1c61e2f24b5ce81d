/* The head is one product on the device, in blocks of rows; its log-softmax is computed on the host, in double, for the wanted
 * columns alone: a text of an hour names few characters of a large alphabet. */
#include "models/encoder/ctc_model.h"

#include "models/operations.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHARACTERS_LIMIT = 1 << 17, BLOCK_FRAMES = 256 };

struct ctc_model {
    struct encoder *encoder;
    const struct kernels *kernels;
    struct device_context *context;
    int64_t width, characters;
    float *weight, *bias; /* device: [characters][width], [characters] */
    struct sha256 fingerprint;
};

struct ctc_workspace {
    const struct ctc_model *model;
    struct device_context *context;
    struct encoder_workspace *encoder;
    float *logits, *host; /* [BLOCK_FRAMES][characters] on the device and in pinned memory */
};

/* ---- reading ---- */

static enum status upload(const struct ctc_model *model, const float *values, int64_t count, float **place)
{
    enum status result = STATUS_OK;
    void *memory = NULL;
    size_t bytes = (size_t)count * sizeof *values;
    TRY(model->kernels->allocate(model->context, bytes, &memory));
    *place = memory;
    TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, memory, values, bytes));
    TRY(model->kernels->synchronize(model->context));
fail:
    return result;
}

static enum status load_head(const struct named_tensors *tensors, struct ctc_model *model, struct sha256_stream *hash)
{
    enum status result = STATUS_OK;
    const struct stored_tensor *tensor = named_tensors_find(tensors, "lm_head.weight");
    float *values = NULL;
    int64_t width = model->width;
    model->characters = tensor && tensor->rank == 2 ? tensor->shape[0] : 1;
    if (model->characters < 1 || model->characters > CHARACTERS_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: tensor lm_head.weight has %" PRId64 " rows, expected 1 to %d",
             named_tensors_path(tensors), model->characters, CHARACTERS_LIMIT);
    if (!(values = malloc((size_t)(model->characters * width) * sizeof *values)))
        FAIL(STATUS_INTERNAL, "no memory for the head of a CTC model");
    TRY(named_tensors_read(tensors, "lm_head.weight", 2, (int64_t[]){model->characters, width}, values));
    sha256_add(hash, values, (size_t)(model->characters * width) * sizeof *values);
    TRY(upload(model, values, model->characters * width, &model->weight));
    TRY(named_tensors_read(tensors, "lm_head.bias", 1, &model->characters, values));
    sha256_add(hash, values, (size_t)model->characters * sizeof *values);
    TRY(upload(model, values, model->characters, &model->bias));
fail:
    free(values);
    return result;
}

enum status ctc_model_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                           struct ctc_model **out)
{
    enum status result = STATUS_OK;
    const struct encoder_options options = {.layer = ENCODER_LAST, .normalize_default = true};
    struct named_tensors *tensors = NULL;
    struct sha256_stream *hash = sha256_start();
    struct ctc_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model)
        FAIL(STATUS_INTERNAL, "no memory for a CTC model");
    *model = (struct ctc_model){.kernels = kernels, .context = context};
    TRY(named_tensors_open(folder, &tensors));
    TRY(encoder_create(tensors, &options, kernels, context, &model->encoder));
    model->width = encoder_width(model->encoder, ENCODER_LAST);
    sha256_add(hash, "ctc model 1", 11);
    sha256_add(hash, encoder_fingerprint(model->encoder), sizeof(struct sha256));
    TRY(load_head(tensors, model, hash));
    *out = model;
fail:
    named_tensors_close(tensors);
    struct sha256 fingerprint = sha256_finish(hash);
    if (result == STATUS_OK)
        model->fingerprint = fingerprint;
    else
        ctc_model_close(model);
    return result;
}

void ctc_model_close(struct ctc_model *model)
{
    if (!model)
        return;
    encoder_close(model->encoder);
    model->kernels->release(model->context, model->weight);
    model->kernels->release(model->context, model->bias);
    free(model);
}

const struct encoder_config *ctc_model_config(const struct ctc_model *model)
{
    return encoder_config(model->encoder);
}

int32_t ctc_model_size(const struct ctc_model *model)
{
    return (int32_t)model->characters;
}

const struct sha256 *ctc_model_fingerprint(const struct ctc_model *model)
{
    return &model->fingerprint;
}

/* ---- computing ---- */

enum status ctc_workspace_create(const struct ctc_model *model, struct device_context *context,
                                 struct ctc_workspace **out)
{
    enum status result = STATUS_OK;
    struct ctc_workspace *workspace = calloc(1, sizeof *workspace);
    void *logits = NULL, *host = NULL;
    size_t bytes = (size_t)(BLOCK_FRAMES * model->characters) * sizeof(float);
    *out = NULL;
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for a CTC model's workspace");
    *workspace = (struct ctc_workspace){.model = model, .context = context};
    TRY(encoder_workspace_create(model->encoder, context, &workspace->encoder));
    TRY(model->kernels->allocate(context, bytes, &logits));
    workspace->logits = logits;
    TRY(model->kernels->allocate_host(context, bytes, &host));
    workspace->host = host;
    *out = workspace;
    return STATUS_OK;
fail:
    ctc_workspace_destroy(workspace);
    return result;
}

void ctc_workspace_destroy(struct ctc_workspace *workspace)
{
    if (!workspace)
        return;
    const struct kernels *kernels = workspace->model->kernels;
    encoder_workspace_destroy(workspace->encoder);
    kernels->release(workspace->context, workspace->logits);
    kernels->release_host(workspace->context, workspace->host);
    free(workspace);
}

/* log(sum(exp)) of all logits but that of `without`. */
static double log_sum(const float *logits, int64_t count, int64_t without)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++)
        if (i != without && (double)logits[i] > largest)
            largest = (double)logits[i];
    for (int64_t i = 0; i < count; i++)
        if (i != without)
            sum += exp((double)logits[i] - largest);
    return sum > 0 ? largest + log(sum) : -INFINITY; /* -inf where there is no other */
}

static double greatest(const float *logits, int64_t count)
{
    double largest = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        largest = (double)logits[i] > largest ? (double)logits[i] : largest;
    return largest;
}

static void emit_frame(const float *logits, int64_t characters, const struct ctc_columns *columns, bool wildcard,
                       float *emissions)
{
    double total = log_sum(logits, characters, -1);
    double others = wildcard ? log_sum(logits, characters, columns->blank) : 0;
    for (int64_t i = 0; i < columns->count; i++) {
        int32_t id = columns->ids[i];
        double value = id == CTC_ANY ? others : id == CTC_GREATEST ? greatest(logits, characters) : (double)logits[id];
        emissions[i] = (float)(value - total);
    }
}

static enum status compute_block(struct ctc_workspace *workspace, const float *frames, int64_t count)
{
    enum status result = STATUS_OK;
    const struct ctc_model *model = workspace->model;
    size_t scratch = 0;
    struct compute compute = {
        .kernels = model->kernels, .context = workspace->context, .dtype = DTYPE_F32, .measure = &scratch};
    const struct linear head = {.rows = count,
                                .in = model->width,
                                .out = model->characters,
                                .x = frames,
                                .weight = model->weight,
                                .bias = model->bias,
                                .output = workspace->logits,
                                .output_type = DTYPE_F32};
    TRY(linear_forward(&compute, &head));
    TRY(device_context_reserve(model->kernels, workspace->context, scratch));
    compute.measure = NULL;
    TRY(linear_forward(&compute, &head));
    TRY(model->kernels->copy_to_host(workspace->context, QUEUE_COMPUTE, workspace->host, workspace->logits,
                                     (size_t)(count * model->characters) * sizeof(float)));
    TRY(model->kernels->synchronize(workspace->context));
fail:
    return result;
}

/* What is wanted of each frame: emissions, or the character that has the greatest logit. */
struct ctc_wish {
    const struct ctc_columns *columns; /* NULL: no emissions */
    float *emissions;
    int32_t *best;
};

static int32_t best_of(const float *logits, int64_t characters)
{
    int64_t best = 0;
    for (int64_t c = 1; c < characters; c++)
        if (logits[c] > logits[best])
            best = c;
    return (int32_t)best;
}

/* Frames of a clip from `first` on, whose logits are in the workspace. */
static void fulfil(const struct ctc_workspace *workspace, const struct ctc_wish *wish, int64_t first, int64_t count)
{
    int64_t characters = workspace->model->characters;
    bool wildcard = false;
    for (int64_t i = 0; wish->columns && i < wish->columns->count; i++)
        wildcard = wildcard || wish->columns->ids[i] == CTC_ANY;
    for (int64_t i = 0; i < count; i++) {
        const float *logits = workspace->host + i * characters;
        if (wish->columns)
            emit_frame(logits, characters, wish->columns, wildcard,
                       wish->emissions + (first + i) * wish->columns->count);
        else
            wish->best[first + i] = best_of(logits, characters);
    }
}

/* Frames [from, to) of the window that begins at frame `first` of the clip and has `count`. */
struct window {
    int64_t first, count, from, to;
};

static enum status run_window(struct ctc_workspace *workspace, const struct encoder_clip *clip,
                              const struct window *window, const struct ctc_wish *wish)
{
    enum status result = STATUS_OK;
    const struct ctc_model *model = workspace->model;
    const struct encoder_config *config = encoder_config(model->encoder);
    int64_t begin = window->first * encoder_config_hop(config);
    int64_t samples = encoder_config_samples(config, window->count);
    bool last = window->first + window->count == encoder_config_frames(config, clip->count);
    const struct encoder_clip part = {.samples = clip->samples + begin, .count = last ? clip->count - begin : samples};
    struct encoder_output output;
    TRY(encoder_run(workspace->encoder, &part, 1, ENCODER_LAST, &output));
    for (int64_t at = window->from; at < window->to; at += BLOCK_FRAMES) {
        int64_t count = window->to - at < BLOCK_FRAMES ? window->to - at : BLOCK_FRAMES;
        TRY(compute_block(workspace, output.values + at * output.width, count));
        fulfil(workspace, wish, window->first + at, count);
    }
fail:
    return result;
}

static enum status check_columns(const struct ctc_model *model, const struct ctc_columns *columns)
{
    bool good = columns->blank >= 0 && columns->blank < model->characters;
    for (int64_t i = 0; i < columns->count; i++)
        good = good && columns->ids[i] >= CTC_GREATEST && columns->ids[i] < model->characters;
    return good ? STATUS_OK
                : status_set(STATUS_INTERNAL, "a character beyond the %" PRId64 " of a CTC model", model->characters);
}

static enum status run_windows(struct ctc_workspace *workspace, const struct encoder_clip *clip,
                               const struct ctc_wish *wish)
{
    enum status result = STATUS_OK;
    enum { STRIDE = CTC_WINDOW_FRAMES - 2 * CTC_CONTEXT_FRAMES };
    int64_t frames = encoder_config_frames(ctc_model_config(workspace->model), clip->count);
    for (int64_t first = 0; first < frames; first += STRIDE) {
        bool last = frames - first <= CTC_WINDOW_FRAMES;
        int64_t count = last ? frames - first : CTC_WINDOW_FRAMES;
        const struct window window = {.first = first,
                                      .count = count,
                                      .from = first == 0 ? 0 : CTC_CONTEXT_FRAMES,
                                      .to = last ? count : count - CTC_CONTEXT_FRAMES};
        TRY(run_window(workspace, clip, &window, wish));
        if (last)
            break;
    }
fail:
    return result;
}

enum status ctc_model_run(struct ctc_workspace *workspace, const struct encoder_clip *clip,
                          const struct ctc_columns *columns, float *emissions)
{
    enum status result = check_columns(workspace->model, columns);
    return result == STATUS_OK
               ? run_windows(workspace, clip, &(struct ctc_wish){.columns = columns, .emissions = emissions})
               : result;
}

enum status ctc_model_greedy(struct ctc_workspace *workspace, const struct encoder_clip *clip, int32_t *best)
{
    return run_windows(workspace, clip, &(struct ctc_wish){.best = best});
}
