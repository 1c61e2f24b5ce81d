/* A thread with a deadline that every step moves. It ends the process with _exit: what hangs may hold any lock, so nothing
 * that takes one may be called. */
#include "train/watchdog.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct watchdog {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    double seconds;
    int rank;
    bool ended, watching;
    struct timespec deadline;
    int64_t steps_done;
    const char *doing;
};

static struct timespec seconds_from_now(double seconds)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    double whole = floor(seconds);
    time.tv_sec += (time_t)whole;
    time.tv_nsec += (long)(1e9 * (seconds - whole));
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

/* With the mutex held. Not exit(): its handlers and destructors may wait for what hangs. */
static void end_the_process(const struct watchdog *watchdog)
{
    dprintf(
        STDERR_FILENO,
        "error: rank %d hangs: no sign of life for %g s during %s after %lld steps; the same command continues from "
        "the newest checkpoint (train.watchdog_seconds sets the limit)\n",
        watchdog->rank, watchdog->seconds, watchdog->doing, (long long)watchdog->steps_done);
    _exit(STATUS_HANG);
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->ended) {
        struct timespec deadline = watchdog->deadline;
        if (!watchdog->watching) {
            pthread_cond_wait(&watchdog->changed, &watchdog->mutex);
        } else if (pthread_cond_timedwait(&watchdog->changed, &watchdog->mutex, &deadline) == ETIMEDOUT) {
            /* A sign may have come while this thread was on its way out of the wait. */
            if (deadline.tv_sec == watchdog->deadline.tv_sec && deadline.tv_nsec == watchdog->deadline.tv_nsec)
                end_the_process(watchdog);
        }
    }
    pthread_mutex_unlock(&watchdog->mutex);
    return NULL;
}

enum status watchdog_create(double seconds, int rank, struct watchdog **out)
{
    *out = NULL;
    if (!(seconds > 0))
        return STATUS_OK;
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (!watchdog)
        return status_set(STATUS_INTERNAL, "no memory for the watchdog");
    watchdog->seconds = seconds;
    watchdog->rank = rank;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* a clock that is set must not end a run */
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_cond_init(&watchdog->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int error = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    if (error) {
        pthread_cond_destroy(&watchdog->changed);
        pthread_mutex_destroy(&watchdog->mutex);
        free(watchdog);
        return status_set_errno(STATUS_INTERNAL, error, "no thread for the watchdog");
    }
    *out = watchdog;
    return STATUS_OK;
}

void watchdog_alive(struct watchdog *watchdog, int64_t steps_done, const char *doing)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    bool wake = !watchdog->watching; /* later deadlines are seen when the earlier one is over */
    watchdog->watching = true;
    watchdog->deadline = seconds_from_now(watchdog->seconds);
    watchdog->steps_done = steps_done;
    watchdog->doing = doing;
    if (wake)
        pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->mutex);
}

void watchdog_destroy(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->ended = true;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->mutex);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog);
}
