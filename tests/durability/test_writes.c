/* atomic_write and the functions that make folders, with each of their file operations failing in turn or being the
 * last: the content is the old or the new one, whole, and never anything else; and the order of operations is right.
 * The test program itself is the process that writes (`write PATH TEXT`, `folder PATH TEXT`, `remove PATH`), so that
 * nothing else is counted. */
#include "support/faults.h"
#include "support/process.h"
#include "support/test_support.h"

#include "core/log.h"
#include "io/atomic_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE = 2500000, IO_ERROR = 74 };

/* ---- the process that writes ---- */

static enum status write_folder(const char *path, const char *text)
{
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    struct output_file *file = NULL;
    char *large = calloc(1, LARGE), own[1100];
    TRY(atomic_directory_begin(path, true, &directory));
    memset(large, *text, LARGE);
    TRY(atomic_directory_create(directory, "large.bin", LARGE + 5000, &file));
    TRY(output_write(file, large, LARGE));
    TRY(output_write(file, text, (int64_t)strlen(text)));
    struct output_file *closing = file;
    file = NULL;
    TRY(output_close(closing));
    TRY(atomic_directory_add(directory, "sub/state.json", text, (int64_t)strlen(text)));
    snprintf(own, sizeof own, "%s/own", atomic_directory_path(directory));
    FILE *stream = fopen(own, "w");
    bool written = stream && fputs(text, stream) >= 0;
    written = stream && fclose(stream) == 0 && written;
    if (!written)
        FAIL(STATUS_IO, "%s: cannot write", own);
    TRY(atomic_directory_adopt(directory, "own"));
    struct atomic_directory *whole = directory;
    directory = NULL;
    result = atomic_directory_commit(whole);
fail:
    output_abandon(file);
    atomic_directory_abandon(directory);
    free(large);
    return result;
}

static int be_the_process(int argc, char **argv)
{
    enum status result = STATUS_INTERNAL;
    if (strcmp(argv[1], "remove") == 0)
        result = atomic_remove(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "folder") == 0)
        result = write_folder(argv[2], argv[3]);
    else if (argc == 4 && strcmp(argv[1], "write") == 0)
        result = atomic_write(argv[2], argv[3], (int64_t)strlen(argv[3]));
    if (result == STATUS_OK)
        log_info("saved %s", argv[2]);
    else
        log_error("%s", status_text());
    return (int)result;
}

/* ---- scenes ---- */

static char program[700], root[600], place[700], output[700], trace[700];

struct scene {
    const char *verb;   /* write, folder, remove */
    const char *before; /* command that makes the old state at $P; $W is the program */
    bool old;           /* the old one exists and is whole */
    const char *exchange;
};

static const struct scene scenes[] = {
    {"write", "true", false, NULL},
    {"write", "printf old > $P", true, NULL},
    {"folder", "true", false, NULL},
    {"folder", "$W folder $P old", true, NULL},
    {"folder", "$W folder $P old; printf x >> $P/own", false, NULL},
    {"folder", "true", false, "refuse"},
    {"folder", "$W folder $P old", true, "refuse"},
    {"remove", "$W folder $P old", true, NULL},
};

static void prepare_scene(const struct scene *scene)
{
    char text[2000];
    int code =
        run_command(text, sizeof text, "rm -rf '%s' '%s'; mkdir -p '%s'; P='%s' W='%s'; { %s; } > /dev/null 2>&1", root,
                    trace, root, place, program, scene->before);
    if (code != 0)
        fail_msg("%s: %s", scene->before, text);
}

static int run_scene(const struct scene *scene, const struct fault *fault)
{
    const char *argv[] = {program, scene->verb, place, strcmp(scene->verb, "remove") == 0 ? NULL : "new", NULL};
    return process_wait(process_start(argv, fault ? fault_variables(fault) : NULL, output));
}

static bool holds(const char *path, const char *text)
{
    char *found;
    int64_t size;
    if (file_read(path, LARGE + 100, (void **)&found, &size) != STATUS_OK)
        return false;
    bool same = size == (int64_t)strlen(text) && memcmp(found, text, (size_t)size) == 0;
    free(found);
    return same;
}

/* "old", "new", "none", or "mixture". */
static const char *content(const struct scene *scene)
{
    static const char *const texts[] = {"old", "new"};
    struct stat information;
    if (lstat(place, &information) != 0)
        return "none";
    for (int i = 0; i < 2; i++) {
        char own[800], state[800];
        snprintf(own, sizeof own, "%s/own", place);
        snprintf(state, sizeof state, "%s/sub/state.json", place);
        bool file = strcmp(scene->verb, "write") == 0;
        if (file ? holds(place, texts[i])
                 : directory_verify(place, true) == STATUS_OK && holds(own, texts[i]) && holds(state, texts[i]))
            return texts[i];
    }
    return "mixture";
}

static int leftovers(void)
{
    char text[100];
    run_command(text, sizeof text, "ls '%s' | grep -c -e .tmp-", root);
    return atoi(text);
}

static const char *wanted(const struct scene *scene)
{
    return strcmp(scene->verb, "remove") == 0 ? "none" : "new";
}

/* What is wrong; NULL: nothing. */
static const char *look(const struct scene *scene, const struct fault *fault, int code)
{
    bool killed = strcmp(fault->kind, "KILL") == 0, damaged = strstr(scene->before, "printf x") != NULL;
    const char *found = content(scene), *breach = fault_trace_breach(trace, false);
    if (breach)
        return breach;
    if (code != 0 && code != (killed ? 128 + SIGKILL : IO_ERROR))
        return "another exit code";
    if (code == 0 && strcmp(found, wanted(scene)) != 0)
        return "the program succeeded, but the result is not there";
    if (code == IO_ERROR && !fault_is_told(output))
        return "the failure is not told in one last line";
    if (code == IO_ERROR && leftovers() > 0) {
        char text[100];
        if (run_command(text, sizeof text, "grep -q -e 'cannot remove' -e 'perhaps not durably' '%s'", output) != 0)
            return "something is left";
    }
    if (strcmp(found, wanted(scene)) == 0 || (scene->old && strcmp(found, "old") == 0))
        return NULL;
    if (damaged && strcmp(found, "mixture") == 0) /* still as it was */
        return NULL;
    bool aside = killed && scene->exchange && scene->old;
    return strcmp(found, "none") == 0 && (!scene->old || aside) ? NULL : found;
}

static bool one_fault(const struct scene *scene, long call, const char *kind)
{
    struct fault fault = {.root = root, .trace = trace, .exchange = scene->exchange, .call = call, .kind = kind};
    prepare_scene(scene);
    int code = run_scene(scene, &fault);
    const char *bad = look(scene, &fault, code);
    if (!bad) {
        assert_ok(remove_leftovers(root)); /* as its owner does before it writes again */
        if (scene->old && strcmp(content(scene), "none") == 0 && strcmp(wanted(scene), "new") == 0)
            bad = "the old folder did not get its name back";
    }
    if (!bad && (run_scene(scene, NULL) != 0 || strcmp(content(scene), wanted(scene)) != 0 || leftovers() > 0))
        bad = "the result is wrong when it is done again";
    if (bad) {
        char text[2000];
        run_command(text, sizeof text, "cat '%s'; ls '%s'", output, root);
        print_error("%s after \"%s\"%s, %s at call %ld, exit code %d: %s\n%s", scene->verb, scene->before,
                    scene->exchange ? " without exchange" : "", kind, call, code, bad, text);
    }
    return !bad;
}

static void a_fault_anywhere_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    static const char *const kinds[] = {"KILL", "EIO", "ENOSPC"};
    int bad = 0;
    long faults = 0;
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        struct fault fault = {.root = root, .trace = trace, .exchange = scenes[i].exchange};
        prepare_scene(&scenes[i]);
        assert_int_equal(run_scene(&scenes[i], &fault), 0);
        assert_string_equal(content(&scenes[i]), wanted(&scenes[i]));
        const char *breach = fault_trace_breach(trace, true);
        if (breach)
            fail_msg("%s after \"%s\": %s", scenes[i].verb, scenes[i].before, breach);
        long calls = fault_trace_calls(trace);
        assert_true(calls >= 5);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            for (long call = 1; call <= calls; call++, faults++)
                bad += !one_fault(&scenes[i], call, kinds[k]);
    }
    print_message("%ld faults\n", faults);
    assert_int_equal(bad, 0);
}

static void a_missing_fsync_is_seen(void **state)
{
    (void)state;
    static const struct {
        int scene;
        const char *class;
    } missing[] = {{0, "file"},     {0, "parent"},    {1, "file"},   {1, "parent"},    {2, "file"},
                   {2, "MANIFEST"}, {2, "temporary"}, {2, "parent"}, {3, "file"},      {3, "parent"},
                   {3, "MANIFEST"}, {3, "temporary"}, {6, "parent"}, {6, "temporary"}, {7, "parent"}};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        const struct scene *scene = &scenes[missing[i].scene];
        struct fault fault = {.root = root, .trace = trace, .exchange = scene->exchange, .swallow = missing[i].class};
        prepare_scene(scene);
        assert_int_equal(run_scene(scene, &fault), 0);
        if (!fault_trace_breach(trace, true))
            fail_msg("%s after \"%s\": the check does not notice the missing fsync of %s", scene->verb, scene->before,
                     missing[i].class);
    }
}

static int name_places(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s/root", test_directory());
    snprintf(place, sizeof place, "%s/it", root);
    snprintf(output, sizeof output, "%s/output", test_directory());
    snprintf(trace, sizeof trace, "%s/trace", test_directory());
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    return length > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_fsync_is_seen),
        cmocka_unit_test(a_fault_anywhere_leaves_the_old_or_the_new),
    };
    if (argc > 2)
        return be_the_process(argc, argv);
    return cmocka_run_group_tests(tests, name_places, NULL);
}
