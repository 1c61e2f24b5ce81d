/* A step from the inside: it waits for its device once and allocates nothing there; gradients travel while backward goes
 * on, each bucket waiting for its exchange buffer alone; each wait for other ranks that it makes is needed; and it takes the
 * memory that the plan names. */
#include "support/closed_kernels.h"
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "train/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RANKS = 3, LAYERS = 4, BUCKETS = LAYERS + 2, MICRO_BATCH = 3 };

static struct tiny_corpus corpus;

static void bench_open(struct training_bench *bench, struct comm *comm)
{
    training_bench_open(bench, &corpus, "unused", comm_size(comm) > 1 ? comm : NULL, 1);
    bench->model.layers = LAYERS;
    bench->data.validation = bench->data.train;
}

/* ---- what a step asks of its device ---- */

static _Thread_local struct {
    int synchronizes, event_waits, allocations, host_allocations;
} asked;

static struct test_calls calls_before; /* what CUDA had been asked for when counting began */

static enum status counted_synchronize(const struct device_context *context)
{
    asked.synchronizes++;
    return test_kernels()->synchronize(context);
}

static enum status counted_event_wait(const struct device_context *context, struct device_event *event)
{
    asked.event_waits++;
    return test_kernels()->event_wait(context, event);
}

static enum status counted_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    asked.allocations++;
    return test_kernels()->allocate(context, bytes, memory);
}

static enum status counted_allocate_host(const struct device_context *context, size_t bytes, void **memory)
{
    asked.host_allocations++;
    return test_kernels()->allocate_host(context, bytes, memory);
}

static void count_from_now(const struct training_bench *bench)
{
    memset(&asked, 0, sizeof asked);
    test_cuda_calls(&calls_before);
    if (test_kernels_closed())
        closed_reset_counters(&bench->context);
}

/* The same as the CUDA runtime sees it; the emulator counts for all ranks together. */
static void check_runtime_calls(const struct training_bench *bench)
{
    struct test_calls calls;
    if (!test_cuda_calls(&calls) || comm_size(bench->comm) > 1)
        return;
    assert_int_equal(calls.synchronizes - calls_before.synchronizes, 1);
    assert_int_equal(calls.allocations, calls_before.allocations);
    assert_int_equal(calls.pageable_copies, calls_before.pageable_copies);
    assert_true(calls.copies > calls_before.copies && calls.launches > calls_before.launches);
}

static void check_counts(const struct training_bench *bench)
{
    assert_int_equal(asked.synchronizes, 1);
    assert_int_equal(asked.event_waits, 0);
    assert_int_equal(asked.allocations, 0);
    assert_int_equal(asked.host_allocations, 0);
    check_runtime_calls(bench);
    if (!test_kernels_closed())
        return;
    const struct closed_counters counters = closed_counters(&bench->context);
    assert_int_equal(counters.synchronizes, 1);
    assert_int_equal(counters.allocations, 0);
    assert_int_equal(counters.pageable_copies, 0);
    assert_true(counters.pinned_copies > 0);
}

static void count_on_a_rank(struct comm *comm, void *argument)
{
    (void)argument;
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    struct token_losses losses;
    bench_open(&bench, comm);
    bench.train.micro_batch = MICRO_BATCH;
    bench.kernels.synchronize = counted_synchronize;
    bench.kernels.event_wait = counted_event_wait;
    bench.kernels.allocate = counted_allocate;
    bench.kernels.allocate_host = counted_allocate_host;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    for (int i = 0; i < 3; i++) { /* the first one, too */
        count_from_now(&bench);
        assert_ok(trainer_step(trainer, &step));
        check_counts(&bench);
    }
    count_from_now(&bench);
    assert_ok(trainer_validate(trainer, SOURCE_TEXT, &losses));
    check_counts(&bench);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void a_step_waits_once_and_allocates_nothing(void **state)
{
    (void)state;
    assert_ok(ranks_run(1, count_on_a_rank, NULL, 0));
    assert_ok(ranks_run(RANKS, count_on_a_rank, NULL, 0));
}

/* Every allocation of device memory that is alive, by its address; bytes as the plan rounds them. */
enum { MOST_BLOCKS = 64 };
static _Thread_local struct {
    void *memory;
    int64_t bytes;
} blocks[MOST_BLOCKS];

static enum status noted_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    enum status result = test_kernels()->allocate(context, bytes, memory);
    int place = 0;
    while (place < MOST_BLOCKS && blocks[place].memory)
        place++;
    assert_in_range(place, 0, MOST_BLOCKS - 1);
    if (result == STATUS_OK) {
        blocks[place].memory = *memory;
        blocks[place].bytes = memory_align((int64_t)bytes);
    }
    return result;
}

static void noted_release(const struct device_context *context, void *memory)
{
    for (int i = 0; memory && i < MOST_BLOCKS; i++)
        if (blocks[i].memory == memory)
            blocks[i].memory = NULL;
    test_kernels()->release(context, memory);
}

static enum training_memory_category category_of(const struct training_bench *bench, struct trainer *trainer,
                                                 const void *memory)
{
    const struct llama *model = trainer_model(trainer);
    const struct optimizer *optimizer = trainer_optimizer(trainer);
    const void *const states[] = {optimizer->first_moment, optimizer->second_moment, optimizer->masters,
                                  optimizer->exchange,     optimizer->segments,      optimizer->scalars};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (memory == states[i])
            return TRAINING_OPTIMIZER;
    if (memory == model->weights || memory == model->rope_cosine || memory == model->rope_sine)
        return TRAINING_PARAMETERS;
    if (memory == bench->context.scratch)
        return TRAINING_SCRATCH;
    return memory == optimizer->gradients ? TRAINING_GRADIENTS : TRAINING_ACTIVATIONS;
}

static struct training_shape shape_of(const struct training_bench *bench, struct llama_config config, int64_t lanes)
{
    return (struct training_shape){.kernels = &bench->kernels,
                                   .config = config,
                                   .dtype = (enum dtype)bench->train.dtype,
                                   .workspace = trainer_workspace_options(&bench->data, &bench->train, lanes),
                                   .lanes = bench->data.lanes,
                                   .ranks = comm_size(bench->comm)};
}

static void check_categories(const struct training_bench *bench, struct trainer *trainer)
{
    struct training_memory memory;
    int ranks = comm_size(bench->comm);
    int64_t lanes = (bench->data.lanes - comm_rank(bench->comm) + ranks - 1) / ranks, total = 0;
    int64_t found[TRAINING_CATEGORIES] = {0};
    const struct training_shape shape = shape_of(bench, trainer_model(trainer)->config, lanes);
    assert_ok(training_memory_plan(&shape, &memory));
    for (int i = 0; i < MOST_BLOCKS; i++)
        if (blocks[i].memory)
            found[category_of(bench, trainer, blocks[i].memory)] += blocks[i].bytes;
    found[TRAINING_LIBRARIES] = bench->kernels.context_bytes + bench->kernels.driver_bytes;
    for (int i = 0; i < TRAINING_CATEGORIES; i++) {
        if (found[i] != memory.plans[i].total)
            fail_msg("%s: %lld bytes are planned and %lld allocated", memory.plans[i].name,
                     (long long)memory.plans[i].total, (long long)found[i]);
        total += found[i];
    }
    assert_int_equal(total, memory.total);
    int64_t on_device = test_cuda_device_bytes();
    if (on_device > 0 && ranks == 1)
        assert_int_equal(on_device, memory.total - bench->kernels.driver_bytes);
    training_memory_free(&memory);
}

static void memory_on_a_rank(struct comm *comm, void *argument)
{
    const struct train_settings *settings = argument;
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    bench_open(&bench, comm);
    memset(blocks, 0, sizeof blocks);
    bench.kernels.allocate = noted_allocate;
    bench.kernels.release = noted_release;
    bench.train.dtype = settings->dtype;
    bench.train.recomputation = settings->recomputation;
    bench.train.micro_batch = settings->micro_batch;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_ok(trainer_step(trainer, &step));
    check_categories(&bench, trainer);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

/* Category by category, to the byte, what --dry-run prints by the same formulas. */
static void a_rank_takes_the_memory_of_the_plan(void **state)
{
    (void)state;
    struct train_settings settings[RANKS] = {{.dtype = DTYPE_F32}, {.dtype = DTYPE_F32}, {.dtype = DTYPE_F32}};
    assert_ok(ranks_run(RANKS, memory_on_a_rank, settings, sizeof *settings));
    for (int recomputation = RECOMPUTATION_NONE; recomputation <= RECOMPUTATION_BLOCK; recomputation++) {
        settings[0] = (struct train_settings){.dtype = recomputation ? DTYPE_BF16 : DTYPE_F32,
                                              .recomputation = recomputation,
                                              .micro_batch = recomputation};
        assert_ok(ranks_run(1, memory_on_a_rank, settings, sizeof *settings));
    }
}

/* Before anything is allocated, in one line, with the nearest settings that fit. */
static void a_plan_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct training_bench bench;
    struct trainer *trainer;
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    struct llama_config config;
    struct training_memory memory;
    char limit[40];
    assert_ok(trainer_model_config(&bench.data, &bench.model, bench.components->vocabulary.padded_size, &config));
    const struct training_shape shape = shape_of(&bench, config, bench.data.lanes);
    assert_ok(training_memory_plan(&shape, &memory));
    snprintf(limit, sizeof limit, "%lld", (long long)memory.total - 1);
    bench.train.device_memory = limit;
    assert_fails(trainer_create(&bench.setup, false, &trainer), STATUS_USAGE, "train.device_memory is");
    assert_non_null(strstr(status_text(), "train.micro_batch=7 it fits"));
    snprintf(limit, sizeof limit, "%lld", (long long)memory.total);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    trainer_destroy(trainer);
    training_memory_free(&memory);
    bench.train.device_memory = "80 Gigabytes";
    assert_fails(trainer_create(&bench.setup, false, &trainer), STATUS_USAGE, "expected a number of bytes");
    training_bench_close(&bench);
}

/* ---- overlap ---- */

/* One rank's trace of a step. Reductions have the tickets 1 to BUCKETS, of the buckets from the last to the first. */
static struct trace {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool watching;
    int64_t before;              /* tickets of earlier steps */
    int64_t started, ended;      /* tickets of this one */
    int norms;                   /* rmsnorm_backward calls that have returned: one of the head, two a layer */
    int norms_at_start[BUCKETS]; /* ... when the reduction was started */
    int64_t ended_at_start[BUCKETS];
    bool stuck; /* a reduction waited in vain for the next to be started */
} traces[RANKS];
static _Thread_local struct trace *own_trace; /* of the rank's thread */

static void observe(void *argument, int64_t ticket, enum device_comm_moment moment)
{
    struct trace *trace = argument;
    pthread_mutex_lock(&trace->lock);
    if (trace->watching) {
        ticket -= trace->before;
        if (moment == DEVICE_COMM_STARTED) {
            trace->started = ticket;
            if (ticket <= BUCKETS) {
                trace->norms_at_start[ticket - 1] = trace->norms;
                trace->ended_at_start[ticket - 1] = trace->ended;
            }
        }
        if (moment == DEVICE_COMM_ENDED)
            trace->ended = ticket;
    } else if (ticket > trace->before) {
        trace->before = ticket;
    }
    pthread_cond_broadcast(&trace->changed);
    pthread_mutex_unlock(&trace->lock);
}

static enum status traced_norm(const struct device_context *context, const struct rmsnorm_backward *p)
{
    enum status result = test_kernels()->rmsnorm_backward(context, p);
    pthread_mutex_lock(&own_trace->lock);
    own_trace->norms++;
    pthread_mutex_unlock(&own_trace->lock);
    return result;
}

/* A network so slow that no bucket's sum is ready before the rank has started the next bucket's: a trainer that waits for
 * a reduction before it starts the next one gets stuck here, until patience ends. The last bucket's has none to wait for. */
static enum status slow_convert(int rank, const struct device_context *context, const struct convert *p)
{
    struct trace *trace = &traces[rank];
    struct timespec patience;
    clock_gettime(CLOCK_REALTIME, &patience);
    patience.tv_sec += 20;
    pthread_mutex_lock(&trace->lock);
    while (trace->watching && trace->ended + 1 < BUCKETS && trace->started < trace->ended + 2 && !trace->stuck)
        trace->stuck = pthread_cond_timedwait(&trace->changed, &trace->lock, &patience) != 0;
    pthread_mutex_unlock(&trace->lock);
    return test_kernels()->convert(context, p);
}

#define SLOW_CONVERT(rank)                                                                                             \
    static enum status slow_convert_##rank(const struct device_context *context, const struct convert *p)              \
    {                                                                                                                  \
        return slow_convert(rank, context, p);                                                                         \
    }
SLOW_CONVERT(0)
SLOW_CONVERT(1)
SLOW_CONVERT(2)

static void use_comm_kernels(struct training_bench *bench, const struct kernels *kernels)
{
    device_comm_destroy(bench->device_comm);
    assert_ok(device_comm_create_in_process(bench->comm, kernels, &bench->context, &bench->device_comm));
    bench->setup.device_comm = bench->device_comm;
}

static void trace_a_rank(struct comm *comm, void *argument)
{
    static enum status (*const converts[RANKS])(const struct device_context *, const struct convert *) = {
        slow_convert_0, slow_convert_1, slow_convert_2};
    struct step_result *step = argument;
    struct training_bench bench;
    struct trainer *trainer;
    struct kernels slow = *test_kernels();
    int rank = comm_rank(comm);
    own_trace = &traces[rank];
    struct device_comm_observer observer = {observe, own_trace};
    slow.convert = converts[rank];
    bench_open(&bench, comm);
    bench.train.micro_batch = 2; /* the hook belongs to the last pass alone */
    bench.kernels.rmsnorm_backward = traced_norm;
    use_comm_kernels(&bench, &slow);
    device_comm_observe(bench.device_comm, &observer);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_ok(trainer_step(trainer, step));
    assert_ok(optimizer_finish_update(trainer_optimizer(trainer)));
    pthread_mutex_lock(&own_trace->lock);
    own_trace->watching = true;
    own_trace->norms = 0;
    pthread_mutex_unlock(&own_trace->lock);
    assert_ok(trainer_step(trainer, step));
    assert_ok(optimizer_finish_update(trainer_optimizer(trainer)));
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void gradients_travel_while_backward_goes_on(void **state)
{
    (void)state;
    struct step_result steps[RANKS];
    for (int r = 0; r < RANKS; r++) {
        memset(&traces[r], 0, sizeof traces[r]);
        pthread_mutex_init(&traces[r].lock, NULL);
        pthread_cond_init(&traces[r].changed, NULL);
    }
    assert_ok(ranks_run(RANKS, trace_a_rank, steps, sizeof *steps));
    for (int r = 0; r < RANKS; r++) {
        const struct trace *trace = &traces[r];
        int passes = r < 2 ? 2 : 1,
            earlier = (passes - 1) * (1 + 2 * LAYERS); /* of three or two lanes, two at a time */
        assert_false(trace->stuck);
        assert_int_equal(trace->before, 2 * BUCKETS + 2);
        assert_int_equal(trace->ended, 2 * BUCKETS + 2); /* a reduction and a gather for each, a norm and a flag */
        for (int i = 0; i < BUCKETS; i++) {
            /* Bucket i from the end is complete after the norms of the head and of i layers; the next layer's second norm
             * has not returned. */
            int norms = earlier + 1 + 2 * (i < LAYERS ? i : LAYERS);
            if (trace->norms_at_start[i] != norms)
                fail_msg("rank %d: reduction %d is started after %d norms, expected %d", r, i + 1,
                         trace->norms_at_start[i], norms);
            /* The one two before is over; the slow network has not let the one before end. */
            int64_t over = i < 2 ? 0 : i - 1;
            if (trace->ended_at_start[i] != over)
                fail_msg("rank %d: reduction %d is started when %lld are over, expected %lld", r, i + 1,
                         (long long)trace->ended_at_start[i], (long long)over);
        }
    }
}

/* ---- forgotten waits ---- */

static int left_out = -1; /* which wait rank 1 does not make; -1: none */
static _Thread_local struct {
    bool counts;
    int waits;
} waiting;

enum status __real_device_comm_wait(struct device_comm *comm, int64_t ticket);
enum status __wrap_device_comm_wait(struct device_comm *comm, int64_t ticket);
enum status __wrap_device_comm_wait(struct device_comm *comm, int64_t ticket)
{
    if (waiting.counts && waiting.waits++ == left_out)
        return STATUS_OK;
    return __real_device_comm_wait(comm, ticket);
}

struct outcome {
    enum status status;
    char text[600];
    int waits;
};

static void forget_on_a_rank(struct comm *comm, void *argument)
{
    struct outcome *outcome = argument;
    struct training_bench bench;
    struct trainer *trainer;
    struct step_result step;
    bench_open(&bench, comm);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_ok(trainer_step(trainer, &step));
    assert_ok(optimizer_finish_update(trainer_optimizer(trainer)));
    waiting.counts = comm_rank(comm) == 1;
    waiting.waits = 0;
    *outcome = (struct outcome){.status = trainer_step(trainer, &step)};
    if (outcome->status == STATUS_OK)
        outcome->status = optimizer_finish_update(trainer_optimizer(trainer));
    outcome->waits = waiting.waits;
    waiting.counts = false;
    if (outcome->status == STATUS_OK)
        outcome->status = trainer_step(trainer, &step);
    if (outcome->status != STATUS_OK) {
        snprintf(outcome->text, sizeof outcome->text, "%s", status_text());
        comm_abort(comm, status_text());
    }
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void every_wait_is_needed(void **state)
{
    (void)state;
    struct outcome outcomes[RANKS];
    left_out = -1;
    assert_ok(ranks_run(RANKS, forget_on_a_rank, outcomes, sizeof *outcomes));
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(outcomes[r].status, STATUS_OK);
    int waits = outcomes[1].waits;
    assert_int_equal(waits, 2 * BUCKETS + 1);
    for (left_out = 0; left_out < waits && test_kernels_closed(); left_out++) {
        bool seen = false;
        assert_ok(ranks_run(RANKS, forget_on_a_rank, outcomes, sizeof *outcomes));
        for (int r = 0; r < RANKS; r++)
            seen = seen || (outcomes[r].status != STATUS_OK && strstr(outcomes[r].text, "missing wait"));
        if (!seen)
            fail_msg("wait %d of %d was left out, and nobody has seen it", left_out + 1, waits);
    }
    left_out = -1;
}

/* A last pass without the optimizer's hook must not be taken for a step. */
static void gradients_that_nobody_sent_are_refused(void **state)
{
    (void)state;
    struct training_bench bench;
    struct trainer *trainer;
    training_bench_open(&bench, &corpus, "unused", NULL, 1);
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    assert_fails(optimizer_measure(trainer_optimizer(trainer)), STATUS_INTERNAL, "0 of 4 buckets");
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(40, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_waits_once_and_allocates_nothing),
        cmocka_unit_test(a_rank_takes_the_memory_of_the_plan),
        cmocka_unit_test(a_plan_that_does_not_fit_is_refused),
        cmocka_unit_test(gradients_travel_while_backward_goes_on),
        cmocka_unit_test(every_wait_is_needed),
        cmocka_unit_test(gradients_that_nobody_sent_are_refused),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
