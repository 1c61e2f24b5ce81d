/* Ranks that exchange device memory. Host values and texts go through comm.h.
 *
 * Every rank starts the same operations in the same order. Starting one returns at once: the operation begins when all
 * that this rank's compute queue holds by then is done, and all ranks have started it; operations run one after the other
 * in a queue of their own, beside what the compute queue does meanwhile. Waiting for it puts a mark into the compute
 * queue: later work of that queue begins after the operation, and may then use the buffer, which nothing touches in
 * between. The host does not learn that an operation is over; a synchronize after the wait tells it, as for all other work
 * of the queue. Sums are added in the order of the ranks, so a result depends on their number alone.
 *
 * One thread at a time uses a rank's end, the one that uses the context whose compute queue it follows.
 *
 * Errors: arguments are checked when an operation is started (STATUS_INTERNAL, nothing is started). wait returns
 * STATUS_HANG when a rank aborted (comm_abort of the communicator it was made with), STATUS_INTERNAL when the ranks started
 * different operations, and any failure of the operation itself. After such a failure every later start and wait fails with
 * it. */
#ifndef SPIRITLM_COMM_DEVICE_COMM_H
#define SPIRITLM_COMM_DEVICE_COMM_H

#include "comm/comm.h"
#include "kernels/kernels.h"

struct device_comm; /* one rank's end */

int device_comm_rank(const struct device_comm *comm);
int device_comm_size(const struct device_comm *comm);

/* data: size * count elements of f32 in device memory; afterwards rank r's slice [r*count, (r+1)*count) of it is the sum
 * over ranks, the rest is undefined. *ticket names the operation for device_comm_wait; tickets count from 1. */
enum status device_comm_start_reduce_scatter(struct device_comm *comm, float *data, int64_t count, int64_t *ticket);

/* data: size * count elements of which rank r has filled its slice r; afterwards all ranks have all. Any type. */
enum status device_comm_start_all_gather(struct device_comm *comm, void *data, int64_t count, enum dtype type,
                                         int64_t *ticket);

/* In place over all ranks, for a few numbers (at most DEVICE_COMM_FEW): F64 sum, or I32 maximum. */
enum { DEVICE_COMM_FEW = 512 };
enum status device_comm_start_all_reduce(struct device_comm *comm, void *data, int64_t count, enum dtype type,
                                         enum comm_reduction reduction, int64_t *ticket);

/* Since operations run in order, waiting for one also waits for those before it. May be called again, or never. */
enum status device_comm_wait(struct device_comm *comm, int64_t ticket);

/* What happens to each operation, for traces: called with the operation's ticket by the thread that starts it and by
 * the one that carries it out. Set before the first start; NULL for none. `observer` is copied. */
enum device_comm_moment { DEVICE_COMM_STARTED, DEVICE_COMM_BEGUN, DEVICE_COMM_ENDED };
struct device_comm_observer {
    void (*observe)(void *argument, int64_t ticket, enum device_comm_moment moment);
    void *argument;
};
void device_comm_observe(struct device_comm *comm, const struct device_comm_observer *observer);

/* Waits until what was started is over, or has failed, then frees; NULL is fine. */
void device_comm_destroy(struct device_comm *comm);

/* One rank alone: every operation is over when it is started. */
enum status device_comm_create_single(struct device_comm **comm);

/* This rank's end among the threads of one process that share `host` (of comm_create_in_process; borrowed, and destroyed
 * later: there the ranks find each other and abort together). Operations follow the compute queue of `context` (borrowed).
 * Sums and copies are operations of `kernels` on a context of its own without threads, carried out by a thread of its own,
 * so they work for every backend whose device memory is one address space. Takes 1 MiB of device memory. */
enum status device_comm_create_in_process(struct comm *host, const struct kernels *kernels,
                                          const struct device_context *context, struct device_comm **comm);

#endif
