/* What all makers of device communicators share: the arguments are checked here, once, so that every maker refuses the
 * same calls with the same text, and tickets are counted. */
#include "comm/device_comm_internal.h"

int device_comm_rank(const struct device_comm *comm)
{
    return comm->rank;
}

int device_comm_size(const struct device_comm *comm)
{
    return comm->size;
}

void device_comm_observe(struct device_comm *comm, const struct device_comm_observer *observer)
{
    comm->observer = observer ? *observer : (struct device_comm_observer){0};
}

void device_comm_tell(const struct device_comm *comm, int64_t ticket, enum device_comm_moment moment)
{
    if (comm->observer.observe)
        comm->observer.observe(comm->observer.argument, ticket, moment);
}

static enum status start(struct device_comm *comm, const char *what, int64_t slices,
                         const struct device_operation *operation, int64_t *ticket)
{
    int64_t bytes;
    *ticket = 0;
    if (operation->count < 0 || __builtin_mul_overflow(operation->count, slices, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)dtype_size(operation->type), &bytes) || (bytes > 0 && !operation->data))
        return status_set(STATUS_INTERNAL, "rank %d: %s of %lld elements at %p", comm->rank, what,
                          (long long)operation->count, operation->data);
    enum status result = comm->methods->start(comm, operation, comm->started + 1);
    if (result == STATUS_OK)
        *ticket = ++comm->started;
    return result;
}

enum status device_comm_start_reduce_scatter(struct device_comm *comm, float *data, int64_t count, int64_t *ticket)
{
    const struct device_operation operation = {DEVICE_REDUCE_SCATTER, data, count, DTYPE_F32, COMM_SUM};
    return start(comm, "reduce_scatter", comm->size, &operation, ticket);
}

enum status device_comm_start_all_gather(struct device_comm *comm, void *data, int64_t count, enum dtype type,
                                         int64_t *ticket)
{
    const struct device_operation operation = {DEVICE_ALL_GATHER, data, count, type, COMM_SUM};
    return start(comm, "all_gather", comm->size, &operation, ticket);
}

enum status device_comm_start_all_reduce(struct device_comm *comm, void *data, int64_t count, enum dtype type,
                                         enum comm_reduction reduction, int64_t *ticket)
{
    const struct device_operation operation = {DEVICE_ALL_REDUCE, data, count, type, reduction};
    *ticket = 0;
    if (!(type == DTYPE_F64 && reduction == COMM_SUM) && !(type == DTYPE_I32 && reduction == COMM_MAX))
        return status_set(STATUS_INTERNAL, "rank %d: all_reduce of %s by reduction %d is not supported", comm->rank,
                          dtype_name(type), (int)reduction);
    if (count > DEVICE_COMM_FEW)
        return status_set(STATUS_INTERNAL, "rank %d: all_reduce of %lld numbers, at most %d are meant", comm->rank,
                          (long long)count, (int)DEVICE_COMM_FEW);
    return start(comm, "all_reduce", 1, &operation, ticket);
}

enum status device_comm_wait(struct device_comm *comm, int64_t ticket)
{
    if (ticket < 1 || ticket > comm->started)
        return status_set(STATUS_INTERNAL, "rank %d: a wait for operation %lld of %lld", comm->rank, (long long)ticket,
                          (long long)comm->started);
    return comm->methods->wait(comm, ticket);
}

void device_comm_destroy(struct device_comm *comm)
{
    if (comm)
        comm->methods->destroy(comm);
}
