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

static int64_t exchange_elements(const struct parameter_layout *layout, int ranks)
{
    int64_t largest = 0;
    for (int64_t b = 0; b < layout->bucket_count; b++) {
        int64_t padded = slice_of(bucket_size(layout, b), ranks) * ranks;
        largest = padded > largest ? padded : largest;
    }
    return largest;
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
        good = good && memory_plan_add(states, exchange_elements(layout, ranks) * 4, "exchange") >= 0;
    return good ? STATUS_OK : status_set(STATUS_INTERNAL, "the optimizer's sizes overflow");
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
    int ranks = comm_size(optimizer->comm);
    TRY(allocate(optimizer, optimizer->model->layout.elements * 4, &optimizer->gradients));
    TRY(allocate(optimizer, optimizer->slice_elements * 4, &optimizer->first_moment));
    TRY(allocate(optimizer, optimizer->slice_elements * 4, &optimizer->second_moment));
    if (optimizer->model->dtype != DTYPE_F32)
        TRY(allocate(optimizer, optimizer->slice_elements * 4, &optimizer->masters));
    if (ranks > 1)
        TRY(allocate(optimizer, exchange_elements(&optimizer->model->layout, ranks) * 4, &optimizer->exchange));
    TRY(allocate(optimizer, sizeof(double), &optimizer->squared_norm));
    TRY(allocate(optimizer, sizeof(float), &optimizer->clip_scale));
    TRY(allocate(optimizer, sizeof(float), &optimizer->norm));
    TRY(allocate(optimizer, sizeof(int32_t), &optimizer->nonfinite));
fail:
    return result;
}

/* The part of a tensor that lies in this rank's slice of a bucket, in elements of the slice. */
static struct adamw_segment segment_of(const struct optimizer *optimizer, const struct parameter_view *view,
                                       int64_t bucket)
{
    int rank = comm_rank(optimizer->comm);
    int64_t begin = slice_begin(optimizer, bucket, rank), end = begin + slice_length(optimizer, bucket, rank);
    int64_t from = view->offset > begin ? view->offset : begin;
    int64_t to = view->offset + view->count < end ? view->offset + view->count : end;
    return (struct adamw_segment){.begin = from - begin,
                                  .count = view->alias || from >= to ? 0 : to - from,
                                  .weight_decay = view->decay ? (float)optimizer->settings.weight_decay : 0.0f};
}

/* Which elements of each slice are weights, and how they decay: made once, for one update per bucket. */
static enum status make_segments(struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct parameter_layout *layout = &model->layout;
    int64_t count = 0, most = layout->count + layout->bucket_count; /* a slice cuts at most one tensor at its end */
    struct adamw_segment *segments = calloc((size_t)most, sizeof *segments);
    if (!segments)
        FAIL(STATUS_INTERNAL, "no memory for the optimizer's segments");
    for (int64_t b = 0; b < layout->bucket_count; b++) {
        optimizer->segment_starts[b] = count;
        for (int64_t i = 0; i < layout->count; i++) {
            struct adamw_segment segment = segment_of(optimizer, &layout->views[i], b);
            if (segment.count > 0)
                segments[count++] = segment;
        }
    }
    optimizer->segment_starts[layout->bucket_count] = count;
    TRY(allocate(optimizer, count > 0 ? count * (int64_t)sizeof *segments : 1, &optimizer->segments));
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
    struct squared_norm norm = {.count = layout->elements};
    TRY(device_context_reserve(model->kernels, model->context, model->kernels->squared_norm_scratch_size(&norm)));
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
    void *const memory[] = {optimizer->gradients, optimizer->first_moment, optimizer->second_moment, optimizer->masters,
                            optimizer->exchange,  optimizer->squared_norm, optimizer->clip_scale,    optimizer->norm,
                            optimizer->nonfinite, optimizer->segments};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            optimizer->model->kernels->release(optimizer->model->context, memory[i]);
    free(optimizer->slice_counts);
    free(optimizer->slice_starts);
    free(optimizer->segment_starts);
    free(optimizer);
}

enum status optimizer_zero_gradients(struct optimizer *optimizer)
{
    const struct llama *model = optimizer->model;
    return model->kernels->fill_zero(model->context, optimizer->gradients, (size_t)model->layout.elements * 4);
}

/* After this the rank's slice of the bucket, in the gradient arena, is the sum over all ranks. */
static enum status reduce_bucket(struct optimizer *optimizer, int64_t bucket)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct kernels *kernels = model->kernels;
    int rank = comm_rank(optimizer->comm), ranks = comm_size(optimizer->comm);
    if (ranks == 1)
        return STATUS_OK;
    size_t bytes = (size_t)bucket_size(&model->layout, bucket) * 4;
    int64_t count = optimizer->slice_counts[bucket];
    float *bucket_gradients = optimizer->gradients + model->layout.bucket_offsets[bucket];
    TRY(kernels->fill_zero(model->context, optimizer->exchange, (size_t)(count * ranks) * 4));
    TRY(kernels->copy(model->context, optimizer->exchange, bucket_gradients, bytes));
    int64_t ticket;
    TRY(device_comm_start_reduce_scatter(optimizer->device_comm, optimizer->exchange, count, &ticket));
    TRY(device_comm_wait(optimizer->device_comm, ticket));
    TRY(kernels->copy(model->context, optimizer->gradients + slice_begin(optimizer, bucket, rank),
                      optimizer->exchange + rank * count, (size_t)slice_length(optimizer, bucket, rank) * 4));
fail:
    return result;
}

enum status optimizer_reduce(struct optimizer *optimizer, struct step_norm *norm)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct kernels *kernels = model->kernels;
    int rank = comm_rank(optimizer->comm);
    TRY(kernels->fill_zero(model->context, optimizer->squared_norm, sizeof(double)));
    TRY(kernels->fill_zero(model->context, optimizer->nonfinite, sizeof(int32_t)));
    for (int64_t b = 0; b < model->layout.bucket_count; b++) {
        TRY(reduce_bucket(optimizer, b));
        struct squared_norm sum = {.count = slice_length(optimizer, b, rank),
                                   .x = optimizer->gradients + slice_begin(optimizer, b, rank),
                                   .result = optimizer->squared_norm,
                                   .nonfinite = optimizer->nonfinite,
                                   .accumulate = true};
        if (sum.count > 0)
            TRY(kernels->squared_norm(model->context, &sum));
    }
    int64_t sum, flag;
    TRY(device_comm_start_all_reduce(optimizer->device_comm, optimizer->squared_norm, 1, DTYPE_F64, COMM_SUM, &sum));
    TRY(device_comm_start_all_reduce(optimizer->device_comm, optimizer->nonfinite, 1, DTYPE_I32, COMM_MAX, &flag));
    TRY(device_comm_wait(optimizer->device_comm, sum));
    TRY(device_comm_wait(optimizer->device_comm, flag));
    struct clip_scale clip = {.squared_norm = optimizer->squared_norm,
                              .maximum = (float)optimizer->settings.clip,
                              .scale = optimizer->clip_scale,
                              .norm = optimizer->norm};
    TRY(kernels->clip_scale(model->context, &clip));
    float value = 0;
    int32_t nonfinite = 0;
    TRY(kernels->copy_to_host(model->context, QUEUE_COMPUTE, &value, optimizer->norm, sizeof value));
    TRY(kernels->copy_to_host(model->context, QUEUE_COMPUTE, &nonfinite, optimizer->nonfinite, sizeof nonfinite));
    TRY(kernels->synchronize(model->context));
    norm->gradient_norm = nonfinite ? NAN : (double)value;
fail:
    return result;
}

static char *weights_at(const struct llama *model, int64_t element)
{
    return (char *)model->weights + (size_t)element * dtype_size(model->dtype);
}

/* Of this rank's slice of a bucket. */
static enum status update_bucket(struct optimizer *optimizer, int64_t bucket, double learning_rate, int64_t step)
{
    const struct llama *model = optimizer->model;
    int rank = comm_rank(optimizer->comm);
    int64_t begin = slice_begin(optimizer, bucket, rank), place = optimizer->slice_starts[bucket];
    int64_t first = optimizer->segment_starts[bucket], end = optimizer->segment_starts[bucket + 1];
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
        .learning_rate = (float)learning_rate,
        .beta1 = (float)optimizer->settings.beta1,
        .beta2 = (float)optimizer->settings.beta2,
        .epsilon = (float)optimizer->settings.epsilon,
        .step = step,
        .scale = optimizer->clip_scale,
        .skip = optimizer->nonfinite,
    };
    return end > first ? model->kernels->adamw(model->context, &update) : STATUS_OK;
}

static enum status gather_weights(struct optimizer *optimizer, int64_t bucket)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct kernels *kernels = model->kernels;
    int rank = comm_rank(optimizer->comm), ranks = comm_size(optimizer->comm);
    size_t size = dtype_size(model->dtype);
    int64_t count = optimizer->slice_counts[bucket];
    char *exchange = (char *)optimizer->exchange;
    TRY(kernels->copy(model->context, exchange + (size_t)(rank * count) * size,
                      weights_at(model, slice_begin(optimizer, bucket, rank)),
                      (size_t)slice_length(optimizer, bucket, rank) * size));
    int64_t ticket;
    TRY(device_comm_start_all_gather(optimizer->device_comm, exchange, count, model->dtype, &ticket));
    TRY(device_comm_wait(optimizer->device_comm, ticket));
    for (int r = 0; r < ranks; r++)
        TRY(kernels->copy(model->context, weights_at(model, slice_begin(optimizer, bucket, r)),
                          exchange + (size_t)(r * count) * size, (size_t)slice_length(optimizer, bucket, r) * size));
fail:
    return result;
}

enum status optimizer_update(struct optimizer *optimizer, double learning_rate, int64_t step)
{
    enum status result = STATUS_OK;
    const struct parameter_layout *layout = &optimizer->model->layout;
    for (int64_t b = 0; b < layout->bucket_count; b++)
        TRY(update_bucket(optimizer, b, learning_rate, step));
    for (int64_t b = 0; b < layout->bucket_count && comm_size(optimizer->comm) > 1; b++)
        TRY(gather_weights(optimizer, b));
fail:
    return result;
}
