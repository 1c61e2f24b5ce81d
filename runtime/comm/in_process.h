/* Where the ranks of one process meet: the part of in-process communicators that host values (in_process.c) and device
 * memory (device_comm_in_process.c) share.
 *
 * Each of the two has a meeting of its own, so that host values may be exchanged while operations on device memory wait.
 * A collective opens its meeting, where every rank shows what it was called with, and passes its closing once or several
 * times, each time when all ranks have come; behind the last nobody touches what another rank showed. An abort lets
 * waiters leave the opening, after which no opening ever completes. It does not disturb the closing: the ranks that came
 * through the opening are all computing and will come, and whoever left before them might free a buffer that they still
 * read. */
#ifndef SPIRITLM_COMM_IN_PROCESS_H
#define SPIRITLM_COMM_IN_PROCESS_H

#include "comm/comm.h"

#include <pthread.h>
#include <stdbool.h>

/* What a rank shows. All but `shown` must be equal on all ranks. */
struct meeting_call {
    void *shown;
    int operation; /* of the meeting's own list */
    int64_t count;
    int type, detail;
};

struct gate {
    int arrived;
    uint64_t passed; /* times that all ranks came through */
};

struct meeting {
    struct gate opening, closing;
    struct meeting_call *calls; /* by rank */
};

struct in_process_group {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int size, alive;
    struct meeting host, device;
    bool aborted;
    char reason[256];
};

enum status in_process_group_create(int size, struct in_process_group **group);
void in_process_group_leave(struct in_process_group *group); /* the last of `size` frees it */
void in_process_group_abort(struct in_process_group *group, const char *reason);

/* Waits until all ranks have opened the meeting. STATUS_HANG after an abort; STATUS_INTERNAL on all ranks, which have
 * then left the meeting again, when they were called with different things. */
enum status meeting_open(struct in_process_group *group, struct meeting *meeting, int rank, struct meeting_call call);
void meeting_pass(struct in_process_group *group, struct meeting *meeting);

/* The group of a communicator that comm_create_in_process made; NULL for any other. */
struct in_process_group *in_process_group_of(const struct comm *comm);

#endif
