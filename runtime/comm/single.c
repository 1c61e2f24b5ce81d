/* One rank alone: every collective is done before it begins, until the rank is aborted. */
#include "comm/comm_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct single {
    struct comm comm;
    char reason[256]; /* of the abort; "" when none */
};

static enum status done(const struct comm *comm)
{
    const struct single *single = (const struct single *)comm;
    return *single->reason ? status_set(STATUS_HANG, "rank 0: stopped: %s", single->reason) : STATUS_OK;
}

static enum status all_reduce(struct comm *comm, void *data, int64_t count, enum dtype type,
                              enum comm_reduction reduction)
{
    (void)data;
    (void)count;
    (void)type;
    (void)reduction;
    return done(comm);
}

static enum status all_gather(struct comm *comm, void *data, int64_t slice_bytes)
{
    (void)data;
    (void)slice_bytes;
    return done(comm);
}

static enum status broadcast(struct comm *comm, void *data, int64_t bytes, int root)
{
    (void)data;
    (void)bytes;
    (void)root;
    return done(comm);
}

static enum status barrier(struct comm *comm)
{
    return done(comm);
}

static void abort_single(struct comm *comm, const char *reason)
{
    struct single *single = (struct single *)comm;
    if (!*single->reason)
        snprintf(single->reason, sizeof single->reason, "%s", *reason ? reason : "aborted");
}

static void destroy(struct comm *comm)
{
    free(comm);
}

static const struct comm_methods methods = {all_reduce, all_gather, broadcast, barrier, abort_single, destroy};

enum status comm_create_single(struct comm **comm)
{
    struct single *single = calloc(1, sizeof *single);
    *comm = NULL;
    if (!single)
        return status_set(STATUS_INTERNAL, "comm: out of memory");
    single->comm = (struct comm){&methods, 0, 1};
    *comm = &single->comm;
    return STATUS_OK;
}
