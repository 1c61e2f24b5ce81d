/* What a terminal shows: lines of progress and messages between them, seen from the other end of a pseudo-terminal. */
#include "support/test_support.h"

#include "core/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Progress, a warning between two updates, another one after the end. */
static void speak(int terminal)
{
    struct progress progress;
    dup2(terminal, STDERR_FILENO);
    unsetenv("SPIRITLM_LOG");
    progress_start(&progress, "aligning", "clips", 4);
    for (int64_t done = 1; done < 4; done++) {
        progress.last_shown -= 1; /* as if a second had passed */
        progress_update(&progress, done, "");
        if (done == 2)
            log_warning("a clip is silent");
    }
    progress_finish(&progress, 4, "");
    log_warning("that was all");
    _exit(0);
}

static void messages_do_not_mix_with_progress(void **state)
{
    (void)state;
    char seen[4096] = "";
    size_t count = 0;
    int status, master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip(); /* a machine without pseudo-terminals */
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        speak(terminal);
    close(terminal);
    for (ssize_t got; count < sizeof seen - 1 && (got = read(master, seen + count, sizeof seen - 1 - count)) > 0;)
        count += (size_t)got;
    seen[count] = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(master);
    /* The warning erases the line of progress, ends its own, and progress begins on the next one. */
    const char *warning = strstr(seen, "\r\033[Kwarning: a clip is silent\r\n\r\033[Kaligning: 3/4 clips");
    assert_non_null(warning);
    const char *before = strstr(seen, "\r\033[Kaligning: 2/4 clips");
    assert_true(before && before < warning);
    assert_non_null(strstr(warning, "\r\033[Kaligning: 4/4 clips"));
    /* After the end there is nothing to erase. */
    const char *last = strstr(seen, "warning: that was all\r\n");
    assert_true(last && last > warning && last[-1] == '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_do_not_mix_with_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
