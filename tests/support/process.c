#include "support/process.h"

#include "support/test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const char *const *argv, const char *const *variables, int output)
{
    for (int i = 0; variables && variables[i]; i++)
        putenv((char *)(uintptr_t)variables[i]);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is ended leaves nothing running */
    if (dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(126);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

pid_t process_start(const char *const *argv, const char *const *variables, const char *output)
{
    fflush(NULL);
    /* Opened here and not in the child, so that one killed before its first instruction leaves no output of an earlier
     * process. */
    int file = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        fail_msg("%s: %s", output, strerror(errno));
    pid_t process = fork();
    if (process < 0)
        fail_msg("cannot fork: %s", strerror(errno));
    if (process == 0)
        become(argv, variables, file);
    close(file);
    return process;
}

int process_wait(pid_t process)
{
    int status;
    while (waitpid(process, &status, 0) != process)
        if (errno != EINTR)
            fail_msg("cannot wait: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
