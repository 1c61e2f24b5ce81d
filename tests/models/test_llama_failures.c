/* Every call of the kernels' table fails once, at each place where the model makes it: the failure comes up with its
 * text, nothing leaks (the asan preset tells), and what was there before still works. */
#include "support/llama_support.h"
#include "support/test_support.h"

#include "models/llama/llama_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls until the one that fails; negative: none does. */
static int64_t countdown = -1;

static bool fails_now(void)
{
    return countdown >= 0 && countdown-- == 0;
}

/* Every call that may fail, with its parameters and arguments behind the context. */
#define CALLS(X)                                                                                                       \
    X(allocate, (const struct device_context *context, size_t bytes, void **memory), (context, bytes, memory))         \
    X(allocate_host, (const struct device_context *context, size_t bytes, void **memory), (context, bytes, memory))    \
    X(copy_to_device,                                                                                                  \
      (const struct device_context *context, enum device_queue queue, void *to, const void *from, size_t bytes),       \
      (context, queue, to, from, bytes))                                                                               \
    X(copy_to_host,                                                                                                    \
      (const struct device_context *context, enum device_queue queue, void *to, const void *from, size_t bytes),       \
      (context, queue, to, from, bytes))                                                                               \
    X(copy, (const struct device_context *context, void *to, const void *from, size_t bytes),                          \
      (context, to, from, bytes))                                                                                      \
    X(fill_zero, (const struct device_context *context, void *memory, size_t bytes), (context, memory, bytes))         \
    X(event_create, (const struct device_context *context, struct device_event **event), (context, event))             \
    X(event_record, (const struct device_context *context, enum device_queue queue, struct device_event *event),       \
      (context, queue, event))                                                                                         \
    X(queue_wait, (const struct device_context *context, enum device_queue queue, struct device_event *event),         \
      (context, queue, event))

/* A wait that fails reports what went wrong on the device; it has waited all the same. */
#define WAITS(X)                                                                                                       \
    X(event_wait, (const struct device_context *context, struct device_event *event), (context, event))                \
    X(synchronize, (const struct device_context *context), (context))

#define FAULTY(name, parameters, arguments)                                                                            \
    static enum status faulty_##name parameters                                                                        \
    {                                                                                                                  \
        return fails_now() ? status_set(STATUS_IO, "injected: %s", #name) : test_kernels()->name arguments;            \
    }
CALLS(FAULTY)

#define FAULTY_WAIT(name, parameters, arguments)                                                                       \
    static enum status faulty_##name parameters                                                                        \
    {                                                                                                                  \
        enum status result = test_kernels()->name arguments;                                                           \
        return fails_now() ? status_set(STATUS_IO, "injected: %s", #name) : result;                                    \
    }
WAITS(FAULTY_WAIT)

#define FAULTY_OPERATION(name) FAULTY(name, (const struct device_context *context, const struct name *p), (context, p))
KERNEL_OPERATIONS(FAULTY_OPERATION)

static struct kernels faulty_kernels(void)
{
    struct kernels kernels = *test_kernels();
#define REPLACE(name, ...) kernels.name = faulty_##name;
    CALLS(REPLACE)
    WAITS(REPLACE)
    KERNEL_OPERATIONS(REPLACE)
#undef REPLACE
    return kernels;
}

/* A bf16 model of two layers whose kernels may be told to fail. */
struct subject {
    struct llama_fixture fixture;
    struct kernels kernels;
};

static void subject_create(struct subject *subject)
{
    struct llama_config config = llama_small_config();
    config.layers = 2;
    countdown = -1;
    llama_fixture_create(&subject->fixture, &config, DTYPE_BF16, 1);
    llama_fixture_weights(&subject->fixture, 1, 0.1);
    subject->kernels = faulty_kernels();
    subject->fixture.model->kernels = &subject->kernels;
}

static void subject_destroy(struct subject *subject)
{
    subject->fixture.model->kernels = test_kernels();
    llama_fixture_destroy(&subject->fixture);
}

/* Runs `action` with its k-th call failing for k = 0, 1... until it succeeds; returns how many calls could fail. Where kernels
 * are slow, with every fifth call. */
static int64_t fail_everywhere(enum status (*action)(void *), void *argument)
{
    for (int64_t k = 0;; k += test_kernels_slow() ? 5 : 1) {
        countdown = k;
        enum status status = action(argument);
        bool injected = countdown < 0;
        countdown = -1;
        if (!injected) {
            assert_ok(status);
            return k;
        }
        if (status != STATUS_IO || strncmp(status_text(), "injected: ", 10) != 0)
            fail_msg("call %lld failed, but the action says %d: %s", (long long)k, (int)status, status_text());
    }
}

static enum status create(void *argument)
{
    struct subject *subject = argument;
    enum status result = STATUS_OK;
    struct llama *model = NULL;
    struct llama_workspace *workspace = NULL;
    struct llama_session *session = NULL;
    uint8_t mask[61] = {1};
    TRY(llama_create(&subject->fixture.model->config, DTYPE_F32, &subject->kernels, &subject->fixture.context, &model));
    const struct llama_workspace_options options = {.rows = 2, .length = 5, .backward = true};
    TRY(llama_workspace_create(model, &options, &workspace));
    TRY(llama_session_create(
        model, &(struct llama_session_options){.rows = 2, .capacity = 5, .masks = mask, .mask_count = 1}, &session));
fail:
    llama_session_destroy(session);
    llama_workspace_destroy(workspace);
    llama_destroy(model);
    return result;
}

struct training {
    struct subject *subject;
    enum recomputation recomputation;
    int32_t ids[12], targets[12];
    uint8_t groups[12];
    float losses[12], logits[12 * 61];
};

/* Batches and results live as long as the copies of a step that failed may. */
static enum status train(void *argument)
{
    struct training *training = argument;
    struct llama *model = training->subject->fixture.model;
    enum status result = STATUS_OK;
    struct llama_workspace *workspace = NULL;
    struct llama_step step = {.loss_scale = 1, .overwrite = true};
    struct llama_batch batch = {
        .rows = 2, .length = 6, .ids = training->ids, .targets = training->targets, .groups = training->groups};
    const struct llama_workspace_options options = {2, 6, training->recomputation, true, 0};
    void *memory;
    TRY(llama_workspace_create(model, &options, &workspace));
    TRY(model->kernels->allocate(model->context, (size_t)model->layout.elements * sizeof(float), &memory));
    step.gradients = memory;
    TRY(model->kernels->allocate(model->context, LLAMA_LOSS_GROUPS * sizeof(double), &memory));
    step.group_sums = memory;
    TRY(llama_forward_backward(model, workspace, &batch, &step));
    TRY(llama_add_losses(model, workspace, &batch, step.group_sums));
    TRY(llama_losses(model, workspace, &batch, training->losses));
    TRY(llama_logits(model, workspace, &batch, training->logits));
fail:
    model->kernels->release(model->context, step.gradients);
    model->kernels->release(model->context, step.group_sums);
    llama_workspace_destroy(workspace);
    return result;
}

static void models_and_gradients_fail_cleanly(void **state)
{
    (void)state;
    struct subject subject;
    subject_create(&subject);
    assert_true(fail_everywhere(create, &subject) >= 5);
    int64_t calls[3];
    for (int i = 0; i < 3; i++) {
        struct training training = {.subject = &subject, .recomputation = (enum recomputation)i};
        llama_random_tokens(1, 1, 12, 61, training.ids, training.targets);
        calls[i] = fail_everywhere(train, &training);
    }
    assert_true(calls[0] > 60 && calls[1] > calls[0] && calls[2] > calls[1]);
    subject_destroy(&subject);
}

struct speaking {
    struct llama_session *session;
    float logits[2 * 61];
    int32_t ids[2];
};

/* A prompt, a copy of it, ids drawn from both, and what comes after them. */
static enum status speak(void *argument)
{
    struct speaking *speaking = argument;
    enum status result = STATUS_OK;
    const int32_t prompt[3] = {4, 5, 6};
    const int64_t rows[2] = {1, 2};
    const double uniforms[2] = {0.3, 0.8};
    const struct llama_draw draw = {
        .count = 2, .rows = rows, .uniforms = uniforms, .temperature = 1, .top_p = 1, .ids = speaking->ids};
    llama_session_truncate(speaking->session, 1, 0);
    llama_session_truncate(speaking->session, 2, 0);
    TRY(llama_session_prefill(speaking->session, 1, prompt, 2, NULL));
    TRY(llama_session_prefill(speaking->session, 1, prompt + 2, 1, speaking->logits));
    TRY(llama_session_copy_row(speaking->session, 2, 1));
    TRY(llama_session_draw_first(speaking->session, &draw));
    TRY(llama_session_draw(speaking->session, &draw));
    TRY(llama_session_decode(speaking->session, rows, speaking->ids, 2, speaking->logits));
fail:
    return result;
}

/* After any failure the same calls give the same bits as on a session to which nothing happened. */
static void sessions_fail_cleanly(void **state)
{
    (void)state;
    struct subject subject;
    struct speaking calm = {0}, troubled = {0};
    uint8_t mask[61];
    const struct llama_session_options options = {.rows = 3, .capacity = 10, .masks = mask, .mask_count = 1};
    memset(mask, 1, sizeof mask);
    subject_create(&subject);
    assert_ok(llama_session_create(subject.fixture.model, &options, &calm.session));
    assert_ok(speak(&calm));
    assert_ok(llama_session_create(subject.fixture.model, &options, &troubled.session));
    assert_true(fail_everywhere(speak, &troubled) > 40);
    assert_memory_equal(calm.logits, troubled.logits, sizeof calm.logits);
    assert_memory_equal(calm.ids, troubled.ids, sizeof calm.ids);
    llama_session_destroy(calm.session);
    llama_session_destroy(troubled.session);
    subject_destroy(&subject);
}

static enum status save(void *argument)
{
    const struct subject *subject = argument;
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    char path[700];
    snprintf(path, sizeof path, "%s/unfinished", test_directory());
    TRY(atomic_directory_begin(path, false, &directory));
    TRY(llama_write_weights(subject->fixture.model, directory, 1 << 30));
fail:
    atomic_directory_abandon(directory);
    return result;
}

struct loading {
    struct llama *model;
    char path[700];
};

static enum status load(void *argument)
{
    const struct loading *loading = argument;
    return llama_read_weights(loading->model, loading->path, NULL, NULL);
}

static void folders_fail_cleanly(void **state)
{
    (void)state;
    struct subject subject;
    subject_create(&subject);
    struct loading loading = {.model = subject.fixture.model};
    struct atomic_directory *directory;
    snprintf(loading.path, sizeof loading.path, "%s/saved", test_directory());
    assert_ok(atomic_directory_begin(loading.path, false, &directory));
    assert_ok(llama_write_folder(loading.model, directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));
    size_t bytes = (size_t)loading.model->layout.elements * sizeof(bf16);
    void *before = llama_fixture_copy_weights(&subject.fixture);
    assert_true(fail_everywhere(save, &subject) > 20);
    assert_true(fail_everywhere(load, &loading) > 40);
    void *after = llama_fixture_copy_weights(&subject.fixture);
    assert_memory_equal(before, after, bytes);
    guarded_free(before);
    guarded_free(after);
    subject_destroy(&subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_and_gradients_fail_cleanly),
        cmocka_unit_test(sessions_fail_cleanly),
        cmocka_unit_test(folders_fail_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
