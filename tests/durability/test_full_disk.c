/* bin/train and bin/prepare on a disk (tmpfs) of fifty sizes, from a page to more than they need: each succeeds or ends
 * with code 74 and one clear line, what is there then is whole, nothing half-written is left, and with more room it
 * goes on. Skipped (code 77) where a process may not mount a disk of its own. */
#include "support/faults.h"
#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_prepare.h"
#include "support/tiny_run.h"

#include "io/atomic_file.h"

#include <stdio.h>
#include <string.h>

enum { SIZES = 50, STEPS = 24, IO_ERROR = 74, GO_ON_EVERY = 7 };

static char folder[600], clips[700], disk[700], copy[700], output[700], reference_run[700], reference_out[700];

/* Runs the command with a disk of that many kilobytes at `disk`; what it left there is in `copy` afterwards. */
static int on_disk(long kilobytes, const char *command)
{
    char script[6000], text[2000];
    assert_ok(remove_tree(copy));
    snprintf(script, sizeof script,
             "mount -t tmpfs -o size=%ldk tmpfs '%s' || exit 99; %s >'%s' 2>&1; code=$?; cp -rp '%s' '%s'; exit $code",
             kilobytes, disk, command, output, disk, copy);
    const char *argv[] = {"/usr/bin/unshare", "-rm", "/bin/sh", "-c", script, NULL};
    const char *variables[] = {"SPIRITLM_THREADS=1", NULL};
    snprintf(text, sizeof text, "%s.shell", output);
    return process_wait(process_start(argv, variables, text));
}

static bool can_mount(void)
{
    return on_disk(64, "true") == 0;
}

static long kilobytes_of(const char *path)
{
    char text[200];
    long kilobytes = 0;
    assert_int_equal(run_command(text, sizeof text, "du -sk --apparent-size '%s' | cut -f1; ", path), 0);
    assert_int_equal(sscanf(text, "%ld", &kilobytes), 1);
    return kilobytes;
}

static bool has_half_a_line(const char *path)
{
    char text[1000];
    return run_command(text, sizeof text, "test -s '%s' && test \"$(tail -c 1 '%s' | wc -l)\" = 0", path, path) == 0;
}

/* What was wrong with how the program ended; NULL: nothing. */
static const char *bad_end(int code)
{
    if (code != 0 && code != IO_ERROR)
        return "another exit code";
    return code == IO_ERROR && !fault_is_told(output) ? "the failure is not told in one last line" : NULL;
}

static const char *bad_run(int code, long size)
{
    static const char *const arguments[] = {"train.keep=1000", NULL};
    char run[800], metrics[900];
    snprintf(run, sizeof run, "%s/run", copy);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", run);
    const char *bad = bad_end(code);
    bad = bad ? bad : tiny_run_bad_checkpoint(run, reference_run, tiny_run_acknowledged(output), true, 1);
    bad = bad ? bad : tiny_run_leftover(copy);
    if (!bad && has_half_a_line(metrics))
        bad = "half a line of metrics";
    if (bad || size % GO_ON_EVERY != 0)
        return bad;
    struct tiny_start start = {.folder = folder, .run = run, .output = output, .arguments = arguments};
    if (tiny_run_train(&start) != 0)
        return "with room it does not go on";
    bad = tiny_run_bad_checkpoint(run, reference_run, STEPS, true, 1);
    return bad ? bad : tiny_run_bad_metrics(run, reference_run, STEPS);
}

static const char *bad_preparation(int code, long size)
{
    char out[800];
    snprintf(out, sizeof out, "%s/out", copy);
    const char *bad = bad_end(code);
    bad = bad ? bad : tiny_prepare_bad(out, reference_out, NULL);
    bad = bad ? bad : tiny_run_leftover(copy);
    if (bad || size % GO_ON_EVERY != 0)
        return bad;
    return tiny_prepare_run(clips, 1, out, output, NULL) == 0 ? tiny_prepare_unlike(out, reference_out)
                                                              : "with room it does not go on";
}

/* The sizes grow evenly to 1.5 times what the undisturbed program left, since a small file takes a whole page. */
static void sweep(const char *name, long needed, const char *command, const char *(*look)(int code, long size))
{
    int bad = 0, full = 0;
    for (long size = 1; size <= SIZES; size++) {
        long kilobytes = 4 + (needed * 3 / 2 + 64) * (size - 1) / (SIZES - 1);
        int code = on_disk(kilobytes, command);
        const char *text = look(code, size);
        full += code == IO_ERROR;
        if (text) {
            char said[2000];
            bad++;
            run_command(said, sizeof said, "tail -3 '%s'", output);
            print_error("%s on %ld KiB: exit code %d: %s\n%s\n", name, kilobytes, code, text, said);
        }
    }
    print_message("%s: full %d times of %d\n", name, full, SIZES);
    assert_int_equal(bad, 0);
    assert_in_range(full, SIZES / 3, SIZES - 1);
}

static void a_run_whose_disk_is_full(void **state)
{
    (void)state;
    char command[3000];
    snprintf(command, sizeof command, "'%s/train' --config '%s/run.yaml' train.run='%s/run' train.keep=1000",
             TEST_PROGRAM_DIRECTORY, folder, disk);
    sweep("train", kilobytes_of(reference_run), command, bad_run);
}

static void a_preparation_whose_disk_is_full(void **state)
{
    (void)state;
    char command[5000];
    snprintf(command, sizeof command,
             "'%s/prepare' --config '%s/prepare.yaml' prepare.manifests='%s/1/speech.jsonl,%s/1/text.jsonl' "
             "tokenizer.folder='%s/out/tokenizer' prepare.output='%s/out/datasets'",
             TEST_PROGRAM_DIRECTORY, clips, clips, clips, disk, disk);
    sweep("prepare", kilobytes_of(reference_out), command, bad_preparation);
}

static int make_references(void **state)
{
    (void)state;
    const char *keep_all[] = {"train.keep=1000", NULL};
    tiny_run_make(folder);
    struct tiny_start start = {.folder = folder, .run = reference_run, .output = output, .arguments = keep_all};
    int failed = tiny_run_train(&start);
    tiny_prepare_make(clips);
    failed |= tiny_prepare_run(clips, 1, reference_out, output, NULL);
    return failed ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_whose_disk_is_full),
        cmocka_unit_test(a_preparation_whose_disk_is_full),
    };
    snprintf(folder, sizeof folder, "%s/full", test_directory());
    snprintf(clips, sizeof clips, "%s/clips", folder);
    snprintf(disk, sizeof disk, "%s/disk", folder);
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(output, sizeof output, "%s/output", folder);
    snprintf(reference_run, sizeof reference_run, "%s/reference", folder);
    snprintf(reference_out, sizeof reference_out, "%s/reference_out", folder);
    if (make_directories(disk) != STATUS_OK || !can_mount()) {
        print_message("skipped: this machine does not let a process mount a disk of its own\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, make_references, NULL);
}
