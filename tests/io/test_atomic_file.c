/* Files and folders that appear whole or not at all: what is there after success, after every kind of failure, and
 * whether any damage of a published folder is found. */
#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int entries_of(const char *folder)
{
    int count = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return count;
}

static void assert_content(const char *path, const void *data, int64_t size)
{
    void *found;
    int64_t found_size;
    assert_ok(file_read(path, 1 << 24, &found, &found_size));
    assert_int_equal(found_size, size);
    assert_memory_equal(found, data, (size_t)size);
    assert_int_equal(((char *)found)[size], 0);
    free(found);
}

static void reads_whole_files_and_refuses_others(void **state)
{
    (void)state;
    void *data;
    int64_t size;
    write_plainly(test_path("small"), "abc", 3);
    write_plainly(test_path("empty"), "", 0);
    assert_content(test_path("small"), "abc", 3);
    assert_content(test_path("empty"), "", 0);
    assert_fails(file_read(test_path("small"), 2, &data, &size), STATUS_CORRUPT, "expected at most 2 bytes, found 3");
    assert_fails(file_read(test_path("none"), 9, &data, &size), STATUS_USAGE, "No such file");
    assert_fails(file_read(test_path("small/none"), 9, &data, &size), STATUS_USAGE, "Not a directory");
    assert_fails(file_read(test_directory(), 9, &data, &size), STATUS_USAGE, "found a folder");
    assert_int_equal(mkfifo(test_path("pipe"), 0600), 0);
    assert_fails(file_read(test_path("pipe"), 9, &data, &size), STATUS_USAGE, "found a device");
    assert_ok(remove_tree(test_path("pipe")));
}

static void writes_replace_and_leave_nothing(void **state)
{
    (void)state;
    const char *folder = test_path("write");
    assert_ok(make_directories(folder));
    assert_ok(atomic_write(test_path("write/a"), "one", 3));
    assert_ok(atomic_write(test_path("write/a"), "second", 6));
    assert_content(test_path("write/a"), "second", 6);
    assert_int_equal(entries_of(folder), 1);
    assert_fails(atomic_write(test_path("write/none/a"), "x", 1), STATUS_IO, "cannot create");
    assert_ok(make_directories(test_path("write/folder")));
    assert_fails(atomic_write(test_path("write/folder"), "x", 1), STATUS_IO, "cannot rename");
    assert_int_equal(entries_of(folder), 2);
}

/* Whether a file could be written, without writing it. */
static void looking_leaves_everything_as_it_was(void **state)
{
    (void)state;
    const char *folder = test_path("look");
    assert_ok(make_directories(test_path("look/folder")));
    write_plainly(test_path("look/old"), "abc", 3);
    assert_int_equal(symlink("old", test_path("look/link")), 0);
    int before = entries_of(folder);
    assert_ok(atomic_write_check(test_path("look/old")));
    assert_ok(atomic_write_check(test_path("look/new")));
    assert_ok(atomic_write_check(test_path("look/link")));
    assert_ok(atomic_write_check("/dev/null"));
    assert_ok(atomic_write_check("/dev/stdout"));
    assert_fails(atomic_write_check(test_path("look/folder")), STATUS_USAGE, "found a folder");
    assert_fails(atomic_write_check(test_path("look/none/new")), STATUS_IO, "cannot create");
    assert_fails(atomic_write_check(test_path("look/old/new")), STATUS_IO, "cannot create");
    assert_int_equal(entries_of(folder), before);
    assert_content(test_path("look/old"), "abc", 3);
}

static void makes_and_removes_trees(void **state)
{
    (void)state;
    assert_ok(make_directories(test_path("tree/a//b/c/")));
    assert_ok(make_directories(test_path("tree/a/b/c")));
    write_plainly(test_path("tree/a/file"), "x", 1);
    assert_int_equal(symlink("/usr", test_path("tree/a/link")), 0);
    assert_fails(make_directories(test_path("tree/a/file")), STATUS_USAGE, "found a file");
    assert_fails(make_directories(test_path("tree/a/file/b")), STATUS_USAGE, "found a file");
    assert_ok(remove_tree(test_path("tree")));
    assert_ok(remove_tree(test_path("tree")));
    assert_int_equal(access(test_path("tree"), F_OK), -1);
    assert_ok(make_directories(test_path("trees/a/b")));
    assert_ok(atomic_remove(test_path("trees/a")));
    assert_ok(atomic_remove(test_path("trees/a")));
    assert_int_equal(entries_of(test_path("trees")), 0);
    assert_int_equal(access("/usr/bin", F_OK), 0); /* the link is gone, not what it pointed to */
}

/* Runs `body` as an unprivileged user when this is root, whom permissions do not stop. */
static void as_plain_user(void (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(3);
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 3) {
        print_message("skipped: root cannot become an unprivileged user here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "expected: %s; the error text is \"%s\"\n", what, status_text());
        _exit(1);
    }
}

static void write_without_permission(void)
{
    struct atomic_directory *directory;
    void *data;
    int64_t size;
    require(atomic_write(test_path("locked/a"), "x", 1) == STATUS_IO && strstr(status_text(), "Permission denied"),
            "a file in a read-only folder is refused");
    require(atomic_directory_begin(test_path("locked/b"), false, &directory) == STATUS_IO &&
                strstr(status_text(), "Permission denied"),
            "a folder in a read-only folder is refused");
    require(file_read(test_path("secret"), 9, &data, &size) == STATUS_IO && strstr(status_text(), "Permission denied"),
            "a file without permission is refused");
    require(make_directories(test_path("locked/c/d")) == STATUS_IO, "a folder cannot be made");
}

static void refuses_without_permission(void **state)
{
    (void)state;
    assert_ok(make_directories(test_path("locked")));
    write_plainly(test_path("secret"), "x", 1);
    assert_int_equal(chmod(test_path("secret"), 0), 0);
    assert_int_equal(chmod(test_path("locked"), 0555), 0);
    assert_int_equal(chmod(test_directory(), 0755), 0);
    as_plain_user(write_without_permission);
    assert_int_equal(entries_of(test_path("locked")), 0);
    assert_int_equal(chmod(test_path("locked"), 0755), 0);
}

/* A folder of four files, one large enough to pass the buffer in pieces. */
static unsigned char *large;
enum { LARGE = 2500000 };

static enum status make_folder(const char *path, bool replace, const char *text)
{
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    struct output_file *file = NULL;
    TRY(atomic_directory_begin(path, replace, &directory));
    TRY(atomic_directory_create(directory, "large.bin", LARGE + 5000000, &file));
    for (int64_t done = 0, piece = 1; done < LARGE; done += piece, piece = piece * 3 + 1) {
        if (piece > LARGE - done)
            piece = LARGE - done;
        TRY(output_write(file, large + done, piece));
    }
    result = output_close(file);
    file = NULL;
    TRY(result);
    TRY(atomic_directory_add(directory, "trainer/state.json", text, (int64_t)strlen(text)));
    TRY(atomic_directory_add(directory, "empty", "", 0));
    char own[1100];
    snprintf(own, sizeof own, "%s/own", atomic_directory_path(directory));
    FILE *stream = fopen(own, "w");
    assert_non_null(stream);
    fputs("written by the caller", stream);
    fclose(stream);
    TRY(atomic_directory_adopt(directory, "own"));
    return atomic_directory_commit(directory);
fail:
    output_abandon(file);
    atomic_directory_abandon(directory);
    return result;
}

static int prepare_large(void **state)
{
    (void)state;
    large = malloc(LARGE);
    struct rng rng = rng_make(7, RNG_TEST, 0, 0);
    for (int i = 0; i < LARGE; i++)
        large[i] = (unsigned char)rng_u32(&rng);
    return large ? 0 : -1;
}

static void publishes_a_folder(void **state)
{
    (void)state;
    const char *path = test_path("publish/deeper/one");
    assert_ok(make_folder(path, false, "{}"));
    assert_ok(directory_verify(path, true));
    assert_int_equal(entries_of(test_path("publish/deeper")), 1);
    assert_int_equal(entries_of(path), 5);
    assert_content(test_path("publish/deeper/one/large.bin"), large, LARGE);
    assert_content(test_path("publish/deeper/one/trainer/state.json"), "{}", 2);
    struct stat info;
    assert_int_equal(stat(test_path("publish/deeper/one/large.bin"), &info), 0);
    assert_in_range(info.st_blocks * 512, LARGE, LARGE + 1000000); /* the excess space reserved is given back */

    assert_fails(make_folder(path, false, "{}"), STATUS_USAGE, "already exists");
    assert_ok(make_folder(path, true, "{\"new\": 1}"));
    assert_ok(directory_verify(path, true));
    assert_content(test_path("publish/deeper/one/trainer/state.json"), "{\"new\": 1}", 10);
    assert_int_equal(entries_of(test_path("publish/deeper")), 1);
    /* sha256sum agrees with MANIFEST, lines and last line. */
    char text[4096];
    assert_int_equal(run_command(text, sizeof text,
                                 "cd '%s' && sed '1d;$d' MANIFEST | sed 's/ [0-9]* /  /' | sha256sum -c --strict && "
                                 "test \"$(head -n -1 MANIFEST | sha256sum | cut -c1-64)\" = \"$(tail -n 1 MANIFEST)\"",
                                 path),
                     0);
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    struct atomic_directory *directory;
    struct output_file *file;
    char parent[1100];
    snprintf(parent, sizeof parent, "%s", test_path("fail"));
    assert_ok(make_directories(parent));
    static const char *const bad_names[] = {"",     "..", "../a",     "/a",      "a/../b", "a/b/c",
                                            "a//b", "a/", "MANIFEST", ".hidden", "a/.b",   "new\nline"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        assert_ok(atomic_directory_begin(test_path("fail/x"), false, &directory));
        assert_fails(atomic_directory_add(directory, bad_names[i], "x", 1), STATUS_INTERNAL, "cannot be a file");
        assert_fails(atomic_directory_commit(directory), STATUS_IO, "not published");
        assert_int_equal(entries_of(parent), 0);
    }
    assert_ok(atomic_directory_begin(test_path("fail/x"), false, &directory));
    assert_ok(atomic_directory_add(directory, "a", "x", 1));
    assert_fails(atomic_directory_add(directory, "a", "x", 1), STATUS_INTERNAL, "written twice");
    atomic_directory_abandon(directory);
    assert_int_equal(entries_of(parent), 0);

    assert_ok(atomic_directory_begin(test_path("fail/x"), false, &directory));
    assert_ok(atomic_directory_create(directory, "a", 0, &file));
    output_abandon(file);
    assert_fails(atomic_directory_commit(directory), STATUS_IO, "not published");
    assert_int_equal(entries_of(parent), 0);

    assert_ok(atomic_directory_begin(test_path("fail/x"), false, &directory));
    assert_fails(atomic_directory_create(directory, "a", INT64_MAX / 2, &file), STATUS_IO, "no space");
    atomic_directory_abandon(directory);
    assert_int_equal(entries_of(parent), 0);

    assert_ok(atomic_directory_begin(test_path("fail/x"), false, &directory));
    char stray[1100];
    snprintf(stray, sizeof stray, "%s/stray", atomic_directory_path(directory));
    write_plainly(stray, "x", 1);
    assert_fails(atomic_directory_commit(directory), STATUS_INTERNAL, "holds stray");
    assert_int_equal(entries_of(parent), 0);

    assert_ok(atomic_directory_begin(test_path("fail/x"), false, &directory));
    assert_fails(atomic_directory_adopt(directory, "none"), STATUS_IO, "none");
    atomic_directory_abandon(directory);
    assert_int_equal(entries_of(parent), 0);
}

/* What a killed process left is removed; what a live one is writing stays. */
static void removes_leftovers_of_the_dead(void **state)
{
    (void)state;
    char host[65] = "", name[256];
    gethostname(host, 64);
    fflush(NULL);
    pid_t dead = fork();
    if (dead == 0)
        _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    snprintf(name, sizeof name, "left/x.tmp-%ld-%s", (long)dead, host);
    assert_ok(make_directories(test_path("%s", name)));
    snprintf(name, sizeof name, "left/x.tmp-1-%s", host); /* init is alive */
    assert_ok(make_directories(test_path("%s", name)));
    assert_ok(make_directories(test_path("left/x.tmp-1-elsewhere")));
    snprintf(name, sizeof name, "left/y.tmp-%ld-%s", (long)dead, host);
    write_plainly(test_path("%s", name), "x", 1);
    assert_int_equal(entries_of(test_path("left")), 4);
    struct atomic_directory *directory;
    assert_ok(atomic_directory_begin(test_path("left/x"), false, &directory));
    atomic_directory_abandon(directory);
    assert_int_equal(entries_of(test_path("left")), 3);
    assert_ok(remove_leftovers(test_path("left")));
    assert_int_equal(entries_of(test_path("left")), 2);
}

/* In a small folder: every byte of every file with one bit flipped, every shorter length, every file missing, one too
 * many. */
static void finds_any_damage(void **state)
{
    (void)state;
    static const char *const names[] = {"MANIFEST", "a", "sub/b", "empty"};
    struct atomic_directory *directory;
    assert_ok(atomic_directory_begin(test_path("damage"), false, &directory));
    assert_ok(atomic_directory_add(directory, "a", "some content", 12));
    assert_ok(atomic_directory_add(directory, "sub/b", "other content", 13));
    assert_ok(atomic_directory_add(directory, "empty", "", 0));
    assert_ok(atomic_directory_commit(directory));
    const char *folder = test_path("damage");
    assert_ok(directory_verify(folder, true));
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    int64_t flips = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1100], away[1200];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        snprintf(away, sizeof away, "%s-away", folder);
        void *data;
        int64_t size;
        assert_ok(file_read(path, 1 << 20, &data, &size));
        char *bytes = data;
        for (int64_t at = 0; at < size; at++, flips++) {
            char before = bytes[at];
            bytes[at] = (char)(before ^ (1 << rng_below(&rng, 8)));
            write_plainly(path, bytes, size);
            assert_fails(directory_verify(folder, true), STATUS_CORRUPT, i ? names[i] : "MANIFEST");
            bytes[at] = before;
            write_plainly(path, bytes, at);
            assert_fails(directory_verify(folder, false), STATUS_CORRUPT, i ? names[i] : "MANIFEST");
        }
        char *longer = malloc((size_t)size + 1);
        memcpy(longer, bytes, (size_t)size);
        longer[size] = '\n';
        write_plainly(path, longer, size + 1);
        assert_fails(directory_verify(folder, false), STATUS_CORRUPT, names[i]);
        free(longer);
        write_plainly(path, bytes, size);
        assert_int_equal(rename(path, away), 0);
        assert_fails(directory_verify(folder, false), STATUS_CORRUPT, names[i]);
        assert_ok(make_directories(path));
        assert_fails(directory_verify(folder, false), i ? STATUS_CORRUPT : STATUS_USAGE, names[i]);
        assert_ok(remove_tree(path));
        assert_int_equal(rename(away, path), 0);
        free(data);
    }
    assert_ok(directory_verify(folder, true));
    write_plainly(test_path("damage/extra"), "x", 1);
    assert_fails(directory_verify(folder, true), STATUS_CORRUPT, "holds extra");
    unlink(test_path("damage/extra"));
    write_plainly(test_path("damage/sub/extra"), "x", 1);
    assert_fails(directory_verify(folder, true), STATUS_CORRUPT, "holds sub/extra");
    unlink(test_path("damage/sub/extra"));
    write_plainly(test_path("damage/.nfs0001"), "x", 1);
    assert_ok(directory_verify(folder, true));
    assert_fails(directory_verify(test_path("nowhere"), true), STATUS_USAGE, "No such file");
    assert_fails(directory_verify(test_path("damage/a"), true), STATUS_USAGE, "found a file");
    assert_fails(directory_verify(test_directory(), true), STATUS_CORRUPT, "no MANIFEST");
    assert_true(flips > 250);
}

/* A manifest whose own hash is right but whose lines are hostile. */
static void refuses_hostile_manifests(void **state)
{
    (void)state;
    static const char zero[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const lines[] = {"%s 1 ../secret\n", "%s 1 /etc/passwd\n",
                                        "%s -1 a\n",        "%s 99999999999999999999 a\n",
                                        "%s 1  \n",         "%s 1 b\n%s 1 a\n",
                                        "%s 1 a\n%s 1 a\n", "%s x a\n",
                                        "%s 1a\n",          "short\n",
                                        "%s 1 MANIFEST\n",  "\n",
                                        "%s 1 a/b/c\n"};
    assert_ok(make_directories(test_path("hostile")));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char body[1024] = "spiritlm-manifest 1\n", line[512];
        snprintf(line, sizeof line, "%s", lines[i]);
        for (char *mark; (mark = strstr(line, "%s"));) {
            char rest[512];
            snprintf(rest, sizeof rest, "%s", mark + 2);
            snprintf(mark, sizeof line - (size_t)(mark - line), "%s%s", zero, rest);
        }
        strncat(body, line, sizeof body - strlen(body) - 1);
        struct sha256 hash = sha256_of(body, strlen(body));
        char hex[65];
        sha256_hex(&hash, hex);
        strncat(body, hex, sizeof body - strlen(body) - 1);
        strncat(body, "\n", sizeof body - strlen(body) - 1);
        write_text(test_path("hostile/MANIFEST"), body);
        assert_fails(directory_verify(test_path("hostile"), true), STATUS_CORRUPT, "MANIFEST");
    }
}

/* A link of the temporary name, put there by somebody who hopes that it is followed. */
static void a_planted_link_is_not_written_through(void **state)
{
    (void)state;
    char host[100] = "", name[200];
    void *text;
    int64_t size;
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    assert_ok(make_directories(test_path("planted")));
    write_text(test_path("planted/victim"), "precious");
    snprintf(name, sizeof name, "planted/a.tmp-%ld-%s", (long)getpid(), host);
    assert_int_equal(symlink("victim", test_path("%s", name)), 0);
    assert_ok(atomic_write(test_path("planted/a"), "new", 3));
    assert_ok(file_read(test_path("planted/victim"), 100, &text, &size));
    assert_string_equal(text, "precious");
    free(text);
    assert_ok(file_read(test_path("planted/a"), 100, &text, &size));
    assert_string_equal(text, "new");
    free(text);
}

/* What is no file is written to and read from, and is still there afterwards. */
static void pipes_and_devices_stay_what_they_are(void **state)
{
    (void)state;
    struct stat before, after;
    const char *pipe = test_path("a_pipe");
    char text[10] = "", *found = NULL;
    int64_t size = 0;
    assert_int_equal(mkfifo(pipe, 0600), 0);
    int end = open(pipe, O_RDWR | O_CLOEXEC);
    assert_int_equal(stat(pipe, &before), 0);
    assert_ok(atomic_write(pipe, "piped", 5));
    assert_int_equal(stat(pipe, &after), 0);
    assert_true(before.st_ino == after.st_ino && S_ISFIFO(after.st_mode));
    assert_int_equal(read(end, text, sizeof text), 5);
    assert_string_equal(text, "piped");
    assert_ok(atomic_write("/dev/null", "x", 1));
    assert_int_equal(stat("/dev/null", &after), 0);
    assert_true(S_ISCHR(after.st_mode));
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(text, sizeof text, "%d", ends[0]);
    assert_int_equal(write(ends[1], "config", 6), 6);
    close(ends[1]);
    char name[64];
    snprintf(name, sizeof name, "/dev/fd/%s", text);
    assert_fails(file_read_stream(name, 5, (void **)&found, &size), STATUS_CORRUPT, "at most 5 bytes");
    close(ends[0]);
    assert_fails(file_read_stream("/dev/zero", 1000, (void **)&found, &size), STATUS_CORRUPT, "at most 1000 bytes");
    assert_fails(file_read_stream("/proc/self/mem", 1000, (void **)&found, &size), STATUS_IO, "cannot read");
    assert_fails(file_read_stream("/proc", 1000, (void **)&found, &size), STATUS_USAGE, "found a folder");
    close(end);
    assert_ok(file_read_stream(pipe, 1000, (void **)&found, &size)); /* without a writer: empty, and no waiting */
    assert_int_equal(size, 0);
    free(found);
    /* What is open already is written where it stands. */
    int file = open(test_path("redirected"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(file, "one ", 4), 4);
    snprintf(name, sizeof name, "/dev/fd/%d", file);
    assert_ok(atomic_write(name, "two ", 4));
    assert_int_equal(write(file, "three", 5), 5);
    close(file);
    assert_ok(file_read(test_path("redirected"), 100, (void **)&found, &size));
    assert_string_equal(found, "one two three");
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_link_is_not_written_through),
        cmocka_unit_test(pipes_and_devices_stay_what_they_are),
        cmocka_unit_test(reads_whole_files_and_refuses_others),
        cmocka_unit_test(writes_replace_and_leave_nothing),
        cmocka_unit_test(looking_leaves_everything_as_it_was),
        cmocka_unit_test(makes_and_removes_trees),
        cmocka_unit_test(refuses_without_permission),
        cmocka_unit_test(publishes_a_folder),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(removes_leftovers_of_the_dead),
        cmocka_unit_test(finds_any_damage),
        cmocka_unit_test(refuses_hostile_manifests),
    };
    int failed = cmocka_run_group_tests(tests, prepare_large, NULL);
    free(large);
    return failed;
}
