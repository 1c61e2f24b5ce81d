/* Locks (io/lock.h) between processes: one holds, others are refused, wait or share; a holder that is killed at any
 * moment is replaced without a word; whatever happens to the file or its folder, two never hold it at once. */
#include "support/files.h"
#include "support/test_support.h"

#include "core/log.h"
#include "io/atomic_file.h"
#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lock_request request_of(const char *folder, enum lock_patience patience)
{
    return (struct lock_request){
        .folder = folder, .file = ".a.lock", .what = folder, .advice = "use another folder", .patience = patience};
}

/* ---- processes that hold a lock ---- */

struct child {
    pid_t process;
    int said; /* a byte comes when it holds the lock: 'h', or 'x' when it was refused */
};

static struct child start(const struct lock_request *request)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    struct child child = {fork(), ends[0]};
    assert_true(child.process >= 0);
    if (child.process > 0) {
        close(ends[1]);
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct file_lock *lock = NULL;
    bool held = lock_acquire(request, &lock) == STATUS_OK && lock;
    (void)!write(ends[1], held ? "h" : "x", 1);
    for (;;)
        pause();
}

static char answer_of(const struct child *child)
{
    char answer = 0;
    assert_int_equal(read(child->said, &answer, 1), 1);
    return answer;
}

static void end(struct child *child)
{
    assert_int_equal(kill(child->process, SIGKILL), 0);
    assert_int_equal(waitpid(child->process, NULL, 0), child->process);
    close(child->said);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- tests ---- */

static void a_second_is_refused_with_the_holder_s_name(void **state)
{
    (void)state;
    const char *folder = test_path("refused/deep/run");
    const struct lock_request request = request_of(folder, LOCK_REFUSE), try = request_of(folder, LOCK_TRY);
    struct file_lock *lock = NULL;
    struct child child = start(&request);
    assert_int_equal(answer_of(&child), 'h');
    char process[100], host[100] = "";
    snprintf(process, sizeof process, "in use by test_io_lock (process %d on ", (int)child.process);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    double before = clock_seconds();
    assert_fails(lock_acquire(&request, &lock), STATUS_USAGE, process);
    assert_true(clock_seconds() - before < 1);
    assert_non_null(strstr(status_text(), host));
    assert_non_null(strstr(status_text(), "since 20"));
    assert_non_null(strstr(status_text(), "tests/test_io_lock")); /* the command */
    assert_non_null(strstr(status_text(), "use another folder"));
    assert_null(strchr(status_text(), '\n'));
    assert_null(lock);
    assert_ok(lock_acquire(&try, &lock));
    assert_null(lock);
    end(&child);
    assert_ok(lock_acquire(&request, &lock));
    assert_non_null(lock);
    lock_release(lock);
    assert_false(exists(test_path("refused/deep/run/.a.lock")));
    assert_true(exists(folder)); /* the child had made it, and was killed */
}

static void folders_made_for_a_lock_go_with_it(void **state)
{
    (void)state;
    struct file_lock *lock = NULL;
    const struct lock_request request = request_of(test_path("made/deep/run"), LOCK_REFUSE);
    assert_ok(lock_acquire(&request, &lock));
    assert_true(exists(test_path("made/deep/run/.a.lock")));
    lock_release(lock);
    assert_false(exists(test_path("made")));
    assert_ok(lock_acquire(&request, &lock));
    write_text(test_path("made/deep/work"), "kept");
    lock_release(lock);
    assert_false(exists(test_path("made/deep/run")));
    assert_true(exists(test_path("made/deep/work")));
}

static void nothing_is_locked_without_locks(void **state)
{
    (void)state;
    struct file_lock *lock = NULL;
    struct lock_request request = request_of(test_path("none"), LOCK_REFUSE);
    request.policy = LOCKS_NONE;
    assert_ok(lock_acquire(&request, &lock));
    assert_null(lock);
    assert_ok(lock_confirm(lock));
    lock_release(lock);
    assert_false(exists(test_path("none")));
}

static void a_killed_holder_is_replaced_without_a_word(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 90, 0);
    const struct lock_request request = request_of(test_path("killed"), LOCK_REFUSE);
    for (int i = 0; i < (test_is_long() ? 500 : 40); i++) {
        struct file_lock *lock = NULL;
        struct child child = start(&request);
        if (i % 2)
            answer_of(&child);
        else
            usleep((useconds_t)rng_below(&rng, 2000));
        end(&child); /* perhaps before it had the lock, or while it wrote its name */
        assert_ok(lock_acquire(&request, &lock));
        assert_non_null(lock);
        lock_release(lock);
        assert_false(exists(test_path("killed/.a.lock")));
    }
}

/* A process that forks, or that starts a program, and is killed: what it started must not keep the lock. */
static void what_a_holder_starts_does_not_keep_the_lock(void **state)
{
    (void)state;
    for (int starts_program = 0; starts_program < 2; starts_program++) {
        const struct lock_request request = request_of(test_path("forked"), LOCK_REFUSE);
        struct file_lock *lock = NULL;
        int ends[2];
        char answer[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t holder = fork();
        if (holder == 0) {
            if (lock_acquire(&request, &lock) != STATUS_OK)
                _exit(1);
            pid_t inner = fork();
            if (inner == 0) {
                setpgid(0, 0);
                (void)!write(ends[1], "i", 1);
                alarm(20);
                if (starts_program)
                    execl("/bin/sleep", "sleep", "20", (char *)NULL);
                for (;;)
                    pause();
            }
            (void)!write(ends[1], "h", 1);
            for (;;)
                pause();
        }
        assert_int_equal(read(ends[0], answer, 1), 1);
        assert_int_equal(read(ends[0], answer, 1), 1);
        assert_fails(lock_acquire(&request, &lock), STATUS_USAGE, "in use by");
        kill(holder, SIGKILL);
        waitpid(holder, NULL, 0);
        assert_ok(lock_acquire(&request, &lock));
        lock_release(lock);
        close(ends[0]);
        close(ends[1]);
    }
}

static void a_file_that_was_removed_is_made_again(void **state)
{
    (void)state;
    struct file_lock *lock = NULL, *other = NULL;
    const struct lock_request request = request_of(test_path("removed"), LOCK_REFUSE);
    assert_ok(lock_acquire(&request, &lock));
    assert_int_equal(unlink(test_path("removed/.a.lock")), 0);
    assert_ok(lock_confirm(lock));
    assert_true(exists(test_path("removed/.a.lock")));
    struct child child = start(&request);
    assert_int_equal(answer_of(&child), 'x');
    end(&child);
    /* While it is gone somebody else takes it. */
    assert_int_equal(unlink(test_path("removed/.a.lock")), 0);
    child = start(&request);
    assert_int_equal(answer_of(&child), 'h');
    assert_fails(lock_confirm(lock), STATUS_IO, "in use by");
    assert_non_null(strstr(status_text(), ".a.lock was removed"));
    lock_release(lock); /* must not remove the other's file */
    assert_fails(lock_acquire(&request, &other), STATUS_USAGE, "in use by");
    end(&child);
}

static void a_renamed_folder_takes_its_lock_along(void **state)
{
    (void)state;
    struct file_lock *lock = NULL, *second = NULL;
    const char *old = test_path("renamed"), *new = test_path("new_name");
    const struct lock_request request = request_of(old, LOCK_REFUSE), renamed = request_of(new, LOCK_TRY);
    assert_ok(lock_acquire(&request, &lock));
    assert_ok(lock_confirm(lock));
    assert_int_equal(rename(old, new), 0);
    assert_fails(lock_confirm(lock), STATUS_IO, "renamed, removed or replaced");
    assert_ok(lock_acquire(&renamed, &second));
    assert_null(second);
    assert_ok(lock_acquire(&request, &second)); /* the old name is free */
    assert_fails(lock_confirm(lock), STATUS_IO, "renamed, removed or replaced");
    lock_release(second);
    lock_release(lock);
    assert_ok(lock_acquire(&renamed, &second));
    assert_non_null(second);
    lock_release(second);
}

static void two_names_of_a_folder_are_one_lock(void **state)
{
    (void)state;
    struct file_lock *lock = NULL, *second = NULL;
    const struct lock_request request = request_of(test_path("real"), LOCK_REFUSE);
    const struct lock_request linked = request_of(test_path("link"), LOCK_TRY);
    assert_ok(lock_acquire(&request, &lock));
    assert_int_equal(symlink("real", test_path("link")), 0);
    assert_ok(lock_acquire(&linked, &second));
    assert_null(second);
    lock_release(lock);
}

static void those_of_one_purpose_share(void **state)
{
    (void)state;
    struct lock_request request = request_of(test_path("shared"), LOCK_REFUSE);
    struct file_lock *lock = NULL, *other = NULL;
    request.shared = true;
    request.purpose = "one";
    struct child children[3];
    for (int i = 0; i < 3; i++)
        children[i] = start(&request);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer_of(&children[i]), 'h');
    assert_ok(lock_acquire(&request, &lock));
    request.purpose = "two";
    assert_fails(lock_acquire(&request, &other), STATUS_USAGE, "in use, for something else, by test_io_lock");
    lock_release(lock);
    assert_true(exists(test_path("shared/.a.lock")));
    for (int i = 0; i < 3; i++) {
        assert_fails(lock_acquire(&request, &other), STATUS_USAGE, "for something else");
        end(&children[i]); /* the first one too, who wrote the purpose */
    }
    assert_ok(lock_acquire(&request, &lock));
    assert_non_null(lock);
    lock_release(lock);
    assert_false(exists(test_path("shared/.a.lock")));
}

static void nobody_waits_for_another_purpose(void **state)
{
    (void)state;
    struct lock_request request = request_of(test_path("purpose"), LOCK_WAIT);
    struct file_lock *lock = NULL;
    request.purpose = "one";
    struct child first = start(&request), second;
    assert_int_equal(answer_of(&first), 'h');
    second = start(&request); /* waits */
    request.purpose = "two";
    assert_fails(lock_acquire(&request, &lock), STATUS_USAGE, "for something else");
    end(&first);
    assert_int_equal(answer_of(&second), 'h');
    end(&second);
}

static void a_lock_is_no_damage(void **state)
{
    (void)state;
    struct atomic_directory *directory = NULL;
    struct file_lock *lock = NULL;
    const char *folder = test_path("published");
    const struct lock_request request = request_of(folder, LOCK_REFUSE);
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(atomic_directory_add(directory, "a", "content", 7));
    assert_ok(atomic_directory_commit(directory));
    assert_ok(lock_acquire(&request, &lock));
    assert_ok(directory_verify(folder, true));
    lock_release(lock);
    assert_ok(directory_verify(folder, true));
}

static void whatever_else_has_the_name_is_refused(void **state)
{
    (void)state;
    struct file_lock *lock = NULL;
    const struct lock_request request = request_of(test_path("hostile"), LOCK_REFUSE);
    const char *file = test_path("hostile/.a.lock"), *victim = test_path("victim");
    assert_ok(make_directories(test_path("hostile")));
    write_text(victim, "precious");
    assert_int_equal(symlink("../victim", file), 0);
    assert_fails(lock_acquire(&request, &lock), STATUS_IO, ".a.lock");
    lock_remove_abandoned(test_path("hostile"), NULL);
    assert_true(exists(victim));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_fails(lock_acquire(&request, &lock), STATUS_IO, "expected a file");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_fails(lock_acquire(&request, &lock), STATUS_IO, ".a.lock");
    assert_null(lock);
    void *text = NULL;
    int64_t size = 0;
    assert_ok(file_read(victim, 100, &text, &size));
    assert_string_equal(text, "precious");
    free(text);
}

/* The holder's text is for people; whatever is in the file, the lock works and the terminal is safe. */
static void any_text_in_the_file_is_harmless(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n\n{\n",
        "{\"host\": 3}\n",
        ("{\"host\": \"h\", \"pid\": 1, \"program\": \"p\\u001b[2J\", \"command\": \"\\u0007\\u202e\\u009b\", "
         "\"started\": \"\\r\", \"purpose\": \"\"}\n"),
        "[[[[[[[[[[[[[[[[[[[[[[\n\377\376\n",
    };
    const struct lock_request request = request_of(test_path("texts"), LOCK_REFUSE);
    const char *file = test_path("texts/.a.lock");
    struct file_lock *lock = NULL, *other = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_ok(lock_acquire(&request, &lock));
        write_text(file, texts[i]);
        assert_fails(lock_acquire(&request, &other), STATUS_USAGE, "in use by");
        for (const char *c = status_text(); *c; c++)
            assert_true((unsigned char)*c >= 32 && *c != 127);
        assert_null(strstr(status_text(), "\xe2\x80\xae")); /* U+202E */
        assert_null(strstr(status_text(), "\xc2\x9b"));     /* U+009B */
        lock_release(lock);
        lock = NULL;
    }
    char *large = malloc(1 << 20);
    memset(large, 'x', 1 << 20);
    assert_ok(make_directories(test_path("texts")));
    write_plainly(file, large, 1 << 20);
    free(large);
    assert_ok(lock_acquire(&request, &lock));
    lock_release(lock);
}

/* Many processes take it in turn, with the file removed at each release and holders being killed: never two inside. */
static int contend(const struct lock_request *request, const char *inside, int turns, uint64_t stream)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 91, stream);
    for (int i = 0; i < turns; i++) {
        struct file_lock *lock = NULL;
        if (lock_acquire(request, &lock) != STATUS_OK || !lock)
            return 1;
        int mark = open(inside, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (mark < 0)
            return 2;
        usleep((useconds_t)rng_below(&rng, 300));
        close(mark);
        unlink(inside);
        lock_release(lock);
        usleep((useconds_t)rng_below(&rng, 300));
    }
    return 0;
}

static void never_two_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 6 };
    const struct lock_request request = request_of(test_path("contended/folder"), LOCK_WAIT);
    const char *inside = test_path("inside");
    pid_t processes[PROCESSES];
    setenv("SPIRITLM_LOG", "quiet", 1);
    for (int i = 0; i < PROCESSES; i++) {
        processes[i] = fork();
        if (processes[i] == 0)
            _exit(contend(&request, inside, test_is_long() ? 3000 : 60, (uint64_t)i));
    }
    for (int i = 0; i < PROCESSES; i++) {
        int code;
        assert_int_equal(waitpid(processes[i], &code, 0), processes[i]);
        assert_true(WIFEXITED(code));
        assert_int_equal(WEXITSTATUS(code), 0);
    }
    unsetenv("SPIRITLM_LOG");
    assert_false(exists(test_path("contended/folder/.a.lock")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_is_refused_with_the_holder_s_name),
        cmocka_unit_test(folders_made_for_a_lock_go_with_it),
        cmocka_unit_test(nothing_is_locked_without_locks),
        cmocka_unit_test(a_killed_holder_is_replaced_without_a_word),
        cmocka_unit_test(what_a_holder_starts_does_not_keep_the_lock),
        cmocka_unit_test(a_file_that_was_removed_is_made_again),
        cmocka_unit_test(a_renamed_folder_takes_its_lock_along),
        cmocka_unit_test(two_names_of_a_folder_are_one_lock),
        cmocka_unit_test(those_of_one_purpose_share),
        cmocka_unit_test(nobody_waits_for_another_purpose),
        cmocka_unit_test(a_lock_is_no_damage),
        cmocka_unit_test(whatever_else_has_the_name_is_refused),
        cmocka_unit_test(any_text_in_the_file_is_harmless),
        cmocka_unit_test(never_two_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
