/* Workers wait for a call, take task numbers from one atomic counter until none is left, and report that they are done;
 * the calling thread works with them as worker 0. Which thread runs which task is a race on purpose: tasks are cut so
 * that their results do not depend on it, and whoever is free takes the next one. */
#include "core/thread_pool.h"

#include "core/log.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct worker {
    struct thread_pool *pool;
    pthread_t thread;
    int index;
};

struct thread_pool {
    int threads;
    struct worker *workers; /* threads - 1 of them: the caller is worker 0 */
    pthread_mutex_t lock;
    pthread_cond_t work_ready, work_done;
    _Atomic uint64_t generation; /* counts the calls of thread_pool_run; grows under the lock */
    _Atomic int busy;            /* workers that have not finished the present call */
    bool stopping;
    thread_pool_task task;
    void *argument;
    int64_t count;
    _Atomic int64_t next;
};

static void run_tasks(struct thread_pool *pool, int worker)
{
    for (;;) {
        int64_t task = atomic_fetch_add(&pool->next, 1);
        if (task >= pool->count)
            return;
        pool->task(pool->argument, task, worker);
    }
}

/* Operations follow each other within microseconds, and sleeping and being woken takes longer than many of them, so a
 * waiting thread polls for about 20 us before it sleeps. */
enum { LOOKS = 500 };

static void pause_between_looks(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* The number of the call after `seen` or, when the pool stops, `seen` itself. */
static uint64_t await_call(struct thread_pool *pool, uint64_t seen)
{
    for (int look = 0; look < LOOKS; look++) {
        uint64_t generation = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (generation != seen)
            return generation;
        pause_between_looks();
    }
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping && pool->generation == seen)
        pthread_cond_wait(&pool->work_ready, &pool->lock);
    uint64_t generation = pool->generation;
    pthread_mutex_unlock(&pool->lock);
    return generation;
}

static void *worker_main(void *pointer)
{
    struct worker *worker = pointer;
    struct thread_pool *pool = worker->pool;
    for (uint64_t seen = 0, next; (next = await_call(pool, seen)) != seen; seen = next) {
        run_tasks(pool, worker->index);
        if (atomic_fetch_sub(&pool->busy, 1) == 1) {
            pthread_mutex_lock(&pool->lock); /* the caller either has not read `busy` yet or is asleep */
            pthread_cond_signal(&pool->work_done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

static void await_workers(struct thread_pool *pool)
{
    for (int look = 0; look < LOOKS; look++) {
        if (atomic_load_explicit(&pool->busy, memory_order_acquire) == 0)
            return;
        pause_between_looks();
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->work_done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

int thread_pool_default_threads(void)
{
    const char *text = getenv("SPIRITLM_THREADS");
    char *end = NULL;
    long wanted = text ? strtol(text, &end, 10) : 0;
    if (wanted > 0 && wanted <= 1024 && *end == 0)
        return (int)wanted;
    if (text && (*text == 0 || *end != 0 || wanted != 0))
        log_warning("SPIRITLM_THREADS: expected a number from 1 to 1024, found \"%s\"; using all processors", text);
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}

enum status thread_pool_create(int threads, struct thread_pool **out)
{
    *out = NULL;
    struct thread_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return status_set(STATUS_INTERNAL, "no memory for a thread pool");
    int wanted = threads > 0 ? threads : thread_pool_default_threads();
    pool->workers = calloc((size_t)wanted, sizeof *pool->workers);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_ready, NULL);
    pthread_cond_init(&pool->work_done, NULL);
    pool->threads = 1;
    if (!pool->workers) {
        thread_pool_destroy(pool);
        return status_set(STATUS_INTERNAL, "no memory for %d threads", wanted);
    }
    for (int i = 1; i < wanted; i++) {
        struct worker *worker = &pool->workers[i - 1];
        *worker = (struct worker){.pool = pool, .index = i};
        int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error) {
            thread_pool_destroy(pool);
            return status_set_errno(STATUS_INTERNAL, error, "cannot start thread %d of %d", i + 1, wanted);
        }
        pool->threads++;
    }
    *out = pool;
    return STATUS_OK;
}

void thread_pool_destroy(struct thread_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads - 1; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->work_ready);
    pthread_cond_destroy(&pool->work_done);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

int thread_pool_threads(const struct thread_pool *pool)
{
    return pool ? pool->threads : 1;
}

void thread_pool_run(struct thread_pool *pool, int64_t count, thread_pool_task task, void *argument)
{
    if (!pool || pool->threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; i++)
            task(argument, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->argument = argument;
    pool->count = count;
    atomic_store(&pool->next, 0);
    pool->busy = pool->threads - 1;
    pool->generation++;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->lock);
    run_tasks(pool, 0);
    await_workers(pool);
}
