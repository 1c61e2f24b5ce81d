/* Ranks that are threads of one process: they show each other their buffers, and each does its share of the work.
 *
 * A collective has an opening, where every rank shows what it was called with, and a closing, after which nobody
 * touches another rank's buffer. An abort lets waiters leave the opening, after which no opening ever completes. It
 * does not disturb the closing: the ranks that came through the opening are all computing and will come, and whoever
 * left before them might free a buffer that they still read. */
#include "comm/comm_internal.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum operation { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, BARRIER };

struct call {
    enum operation operation;
    void *data;
    int64_t count;
    int type, detail; /* detail: the reduction, or the root */
};

struct gate {
    int arrived;
    uint64_t passed; /* times that all ranks came through */
};

struct group {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int size, alive;
    struct gate opening, closing;
    bool aborted;
    char reason[256];
    struct call *calls; /* by rank */
};

struct in_process {
    struct comm comm;
    struct group *group;
};

static enum status aborted(const struct comm *comm, const struct group *group)
{
    return status_set(STATUS_HANG, "rank %d: stopped: %s", comm->rank, group->reason);
}

/* All ranks' calls must be of one kind; each rank sees the same list, so all refuse together. */
static enum status check_calls(const struct comm *comm, const struct group *group)
{
    const struct call *first = &group->calls[0];
    for (int r = 1; r < group->size; r++) {
        const struct call *call = &group->calls[r];
        if (call->operation != first->operation || call->count != first->count || call->type != first->type ||
            call->detail != first->detail)
            return status_set(STATUS_INTERNAL,
                              "rank %d: ranks 0 and %d are in different collectives (%d of %lld, %d of %lld)",
                              comm->rank, r, (int)first->operation, (long long)first->count, (int)call->operation,
                              (long long)call->count);
    }
    return STATUS_OK;
}

static enum status open_collective(struct comm *comm, struct call call)
{
    struct group *group = ((struct in_process *)comm)->group;
    enum status result = STATUS_OK;
    pthread_mutex_lock(&group->lock);
    group->calls[comm->rank] = call;
    uint64_t passed = group->opening.passed;
    if (!group->aborted && ++group->opening.arrived == group->size) {
        group->opening.arrived = 0;
        group->opening.passed++;
        pthread_cond_broadcast(&group->changed);
    }
    while (group->opening.passed == passed && !group->aborted)
        pthread_cond_wait(&group->changed, &group->lock);
    if (group->opening.passed == passed)
        result = aborted(comm, group);
    pthread_mutex_unlock(&group->lock);
    return result;
}

static void close_collective(struct comm *comm)
{
    struct group *group = ((struct in_process *)comm)->group;
    pthread_mutex_lock(&group->lock);
    uint64_t passed = group->closing.passed;
    if (++group->closing.arrived == group->size) {
        group->closing.arrived = 0;
        group->closing.passed++;
        pthread_cond_broadcast(&group->changed);
    }
    while (group->closing.passed == passed)
        pthread_cond_wait(&group->changed, &group->lock);
    pthread_mutex_unlock(&group->lock);
}

static char *buffer_of(const struct group *group, int rank)
{
    return group->calls[rank].data;
}

/* Sums (or maxima) of elements [begin, end) over all ranks, in their order, into rank `into`'s buffer. Nobody else
 * touches these elements of any buffer meanwhile. The running sum starts in scratch, since the first addend to be
 * lost would be that of `into`. */
static void reduce_range(const struct group *group, int into, int64_t begin, int64_t end, enum dtype type,
                         enum comm_reduction reduction)
{
    enum { PIECE = 4096 };
    double scratch[PIECE / sizeof(double)];
    int64_t element = (int64_t)dtype_size(type), step = PIECE / element;
    for (int64_t at = begin; at < end; at += step) {
        int64_t count = end - at < step ? end - at : step;
        memcpy(scratch, buffer_of(group, 0) + at * element, (size_t)(count * element));
        for (int r = 1; r < group->size; r++)
            comm_combine(scratch, buffer_of(group, r) + at * element, count, type, reduction);
        memcpy(buffer_of(group, into) + at * element, scratch, (size_t)(count * element));
    }
}

static enum status all_reduce(struct comm *comm, void *data, int64_t count, enum dtype type,
                              enum comm_reduction reduction)
{
    const struct group *group = ((struct in_process *)comm)->group;
    enum status result = open_collective(comm, (struct call){ALL_REDUCE, data, count, (int)type, (int)reduction});
    if (result != STATUS_OK)
        return result;
    result = check_calls(comm, group);
    if (result == STATUS_OK) { /* rank r reduces its share of the elements, and hands it to all */
        int64_t share = count / comm->size, rest = count % comm->size, rank = comm->rank;
        int64_t begin = rank * share + (rank < rest ? rank : rest), end = begin + share + (rank < rest);
        int64_t element = (int64_t)dtype_size(type);
        reduce_range(group, comm->rank, begin, end, type, reduction);
        for (int r = 0; r < comm->size && end > begin; r++)
            if (r != comm->rank)
                memcpy(buffer_of(group, r) + begin * element, (char *)data + begin * element,
                       (size_t)((end - begin) * element));
    }
    close_collective(comm);
    return result;
}

static enum status reduce_scatter(struct comm *comm, void *data, int64_t count, enum dtype type)
{
    const struct group *group = ((struct in_process *)comm)->group;
    enum status result = open_collective(comm, (struct call){REDUCE_SCATTER, data, count, (int)type, 0});
    if (result != STATUS_OK)
        return result;
    result = check_calls(comm, group);
    if (result == STATUS_OK)
        reduce_range(group, comm->rank, comm->rank * count, (comm->rank + 1) * count, type, COMM_SUM);
    close_collective(comm);
    return result;
}

static enum status all_gather(struct comm *comm, void *data, int64_t slice_bytes)
{
    const struct group *group = ((struct in_process *)comm)->group;
    enum status result = open_collective(comm, (struct call){ALL_GATHER, data, slice_bytes, 0, 0});
    if (result != STATUS_OK)
        return result;
    result = check_calls(comm, group);
    for (int r = 0; result == STATUS_OK && slice_bytes > 0 && r < comm->size; r++)
        if (r != comm->rank)
            memcpy((char *)data + r * slice_bytes, buffer_of(group, r) + r * slice_bytes, (size_t)slice_bytes);
    close_collective(comm);
    return result;
}

static enum status broadcast(struct comm *comm, void *data, int64_t bytes, int root)
{
    const struct group *group = ((struct in_process *)comm)->group;
    enum status result = open_collective(comm, (struct call){BROADCAST, data, bytes, 0, root});
    if (result != STATUS_OK)
        return result;
    result = check_calls(comm, group);
    if (result == STATUS_OK && comm->rank != root && bytes > 0)
        memcpy(data, buffer_of(group, root), (size_t)bytes);
    close_collective(comm);
    return result;
}

static enum status barrier(struct comm *comm)
{
    const struct group *group = ((struct in_process *)comm)->group;
    enum status result = open_collective(comm, (struct call){BARRIER, NULL, 0, 0, 0});
    if (result != STATUS_OK)
        return result;
    result = check_calls(comm, group);
    close_collective(comm);
    return result;
}

static void abort_all(struct comm *comm, const char *reason)
{
    struct group *group = ((struct in_process *)comm)->group;
    pthread_mutex_lock(&group->lock);
    if (!group->aborted) {
        group->aborted = true;
        snprintf(group->reason, sizeof group->reason, "%s", reason);
        pthread_cond_broadcast(&group->changed);
    }
    pthread_mutex_unlock(&group->lock);
}

static void group_free(struct group *group)
{
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->lock);
    free(group->calls);
    free(group);
}

static void destroy(struct comm *comm)
{
    struct group *group = ((struct in_process *)comm)->group;
    pthread_mutex_lock(&group->lock);
    bool last = --group->alive == 0;
    pthread_mutex_unlock(&group->lock);
    if (last)
        group_free(group);
    free(comm);
}

static const struct comm_methods methods = {
    all_reduce,          reduce_scatter,     all_gather, broadcast, barrier,
    comm_deferred_start, comm_deferred_wait, abort_all,  destroy,
};

enum status comm_create_in_process(int size, struct comm **comms)
{
    if (size < 1 || size > 4096)
        return status_set(STATUS_INTERNAL, "comm: %d ranks", size);
    memset(comms, 0, (size_t)size * sizeof *comms);
    struct group *group = calloc(1, sizeof *group);
    if (group)
        group->calls = calloc((size_t)size, sizeof *group->calls);
    if (!group || !group->calls) {
        free(group);
        return status_set(STATUS_INTERNAL, "comm: out of memory");
    }
    group->size = group->alive = size;
    if (pthread_mutex_init(&group->lock, NULL) != 0 || pthread_cond_init(&group->changed, NULL) != 0) {
        free(group->calls);
        free(group);
        return status_set(STATUS_INTERNAL, "comm: no lock can be made");
    }
    for (int r = 0; r < size; r++) {
        struct in_process *rank = calloc(1, sizeof *rank);
        if (!rank) {
            for (int i = 0; i < r; i++)
                free(comms[i]);
            memset(comms, 0, (size_t)size * sizeof *comms);
            group_free(group);
            return status_set(STATUS_INTERNAL, "comm: out of memory");
        }
        *rank = (struct in_process){{&methods, r, size}, group};
        comms[r] = &rank->comm;
    }
    return STATUS_OK;
}
