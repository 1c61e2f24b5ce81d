/* Ranks that work together, and the host values and texts that they exchange: losses, counts, flags, paths. Device memory
 * goes over device_comm.h. A maker (single, in-process, later mpi) returns a struct comm; callers use only these
 * functions. Sums over ranks are added in the order of the ranks, so a result depends on the number of ranks alone. Every
 * collective must be called by all ranks in the same order. */
#ifndef SPIRITLM_COMM_COMM_H
#define SPIRITLM_COMM_COMM_H

#include "core/dtype.h"
#include "core/status.h"

#include <stdint.h>

enum comm_reduction { COMM_SUM, COMM_MAX };

struct comm; /* one rank's end */

int comm_rank(const struct comm *comm);
int comm_size(const struct comm *comm);

/* In place over all ranks. type: F32, F64, I32 or I64. */
enum status comm_all_reduce(struct comm *comm, void *data, int64_t count, enum dtype type,
                            enum comm_reduction reduction);

/* data holds size * count elements of which rank r has filled its slice r; afterwards all ranks have all. Any type. */
enum status comm_all_gather(struct comm *comm, void *data, int64_t count, enum dtype type);

enum status comm_broadcast(struct comm *comm, void *data, int64_t bytes, int root);
enum status comm_barrier(struct comm *comm);

/* Every rank's status as the worst of all (the largest code), so that all go on or leave together. A rank that was
 * well itself gets a text that says so. */
enum status comm_agree(struct comm *comm, enum status status);

/* Wakes every rank that waits in a collective, now or later, with STATUS_HANG and `reason`. */
void comm_abort(struct comm *comm, const char *reason);

void comm_destroy(struct comm *comm);

/* One rank alone. */
enum status comm_create_single(struct comm **comm);

/* `size` ranks for as many threads of this process, for tests: comms[r] belongs to thread r. */
enum status comm_create_in_process(int size, struct comm **comms);

#endif
