/* bin/prepare with each of its file operations failing in turn or being its last: the tokenizer's folder, shards and
 * indices are the old ones or the new ones, and what an index vouches for is there; the same command started again ends
 * as if nothing had happened. */
#include "support/faults.h"
#include "support/test_support.h"
#include "support/tiny_prepare.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { IO_ERROR = 74 };

static char folder[600], root[700], out[800], output[700], trace[700], references[3][700];

struct scene {
    const char *name;
    int from, to; /* versions; 0: nothing */
};

static void begin(const struct scene *scene)
{
    char text[1000];
    int code = run_command(text, sizeof text, "rm -rf '%s' '%s' && mkdir '%s' && cp -rp '%s' '%s'", root, trace, root,
                           references[scene->from], out);
    if (code != 0)
        fail_msg("%s", text);
}

static bool has_leftovers(void)
{
    char text[1000];
    return run_command(text, sizeof text, "find '%s' -name '*.tmp-*' | grep -q .", root) == 0;
}

/* What is wrong; NULL: nothing. */
static const char *look(const struct scene *scene, const struct fault *fault, int code)
{
    bool killed = strcmp(fault->kind, "KILL") == 0;
    const char *bad = tiny_prepare_bad(out, references[scene->to], scene->from ? references[scene->from] : NULL);
    bad = bad ? bad : fault_trace_breach(trace, false);
    if (bad)
        return bad;
    if (code != (killed ? 128 + SIGKILL : IO_ERROR) && !(code == 0 && !tiny_prepare_unlike(out, references[scene->to])))
        return "another exit code";
    if (code == IO_ERROR && !fault_is_told(output))
        return "the failure is not told in one last line";
    return !killed && has_leftovers() ? "something is left" : NULL;
}

static bool one_fault(const struct scene *scene, long call, const char *kind, bool again)
{
    struct fault fault = {.root = root, .trace = trace, .call = call, .kind = kind};
    begin(scene);
    int code = tiny_prepare_run(folder, scene->to, out, output, fault_variables(&fault));
    const char *bad = look(scene, &fault, code);
    if (!bad && again) {
        code = tiny_prepare_run(folder, scene->to, out, output, NULL);
        bad = code == 0 ? tiny_prepare_unlike(out, references[scene->to]) : "it does not go on";
        bad = !bad && has_leftovers() ? "something is left after it was done again" : bad;
    }
    if (bad) {
        char text[4000];
        run_command(text, sizeof text, "cat '%s'", output);
        print_error("%s, %s at call %ld: exit code %d: %s\n%s", scene->name, kind, call, code, bad, text);
    }
    return !bad;
}

static void sweep(const struct scene *scene)
{
    static const char *const kinds[] = {"KILL", "EIO", "ENOSPC"};
    struct fault fault = {.root = root, .trace = trace};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 79, 0);
    int bad = 0;
    begin(scene);
    assert_int_equal(tiny_prepare_run(folder, scene->to, out, output, fault_variables(&fault)), 0);
    const char *text = fault_trace_breach(trace, true);
    text = text ? text : tiny_prepare_unlike(out, references[scene->to]);
    if (text)
        fail_msg("%s: %s", scene->name, text);
    long calls = fault_trace_calls(trace);
    assert_true(calls > 40);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (long call = 1; call <= calls; call++) {
            bool chosen = test_is_long() || rng_below(&rng, i == 2 ? 4 : 1) == 0;
            bool again = test_is_long() || rng_below(&rng, 3) == 0;
            if (chosen)
                bad += !one_fault(scene, call, kinds[i], again);
        }
    print_message("%s: killed and failing at each of %ld calls\n", scene->name, calls);
    assert_int_equal(bad, 0);
}

static void a_fault_in_the_first_preparation(void **state)
{
    (void)state;
    sweep(&(struct scene){"from nothing", 0, 1});
}

static void a_fault_while_datasets_are_made_anew(void **state)
{
    (void)state;
    sweep(&(struct scene){"over another", 1, 2});
}

/* references: nothing; made from version 1; the same made again from version 2. */
static int make_references(void **state)
{
    (void)state;
    char text[1000];
    snprintf(folder, sizeof folder, "%s/prepare", test_directory());
    snprintf(root, sizeof root, "%s/root", folder);
    snprintf(out, sizeof out, "%s/out", root);
    snprintf(output, sizeof output, "%s/output", folder);
    snprintf(trace, sizeof trace, "%s/trace", folder);
    tiny_prepare_make(folder);
    for (int version = 0; version < 3; version++)
        snprintf(references[version], sizeof references[version], "%s/reference_%d", folder, version);
    int failed = run_command(text, sizeof text, "mkdir '%s' '%s'", references[0], references[1]);
    failed |= tiny_prepare_run(folder, 1, references[1], output, NULL);
    failed |= run_command(text, sizeof text, "cp -rp '%s' '%s'", references[1], references[2]);
    failed |= tiny_prepare_run(folder, 2, references[2], output, NULL);
    return failed ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_in_the_first_preparation),
        cmocka_unit_test(a_fault_while_datasets_are_made_anew),
    };
    return cmocka_run_group_tests(tests, make_references, NULL);
}
