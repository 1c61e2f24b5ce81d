/* Host values between ranks that are threads of one process: they show each other their buffers, and each does its share
 * of the work. */
#include "comm/in_process.h"

#include "comm/comm_internal.h"

#include <stdlib.h>
#include <string.h>

enum operation { ALL_REDUCE, ALL_GATHER, BROADCAST, BARRIER };

struct in_process {
    struct comm comm;
    struct in_process_group *group;
};

static struct in_process_group *group_of(struct comm *comm)
{
    return ((struct in_process *)comm)->group;
}

static enum status open_call(struct comm *comm, struct meeting_call call)
{
    struct in_process_group *group = group_of(comm);
    return meeting_open(group, &group->host, comm->rank, call);
}

static void close_call(struct comm *comm)
{
    struct in_process_group *group = group_of(comm);
    meeting_pass(group, &group->host);
}

static char *buffer_of(struct comm *comm, int rank)
{
    return group_of(comm)->host.calls[rank].shown;
}

/* Sums (or maxima) of elements [begin, end) over all ranks, in their order, into this rank's buffer. Nobody else touches
 * these elements of any buffer meanwhile. The running sum starts in scratch, since the first addend to be lost would be
 * that of this rank. */
static void reduce_range(struct comm *comm, int64_t begin, int64_t end, enum dtype type, enum comm_reduction reduction)
{
    enum { PIECE = 4096 };
    double scratch[PIECE / sizeof(double)];
    int64_t element = (int64_t)dtype_size(type), step = PIECE / element;
    for (int64_t at = begin; at < end; at += step) {
        int64_t count = end - at < step ? end - at : step;
        memcpy(scratch, buffer_of(comm, 0) + at * element, (size_t)(count * element));
        for (int r = 1; r < comm->size; r++)
            comm_combine(scratch, buffer_of(comm, r) + at * element, count, type, reduction);
        memcpy(buffer_of(comm, comm->rank) + at * element, scratch, (size_t)(count * element));
    }
}

static enum status all_reduce(struct comm *comm, void *data, int64_t count, enum dtype type,
                              enum comm_reduction reduction)
{
    enum status result = STATUS_OK;
    TRY(open_call(comm, (struct meeting_call){data, ALL_REDUCE, count, (int)type, (int)reduction}));
    /* Rank r reduces its share of the elements, and hands it to all. */
    int64_t share = count / comm->size, rest = count % comm->size, rank = comm->rank;
    int64_t begin = rank * share + (rank < rest ? rank : rest), end = begin + share + (rank < rest);
    int64_t element = (int64_t)dtype_size(type);
    reduce_range(comm, begin, end, type, reduction);
    for (int r = 0; r < comm->size && end > begin; r++)
        if (r != comm->rank)
            memcpy(buffer_of(comm, r) + begin * element, (char *)data + begin * element,
                   (size_t)((end - begin) * element));
    close_call(comm);
fail:
    return result;
}

static enum status all_gather(struct comm *comm, void *data, int64_t slice_bytes)
{
    enum status result = STATUS_OK;
    TRY(open_call(comm, (struct meeting_call){data, ALL_GATHER, slice_bytes, 0, 0}));
    for (int r = 0; slice_bytes > 0 && r < comm->size; r++)
        if (r != comm->rank)
            memcpy((char *)data + r * slice_bytes, buffer_of(comm, r) + r * slice_bytes, (size_t)slice_bytes);
    close_call(comm);
fail:
    return result;
}

static enum status broadcast(struct comm *comm, void *data, int64_t bytes, int root)
{
    enum status result = STATUS_OK;
    TRY(open_call(comm, (struct meeting_call){data, BROADCAST, bytes, 0, root}));
    if (comm->rank != root && bytes > 0)
        memcpy(data, buffer_of(comm, root), (size_t)bytes);
    close_call(comm);
fail:
    return result;
}

static enum status barrier(struct comm *comm)
{
    enum status result = STATUS_OK;
    TRY(open_call(comm, (struct meeting_call){NULL, BARRIER, 0, 0, 0}));
    close_call(comm);
fail:
    return result;
}

static void abort_all(struct comm *comm, const char *reason)
{
    in_process_group_abort(group_of(comm), reason);
}

static void destroy(struct comm *comm)
{
    in_process_group_leave(group_of(comm));
    free(comm);
}

static const struct comm_methods methods = {all_reduce, all_gather, broadcast, barrier, abort_all, destroy};

struct in_process_group *in_process_group_of(const struct comm *comm)
{
    return comm->methods == &methods ? ((const struct in_process *)comm)->group : NULL;
}

enum status comm_create_in_process(int size, struct comm **comms)
{
    enum status result = STATUS_OK;
    struct in_process_group *group = NULL;
    if (size < 1 || size > 4096)
        return status_set(STATUS_INTERNAL, "comm: %d ranks", size);
    memset(comms, 0, (size_t)size * sizeof *comms);
    TRY(in_process_group_create(size, &group));
    for (int r = 0; r < size; r++) {
        struct in_process *rank = calloc(1, sizeof *rank);
        if (!rank)
            FAIL(STATUS_INTERNAL, "comm: out of memory");
        *rank = (struct in_process){{&methods, r, size}, group};
        comms[r] = &rank->comm;
    }
    return STATUS_OK;
fail:
    for (int r = 0; group && r < size; r++) { /* each rank, made or not, leaves the group */
        in_process_group_leave(group);
        free(comms[r]);
        comms[r] = NULL;
    }
    return result;
}
