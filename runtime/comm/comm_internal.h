/* What a maker of communicators fills in. comm.c checks the arguments before it calls these. */
#ifndef SPIRITLM_COMM_INTERNAL_H
#define SPIRITLM_COMM_INTERNAL_H

#include "comm/comm.h"

struct comm_methods {
    enum status (*all_reduce)(struct comm *comm, void *data, int64_t count, enum dtype type,
                              enum comm_reduction reduction);
    enum status (*reduce_scatter)(struct comm *comm, void *data, int64_t count, enum dtype type);
    enum status (*all_gather)(struct comm *comm, void *data, int64_t slice_bytes);
    enum status (*broadcast)(struct comm *comm, void *data, int64_t bytes, int root);
    enum status (*barrier)(struct comm *comm);
    enum status (*start_reduce_scatter)(struct comm *comm, void *data, int64_t count, enum dtype type,
                                        struct comm_request **request);
    enum status (*wait)(struct comm *comm, struct comm_request *request); /* frees it */
    void (*abort)(struct comm *comm, const char *reason);
    void (*destroy)(struct comm *comm);
};

/* Each maker's own struct begins with this. */
struct comm {
    const struct comm_methods *methods;
    int rank, size;
};

/* For makers without transfers in the background: the work is done when it is waited for. */
enum status comm_deferred_start(struct comm *comm, void *data, int64_t count, enum dtype type,
                                struct comm_request **request);
enum status comm_deferred_wait(struct comm *comm, struct comm_request *request);

/* into[i] = into[i] + from[i], or the larger of the two (a NaN of either side stays). */
void comm_combine(void *into, const void *from, int64_t count, enum dtype type, enum comm_reduction reduction);

#endif
