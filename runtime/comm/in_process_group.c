/* The meetings of ranks that are threads of one process: gates that open when the last rank arrives. One lock and one
 * condition serve all of a group, since an abort must wake every waiter, wherever it waits. */
#include "comm/in_process.h"

#include <stdio.h>
#include <stdlib.h>

enum status in_process_group_create(int size, struct in_process_group **out)
{
    *out = NULL;
    struct in_process_group *group = calloc(1, sizeof *group);
    if (!group)
        return status_set(STATUS_INTERNAL, "comm: out of memory");
    group->size = group->alive = size;
    group->host.calls = calloc((size_t)size, sizeof *group->host.calls);
    group->device.calls = calloc((size_t)size, sizeof *group->device.calls);
    bool made = group->host.calls && group->device.calls;
    if (made && pthread_mutex_init(&group->lock, NULL) == 0) {
        if (pthread_cond_init(&group->changed, NULL) == 0) {
            *out = group;
            return STATUS_OK;
        }
        pthread_mutex_destroy(&group->lock);
    }
    free(group->host.calls);
    free(group->device.calls);
    free(group);
    return status_set(STATUS_INTERNAL, "comm: %s", made ? "no lock can be made" : "out of memory");
}

void in_process_group_leave(struct in_process_group *group)
{
    pthread_mutex_lock(&group->lock);
    bool last = --group->alive == 0;
    pthread_mutex_unlock(&group->lock);
    if (!last)
        return;
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->lock);
    free(group->host.calls);
    free(group->device.calls);
    free(group);
}

void in_process_group_abort(struct in_process_group *group, const char *reason)
{
    pthread_mutex_lock(&group->lock);
    if (!group->aborted) {
        group->aborted = true;
        snprintf(group->reason, sizeof group->reason, "%s", reason);
        pthread_cond_broadcast(&group->changed);
    }
    pthread_mutex_unlock(&group->lock);
}

/* With the lock held. The last rank to arrive opens the gate. */
static void arrive(struct in_process_group *group, struct gate *gate)
{
    if (++gate->arrived < group->size)
        return;
    gate->arrived = 0;
    gate->passed++;
    pthread_cond_broadcast(&group->changed);
}

/* Each rank sees the same list, so all refuse together. */
static enum status check_calls(const struct in_process_group *group, const struct meeting *meeting, int rank)
{
    const struct meeting_call *first = &meeting->calls[0];
    for (int r = 1; r < group->size; r++) {
        const struct meeting_call *call = &meeting->calls[r];
        if (call->operation != first->operation || call->count != first->count || call->type != first->type ||
            call->detail != first->detail)
            return status_set(STATUS_INTERNAL,
                              "rank %d: ranks 0 and %d are in different collectives (%d of %lld, %d of %lld)", rank, r,
                              first->operation, (long long)first->count, call->operation, (long long)call->count);
    }
    return STATUS_OK;
}

enum status meeting_open(struct in_process_group *group, struct meeting *meeting, int rank, struct meeting_call call)
{
    pthread_mutex_lock(&group->lock);
    uint64_t passed = meeting->opening.passed;
    meeting->calls[rank] = call;
    if (!group->aborted)
        arrive(group, &meeting->opening);
    while (meeting->opening.passed == passed && !group->aborted)
        pthread_cond_wait(&group->changed, &group->lock);
    bool open = meeting->opening.passed != passed;
    pthread_mutex_unlock(&group->lock);
    if (!open)
        return status_set(STATUS_HANG, "rank %d: stopped: %s", rank, group->reason);
    enum status result = check_calls(group, meeting, rank);
    if (result != STATUS_OK)
        meeting_pass(group, meeting);
    return result;
}

void meeting_pass(struct in_process_group *group, struct meeting *meeting)
{
    pthread_mutex_lock(&group->lock);
    uint64_t passed = meeting->closing.passed;
    arrive(group, &meeting->closing);
    while (meeting->closing.passed == passed)
        pthread_cond_wait(&group->changed, &group->lock);
    pthread_mutex_unlock(&group->lock);
}
