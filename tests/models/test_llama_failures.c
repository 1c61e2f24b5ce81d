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

#define FAULTY(name, parameters, arguments)                                                                            \
    static enum status faulty_##name parameters                                                                        \
    {                                                                                                                  \
        if (fails_now())                                                                                               \
            return status_set(STATUS_IO, "injected: %s", #name);                                                       \
        return kernels_cpu()->name arguments;                                                                          \
    }

FAULTY(allocate, (const struct device_context *context, size_t bytes, void **memory), (context, bytes, memory))
FAULTY(copy_to_device, (const struct device_context *context, void *device, const void *host, size_t bytes),
       (context, device, host, bytes))
FAULTY(copy_to_host, (const struct device_context *context, void *host, const void *device, size_t bytes),
       (context, host, device, bytes))
FAULTY(copy, (const struct device_context *context, void *to, const void *from, size_t bytes),
       (context, to, from, bytes))
FAULTY(synchronize, (const struct device_context *context), (context))
FAULTY(matmul, (const struct device_context *context, const struct matmul *p), (context, p))
FAULTY(embedding_forward, (const struct device_context *context, const struct embedding_forward *p), (context, p))
FAULTY(embedding_backward, (const struct device_context *context, const struct embedding_backward *p), (context, p))
FAULTY(rmsnorm_forward, (const struct device_context *context, const struct rmsnorm_forward *p), (context, p))
FAULTY(rmsnorm_backward, (const struct device_context *context, const struct rmsnorm_backward *p), (context, p))
FAULTY(rope, (const struct device_context *context, const struct rope *p), (context, p))
FAULTY(attention_forward, (const struct device_context *context, const struct attention_forward *p), (context, p))
FAULTY(attention_backward, (const struct device_context *context, const struct attention_backward *p), (context, p))
FAULTY(swiglu_forward, (const struct device_context *context, const struct swiglu_forward *p), (context, p))
FAULTY(swiglu_backward, (const struct device_context *context, const struct swiglu_backward *p), (context, p))
FAULTY(cross_entropy, (const struct device_context *context, const struct cross_entropy *p), (context, p))
FAULTY(convert, (const struct device_context *context, const struct convert *p), (context, p))

static struct kernels faulty_kernels(void)
{
    struct kernels kernels = *kernels_cpu();
    kernels.allocate = faulty_allocate;
    kernels.copy_to_device = faulty_copy_to_device;
    kernels.copy_to_host = faulty_copy_to_host;
    kernels.copy = faulty_copy;
    kernels.synchronize = faulty_synchronize;
    kernels.matmul = faulty_matmul;
    kernels.embedding_forward = faulty_embedding_forward;
    kernels.embedding_backward = faulty_embedding_backward;
    kernels.rmsnorm_forward = faulty_rmsnorm_forward;
    kernels.rmsnorm_backward = faulty_rmsnorm_backward;
    kernels.rope = faulty_rope;
    kernels.attention_forward = faulty_attention_forward;
    kernels.attention_backward = faulty_attention_backward;
    kernels.swiglu_forward = faulty_swiglu_forward;
    kernels.swiglu_backward = faulty_swiglu_backward;
    kernels.cross_entropy = faulty_cross_entropy;
    kernels.convert = faulty_convert;
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

/* Runs `action` with its k-th call failing for k = 0, 1... until it succeeds; returns how many calls could fail. */
static int64_t fail_everywhere(enum status (*action)(void *), void *argument)
{
    for (int64_t k = 0;; k++) {
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
    const struct subject *subject = argument;
    enum status result = STATUS_OK;
    struct llama *model = NULL;
    struct llama_workspace *workspace = NULL;
    struct llama_session *session = NULL;
    struct device_context context = subject->fixture.context;
    TRY(llama_create(&subject->fixture.model->config, DTYPE_F32, &subject->kernels, &context, &model));
    TRY(llama_workspace_create(model, 2, 5, RECOMPUTATION_NONE, true, &workspace));
    TRY(llama_session_create(model, 2, 5, &session));
fail:
    llama_session_destroy(session);
    llama_workspace_destroy(workspace);
    llama_destroy(model);
    return result;
}

struct training {
    struct subject *subject;
    enum recomputation recomputation;
};

static enum status train(void *argument)
{
    const struct training *training = argument;
    struct llama *model = training->subject->fixture.model;
    enum status result = STATUS_OK;
    struct llama_workspace *workspace = NULL;
    void *gradients = NULL;
    int32_t ids[12], targets[12];
    float losses[12], logits[12 * 61];
    llama_random_tokens(1, 1, 12, 61, ids, targets);
    struct llama_batch batch = {.rows = 2, .length = 6, .ids = ids, .targets = targets};
    TRY(llama_workspace_create(model, 2, 6, training->recomputation, true, &workspace));
    TRY(model->kernels->allocate(model->context, (size_t)model->layout.elements * sizeof(float), &gradients));
    TRY(llama_forward_backward(model, workspace, &batch, 1, gradients, losses, NULL));
    TRY(llama_logits(model, workspace, &batch, logits));
fail:
    if (gradients)
        model->kernels->release(model->context, gradients);
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
        calls[i] = fail_everywhere(train, &training);
    }
    assert_true(calls[0] > 60 && calls[1] > calls[0] && calls[2] > calls[1]);
    llama_fixture_destroy(&subject.fixture);
}

struct speaking {
    struct llama_session *session;
    float logits[2 * 61];
};

static enum status speak(void *argument)
{
    struct speaking *speaking = argument;
    enum status result = STATUS_OK;
    const int32_t prompt[3] = {4, 5, 6}, next[2] = {7, 8};
    const int64_t rows[2] = {1, 2};
    llama_session_truncate(speaking->session, 1, 0);
    llama_session_truncate(speaking->session, 2, 0);
    TRY(llama_session_prefill(speaking->session, 1, prompt, 3, speaking->logits));
    TRY(llama_session_copy_row(speaking->session, 2, 1));
    TRY(llama_session_decode(speaking->session, rows, next, 2, speaking->logits));
fail:
    return result;
}

/* After any failure the same calls give the same bits as on a session to which nothing happened. */
static void sessions_fail_cleanly(void **state)
{
    (void)state;
    struct subject subject;
    struct speaking calm, troubled;
    subject_create(&subject);
    assert_ok(llama_session_create(subject.fixture.model, 3, 10, &calm.session));
    assert_ok(speak(&calm));
    assert_ok(llama_session_create(subject.fixture.model, 3, 10, &troubled.session));
    assert_true(fail_everywhere(speak, &troubled) > 40);
    assert_memory_equal(calm.logits, troubled.logits, sizeof calm.logits);
    llama_session_destroy(calm.session);
    llama_session_destroy(troubled.session);
    llama_fixture_destroy(&subject.fixture);
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
    void *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, loading.model->weights, bytes);
    assert_true(fail_everywhere(save, &subject) > 20);
    assert_true(fail_everywhere(load, &loading) > 40);
    assert_memory_equal(before, loading.model->weights, bytes);
    free(before);
    llama_fixture_destroy(&subject.fixture);
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
