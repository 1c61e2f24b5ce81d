/* Items of a corpus that cannot be read because of what they are: a folder or a pipe in a file's place, links that form a
 * circle, a name that is too long, no permission, also of a folder above. Each costs its own row, with its reason, and nobody
 * waits for a pipe's writer; faults of the machine end the run instead. */
#include "io/audio/audio.h"
#include "io/audio/view.h"
#include "support/files.h"
#include "support/test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* How one item comes to be, and what its reason says. */
static const struct item {
    const char *id, *make, *reason;
    bool permission; /* root may read everything: needs the capabilities dropped */
} items[] = {
    {"folder", "mkdir folder.wav", "a folder", false},
    {"full_folder", "mkdir full_folder.wav && cp good1.wav full_folder.wav", "a folder", false},
    {"pipe", "mkfifo pipe.wav", "a pipe or device", false},
    {"link_to_pipe", "mkfifo p && ln -s p link_to_pipe.wav", "a pipe or device", false},
    {"device", "ln -s /dev/zero device.wav", "a pipe or device", false},
    {"terminal", "ln -s /dev/tty terminal.wav", "", false},
    {"circle", "ln -s circle.wav circle.wav", "symbolic links", false},
    {"long_circle", "ln -s l2 long_circle.wav; ln -s l3 l2; ln -s long_circle.wav l3", "symbolic links", false},
    {"nowhere", "ln -s no/such/file nowhere.wav", "No such file", false},
    {"missing", "true", "No such file", false},
    {"below_file", "true", "Not a directory", false},
    {"long_name", "true", "too long", false},
    {"empty", ": > empty.wav", "empty file", false},
    {"kernel", "ln -s /proc/self/mem kernel.wav", "", false},
    {"secret", "cp good1.wav secret.wav; chmod 000 secret.wav", "Permission denied", true},
    {"locked", "mkdir locked; cp good1.wav locked/a.wav; chmod 000 locked", "Permission denied", true},
    {"listed", "mkdir listed; cp good1.wav listed/a.wav; chmod 444 listed", "Permission denied", true},
};
enum { ITEMS = sizeof items / sizeof *items };

static char folder[600], as_user[200] = "";
static bool has_user = true;

static int in_world(char *text, size_t size, const char *command)
{
    return run_command(text, size, "D='%s' B='%s' SPIRITLM_THREADS=1; export D B SPIRITLM_THREADS; cd \"$D\"; %s",
                       folder, TEST_PROGRAM_DIRECTORY, command);
}

static void must_run(char *text, size_t size, const char *command)
{
    int code = in_world(text, size, command);
    if (code != 0)
        fail_msg("%s: exit %d: %s", command, code, strlen(text) > 500 ? text + strlen(text) - 500 : text);
}

static void write_sawtooth(const char *name, int period)
{
    static unsigned char sound[44 + 32000];
    memcpy(sound,
           "RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0"
           "data\0\x7d\0\0",
           44);
    for (int i = 0; i < 16000; i++) {
        int value = (i % period - period / 2) * (i % 1600) / 8;
        sound[44 + 2 * i] = (unsigned char)value;
        sound[45 + 2 * i] = (unsigned char)(value >> 8);
    }
    write_plainly(test_path("world/%s", name), sound, sizeof sound);
}

static int make_world(void **state)
{
    (void)state;
    char text[4000];
    snprintf(folder, sizeof folder, "%s/world", test_directory());
    must_run(text, sizeof text, "mkdir -p \"$D\"");
    write_sawtooth("good1.wav", 80);
    write_sawtooth("good2.wav", 61);
    if (geteuid() == 0) {
        snprintf(as_user, sizeof as_user, "setpriv --bounding-set -dac_override,-dac_read_search ");
        char command[300];
        snprintf(command, sizeof command, "%strue", as_user);
        has_user = in_world(text, sizeof text, command) == 0;
    }
    for (int i = 0; i < ITEMS; i++)
        must_run(text, sizeof text, items[i].make);
    snprintf(text, sizeof text,
             "tokenizer:\n  folder: %s/tokenizer\n  units: 24\n  pitch_codes: 4\n  iterations: 3\n"
             "prepare:\n  manifests: [%s/rows.jsonl]\n  output: %s/out\n",
             folder, folder, folder);
    write_text_in(folder, "prepare.yaml", text);
    return 0;
}

static bool is_tried(int i)
{
    return has_user || !items[i].permission;
}

static void write_manifest(void)
{
    char text[8000], path[400];
    size_t used = (size_t)sprintf(text, "{\"id\": \"good1\", \"audio\": \"good1.wav\"}\n");
    for (int i = 0; i < ITEMS; i++) {
        const char *id = items[i].id;
        snprintf(path, sizeof path, "%s.wav", id);
        if (strcmp(id, "below_file") == 0)
            strcpy(path, "good1.wav/a.wav");
        if (strcmp(id, "locked") == 0 || strcmp(id, "listed") == 0)
            snprintf(path, sizeof path, "%s/a.wav", id);
        if (strcmp(id, "long_name") == 0)
            memset(path, 'x', 300), strcpy(path + 300, ".wav");
        if (is_tried(i))
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "{\"id\": \"%s\", \"audio\": \"%s\"}\n", id, path);
    }
    snprintf(text + used, sizeof text - used, "{\"id\": \"good2\", \"audio\": \"good2.wav\"}\n");
    write_text_in(folder, "rows.jsonl", text);
}

static void prepare_goes_on_without_them(void **state)
{
    (void)state;
    char text[20000], command[1000];
    write_manifest();
    snprintf(command, sizeof command, "%stimeout -s KILL 60 \"$B/prepare\" --config prepare.yaml",
             has_user ? as_user : "");
    must_run(text, sizeof text, command);
    must_run(text, sizeof text, "\"$B/inspect\" --get totals.rows out/rows/index.json");
    assert_string_equal(text, "2\n");
    must_run(text, sizeof text, "cat out/rows/rejects.jsonl");
    for (int i = 0; i < ITEMS; i++) {
        char line[100];
        snprintf(line, sizeof line, "\"%s\"", items[i].id);
        const char *at = strstr(text, line);
        if (!is_tried(i))
            continue;
        if (!at)
            fail_msg("%s is not listed in\n%s", items[i].id, text);
        const char *end = strchr(at, '\n'), *begin = at;
        while (begin > text && begin[-1] != '\n')
            begin--;
        char *own = strndup(begin, (size_t)(end - begin));
        if (!strstr(own, items[i].reason) || !strstr(own, "audio: "))
            fail_msg("%s: expected \"%s\", found %s", items[i].id, items[i].reason, own);
        free(own);
    }
    if (!has_user)
        print_message("permissions were not tried: this machine cannot drop capabilities\n");
}

static void import_goes_on_without_them(void **state)
{
    (void)state;
    char text[20000], command[1000];
    must_run(
        text, sizeof text,
        "mkdir c c/locked && cp good1.wav c/a.wav && echo hello > c/a.txt && cp good2.wav c/b.wav && mkdir c/b.txt && "
        "cp good2.wav c/d.wav && mkfifo c/d.txt && cp good2.wav c/e.wav && ln -s e.txt c/e.txt && "
        "cp good2.wav c/f.wav && echo no > c/f.txt && chmod 000 c/f.txt && cp good2.wav c/locked/g.wav && "
        "chmod 000 c/locked && cp good2.wav c/h.wav && ln -s /dev/zero c/h.txt && ln -s k c/k && ln -s . c/self");
    snprintf(command, sizeof command, "%stimeout -s KILL 60 \"$B/import\" folder c --output c.jsonl; echo \"exit $?\"",
             has_user ? as_user : "");
    in_world(text, sizeof text, command);
    if (!strstr(text, "exit 0\n"))
        fail_msg("%s", text);
    must_run(text, sizeof text, "cat c.jsonl c.rejects.jsonl");
    static const char *const rows[] = {"\"id\": \"a\", \"text\": \"hello\"}", "{\"audio\": \"c/b.wav\", \"id\": \"b\"}",
                                       "{\"audio\": \"c/d.wav\", \"id\": \"d\"}",
                                       "{\"audio\": \"c/e.wav\", \"id\": \"e\"}",
                                       "{\"audio\": \"c/h.wav\", \"id\": \"h\"}"},
                             *const notes[] = {"true, \"source\": \"e.txt\"", "true, \"source\": \"k\"",
                                               "true, \"source\": \"self\""},
                             *const of_user[] = {"f.txt: cannot open: Permission denied",
                                                 "true, \"source\": \"locked\""};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strstr(text, rows[i]))
            fail_msg("no %s in\n%s", rows[i], text);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (!strstr(text, notes[i]))
            fail_msg("no %s in\n%s", notes[i], text);
    for (size_t i = 0; has_user && i < sizeof of_user / sizeof *of_user; i++)
        if (!strstr(text, of_user[i]))
            fail_msg("no %s in\n%s", of_user[i], text);
    assert_null(strstr(text, "self/"));
}

static void faults_of_the_machine_are_told_apart(void **state)
{
    (void)state;
    static const int machine[] = {EIO, ENOSPC, EMFILE, ENFILE, EROFS, EDQUOT, ESTALE, ENOMEM},
                     file[] = {EACCES, EPERM, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EISDIR, ENXIO};
    for (size_t i = 0; i < sizeof machine / sizeof *machine; i++)
        assert_false(status_concerns_one_file(status_set_errno(STATUS_IO, machine[i], "a file")));
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        assert_true(status_concerns_one_file(status_set_errno(STATUS_IO, file[i], "a file")));
    assert_false(status_concerns_one_file(status_set(STATUS_IO, "no reason")));
    assert_false(status_concerns_one_file(status_set(STATUS_INTERNAL, "no reason")));
    assert_true(status_concerns_one_file(status_set(STATUS_CORRUPT, "damaged")));
    assert_int_equal(status_set_errno(STATUS_IO, ENOMEM, "a file"), STATUS_INTERNAL);
    /* No descriptor left. */
    struct rlimit limit, none = {0, 0};
    float *samples;
    int64_t count;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum status result = audio_read(test_path("world/good1.wav"), -1, &samples, &count);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(result, STATUS_IO);
    assert_false(status_concerns_one_file(result));
    /* A read that fails is not the file's end. */
    int fault = 0;
    char bytes[10];
    const struct view view = {.descriptor = -1, .end = 10, .fault = &fault};
    assert_int_equal(view_read_at(&view, 0, bytes, 10), -1);
    assert_int_equal(fault, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare_goes_on_without_them),
        cmocka_unit_test(import_goes_on_without_them),
        cmocka_unit_test(faults_of_the_machine_are_told_apart),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
