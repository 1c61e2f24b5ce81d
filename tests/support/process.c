#include "support/process.h"

#include "support/test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const char *const *argv, const char *const *variables, const char *output)
{
    for (int i = 0; variables && variables[i]; i++)
        putenv((char *)(uintptr_t)variables[i]);
    int file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0 || dup2(file, 1) < 0 || dup2(file, 2) < 0)
        _exit(126);
    close(file);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

pid_t process_start(const char *const *argv, const char *const *variables, const char *output)
{
    fflush(NULL);
    pid_t process = fork();
    if (process < 0)
        fail_msg("cannot fork: %s", strerror(errno));
    if (process == 0)
        become(argv, variables, output);
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
