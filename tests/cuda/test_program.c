/* bin/train on the emulated device as a user meets it: what can be wrong with a machine is said in one line that names the
 * cause and what helps; a plan is held against the memory of the GPU that is found; a run says what it used; and a profiler
 * that asks for ranges is given the operations by name. */
#include "io/atomic_file.h"
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char output[20000], folder[600];

/* Exit code of train in the environment `variables`; what it prints, standard error included, is in `output`. */
static int train(const char *variables, const char *arguments)
{
    return run_command(output, sizeof output, "%s '%s' --config '%s/run.yaml' %s 2>&1", variables, SPIRITLM_CUDA_TRAIN,
                       folder, arguments);
}

static void expect_error(const char *variables, const char *arguments, int code, const char *const parts[])
{
    int found = train(variables, arguments);
    const char *error = strstr(output, "error: ");
    if (found != code || !error)
        fail_msg("%s train %s: exit code %d, expected %d; it says: %s", variables, arguments, found, code, output);
    assert_ptr_equal(strchr(error, '\n'), output + strlen(output) - 1); /* one line, the last */
    for (int i = 0; parts[i]; i++)
        if (!strstr(error, parts[i]))
            fail_msg("%s train %s: \"%s\" is not in: %s", variables, arguments, parts[i], error);
}
#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void machines_that_cannot_compute_are_told_apart(void **state)
{
    (void)state;
    expect_error("EMULATOR_DRIVER=0", "--device cuda", 2, PARTS("no NVIDIA driver", "--device cpu"));
    expect_error("EMULATOR_DRIVER=11080", "--device cuda", 2,
                 PARTS("driver is too old", "it supports CUDA 11.8", "install a newer driver"));
    expect_error("env -u CUDA_VISIBLE_DEVICES EMULATOR_DEVICES=0", "--device cuda", 2, PARTS("finds no GPU"));
    expect_error("CUDA_VISIBLE_DEVICES=", "--device cuda", 2, PARTS("CUDA_VISIBLE_DEVICES is \"\""));
    expect_error("EMULATOR_LIMITS=sm_75", "--device cuda", 2, PARTS("compute capability 7.5", "8.0 or newer"));
    expect_error("EMULATOR_DEVICES=2", "--device cuda:2", 2, PARTS("there is no GPU 2", "shows 2"));
}

/* 80 GiB, of which another process leaves a little: enough for a context, and then for nothing. */
static void a_device_without_memory_says_what_was_planned(void **state)
{
    (void)state;
    expect_error("EMULATOR_MEMORY_TAKEN=85899345920", "--device cuda", 70, PARTS("the device has no memory left"));
    char taken[100];
    snprintf(taken, sizeof taken, "EMULATOR_MEMORY_TAKEN=%lld", (80LL << 30) - (32LL << 20) - 20000);
    expect_error(taken, "--device cuda", 70,
                 PARTS("no device memory: ", "are free", "planned: parameters", "gradients", "optimizer", "activations",
                       "CUDA context and libraries"));
}

static void a_plan_is_held_against_the_gpu_that_is_found(void **state)
{
    (void)state;
    expect_error("EMULATOR_MEMORY=500000000", "--device cuda", 2, PARTS("the GPU has 0.5 GiB"));
    expect_error("EMULATOR_MEMORY=500000000", "--device cuda --dry-run", 2, PARTS("the GPU has 0.5 GiB"));
    expect_error("", "--dry-run train.device_memory=0.5GB", 2, PARTS("train.device_memory is 0.5 GiB"));
    assert_int_equal(train("EMULATOR_MEMORY=1000000000", "--device cuda --dry-run"), 0);
    assert_non_null(strstr(output, "CUDA context and libraries"));
    assert_int_equal(train("EMULATOR_MEMORY=500000000", "--device cuda --dry-run train.device_memory=1GB"), 0);
}

/* A step: its ranges are those of its operations, each closed before the next begins, and without being asked for none is
 * made. The metrics have the device's memory. */
static void a_profiler_sees_operations_by_name(void **state)
{
    (void)state;
    char variables[1500], arguments[900], path[700], *text;
    int64_t size;
    for (int asked = 0; asked < 2; asked++) {
        snprintf(path, sizeof path, "%s/ranges%d", folder, asked);
        snprintf(variables, sizeof variables, "NVTX_INJECTION64_PATH='%s' NVTX_RECORDER_OUTPUT='%s' SPIRITLM_NVTX=%d",
                 SPIRITLM_NVTX_RECORDER, path, asked);
        snprintf(arguments, sizeof arguments, "--device cuda train.steps=1 train.run='%s/run%d'", folder, asked);
        if (train(variables, arguments) != 0)
            fail_msg("%s", output);
        if (file_read(path, 1 << 24, (void **)&text, &size) != STATUS_OK)
            text = NULL;
        assert_true(asked == (text && *text));
    }
    static const char *const operations[] = {"embedding_forward", "attention_forward", "attention_backward",
                                             "cross_entropy",     "squared_norm",      "adamw"};
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s\n.\n", operations[i]);
        if (!strstr(text, line))
            fail_msg("no range %s, closed, in: %.2000s", operations[i], text);
    }
    free(text);
    snprintf(path, sizeof path, "%s/run1/metrics.jsonl", folder);
    assert_ok(file_read(path, 1 << 24, (void **)&text, &size));
    const char *peak = strstr(text, "\"peak_memory\":");
    assert_non_null(peak);
    assert_true(strtoll(peak + strlen("\"peak_memory\":"), NULL, 10) > 100000);
    free(text);
}

/* The engine of convolutions is chosen before the context is opened, and run.json names it. */
static void cudnn_is_used_where_it_is_chosen(void **state)
{
    (void)state;
    char arguments[900], path[700], *text;
    int64_t size;
    expect_error("", "--device cpu kernels.conv1d=cudnn", 2, PARTS("kernels.conv1d: cudnn computes on GPUs alone"));
    snprintf(arguments, sizeof arguments, "--device cuda train.steps=1 train.run='%s/cudnn' kernels.conv1d=cudnn",
             folder);
    int code = train("", arguments);
    if (code == 2 && strstr(output, "built without cuDNN"))
        skip();
    if (code != 0)
        fail_msg("%s", output);
    snprintf(path, sizeof path, "%s/cudnn/run.json", folder);
    assert_ok(file_read(path, 1 << 24, (void **)&text, &size));
    assert_non_null(strstr(text, "conv1d: cuDNN"));
    free(text);
}

static int make_run(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s", test_directory());
    tiny_run_make(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_that_cannot_compute_are_told_apart),
        cmocka_unit_test(a_device_without_memory_says_what_was_planned),
        cmocka_unit_test(a_plan_is_held_against_the_gpu_that_is_found),
        cmocka_unit_test(a_profiler_sees_operations_by_name),
        cmocka_unit_test(cudnn_is_used_where_it_is_chosen),
    };
    return cmocka_run_group_tests(tests, make_run, NULL);
}
