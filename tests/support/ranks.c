#include "support/ranks.h"

#include "support/test_support.h"

#include <pthread.h>

struct rank_thread {
    void (*work)(struct comm *comm, void *argument);
    struct comm *comm;
    void *argument;
    pthread_t handle;
};

static void *rank_main(void *pointer)
{
    struct rank_thread *rank = pointer;
    rank->work(rank->comm, rank->argument);
    return NULL;
}

enum status ranks_run(int count, void (*work)(struct comm *comm, void *argument), void *arguments, size_t size)
{
    enum status result = STATUS_OK;
    struct comm *comms[MAX_TEST_RANKS];
    struct rank_thread ranks[MAX_TEST_RANKS];
    assert_in_range(count, 1, MAX_TEST_RANKS);
    TRY(comm_create_in_process(count, comms));
    for (int r = 0; r < count; r++) {
        ranks[r] = (struct rank_thread){work, comms[r], (char *)arguments + (size_t)r * size, 0};
        assert_int_equal(pthread_create(&ranks[r].handle, NULL, rank_main, &ranks[r]), 0);
    }
    for (int r = 0; r < count; r++) {
        assert_int_equal(pthread_join(ranks[r].handle, NULL), 0);
        comm_destroy(comms[r]);
    }
fail:
    return result;
}

struct device_comm *ranks_device_comm(struct comm *comm, const struct kernels *kernels, struct device_context *context)
{
    struct device_comm *device_comm = NULL;
    if (comm_size(comm) > 1)
        assert_ok(device_comm_create_in_process(comm, kernels, context, &device_comm));
    else
        assert_ok(device_comm_create_single(&device_comm));
    return device_comm;
}
