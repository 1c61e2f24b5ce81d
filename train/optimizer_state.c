/* The optimizer's states in and out, whoever owns which slice: by their place in the whole arena and a piece at a time, so
 * that nobody needs host memory for the whole of a state. */
#include "train/optimizer_internal.h"

static float *state_slices(struct optimizer *optimizer, int which)
{
    return which == 0 ? optimizer->first_moment : which == 1 ? optimizer->second_moment : optimizer->masters;
}

enum status optimizer_gather(struct optimizer *optimizer, int which, float *arena)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    const struct kernels *kernels = model->kernels;
    int rank = comm_rank(optimizer->comm), ranks = comm_size(optimizer->comm);
    for (int64_t b = 0; b < model->layout.bucket_count; b++) {
        int64_t count = optimizer->slice_counts[b];
        float *source = state_slices(optimizer, which) + optimizer->slice_starts[b];
        if (ranks > 1) {
            TRY(kernels->copy(model->context, optimizer->exchange + rank * count, source, (size_t)count * 4));
            TRY(kernels->synchronize(model->context));
            TRY(comm_all_gather(optimizer->comm, optimizer->exchange, count, DTYPE_F32));
            source = optimizer->exchange;
        }
        if (arena) /* rank slices follow each other, so the bucket is one run of the exchange buffer */
            TRY(kernels->copy_to_host(model->context, QUEUE_COMPUTE, arena + model->layout.bucket_offsets[b], source,
                                      (size_t)bucket_size(&model->layout, b) * 4));
    }
    TRY(kernels->synchronize(model->context));
fail:
    return result;
}

enum status optimizer_scatter(struct optimizer *optimizer, int which, const float *arena)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    int rank = comm_rank(optimizer->comm);
    for (int64_t b = 0; b < model->layout.bucket_count; b++)
        TRY(model->kernels->copy_to_device(
            model->context, QUEUE_COMPUTE, state_slices(optimizer, which) + optimizer->slice_starts[b],
            arena + slice_begin(optimizer, b, rank), (size_t)slice_length(optimizer, b, rank) * 4));
fail:
    return result;
}

static bool state_range_fits(const struct optimizer *optimizer, int64_t offset, int64_t count)
{
    int64_t elements = optimizer->model->layout.elements;
    return offset >= 0 && count >= 0 && count <= elements && offset <= elements - count;
}

/* Elements [from, to) of the arena that a rank's slice of a bucket has in common with [offset, offset + count). */
static bool common_part(const struct optimizer *optimizer, int64_t bucket, int rank, int64_t offset, int64_t count,
                        int64_t *from, int64_t *to)
{
    int64_t begin = slice_begin(optimizer, bucket, rank), end = begin + slice_length(optimizer, bucket, rank);
    *from = begin > offset ? begin : offset;
    *to = end < offset + count ? end : offset + count;
    return *from < *to;
}

enum status optimizer_put(struct optimizer *optimizer, int which, int64_t offset, const float *values, int64_t count)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    int rank = comm_rank(optimizer->comm);
    int64_t from, to;
    if (!state_range_fits(optimizer, offset, count))
        FAIL(STATUS_INTERNAL, "elements %lld..%lld of the optimizer's state", (long long)offset,
             (long long)(offset + count));
    for (int64_t b = 0; b < model->layout.bucket_count; b++)
        if (common_part(optimizer, b, rank, offset, count, &from, &to))
            TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE,
                                               state_slices(optimizer, which) + optimizer->slice_starts[b] +
                                                   (from - slice_begin(optimizer, b, rank)),
                                               values + (from - offset), (size_t)(to - from) * sizeof *values));
fail:
    return result;
}

enum status optimizer_get(struct optimizer *optimizer, int which, int64_t offset, int64_t count, float *values)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    int ranks = comm_size(optimizer->comm);
    int64_t from, to;
    if (!state_range_fits(optimizer, offset, count))
        FAIL(STATUS_INTERNAL, "elements %lld..%lld of the optimizer's state", (long long)offset,
             (long long)(offset + count));
    for (int64_t b = 0; b < model->layout.bucket_count; b++)
        for (int r = 0; r < ranks; r++) {
            if (!common_part(optimizer, b, r, offset, count, &from, &to))
                continue;
            if (r == comm_rank(optimizer->comm)) {
                TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, values + (from - offset),
                                                 state_slices(optimizer, which) + optimizer->slice_starts[b] +
                                                     (from - slice_begin(optimizer, b, r)),
                                                 (size_t)(to - from) * sizeof *values));
                TRY(model->kernels->synchronize(model->context));
            }
            TRY(comm_broadcast(optimizer->comm, values + (from - offset), (to - from) * (int64_t)sizeof *values, r));
        }
fail:
    return result;
}
