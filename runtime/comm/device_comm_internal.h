/* What a maker of device communicators fills in. device_comm.c checks the arguments and gives out tickets before it calls
 * these. */
#ifndef SPIRITLM_COMM_DEVICE_COMM_INTERNAL_H
#define SPIRITLM_COMM_DEVICE_COMM_INTERNAL_H

#include "comm/device_comm.h"

enum device_operation_kind { DEVICE_REDUCE_SCATTER, DEVICE_ALL_GATHER, DEVICE_ALL_REDUCE };

struct device_operation {
    enum device_operation_kind kind;
    void *data;
    int64_t count; /* of a slice; of an all-reduce, of all */
    enum dtype type;
    enum comm_reduction reduction; /* of an all-reduce */
};

struct device_comm_methods {
    enum status (*start)(struct device_comm *comm, const struct device_operation *operation, int64_t ticket);
    enum status (*wait)(struct device_comm *comm, int64_t ticket);
    void (*destroy)(struct device_comm *comm);
};

/* Each maker's own struct begins with this. */
struct device_comm {
    const struct device_comm_methods *methods;
    int rank, size;
    int64_t started; /* tickets given out */
    struct device_comm_observer observer;
};

void device_comm_tell(const struct device_comm *comm, int64_t ticket, enum device_comm_moment moment);

#endif
