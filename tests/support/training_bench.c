#include "support/training_bench.h"

#include "support/test_kernels.h"
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 8, LENGTH = 64 };

static const struct model_settings small_model = {.initialize_from = "",
                                                  .hidden_size = 32,
                                                  .intermediate_size = 48,
                                                  .layers = 2,
                                                  .heads = 4,
                                                  .kv_heads = 2,
                                                  .rope_theta = 10000,
                                                  .rms_norm_epsilon = 1e-5,
                                                  .initializer_deviation = 0.05};

static const struct train_settings short_run = {.seed = 7,
                                                .steps = 6,
                                                .threads = 1,
                                                .dtype = DTYPE_F32,
                                                .schedule = {SCHEDULE_CONSTANT, 3e-3, 0, 2},
                                                .beta1 = 0.9,
                                                .beta2 = 0.95,
                                                .epsilon = 1e-8,
                                                .weight_decay = 0.1,
                                                .clip = 1.0,
                                                .spike_window = 16,
                                                .log_every = 1,
                                                .validation_rows = 4,
                                                .keep = 2};

static struct data_settings data_of(struct training_bench *bench, const struct tiny_corpus *corpus)
{
    bench->folders[0] = corpus->speech;
    bench->folders[1] = corpus->text;
    return (struct data_settings){.train = {bench->folders, 2},
                                  .lanes = LANES,
                                  .sequence_length = LENGTH,
                                  .weights = {1, 1, 1},
                                  .text_words_minimum = 2,
                                  .text_words_maximum = 4,
                                  .speech_words_minimum = 1,
                                  .speech_words_maximum = 3,
                                  .expressive = true,
                                  .mask_documents = true};
}

void training_bench_open(struct training_bench *bench, const struct tiny_corpus *corpus, const char *run,
                         struct comm *comm, int threads)
{
    training_bench_open_on(test_kernels(), bench, corpus, run, comm, threads);
}

void training_bench_open_on(const struct kernels *kernels, struct training_bench *bench,
                            const struct tiny_corpus *corpus, const char *run, struct comm *comm, int threads)
{
    *bench = (struct training_bench){.model = small_model, .train = short_run, .comm = comm, .owns_comm = !comm};
    bench->data = data_of(bench, corpus);
    bench->train.run = run;
    bench->train.threads = threads;
    bench->kernels = *kernels;
    if (!comm)
        assert_ok(comm_create_single(&bench->comm));
    assert_ok(tiny_corpus_components(corpus, &bench->components));
    assert_ok(thread_pool_create(threads, &bench->pool));
    assert_ok(device_context_create(&bench->kernels, bench->pool, 0, &bench->context));
    if (comm)
        assert_ok(device_comm_create_in_process(comm, &bench->kernels, &bench->context, &bench->device_comm));
    else
        assert_ok(device_comm_create_single(&bench->device_comm));
    bench->setup = (struct trainer_setup){.data = &bench->data,
                                          .model = &bench->model,
                                          .train = &bench->train,
                                          .components = bench->components,
                                          .comm = bench->comm,
                                          .device_comm = bench->device_comm,
                                          .kernels = &bench->kernels,
                                          .context = &bench->context};
}

void training_bench_close(struct training_bench *bench)
{
    device_comm_destroy(bench->device_comm);
    device_context_destroy(&bench->kernels, &bench->context);
    thread_pool_destroy(bench->pool);
    components_free(bench->components);
    if (bench->owns_comm)
        comm_destroy(bench->comm);
}

struct trainer *training_bench_resume(const struct training_bench *bench)
{
    char *path;
    struct trainer *trainer;
    assert_ok(checkpoint_newest(bench->train.run, false, &path));
    assert_non_null(path);
    assert_ok(trainer_create(&bench->setup, true, &trainer));
    assert_ok(trainer_load(trainer, path));
    free(path);
    return trainer;
}

static double some_peak(const struct device_context *context, enum dtype type)
{
    (void)context;
    (void)type;
    return 1e12;
}

void training_bench_shrink_if_slow(struct training_bench *bench)
{
    if (!test_kernels_slow())
        return;
    bench->data.lanes = 3;
    bench->data.sequence_length = 32;
    bench->model.layers = 1;
    bench->kernels.peak_flops = some_peak;
}

void training_bench_use_demo_sizes(struct training_bench *bench)
{
    bench->data.sequence_length = 256;
    bench->model.hidden_size = 128;
    bench->model.intermediate_size = 352;
    bench->model.layers = 4;
    bench->model.heads = 4;
    bench->model.kv_heads = 0;
    bench->model.tie_embeddings = true;
    bench->model.rope_theta = 100000;
    bench->model.initializer_deviation = 0.02;
    bench->train.schedule = (struct schedule_settings){SCHEDULE_COSINE, 4e-3, 2e-4, 10};
}

/* ---- lanes ---- */

void untouched_lanes_open(const struct training_bench *bench, struct untouched_lanes *untouched)
{
    for (int i = 0; i < 2; i++)
        assert_ok(dataset_open(bench->folders[i], &untouched->datasets[i]));
    struct lanes_options options = data_lanes_options(&bench->data, (uint64_t)bench->train.seed);
    struct interleaver interleaver = data_interleaver(&bench->data, bench->components);
    assert_ok(lanes_create(&options, &interleaver, untouched->datasets, 2, &untouched->lanes));
}

void untouched_lanes_close(struct untouched_lanes *untouched)
{
    lanes_destroy(untouched->lanes);
    for (int i = 0; i < 2; i++)
        dataset_close(untouched->datasets[i]);
}

void untouched_lanes_documents(const struct untouched_lanes *untouched, int64_t lane, char *text)
{
    const char *const *names;
    int64_t count = lanes_last_documents(untouched->lanes, lane, &names);
    for (int64_t i = 0; i < count; i++)
        strcat(strcat(text, names[i]), " ");
}

/* ---- states ---- */

static void *copy_of(const struct llama *model, const void *device, size_t bytes)
{
    if (!device)
        return NULL;
    void *copy = malloc(bytes);
    assert_non_null(copy);
    assert_ok(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, copy, device, bytes));
    return copy;
}

struct training_state training_state_copy(struct trainer *trainer)
{
    const struct llama *model = trainer_model(trainer);
    struct optimizer *optimizer = trainer_optimizer(trainer);
    assert_ok(optimizer_finish_update(optimizer));
    struct training_state state = {.weight_bytes = (size_t)model->layout.elements * dtype_size(model->dtype),
                                   .slice_bytes = (size_t)optimizer->slice_elements * sizeof(float)};
    state.weights = copy_of(model, model->weights, state.weight_bytes);
    state.masters = copy_of(model, optimizer->masters, state.slice_bytes);
    state.first_moment = copy_of(model, optimizer->first_moment, state.slice_bytes);
    state.second_moment = copy_of(model, optimizer->second_moment, state.slice_bytes);
    assert_ok(model->kernels->synchronize(model->context));
    return state;
}

void training_state_free(struct training_state *state)
{
    free(state->weights);
    free(state->masters);
    free(state->first_moment);
    free(state->second_moment);
}

float training_weight_replace(struct trainer *trainer, int64_t element, float value)
{
    const struct llama *model = trainer_model(trainer);
    float *place = (float *)model->weights + element, before;
    assert_int_equal(model->dtype, DTYPE_F32);
    assert_ok(optimizer_finish_update(trainer_optimizer(trainer)));
    assert_ok(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, &before, place, sizeof before));
    assert_ok(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, place, &value, sizeof value));
    assert_ok(model->kernels->synchronize(model->context));
    return before;
}

static void assert_same_bytes(const char *what, const char *part, const void *actual, const void *expected,
                              size_t bytes)
{
    const unsigned char *a = actual, *b = expected;
    assert_int_equal(a == NULL, b == NULL);
    for (size_t i = 0; a && i < bytes; i++)
        if (a[i] != b[i])
            fail_msg("%s: %s differ from byte %zu of %zu on", what, part, i, bytes);
}

void training_state_assert_equal(const char *what, const struct training_state *actual,
                                 const struct training_state *expected)
{
    assert_int_equal(actual->weight_bytes, expected->weight_bytes);
    assert_int_equal(actual->slice_bytes, expected->slice_bytes);
    assert_same_bytes(what, "weights", actual->weights, expected->weights, actual->weight_bytes);
    assert_same_bytes(what, "masters", actual->masters, expected->masters, actual->slice_bytes);
    assert_same_bytes(what, "first moments", actual->first_moment, expected->first_moment, actual->slice_bytes);
    assert_same_bytes(what, "second moments", actual->second_moment, expected->second_moment, actual->slice_bytes);
}
