/* A status's text belongs to its thread, so that of the rank that failed first is carried over. */
#include "core/rank_threads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct rank {
    enum status (*run)(void *context, int64_t rank);
    void *context;
    atomic_bool *failed;
    int64_t number;
    pthread_t thread;
    enum status code; /* of the rank that failed first */
    char text[1024];
};

static void *run_rank(void *argument)
{
    struct rank *rank = argument;
    enum status result = rank->run(rank->context, rank->number);
    if (result != STATUS_OK && !atomic_exchange(rank->failed, true)) {
        rank->code = result;
        snprintf(rank->text, sizeof rank->text, "%s", status_text());
    }
    return NULL;
}

enum status rank_threads_run(int64_t count, enum status (*run)(void *context, int64_t rank), void *context,
                             atomic_bool *failed)
{
    enum status result = STATUS_OK;
    int64_t started = 1;
    struct rank *ranks = calloc((size_t)count, sizeof *ranks);
    if (!ranks)
        return status_set(STATUS_INTERNAL, "no memory for %lld ranks", (long long)count);
    for (int64_t r = 0; r < count; r++)
        ranks[r] = (struct rank){.run = run, .context = context, .failed = failed, .number = r};
    for (; started < count; started++)
        if (pthread_create(&ranks[started].thread, NULL, run_rank, &ranks[started]) != 0) {
            atomic_store(failed, true);
            result = status_set(STATUS_INTERNAL, "no thread for rank %lld", (long long)started);
            break;
        }
    if (result == STATUS_OK)
        run_rank(&ranks[0]);
    for (int64_t r = 1; r < started; r++)
        pthread_join(ranks[r].thread, NULL);
    for (int64_t r = 0; r < count && result == STATUS_OK; r++)
        if (ranks[r].code != STATUS_OK)
            result = status_set(ranks[r].code, "%s", ranks[r].text);
    free(ranks);
    return result;
}
