/* What the host needs to start, save and load a model does not grow with the model: four ranks of this process have all
 * of its weights and states in device memory, and beside these, for whatever the program does, at most 32 MiB each. The
 * model is larger than that of all ranks together, so that a single copy of its f32 values would be noticed.
 *
 * What counts is anonymous memory, which no file backs, as /proc/self/smaps_rollup tells it. Device memory is here a shared
 * mapping, which does not count, nor do mapped files: the system takes their pages back when it likes. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "train/checkpoint.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { RANKS = 4, MIB = 1 << 20 };
static const int64_t limit = RANKS * 32 * (int64_t)MIB;

static struct tiny_corpus corpus;
static char run[600], checkpoint[700];

/* ---- the measure ---- */

static struct {
    pthread_mutex_t lock;
    pthread_t thread;
    bool stop;
    int64_t host, samples; /* bytes at most; since the last lap */
} meter = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t anonymous_bytes(void)
{
    long long kilobytes = -1;
    char line[256];
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Anonymous: %lld kB", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

static void *sample(void *unused)
{
    (void)unused;
    const struct timespec pause = {.tv_nsec = 8000000};
    for (bool stop = false; !stop; nanosleep(&pause, NULL)) {
        int64_t host = anonymous_bytes();
        pthread_mutex_lock(&meter.lock);
        meter.host = host > meter.host ? host : meter.host;
        meter.samples++;
        stop = meter.stop;
        pthread_mutex_unlock(&meter.lock);
    }
    return NULL;
}

static void meter_start(void)
{
    meter.stop = false;
    meter.host = meter.samples = 0;
    assert_int_equal(pthread_create(&meter.thread, NULL, sample, NULL), 0);
}

/* Until as many samples more have been taken. */
static void meter_wait(int64_t samples)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int64_t first = -1, now = 0; now < first + samples || first < 0; nanosleep(&pause, NULL)) {
        pthread_mutex_lock(&meter.lock);
        now = meter.samples;
        first = first < 0 ? now : first;
        pthread_mutex_unlock(&meter.lock);
    }
}

/* The most since the start or the last lap. */
static int64_t meter_lap(const char *what)
{
    meter_wait(2); /* the first may be of before */
    pthread_mutex_lock(&meter.lock);
    int64_t host = meter.host;
    print_message("%-28s %6.1f MiB of host memory at most, %lld samples\n", what, (double)host / MIB,
                  (long long)meter.samples);
    meter.host = meter.samples = 0;
    pthread_mutex_unlock(&meter.lock);
    assert_true(host > 0);
    return host;
}

static void meter_stop(void)
{
    pthread_mutex_lock(&meter.lock);
    meter.stop = true;
    pthread_mutex_unlock(&meter.lock);
    assert_int_equal(pthread_join(meter.thread, NULL), 0);
}

/* ---- device memory that is not the host's ---- */

enum { MOST_BLOCKS = 1000 };
static struct block {
    void *memory;
    size_t bytes;
} blocks[MOST_BLOCKS];
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;

static struct block *find_block(const void *memory)
{
    for (int i = 0; i < MOST_BLOCKS; i++)
        if (blocks[i].memory == memory)
            return &blocks[i];
    return NULL;
}

static enum status shared_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    (void)context;
    size_t whole = bytes ? bytes : 1;
    *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (*memory == MAP_FAILED)
        return status_set(STATUS_INTERNAL, "no shared memory: %zu bytes", bytes);
    pthread_mutex_lock(&blocks_lock);
    struct block *free_place = find_block(NULL);
    if (free_place)
        *free_place = (struct block){*memory, whole};
    pthread_mutex_unlock(&blocks_lock);
    assert_non_null(free_place);
    return STATUS_OK;
}

static void shared_release(const struct device_context *context, void *memory)
{
    if (!memory)
        return;
    pthread_mutex_lock(&blocks_lock);
    struct block *block = find_block(memory);
    if (block) {
        assert_int_equal(munmap(block->memory, block->bytes), 0);
        block->memory = NULL;
    }
    pthread_mutex_unlock(&blocks_lock);
    if (!block) /* the exchange between ranks took its few bytes before this table was put in place */
        test_kernels()->release(context, memory);
}

/* ---- what is measured ---- */

/* 137 MiB of f32 parameters; in the long form 1 GiB. */
static void open_bench(struct training_bench *bench, struct comm *comm)
{
    training_bench_open(bench, &corpus, run, comm, 1);
    /* The context has no scratch yet: the large device memory is all the table's. */
    bench->kernels.allocate = shared_allocate;
    bench->kernels.release = shared_release;
    bench->model.hidden_size = 768;
    bench->model.intermediate_size = 2048;
    bench->model.layers = test_is_long() ? 38 : 5;
    bench->model.heads = 12;
    bench->model.kv_heads = 0;
    bench->train.dtype = DTYPE_BF16; /* weights, both moments and masters */
}

/* What all ranks have done up to here is one lap. */
static int64_t lap(struct comm *comm, const char *what)
{
    assert_ok(comm_barrier(comm));
    int64_t host = comm_rank(comm) == 0 ? meter_lap(what) : 0;
    assert_ok(comm_barrier(comm));
    return host;
}

static void start_and_save(struct comm *comm, void *unused)
{
    (void)unused;
    struct training_bench bench;
    struct trainer *trainer;
    open_bench(&bench, comm);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_true(lap(comm, "start") <= limit);
    assert_ok(trainer_save(trainer, run));
    /* The pieces are smaller, and rank 0 alone writes the weights: one copy of these is 69 MiB in bf16. */
    assert_true(lap(comm, "save") <= RANKS * 12 * (int64_t)MIB);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void start_from_folder(struct comm *comm, void *unused)
{
    (void)unused;
    struct training_bench bench;
    struct trainer *trainer;
    open_bench(&bench, comm);
    bench.model.initialize_from = checkpoint;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_true(lap(comm, "start from a folder") <= limit);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void load(struct comm *comm, void *unused)
{
    (void)unused;
    struct training_bench bench;
    struct trainer *trainer;
    open_bench(&bench, comm);
    assert_ok(trainer_create(&bench.setup, true, &trainer));
    assert_ok(trainer_load(trainer, checkpoint));
    assert_true(lap(comm, "load a checkpoint") <= limit);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void the_host_holds_pieces_alone(void **state)
{
    (void)state;
    snprintf(run, sizeof run, "%s/run", test_directory());
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoints/step_00000000", run);
    meter_start();
    assert_ok(ranks_run(RANKS, start_and_save, NULL, 0));
    assert_ok(ranks_run(RANKS, start_from_folder, NULL, 0));
    assert_ok(ranks_run(RANKS, load, NULL, 0));
    meter_stop();
    for (int i = 0; i < MOST_BLOCKS; i++)
        assert_null(blocks[i].memory);
}

/* The measure itself: it sees a copy of the model that one rank makes for a moment, and sees no device memory. */
static void copy_for_a_moment(struct comm *comm, void *unused)
{
    (void)unused;
    struct training_bench bench;
    void *device;
    const size_t bytes = 137 * (size_t)MIB;
    open_bench(&bench, comm);
    assert_ok(bench.kernels.allocate(&bench.context, bytes, &device));
    assert_true(lap(comm, "no copy") <= limit);
    if (comm_rank(comm) == 0) {
        volatile char *copy = malloc(bytes);
        assert_non_null(copy);
        for (size_t i = 0; i < bytes; i += 4096)
            copy[i] = 1;
        meter_wait(2);
        free((void *)copy);
    }
    int64_t host = lap(comm, "a copy of the model");
    assert_true(comm_rank(comm) != 0 || (host > limit && host <= (int64_t)bytes + limit));
    bench.kernels.release(&bench.context, device);
    training_bench_close(&bench);
}

static void a_copy_would_be_seen(void **state)
{
    (void)state;
    meter_start();
    assert_ok(ranks_run(RANKS, copy_for_a_moment, NULL, 0));
    meter_stop();
}

static int make_corpus(void **state)
{
    (void)state;
    if (anonymous_bytes() < 0) {
        print_message("left out: /proc/self/smaps_rollup tells nothing here\n");
        exit(77);
    }
    /* Freed blocks go back to the system at once: what one piece of work has left is not the next one's. */
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 17), 1);
    tiny_corpus_make(8, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_would_be_seen),
        cmocka_unit_test(the_host_holds_pieces_alone),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
