/* One rank alone: its slice is the whole buffer, which already holds the sum over all ranks, so there is nothing to do. */
#include "comm/device_comm_internal.h"

#include <stdlib.h>

static enum status start(struct device_comm *comm, const struct device_operation *operation, int64_t ticket)
{
    (void)operation;
    for (int moment = DEVICE_COMM_STARTED; moment <= DEVICE_COMM_ENDED; moment++)
        device_comm_tell(comm, ticket, (enum device_comm_moment)moment);
    return STATUS_OK;
}

static enum status wait(struct device_comm *comm, int64_t ticket)
{
    (void)comm;
    (void)ticket;
    return STATUS_OK;
}

static void destroy(struct device_comm *comm)
{
    free(comm);
}

static const struct device_comm_methods methods = {start, wait, destroy};

enum status device_comm_create_single(struct device_comm **comm)
{
    *comm = calloc(1, sizeof **comm);
    if (!*comm)
        return status_set(STATUS_INTERNAL, "comm: out of memory");
    **comm = (struct device_comm){.methods = &methods, .rank = 0, .size = 1};
    return STATUS_OK;
}
