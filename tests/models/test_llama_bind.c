/* Weights that stay in the mapped file: whatever the layout and the type, logits of whole rows, of prompts and of decoded
 * tokens are, bit for bit, those of a model whose weights were copied into its arena, and no more is copied than must be. */
#include "support/files.h"
#include "support/gguf_builder.h"
#include "support/llama_support.h"
#include "support/test_support.h"
#include "support/torch_builder.h"

#include "core/path.h"
#include "io/safetensors.h"
#include "models/llama/llama_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, LENGTH = 23, STEPS = 2, SEED = 11 };

/* ---- what a model answers ---- */

struct answers {
    float *logits; /* of ROWS x LENGTH positions, of ROWS prompts, of STEPS x ROWS decoded tokens: [count][V] */
    int64_t count; /* numbers */
};

static struct answers ask(struct llama *model)
{
    static const int64_t prompts[ROWS] = {1, 17, LENGTH};
    const int64_t vocabulary = model->config.vocabulary_size, rows[ROWS] = {2, 0, 1};
    struct answers answers = {.count = (ROWS * LENGTH + ROWS + STEPS * ROWS) * vocabulary};
    struct llama_workspace *workspace;
    struct llama_session *session;
    int32_t ids[ROWS * LENGTH], targets[ROWS * LENGTH];
    llama_random_tokens(SEED, 3, ROWS * LENGTH, vocabulary, ids, targets);
    answers.logits = guarded_allocate((size_t)answers.count * sizeof(float));
    float *next = answers.logits;
    assert_ok(
        llama_workspace_create(model, &(struct llama_workspace_options){.rows = ROWS, .length = LENGTH}, &workspace));
    assert_ok(llama_logits(model, workspace, &(struct llama_batch){.rows = ROWS, .length = LENGTH, .ids = ids}, next));
    llama_workspace_destroy(workspace);
    next += ROWS * LENGTH * vocabulary;
    assert_ok(llama_session_create(model, &(struct llama_session_options){.rows = ROWS, .capacity = LENGTH + STEPS},
                                   &session));
    for (int i = 0; i < ROWS; i++, next += vocabulary)
        assert_ok(llama_session_prefill(session, i, ids + i * LENGTH, prompts[i], next));
    for (int i = 0; i < STEPS; i++, next += ROWS * vocabulary)
        assert_ok(llama_session_decode(session, rows, ids + i * ROWS, ROWS, next));
    llama_session_destroy(session);
    return answers;
}

static double largest_difference(const struct answers *a, const struct answers *b)
{
    double worst = 0;
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        double error = fabs((double)a->logits[i] - (double)b->logits[i]);
        if (!(error <= worst))
            worst = error;
    }
    return worst;
}

static void assert_same(const struct answers *a, const struct answers *b)
{
    assert_true(largest_difference(a, b) <= 0);
    assert_memory_equal(a->logits, b->logits, (size_t)a->count * sizeof(float));
}

struct machine {
    struct thread_pool *pool;
    struct device_context context;
};

static void open_machine(struct machine *machine, enum cpu_engine engine)
{
    assert_ok(thread_pool_create(2, &machine->pool));
    assert_ok(device_context_create(test_kernels(), machine->pool, 0, &machine->context));
    test_set_engine(&machine->context, engine);
}

static void close_machine(struct machine *machine)
{
    device_context_destroy(test_kernels(), &machine->context);
    thread_pool_destroy(machine->pool);
}

static bool is_bound(void)
{
    return test_kernels()->reads_host_memory;
}

static struct answers ask_arena(struct machine *machine, const char *path, const struct llama_config *config,
                                enum dtype dtype)
{
    struct llama *model;
    assert_ok(llama_create(config, dtype, test_kernels(), &machine->context, &model));
    assert_ok(llama_read_weights(model, path, NULL, NULL));
    struct answers answers = ask(model);
    llama_destroy(model);
    return answers;
}

/* Bytes of the resident copy in *copied; the plan names all of the weights. */
static struct answers ask_opened(struct machine *machine, const char *path, const struct llama_config *config,
                                 enum dtype dtype, int64_t *copied)
{
    struct llama *model;
    struct memory_plan plan = {.name = "weights"};
    int64_t before = test_kernels()->memory(&machine->context).allocated;
    assert_ok(llama_open(path, config, dtype, test_kernels(), &machine->context, &model));
    int64_t allocated = test_kernels()->memory(&machine->context).allocated - before;
    assert_ok(llama_plan_weights(model, &plan));
    assert_int_equal(plan.count, is_bound() ? 2 : 1);
    assert_string_equal(plan.entries[0].name, is_bound() ? "weights, mapped from the file" : "weights");
    *copied = plan.entries[plan.count - 1].bytes;
    if (is_bound()) {
        assert_string_equal(plan.entries[1].name, "weights, resident copy");
        assert_int_equal(plan.entries[0].bytes + *copied, llama_parameter_count(config) * (int64_t)dtype_size(dtype));
    }
    /* What the device holds is the copy and the rotary tables, no second copy of what is mapped. */
    int64_t tables = 2 * config->maximum_positions * (config->head_size / 2) * (int64_t)sizeof(float);
    assert_true(allocated >= *copied && allocated <= *copied + tables + 64 * 256);
    memory_plan_free(&plan);
    struct answers answers = ask(model);
    llama_destroy(model);
    assert_int_equal(test_kernels()->memory(&machine->context).allocated, before);
    return answers;
}

/* Opened and copied give the same answers; `first`, where given, are those of another layout. */
static void compare(struct machine *machine, const char *path, enum dtype dtype, struct answers *first,
                    int64_t expected_copy)
{
    struct llama_config config;
    int64_t copied;
    assert_ok(llama_read_config(path, &config));
    struct answers arena = ask_arena(machine, path, &config, dtype);
    struct answers opened = ask_opened(machine, path, &config, dtype, &copied);
    if (is_bound() && expected_copy >= 0)
        assert_int_equal(copied, expected_copy * (int64_t)dtype_size(dtype));
    const struct kernels *kernels = test_kernels();
    bool stable = !is_bound() || kernels->stable_columns(&machine->context, dtype, ROWS * LENGTH);
    double difference = largest_difference(&arena, &opened);
    if (stable)
        assert_same(&arena, &opened);
    else
        print_message("%s: a library's joint and single products differ by %.2e\n", path, difference);
    assert_true(difference <= (dtype == DTYPE_F32 ? 1e-4 : 0.1));
    guarded_free(arena.logits);
    if (first->logits) {
        assert_same(first, &opened);
        guarded_free(opened.logits);
    } else {
        *first = opened;
    }
}

/* ---- layouts made by others ---- */

/* Elements of q and k of all layers, and of all matrices. */
static int64_t rotary_elements(const struct llama_config *config)
{
    return config->layers * config->hidden_size * (config->heads + config->kv_heads) * config->head_size;
}

static int64_t matrix_elements(const struct llama_config *config)
{
    return llama_parameter_count(config) - (2 * config->layers + 1) * config->hidden_size;
}

static const enum cpu_engine engines[] = {CPU_ENGINE_BLOCKED, CPU_ENGINE_BLAS, CPU_ENGINE_ONEDNN};

static void every_layout_answers_alike(void **state)
{
    (void)state;
    static const char *const names[] = {"hf", "hf_sharded", "bin", "bin_sharded", "old", "f32.gguf", "meta1", "meta2"};
    for (size_t e = 0; e < (test_kernels_cpu() ? sizeof engines / sizeof *engines : 1); e++) {
        struct machine machine;
        struct answers first = {0};
        open_machine(&machine, engines[e]);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            char path[PATH_BYTES];
            struct llama_config config;
            assert_ok(path_format(path, TEST_GOLDEN_DIRECTORY "/layouts/f32/%s", names[i]));
            assert_ok(llama_read_config(path, &config));
            int64_t copied = i < 4 ? 0 : i == 4 ? -1 : i < 7 ? rotary_elements(&config) : matrix_elements(&config);
            compare(&machine, path, DTYPE_F32, &first, copied);
        }
        guarded_free(first.logits);
        close_machine(&machine);
    }
}

/* ---- layouts of our own making, in both types ---- */

/* A checkpoint of ours at `folder`; its tensors once more with names in order, as HF's writer has them, at `sorted`, and in a
 * file of PyTorch at `torch`. */
struct folders {
    char *own, *sorted, *torch;
};

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct parameter_view *const *)a)->name, (*(const struct parameter_view *const *)b)->name);
}

static void write_sorted(const struct llama *model, const unsigned char *weights, const char *folder)
{
    enum { MOST = 64 };
    const struct parameter_layout *layout = &model->layout;
    const struct parameter_view *views[MOST];
    struct tensor_info infos[MOST];
    const void *data[MOST];
    struct atomic_directory *directory;
    struct output_file *file;
    assert_true(layout->count <= MOST);
    for (int64_t i = 0; i < layout->count; i++)
        views[i] = &layout->views[i];
    qsort(views, (size_t)layout->count, sizeof *views, by_name);
    for (int64_t i = 0; i < layout->count; i++) {
        size_t size = dtype_size(model->dtype);
        infos[i] = (struct tensor_info){views[i]->name,
                                        model->dtype,
                                        views[i]->rank,
                                        {views[i]->shape[0], views[i]->shape[1]},
                                        views[i]->count * (int64_t)size};
        data[i] = weights + (size_t)views[i]->offset * size;
    }
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(llama_write_configs(model, directory, 1, 2));
    assert_ok(atomic_directory_create(directory, "model.safetensors", 0, &file));
    assert_ok(safetensors_write(file, infos, data, layout->count, NULL, 0));
    assert_ok(output_close(file));
    assert_ok(atomic_directory_commit(directory));
}

static void add_pickled(struct bytes *pickle, const struct parameter_view *view, const char *storage_class, int key)
{
    char text[16];
    snprintf(text, sizeof text, "%d", key);
    pickle_text(pickle, view->name);
    pickle_class(pickle, "torch._utils", "_rebuild_tensor");
    pickle_raw(pickle, "(");
    pickle_storage(pickle, storage_class, text, view->count);
    pickle_integer(pickle, 0);
    pickle_raw(pickle, "(");
    for (int d = 0; d < view->rank; d++)
        pickle_integer(pickle, view->shape[d]);
    pickle_raw(pickle, "t(");
    for (int d = 0; d < view->rank; d++)
        pickle_integer(pickle, d + 1 < view->rank ? view->shape[1] : 1);
    pickle_raw(pickle, "ttR");
}

static void write_torch(const struct llama *model, unsigned char *weights, const char *folder)
{
    const struct parameter_layout *layout = &model->layout;
    struct zip_piece storages[ZIP_PIECES] = {0};
    struct bytes pickle = {0}, file = {0};
    struct atomic_directory *directory;
    char path[PATH_BYTES];
    size_t size = dtype_size(model->dtype);
    pickle_raw(&pickle, "}(");
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        add_pickled(&pickle, view, model->dtype == DTYPE_F32 ? "FloatStorage" : "BFloat16Storage", (int)i);
        storages[i].data = weights + (size_t)view->offset * size;
        storages[i].size = (size_t)view->count * size;
    }
    pickle_raw(&pickle, "u.");
    torch_build(&file, pickle.data, pickle.size, storages, (int)layout->count);
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(llama_write_configs(model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));
    assert_ok(path_format(path, "%s/pytorch_model.bin", folder));
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&pickle);
    bytes_free(&file);
}

static void write_folders(const char *name, const struct llama_config *config, enum dtype dtype,
                          struct folders *folders)
{
    struct llama_fixture fixture;
    struct atomic_directory *directory;
    folders->own = strdup(test_path("%s_own", name));
    folders->sorted = strdup(test_path("%s_sorted", name));
    folders->torch = strdup(test_path("%s_torch", name));
    assert_true(folders->own && folders->sorted && folders->torch);
    llama_fixture_create(&fixture, config, dtype, 2);
    llama_fixture_weights(&fixture, SEED, 0.2);
    assert_ok(atomic_directory_begin(folders->own, false, &directory));
    assert_ok(llama_write_folder(fixture.model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));
    unsigned char *weights = llama_fixture_copy_weights(&fixture);
    write_sorted(fixture.model, weights, folders->sorted);
    write_torch(fixture.model, weights, folders->torch);
    guarded_free(weights);
    llama_fixture_destroy(&fixture);
}

static void free_folders(struct folders *folders)
{
    free(folders->own);
    free(folders->sorted);
    free(folders->torch);
}

/* The order of a file's tensors decides which are neighbours, and no bit. */
static void both_types_answer_alike_in_every_order(void **state)
{
    (void)state;
    const struct llama_config config = llama_small_config();
    for (size_t e = 0; e < (test_kernels_cpu() ? sizeof engines / sizeof *engines : 1); e++)
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
            struct folders folders;
            struct machine machine;
            struct answers first = {0};
            char name[32];
            snprintf(name, sizeof name, "engine%zu_%s", e, dtype_name((enum dtype)dtype));
            write_folders(name, &config, (enum dtype)dtype, &folders);
            open_machine(&machine, engines[e]);
            compare(&machine, folders.own, (enum dtype)dtype, &first, 0);
            compare(&machine, folders.sorted, (enum dtype)dtype, &first, 0);
            compare(&machine, folders.torch, (enum dtype)dtype, &first, 0);
            guarded_free(first.logits);
            close_machine(&machine);
            free_folders(&folders);
        }
}

/* The file's type is not the run's, or its numbers lie in blocks: all of them once more, and only once. */
static void others_cost_one_copy(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    struct folders folders;
    struct machine machine;
    struct bytes file = {0};
    struct answers other = {0}, blocks = {0};
    write_folders("copied", &config, DTYPE_BF16, &folders);
    open_machine(&machine, CPU_ENGINE_BLOCKED);
    compare(&machine, folders.own, DTYPE_F32, &other, llama_parameter_count(&config));
    config.hidden_size = 64;
    config.intermediate_size = 96;
    config.head_size = 16;
    gguf_build_llama(&file, &config, SEED);
    const char *path = test_path("blocks.gguf");
    write_plainly(path, file.data, (int64_t)file.size);
    bytes_free(&file);
    compare(&machine, path, DTYPE_F32, &blocks, matrix_elements(&config));
    guarded_free(other.logits);
    guarded_free(blocks.logits);
    close_machine(&machine);
    free_folders(&folders);
}

/* ---- refusals ---- */

/* Opens what is written of `weights`; the model, or NULL with the status. */
static enum status open_written(struct llama_fixture *fixture, const unsigned char *weights, struct llama **model)
{
    static int number;
    const char *folder = test_path("finite%d", number++);
    write_sorted(fixture->model, weights, folder);
    return llama_open(folder, &fixture->model->config, fixture->model->dtype, test_kernels(), &fixture->context, model);
}

/* One number is not finite: at every place of a word, among the first and the last of a tensor. The largest finite ones are
 * let through everywhere. */
static void numbers_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    const struct llama_config config = llama_small_config();
    static const char *const names[] = {"model.embed_tokens.weight", "model.layers.1.post_attention_layernorm.weight",
                                        "lm_head.weight"};
    static const float wrong[] = {NAN, INFINITY, -INFINITY};
    static const char *const printed[] = {"nan", "inf", "-inf"};
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        struct llama_fixture fixture;
        struct llama *model = NULL;
        size_t size = dtype_size((enum dtype)dtype);
        llama_fixture_create(&fixture, &config, (enum dtype)dtype, 2);
        llama_fixture_weights(&fixture, SEED, 0.2);
        unsigned char *weights = llama_fixture_copy_weights(&fixture), good[4];
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            const struct parameter_view *view = parameter_layout_find(&fixture.model->layout, names[n]);
            for (int64_t i = 0; i < 12; i++) {
                int64_t at = i < 8 ? i : view->count - 12 + i;
                unsigned char *place = weights + (size_t)(view->offset + at) * size;
                char expected[160];
                snprintf(expected, sizeof expected, "%s holds %s at element %d", names[n], printed[i % 3], (int)at);
                memcpy(good, place, size);
                dtype_from_float(place, (enum dtype)dtype, &wrong[i % 3], 1);
                enum status result = open_written(&fixture, weights, &model);
                if (result == STATUS_CORRUPT && i % 3 == 0 && strstr(status_text(), "holds -nan"))
                    snprintf(expected, sizeof expected, "%s holds -nan at element %d", names[n], (int)at);
                assert_fails(result, STATUS_CORRUPT, expected);
                assert_null(model);
                memcpy(place, good, size);
            }
        }
        const float largest[] = {3.38e38f, -3.38e38f};
        for (int64_t i = 0; i < fixture.model->layout.elements; i++)
            dtype_from_float(weights + (size_t)i * size, (enum dtype)dtype, &largest[i % 2], 1);
        assert_ok(open_written(&fixture, weights, &model));
        llama_destroy(model);
        guarded_free(weights);
        llama_fixture_destroy(&fixture);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct llama_config config;
    struct machine machine;
    struct llama *model;
    static const char path[] = TEST_GOLDEN_DIRECTORY "/layouts/f32/hf";
    open_machine(&machine, CPU_ENGINE_BLOCKED);
    assert_ok(llama_read_config(path, &config));
    config.layers = 1;
    assert_fails(llama_open(path, &config, DTYPE_F32, test_kernels(), &machine.context, &model), STATUS_CORRUPT,
                 "does not belong to a Llama of 1 layers");
    config.layers = 3;
    assert_fails(llama_open(path, &config, DTYPE_F32, test_kernels(), &machine.context, &model), STATUS_CORRUPT,
                 "is missing");
    config.layers = 2;
    config.vocabulary_size += 8;
    assert_fails(llama_open(path, &config, DTYPE_F32, test_kernels(), &machine.context, &model), STATUS_CORRUPT,
                 "40 rows of vocabulary, expected 48");
    config.vocabulary_size -= 8;
    config.intermediate_size = 32;
    assert_fails(llama_open(path, &config, DTYPE_F32, test_kernels(), &machine.context, &model), STATUS_CORRUPT,
                 "has the shape");
    assert_null(model);
    close_machine(&machine);
}

static void training_needs_an_arena(void **state)
{
    (void)state;
    static const char path[] = TEST_GOLDEN_DIRECTORY "/layouts/f32/hf";
    struct llama_config config;
    struct machine machine;
    struct llama *model;
    struct llama_workspace *workspace;
    const int32_t ids[2] = {1, 2};
    float gradients;
    if (!is_bound())
        skip();
    open_machine(&machine, CPU_ENGINE_BLOCKED);
    assert_ok(llama_read_config(path, &config));
    assert_ok(llama_open(path, &config, DTYPE_F32, test_kernels(), &machine.context, &model));
    assert_ok(llama_workspace_create(model, &(struct llama_workspace_options){.rows = 1, .length = 2, .backward = true},
                                     &workspace));
    assert_fails(llama_forward_backward(model, workspace,
                                        &(struct llama_batch){.rows = 1, .length = 2, .ids = ids, .targets = ids},
                                        &(struct llama_step){.gradients = &gradients}),
                 STATUS_INTERNAL, "opened for inference");
    llama_workspace_destroy(workspace);
    llama_destroy(model);
    close_machine(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_answers_alike),   cmocka_unit_test(both_types_answer_alike_in_every_order),
        cmocka_unit_test(others_cost_one_copy),         cmocka_unit_test(numbers_that_are_not_finite_are_refused),
        cmocka_unit_test(what_does_not_fit_is_refused), cmocka_unit_test(training_needs_an_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
