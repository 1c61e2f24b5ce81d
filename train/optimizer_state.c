/* The optimizer's states in and out, whoever owns which slice: by their place in the whole arena and a piece at a time, so
 * that nobody needs host memory for the whole of a state. */
#include "train/optimizer_internal.h"

static float *state_slices(struct optimizer *optimizer, int which)
{
    return which == 0 ? optimizer->first_moment : which == 1 ? optimizer->second_moment : optimizer->masters;
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

bool optimizer_own_part(const struct optimizer *optimizer, int64_t offset, int64_t count, int64_t *from, int64_t *to)
{
    for (int64_t b = 0; b < optimizer->model->layout.bucket_count; b++)
        if (common_part(optimizer, b, comm_rank(optimizer->comm), offset, count, from, to))
            return true;
    return false;
}

static enum status take_master(void *argument, int64_t offset, const float *values, int64_t count)
{
    struct optimizer *optimizer = argument;
    return optimizer->masters ? optimizer_put(optimizer, 2, offset, values, count) : STATUS_OK;
}

struct weight_sink optimizer_master_sink(struct optimizer *optimizer)
{
    return (struct weight_sink){take_master, optimizer};
}

/* Elements [from, to) of the arena, which this rank has in its slice of the bucket. */
static enum status get_own(struct optimizer *optimizer, int which, int64_t bucket, int64_t from, int64_t to,
                           float *values)
{
    const struct llama *model = optimizer->model;
    int64_t place = optimizer->slice_starts[bucket] + from - slice_begin(optimizer, bucket, comm_rank(optimizer->comm));
    enum status result =
        model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, values, state_slices(optimizer, which) + place,
                                     (size_t)(to - from) * sizeof *values);
    return result == STATUS_OK ? model->kernels->synchronize(model->context) : result;
}

enum status optimizer_get(struct optimizer *optimizer, int which, int64_t offset, int64_t count, float *values)
{
    enum status result = STATUS_OK;
    int ranks = comm_size(optimizer->comm), rank = comm_rank(optimizer->comm);
    int64_t from, to;
    if (!state_range_fits(optimizer, offset, count))
        FAIL(STATUS_INTERNAL, "elements %lld..%lld of the optimizer's state", (long long)offset,
             (long long)(offset + count));
    for (int64_t b = 0; b < optimizer->model->layout.bucket_count; b++)
        for (int r = 0; r < ranks; r++) {
            if (!common_part(optimizer, b, r, offset, count, &from, &to))
                continue;
            float *part = values + (from - offset);
            if (r == rank && result == STATUS_OK)
                result = get_own(optimizer, which, b, from, to, part);
            enum status sent = comm_broadcast(optimizer->comm, part, (to - from) * (int64_t)sizeof *part, r);
            result = result == STATUS_OK ? sent : result;
        }
fail:
    return result;
}
