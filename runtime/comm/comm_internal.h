/* What a maker of communicators fills in. comm.c checks the arguments before it calls these. */
#ifndef SPIRITLM_COMM_INTERNAL_H
#define SPIRITLM_COMM_INTERNAL_H

#include "comm/comm.h"

struct comm_methods {
    enum status (*all_reduce)(struct comm *comm, void *data, int64_t count, enum dtype type,
                              enum comm_reduction reduction);
    enum status (*all_gather)(struct comm *comm, void *data, int64_t slice_bytes);
    enum status (*broadcast)(struct comm *comm, void *data, int64_t bytes, int root);
    enum status (*barrier)(struct comm *comm);
    void (*abort)(struct comm *comm, const char *reason);
    void (*destroy)(struct comm *comm);
};

/* Each maker's own struct begins with this. */
struct comm {
    const struct comm_methods *methods;
    int rank, size;
};

/* into[i] = into[i] + from[i], or the larger of the two (a NaN of either side stays). */
void comm_combine(void *into, const void *from, int64_t count, enum dtype type, enum comm_reduction reduction);

#endif
