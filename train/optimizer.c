/* AdamW on flat parameters, sharded over the ranks (Rajbhandari et al. 2020, stage 1). All of a step's work goes into
 * queues; the host is told a norm and a flag, once it has synchronized.
 *
 * Gradients travel while backward goes on: as soon as a bucket is complete it is copied to one of two exchange buffers, and
 * its reduction is started there. The buffers are used in turn, so that a bucket waits for the bucket two before it alone.
 * Weights travel in the same two buffers: each bucket's update is followed by its all-gather, beside the next one's
 * update. An exchange buffer is padded to equal slices; the arenas are not, so nothing travels in place.
 *
 * The norm is added slice by slice from bucket 0 on, after the last reduction, though the first ones could be added
 * sooner: so its bits do not depend on the order in which backward completes buckets. */
#include "train/optimizer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Slices are cut at multiples of 128 elements: 256 bytes in bf16. */
static int64_t slice_of(int64_t elements, int ranks)
{
    int64_t count = (elements + ranks - 1) / ranks;
    return ranks == 1 ? elements : (count + 127) / 128 * 128;
}

static int64_t largest_slice(const struct parameter_layout *layout, int ranks)
{
    int64_t largest = 0;
    for (int64_t b = 0; b < layout->bucket_count; b++) {
        int64_t slice = slice_of(bucket_size(layout, b), ranks);
        largest = slice > largest ? slice : largest;
    }
    return largest;
}

/* Of one exchange buffer. */
static int64_t exchange_elements(const struct parameter_layout *layout, int ranks)
{
    return ranks > 1 ? largest_slice(layout, ranks) * ranks : 0;
}

/* A slice cuts at most one tensor at its end; embedding and head are cut once more, at their new rows. */
static int64_t segments_at_most(const struct parameter_layout *layout)
{
    return layout->count + layout->bucket_count + 2;
}

enum status optimizer_plan(const struct parameter_layout *layout, enum dtype dtype, int ranks,
                           struct memory_plan *gradients, struct memory_plan *states)
{
    int64_t slices = 0;
    for (int64_t b = 0; b < layout->bucket_count; b++)
        slices += slice_of(bucket_size(layout, b), ranks);
    bool good = memory_plan_add(gradients, layout->elements * 4, "gradients") >= 0;
    good = good && memory_plan_add(states, slices * 4, "first moment") >= 0;
    good = good && memory_plan_add(states, slices * 4, "second moment") >= 0;
    if (dtype != DTYPE_F32)
        good = good && memory_plan_add(states, slices * 4, "masters") >= 0;
    if (ranks > 1)
        good = good && memory_plan_add(states, 2 * exchange_elements(layout, ranks) * 4, "exchange x 2") >= 0;
    good = good &&
           memory_plan_add(states, segments_at_most(layout) * (int64_t)sizeof(struct adamw_segment), "segments") >= 0;
    good = good && memory_plan_add(states, sizeof(struct optimizer_scalars), "scalars") >= 0;
    return good ? STATUS_OK : status_set(STATUS_INTERNAL, "the optimizer's sizes overflow");
}

size_t optimizer_scratch(const struct kernels *kernels, const struct parameter_layout *layout, int ranks)
{
    const struct squared_norm norm = {.count = largest_slice(layout, ranks)};
    return kernels->squared_norm_scratch_size(&norm);
}

static enum status allocate(const struct optimizer *optimizer, int64_t bytes, void *pointer)
{
    void *memory = NULL;
    enum status result = optimizer->model->kernels->allocate(optimizer->model->context, (size_t)bytes, &memory);
    memcpy(pointer, &memory, sizeof memory);
    return result;
}

static enum status allocate_states(struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    int64_t slices = optimizer->slice_elements * 4;
    void *figures;
    TRY(allocate(optimizer, model->layout.elements * 4, &optimizer->gradients));
    TRY(allocate(optimizer, slices, &optimizer->first_moment));
    TRY(allocate(optimizer, slices, &optimizer->second_moment));
    if (model->dtype != DTYPE_F32)
        TRY(allocate(optimizer, slices, &optimizer->masters));
    optimizer->exchange_elements = exchange_elements(&model->layout, comm_size(optimizer->comm));
    if (optimizer->exchange_elements > 0)
        TRY(allocate(optimizer, 2 * optimizer->exchange_elements * 4, &optimizer->exchange));
    TRY(allocate(optimizer, sizeof *optimizer->scalars, &optimizer->scalars));
    TRY(model->kernels->allocate_host(model->context, sizeof *optimizer->figures, &figures));
    optimizer->figures = figures;
fail:
    return result;
}

/* The part of elements [first, end) of the arena that lies in this rank's slice of a bucket, in elements of the slice. */
static struct adamw_segment segment_of(const struct optimizer *optimizer, const struct parameter_view *view,
                                       int64_t first, int64_t last, int64_t bucket)
{
    int rank = comm_rank(optimizer->comm);
    int64_t begin = slice_begin(optimizer, bucket, rank), end = begin + slice_length(optimizer, bucket, rank);
    int64_t from = first > begin ? first : begin, to = last < end ? last : end;
    return (struct adamw_segment){.begin = from - begin,
                                  .count = view->alias || from >= to ? 0 : to - from,
                                  .weight_decay = view->decay ? (float)optimizer->settings.weight_decay : 0.0f};
}

/* The rate of a view's new rows, and its element where they begin; its end where it has none of their own rate. */
static float new_row_rate(const struct optimizer *optimizer, const struct parameter_view *view, int64_t *begin)
{
    const struct optimizer_settings *settings = &optimizer->settings;
    bool vocabulary = view->layer < 0 && view->rank == 2,
         input = view->offset == optimizer->model->layout.views[0].offset;
    double rate = input ? settings->new_input_rate : settings->new_output_rate;
    *begin = view->offset + view->count;
    if (!vocabulary || rate <= 0 || rate == 1 || settings->new_rows >= view->shape[0])
        return 1;
    *begin = view->offset + settings->new_rows * view->shape[1];
    return (float)rate;
}

static int64_t add_segments(const struct optimizer *optimizer, const struct parameter_view *view, int64_t bucket,
                            struct adamw_segment *segments, float *rates)
{
    int64_t count = 0, middle;
    float rate = new_row_rate(optimizer, view, &middle);
    for (int part = 0; part < 2; part++) {
        segments[count] = segment_of(optimizer, view, part ? middle : view->offset,
                                     part ? view->offset + view->count : middle, bucket);
        rates[count] = part ? rate : 1;
        count += segments[count].count > 0;
    }
    return count;
}

/* Which elements of each slice are weights, how they decay and how fast they learn: made once, for all updates. */
static enum status make_segments(struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct parameter_layout *layout = &model->layout;
    int64_t count = 0, most = segments_at_most(layout); /* of any rank: so many are planned */
    struct adamw_segment *segments = calloc((size_t)most + 1, sizeof *segments);
    optimizer->segment_rates = calloc((size_t)most + 1, sizeof *optimizer->segment_rates);
    if (!segments || !optimizer->segment_rates)
        FAIL(STATUS_INTERNAL, "no memory for the optimizer's segments");
    for (int64_t b = 0; b < layout->bucket_count; b++) {
        optimizer->segment_starts[b] = count;
        for (int64_t i = 0; i < layout->count; i++)
            count += add_segments(optimizer, &layout->views[i], b, segments + count, optimizer->segment_rates + count);
    }
    optimizer->segment_starts[layout->bucket_count] = count;
    TRY(allocate(optimizer, most * (int64_t)sizeof *segments, &optimizer->segments));
    TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, optimizer->segments, segments,
                                       (size_t)count * sizeof *segments));
    TRY(model->kernels->synchronize(model->context));
fail:
    free(segments);
    return result;
}

enum status optimizer_create(struct llama *model, struct comm *comm, struct device_comm *device_comm,
                             const struct optimizer_settings *settings, struct optimizer **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    const struct parameter_layout *layout = &model->layout;
    struct optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer)
        return status_set(STATUS_INTERNAL, "no memory for the optimizer");
    optimizer->model = model;
    optimizer->comm = comm;
    optimizer->device_comm = device_comm;
    optimizer->settings = *settings;
    optimizer->slice_counts = calloc((size_t)layout->bucket_count, sizeof(int64_t));
    optimizer->slice_starts = calloc((size_t)layout->bucket_count, sizeof(int64_t));
    optimizer->segment_starts = calloc((size_t)layout->bucket_count + 1, sizeof(int64_t));
    if (!optimizer->slice_counts || !optimizer->slice_starts || !optimizer->segment_starts)
        FAIL(STATUS_INTERNAL, "no memory for the optimizer's slices");
    for (int64_t b = 0; b < layout->bucket_count; b++) {
        optimizer->slice_counts[b] = slice_of(bucket_size(layout, b), comm_size(comm));
        optimizer->slice_starts[b] = optimizer->slice_elements;
        optimizer->slice_elements += optimizer->slice_counts[b];
    }
    TRY(make_segments(optimizer));
    TRY(allocate_states(optimizer));
    TRY(device_context_reserve(model->kernels, model->context,
                               optimizer_scratch(model->kernels, layout, comm_size(comm))));
    *out = optimizer;
    return STATUS_OK;
fail:
    optimizer_destroy(optimizer);
    return result;
}

void optimizer_destroy(struct optimizer *optimizer)
{
    if (!optimizer)
        return;
    const struct llama *model = optimizer->model;
    for (int i = 0; i < 2; i++) /* nobody may still be reading a buffer that is about to go, however the run ended */
        if (optimizer->transfers[i].ticket)
            (void)device_comm_wait(optimizer->device_comm, optimizer->transfers[i].ticket);
    void *const memory[] = {optimizer->gradients, optimizer->first_moment, optimizer->second_moment, optimizer->masters,
                            optimizer->exchange,  optimizer->scalars,      optimizer->segments};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            model->kernels->release(model->context, memory[i]);
    if (optimizer->figures)
        model->kernels->release_host(model->context, optimizer->figures);
    free(optimizer->slice_counts);
    free(optimizer->slice_starts);
    free(optimizer->segment_starts);
    free(optimizer->segment_rates);
    free(optimizer);
}

/* ---- the two exchange buffers ---- */

static char *weights_at(const struct llama *model, int64_t element)
{
    return (char *)model->weights + (size_t)element * dtype_size(model->dtype);
}

static float *exchange_buffer(const struct optimizer *optimizer, int which)
{
    return optimizer->exchange + which * optimizer->exchange_elements;
}

/* Later work of the compute queue finds what came through the buffer in its place: in the gradients this rank's slice of
 * the sum, in the weights the whole bucket. */
static enum status finish_transfer(struct optimizer *optimizer, int which)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    struct optimizer_transfer *transfer = &optimizer->transfers[which];
    int64_t bucket = transfer->bucket, ticket = transfer->ticket;
    int rank = comm_rank(optimizer->comm);
    const float *buffer = exchange_buffer(optimizer, which);
    if (ticket == 0)
        return STATUS_OK;
    TRY(device_comm_wait(optimizer->device_comm, ticket));
    transfer->ticket = 0;
    if (transfer->gathers) /* rank slices follow each other, so the bucket is one run of the buffer */
        TRY(model->kernels->copy(model->context, weights_at(model, model->layout.bucket_offsets[bucket]), buffer,
                                 (size_t)bucket_size(&model->layout, bucket) * dtype_size(model->dtype)));
    else
        TRY(model->kernels->copy(model->context, optimizer->gradients + slice_begin(optimizer, bucket, rank),
                                 buffer + rank * optimizer->slice_counts[bucket],
                                 (size_t)slice_length(optimizer, bucket, rank) * sizeof(float)));
fail:
    return result;
}

static enum status finish_transfers(struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    for (int i = 0; i < 2; i++)
        TRY(finish_transfer(optimizer, (int)((optimizer->turn + i) % 2))); /* the older one first */
fail:
    return result;
}

/* The buffer whose turn it is, free for this bucket: *which. */
static enum status take_buffer(struct optimizer *optimizer, int *which)
{
    *which = (int)(optimizer->turn++ % 2);
    return finish_transfer(optimizer, *which);
}

/* ---- gradients ---- */

static enum status start_reduction(struct optimizer *optimizer, int64_t bucket)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    int64_t count = optimizer->slice_counts[bucket], elements = bucket_size(&model->layout, bucket), ticket;
    int64_t padding = count * comm_size(optimizer->comm) - elements;
    int which;
    TRY(take_buffer(optimizer, &which));
    float *buffer = exchange_buffer(optimizer, which);
    TRY(model->kernels->copy(model->context, buffer, optimizer->gradients + model->layout.bucket_offsets[bucket],
                             (size_t)elements * sizeof(float)));
    TRY(model->kernels->fill_zero(model->context, buffer + elements, (size_t)padding * sizeof(float)));
    TRY(device_comm_start_reduce_scatter(optimizer->device_comm, buffer, count, &ticket));
    optimizer->transfers[which] = (struct optimizer_transfer){.ticket = ticket, .bucket = bucket};
fail:
    return result;
}

static enum status bucket_done(void *argument, int64_t bucket)
{
    struct optimizer *optimizer = argument;
    optimizer->buckets_done++;
    return comm_size(optimizer->comm) > 1 ? start_reduction(optimizer, bucket) : STATUS_OK;
}

struct llama_bucket_hook optimizer_hook(struct optimizer *optimizer)
{
    return (struct llama_bucket_hook){bucket_done, optimizer};
}

static enum status add_over_ranks(struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    struct optimizer_scalars *scalars = optimizer->scalars;
    struct device_comm *comm = optimizer->device_comm;
    int64_t sum, flag;
    TRY(device_comm_start_all_reduce(comm, &scalars->squared_norm, 1, DTYPE_F64, COMM_SUM, &sum));
    TRY(device_comm_start_all_reduce(comm, &scalars->nonfinite, 1, DTYPE_I32, COMM_MAX, &flag));
    TRY(device_comm_wait(comm, flag)); /* and so for the sum before it */
fail:
    return result;
}

enum status optimizer_measure(struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct kernels *kernels = model->kernels;
    struct optimizer_scalars *scalars = optimizer->scalars; /* device: addresses alone */
    int rank = comm_rank(optimizer->comm);
    if (optimizer->buckets_done != model->layout.bucket_count)
        FAIL(STATUS_INTERNAL, "%lld of %lld buckets of gradients are complete: the hook was not given to the last pass",
             (long long)optimizer->buckets_done, (long long)model->layout.bucket_count);
    optimizer->buckets_done = 0;
    TRY(finish_transfers(optimizer));
    TRY(kernels->fill_zero(model->context, scalars, sizeof *scalars));
    for (int64_t b = 0; b < model->layout.bucket_count; b++) {
        struct squared_norm sum = {.count = slice_length(optimizer, b, rank),
                                   .x = optimizer->gradients + slice_begin(optimizer, b, rank),
                                   .result = &scalars->squared_norm,
                                   .nonfinite = &scalars->nonfinite,
                                   .accumulate = true};
        if (sum.count > 0)
            TRY(kernels->squared_norm(model->context, &sum));
    }
    TRY(add_over_ranks(optimizer));
    struct clip_scale clip = {.squared_norm = &scalars->squared_norm,
                              .maximum = (float)optimizer->settings.clip,
                              .scale = &scalars->clip_scale,
                              .norm = &scalars->norm};
    TRY(kernels->clip_scale(model->context, &clip));
    TRY(kernels->copy_to_host(model->context, QUEUE_COMPUTE, optimizer->figures, scalars, sizeof *scalars));
fail:
    return result;
}

double optimizer_gradient_norm(const struct optimizer *optimizer)
{
    return optimizer->figures->nonfinite ? NAN : (double)optimizer->figures->norm;
}

/* ---- weights ---- */

/* Segments [first, end) of this rank's slice of a bucket, which all learn at the same rate. */
static enum status update_segments(struct optimizer *optimizer, int64_t bucket, int64_t first, int64_t end,
                                   float learning_rate, int64_t step)
{
    const struct llama *model = optimizer->model;
    int rank = comm_rank(optimizer->comm);
    int64_t begin = slice_begin(optimizer, bucket, rank), place = optimizer->slice_starts[bucket];
    struct adamw update = {
        .count = slice_length(optimizer, bucket, rank),
        .master = optimizer->masters ? optimizer->masters + place : (float *)(void *)weights_at(model, begin),
        .first_moment = optimizer->first_moment + place,
        .second_moment = optimizer->second_moment + place,
        .gradient = optimizer->gradients + begin,
        .weights = optimizer->masters ? weights_at(model, begin) : NULL,
        .weights_type = model->dtype,
        .segments = optimizer->segments + first,
        .segment_count = end - first,
        .learning_rate = learning_rate,
        .beta1 = (float)optimizer->settings.beta1,
        .beta2 = (float)optimizer->settings.beta2,
        .epsilon = (float)optimizer->settings.epsilon,
        .step = step,
        .scale = &optimizer->scalars->clip_scale,
        .skip = &optimizer->scalars->nonfinite,
        .stochastic = optimizer->settings.stochastic_rounding && optimizer->masters,
        .seed = optimizer->settings.seed,
        .first_index = begin,
    };
    return model->kernels->adamw(model->context, &update);
}

static enum status update_bucket(struct optimizer *optimizer, int64_t bucket, double learning_rate, int64_t step)
{
    const float *rates = optimizer->segment_rates;
    enum status result = STATUS_OK;
    int64_t last = optimizer->segment_starts[bucket + 1];
    for (int64_t first = optimizer->segment_starts[bucket], end; result == STATUS_OK && first < last; first = end) {
        for (end = first + 1; end < last && rates[end] == rates[first];)
            end++;
        float rate = (float)(learning_rate * (double)rates[first]);
        result = update_segments(optimizer, bucket, first, end, rate, step);
    }
    return result;
}

static enum status start_gather(struct optimizer *optimizer, int64_t bucket)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    int rank = comm_rank(optimizer->comm), which;
    size_t size = dtype_size(model->dtype);
    int64_t count = optimizer->slice_counts[bucket], ticket;
    TRY(take_buffer(optimizer, &which));
    char *buffer = (char *)exchange_buffer(optimizer, which);
    TRY(model->kernels->copy(model->context, buffer + (size_t)(rank * count) * size,
                             weights_at(model, slice_begin(optimizer, bucket, rank)),
                             (size_t)slice_length(optimizer, bucket, rank) * size));
    TRY(device_comm_start_all_gather(optimizer->device_comm, buffer, count, model->dtype, &ticket));
    optimizer->transfers[which] = (struct optimizer_transfer){.ticket = ticket, .bucket = bucket, .gathers = true};
fail:
    return result;
}

enum status optimizer_update(struct optimizer *optimizer, double learning_rate, int64_t step)
{
    enum status result = STATUS_OK;
    for (int64_t b = 0; b < optimizer->model->layout.bucket_count; b++) {
        TRY(update_bucket(optimizer, b, learning_rate, step));
        if (comm_size(optimizer->comm) > 1)
            TRY(start_gather(optimizer, b));
    }
fail:
    return result;
}

enum status optimizer_finish_update(struct optimizer *optimizer)
{
    return finish_transfers(optimizer);
}
