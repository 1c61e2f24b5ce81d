/* Checkpoints by pieces: tensors larger than a piece, sharded over one number of ranks, are in the files to the bit and
 * come back to the bit on another number; a rank 0 that cannot write leaves no rank waiting. */
#include "support/files.h"
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"
#include "support/weights.h"

#include "core/thread_pool.h"
#include "io/safetensors.h"
#include "train/checkpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct components *components;
static struct llama_config config;
static const char *run, *checkpoint;
static float *arenas[OPTIMIZER_STATES]; /* what the states should be; written before the ranks start */
static const char *const files[OPTIMIZER_STATES] = {"first_moment", "second_moment", "masters"};

/* One rank's model and optimizer. */
struct side {
    struct thread_pool *pool;
    struct device_context context;
    struct device_comm *device_comm;
    struct llama *model;
    struct optimizer *optimizer;
};

static void open_side(struct side *side, struct comm *comm, enum dtype dtype)
{
    const struct optimizer_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1};
    assert_ok(thread_pool_create(1, &side->pool));
    assert_ok(device_context_create(test_kernels(), side->pool, 0, &side->context));
    assert_ok(llama_create(&config, dtype, test_kernels(), &side->context, &side->model));
    side->device_comm = ranks_device_comm(comm, test_kernels(), &side->context);
    assert_ok(optimizer_create(side->model, comm, side->device_comm, &settings, &side->optimizer));
}

static void close_side(struct side *side)
{
    optimizer_destroy(side->optimizer);
    llama_destroy(side->model);
    device_comm_destroy(side->device_comm);
    device_context_destroy(test_kernels(), &side->context);
    thread_pool_destroy(side->pool);
}

/* Each state is another model's first values, the last one this model's own. */
static void make_arenas(void)
{
    struct comm *comm;
    struct side side;
    assert_ok(comm_create_single(&comm));
    open_side(&side, comm, DTYPE_BF16);
    for (int which = 0; which < OPTIMIZER_STATES; which++) {
        arenas[which] = calloc((size_t)side.model->layout.elements, sizeof *arenas[which]);
        assert_non_null(arenas[which]);
        struct weight_sink sink = weights_into(arenas[which]);
        assert_ok(llama_initialize(side.model, (uint64_t)which, 0.1, &sink));
    }
    close_side(&side);
    comm_destroy(comm);
}

static enum status save(struct comm *comm, struct side *side)
{
    json_t *state = json_pack("{s:i}", "step", 1);
    int64_t count = side->model->layout.elements;
    struct weight_sink masters = optimizer_master_sink(side->optimizer);
    assert_non_null(state);
    assert_ok(llama_initialize(side->model, 2, 0.1, &masters));
    for (int which = 0; which < 2; which++)
        assert_ok(optimizer_put(side->optimizer, which, 0, arenas[which], count));
    assert_ok(side->model->kernels->synchronize(side->model->context));
    enum status result = checkpoint_save(run, 1, components, side->optimizer, comm_rank(comm) == 0 ? state : NULL);
    json_decref(state);
    return result;
}

static void save_well(struct comm *comm, void *unused)
{
    (void)unused;
    struct side side;
    open_side(&side, comm, DTYPE_BF16);
    assert_ok(save(comm, &side));
    close_side(&side);
}

/* A rank of an f32 model takes the masters up as its weights. */
static void load(struct comm *comm, void *argument)
{
    const enum dtype dtype = *(const enum dtype *)argument;
    struct side side;
    open_side(&side, comm, dtype);
    assert_ok(checkpoint_load(checkpoint, side.optimizer));
    int64_t count = side.model->layout.elements;
    float *found = malloc((size_t)count * sizeof *found);
    assert_non_null(found);
    for (int which = 0; which < (dtype == DTYPE_F32 ? 2 : 3); which++) {
        memset(found, 0xff, (size_t)count * sizeof *found);
        assert_ok(optimizer_get(side.optimizer, which, 0, count, found));
        assert_memory_equal(found, arenas[which], (size_t)count * sizeof *found);
    }
    void *weights = weights_of(side.model), *expected = malloc((size_t)count * dtype_size(dtype));
    assert_non_null(expected);
    dtype_from_float(expected, dtype, arenas[2], count);
    assert_memory_equal(weights, expected, (size_t)count * dtype_size(dtype));
    free(weights);
    free(expected);
    free(found);
    close_side(&side);
}

/* The files, read by nothing that wrote them but the format. */
static void check_files(void)
{
    struct parameter_layout layout;
    assert_ok(parameter_layout_create(&config, &layout));
    for (int which = 0; which < OPTIMIZER_STATES; which++) {
        struct safetensors *file;
        assert_ok(
            safetensors_open(test_path("run/checkpoints/step_00000001/trainer/%s.safetensors", files[which]), &file));
        assert_int_equal(safetensors_count(file), layout.count - 1); /* the tied head is not stored again */
        for (int64_t i = 0; i < layout.count; i++) {
            const struct parameter_view *view = &layout.views[i];
            const struct tensor_info *info = safetensors_find(file, view->name);
            assert_int_equal(info == NULL, view->alias);
            if (info)
                assert_memory_equal(safetensors_data(file, info), arenas[which] + view->offset,
                                    (size_t)view->count * sizeof(float));
        }
        safetensors_close(file);
    }
    parameter_layout_free(&layout);
}

static void large_tensors_come_back_on_any_ranks(void **state)
{
    (void)state;
    assert_ok(ranks_run(3, save_well, NULL, 0));
    check_files();
    enum dtype dtype = DTYPE_BF16;
    assert_ok(ranks_run(2, load, &dtype, 0));
    dtype = DTYPE_F32;
    assert_ok(ranks_run(1, load, &dtype, 0));
    assert_ok(remove_tree(run));
}

/* The file of the first moment is larger than any may be: every rank comes back with the one failure. */
static void save_badly(struct comm *comm, void *unused)
{
    (void)unused;
    struct side side;
    open_side(&side, comm, DTYPE_BF16);
    assert_int_equal(save(comm, &side), STATUS_IO);
    close_side(&side);
}

static void a_failed_write_is_every_ranks(void **state)
{
    (void)state;
    struct rlimit before, small;
    struct stat information;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, handler;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &handler), 0);
    small = before;
    small.rlim_cur = (rlim_t)(llama_parameter_count(&config) * 3); /* between bf16 and f32 */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status status = ranks_run(3, save_badly, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(sigaction(SIGXFSZ, &handler, NULL), 0);
    assert_ok(status);
    assert_int_not_equal(stat(checkpoint, &information), 0);
    assert_ok(ranks_run(3, save_well, NULL, 0));
    assert_ok(directory_verify(checkpoint, true));
    assert_ok(remove_tree(run));
}

static int prepare(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    tiny_corpus_make(2, test_seed(), &corpus);
    assert_ok(tiny_corpus_components(&corpus, &components));
    run = test_path("run");
    checkpoint = test_path("run/checkpoints/step_00000001");
    config = (struct llama_config){
        components->vocabulary.padded_size, 2, WEIGHT_PIECE + 12345, 1, 1, 1, 2, 8, 10000, 1e-5, true};
    make_arenas();
    return 0;
}

static int clean(void **state)
{
    (void)state;
    for (int which = 0; which < OPTIMIZER_STATES; which++)
        free(arenas[which]);
    components_free(components);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_tensors_come_back_on_any_ranks),
        cmocka_unit_test(a_failed_write_is_every_ranks),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
