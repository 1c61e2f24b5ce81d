/* bin/train with each of its file operations failing in turn (EIO, ENOSPC) or being its last (SIGKILL), while it goes
 * on from step 3, saves step 4 and prunes step 2: the folder is whole afterwards, an error is reported in one line with
 * code 74, and the same command started again leaves what the undisturbed run left. The order of the operations must be
 * that of the protocol; that this check notices a missing fsync is tested by leaving out each in turn. */
#include "support/faults.h"
#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include "io/atomic_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BASE_STEPS = 3, STEPS = 4, IO_ERROR = 74 };

static char folder[600], base[700], reference[700], root[700], run[800], output[700], trace[700];
static const char *const go_on[] = {"train.steps=4", NULL};

/* What is done to a copy of the base run. */
struct scene {
    const char *name;
    const char *const *arguments;
    const char *exchange; /* for the shim */
    const char *before;   /* command executed in the run's folder */
    int64_t newest;       /* checkpoint at the end */
    bool late;            /* only the calls from MANIFEST on, except in the long form */
};

static void copy_base(const struct scene *scene)
{
    char text[1000];
    int code = run_command(text, sizeof text, "rm -rf '%s' '%s' && mkdir '%s' && cp -r '%s' '%s' && cd '%s' && %s",
                           root, trace, root, base, run, run, scene->before ? scene->before : "true");
    if (code != 0)
        fail_msg("cannot copy the base run: %s", text);
}

static int train(const struct scene *scene, const struct fault *fault)
{
    struct tiny_start start = {.folder = folder, .run = run, .output = output, .arguments = scene->arguments};
    if (fault)
        start.variables = fault_variables(fault);
    return tiny_run_train(&start);
}

static struct fault fault_of(const struct scene *scene)
{
    return (struct fault){.root = root, .trace = trace, .exchange = scene->exchange};
}

static void show_output(void)
{
    char text[4000];
    run_command(text, sizeof text, "cat '%s'", output);
    print_error("%s", text);
}

/* What cannot be removed stays, and so does the old folder when it is unknown whether the new one's name is durable. */
static bool may_leave_something(void)
{
    char text[4000];
    return run_command(text, sizeof text,
                       "grep -q -e 'cannot remove' -e 'not be removed' -e 'perhaps not durably' '%s'", output) == 0;
}

/* What must hold after any fault. NULL: all is well. */
static const char *look(const struct fault *fault, int code)
{
    bool killed = strcmp(fault->kind, "KILL") == 0;
    int64_t said = tiny_run_acknowledged(output), least = said > BASE_STEPS ? said : BASE_STEPS;
    if (killed && fault->exchange) /* it may have been moved aside: the next start gives it back its name */
        least = BASE_STEPS - 1;
    const char *bad = tiny_run_bad_checkpoint(run, reference, least, false, 1);
    if (bad)
        return bad;
    if (code != 0 && code != (killed ? 128 + SIGKILL : IO_ERROR))
        return "another exit code";
    if (code == IO_ERROR && !fault_is_told(output))
        return "the failure is not told in one last line";
    if (!killed && !may_leave_something() && (bad = tiny_run_leftover(run)))
        return bad;
    return fault_trace_breach(trace, false);
}

static const char *look_at_the_end(const struct scene *scene)
{
    const char *bad = tiny_run_bad_checkpoint(run, reference, scene->newest, false, 1);
    return bad ? bad : tiny_run_bad_metrics(run, reference, scene->newest);
}

/* `again`: also starts it again. True: all was well. */
static bool one_fault(const struct scene *scene, long call, const char *kind, bool again)
{
    struct fault fault = fault_of(scene);
    fault.call = call;
    fault.kind = kind;
    copy_base(scene);
    int code = train(scene, &fault);
    const char *bad = look(&fault, code);
    if (!bad && code == 0) /* what failed was not part of the promise: then everything must be there */
        bad = look_at_the_end(scene);
    if (bad) {
        print_error("%s, %s at call %ld: exit code %d: %s\n", scene->name, kind, call, code, bad);
        show_output();
        return false;
    }
    if (!again)
        return true;
    code = train(scene, NULL);
    bad = code == 0 ? look_at_the_end(scene) : "it does not go on";
    bad = bad ? bad : tiny_run_leftover(run);
    if (bad) {
        print_error("%s, %s at call %ld, started again: exit code %d: %s\n", scene->name, kind, call, code, bad);
        show_output();
    }
    return !bad;
}

static void sweep(const struct scene *scene)
{
    static const char *const kinds[] = {"KILL", "EIO", "ENOSPC"};
    struct fault fault = fault_of(scene);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 78, 0);
    int bad = 0;
    copy_base(scene);
    assert_int_equal(train(scene, &fault), 0);
    const char *text = fault_trace_breach(trace, true);
    text = text ? text : look_at_the_end(scene);
    if (text)
        fail_msg("%s: %s", scene->name, text);
    long calls = fault_trace_calls(trace), first = scene->late ? fault_trace_find(trace, "create", "/MANIFEST") : 1;
    assert_true(calls > 60 && first > 0);
    if (test_is_long())
        first = 1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (long call = first; call <= calls; call++) {
            bool chosen = test_is_long() || rng_below(&rng, i == 2 ? 4 : 1) == 0;
            bool again = test_is_long() || scene->exchange || rng_below(&rng, 3) == 0;
            if (chosen)
                bad += !one_fault(scene, call, kinds[i], again);
        }
    print_message("%s: killed and failing at each of the calls %ld to %ld\n", scene->name, first, calls);
    assert_int_equal(bad, 0);
}

static void a_fault_anywhere_leaves_whole_checkpoints(void **state)
{
    (void)state;
    sweep(&(struct scene){.name = "going on", .arguments = go_on, .newest = STEPS});
}

/* A start from the newest checkpoint by its name saves that step again: the two change places. */
static void a_fault_while_a_checkpoint_is_replaced(void **state)
{
    (void)state;
    static char path[900];
    static const char *again[] = {"train.steps=3", "--resume", path, NULL};
    snprintf(path, sizeof path, "%s/checkpoints/step_00000003", run);
    sweep(&(struct scene){.name = "replacing", .arguments = again, .newest = BASE_STEPS, .late = true});
    sweep(&(struct scene){.name = "replacing without exchange",
                          .arguments = again,
                          .exchange = "refuse",
                          .newest = BASE_STEPS,
                          .late = true});
}

static void a_step_whose_folder_is_damaged_is_saved_again(void **state)
{
    (void)state;
    static const char *const same[] = {"train.steps=3", NULL};
    struct scene scene = {.name = "damaged", .arguments = same, .newest = BASE_STEPS};
    scene.before = "printf x >> checkpoints/step_00000003/config.json";
    struct fault fault = fault_of(&scene);
    copy_base(&scene);
    assert_int_equal(train(&scene, &fault), 0);
    const char *bad = fault_trace_breach(trace, true);
    bad = bad ? bad : look_at_the_end(&scene);
    if (bad)
        fail_msg("%s", bad);
}

/* A new run: the folder's own name, and those of metrics and events, must be durable too. */
static void a_new_run_keeps_the_order(void **state)
{
    (void)state;
    struct scene scene = {.name = "new", .arguments = go_on, .before = "rm -r ../run", .newest = STEPS};
    struct fault fault = fault_of(&scene);
    copy_base(&scene);
    assert_int_equal(train(&scene, &fault), 0);
    const char *bad = fault_trace_breach(trace, true);
    if (bad)
        fail_msg("%s", bad);
}

/* The check of the order must notice each fsync that is left out. */
static void a_missing_fsync_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *class, *at, *text;
    } missing[] = {
        {"file", "/state.json", "/trainer/state.json was not fsync'd before"},
        {"file", "/model.safetensors", "/model.safetensors was not fsync'd before"},
        {"file", "/run.json", "was not fsync'd before"},
        {"MANIFEST", "/step_", "/MANIFEST was not fsync'd before"},
        {"temporary", "/trainer", "/trainer was not fsync'd before"},
        {"temporary", "/step_", "was not fsync'd before"},
        {"parent", "/checkpoints", "/checkpoints was not fsync'd"},
        {"parent", "/run", "was not fsync'd"},
    };
    struct scene scene = {.name = "missing", .arguments = go_on, .newest = STEPS};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        struct fault fault = fault_of(&scene);
        fault.swallow = missing[i].class;
        fault.swallow_at = missing[i].at;
        copy_base(&scene);
        assert_int_equal(train(&scene, &fault), 0);
        const char *found = fault_trace_breach(trace, true);
        if (!found || !strstr(found, missing[i].text))
            fail_msg("without the fsync of %s at %s the check says: %s", missing[i].class, missing[i].at,
                     found ? found : "all kept");
    }
}

/* base: three steps. reference: the same and a fourth, undisturbed, with all checkpoints kept. */
static int make_base(void **state)
{
    (void)state;
    static const char *const first[] = {"train.steps=3", "train.keep=2", NULL};
    static const char *const kept[] = {"train.steps=3", "train.keep=9", NULL};
    static const char *const kept_on[] = {"train.steps=4", "train.keep=9", NULL};
    snprintf(folder, sizeof folder, "%s/faults", test_directory());
    snprintf(base, sizeof base, "%s/base", folder);
    snprintf(reference, sizeof reference, "%s/reference", folder);
    snprintf(root, sizeof root, "%s/root", folder);
    snprintf(run, sizeof run, "%s/run", root);
    snprintf(output, sizeof output, "%s/output", folder);
    snprintf(trace, sizeof trace, "%s/trace", folder);
    tiny_run_make(folder);
    struct tiny_start start = {.folder = folder, .run = base, .output = output, .arguments = first};
    int failed = tiny_run_train(&start);
    start.run = reference;
    start.arguments = kept;
    failed |= tiny_run_train(&start);
    start.arguments = kept_on;
    failed |= tiny_run_train(&start);
    return failed ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_fsync_is_seen),
        cmocka_unit_test(a_new_run_keeps_the_order),
        cmocka_unit_test(a_step_whose_folder_is_damaged_is_saved_again),
        cmocka_unit_test(a_fault_while_a_checkpoint_is_replaced),
        cmocka_unit_test(a_fault_anywhere_leaves_whole_checkpoints),
    };
    return cmocka_run_group_tests(tests, make_base, NULL);
}
