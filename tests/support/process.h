/* Programs started by tests. */
#ifndef SPIRITLM_TESTS_PROCESS_H
#define SPIRITLM_TESTS_PROCESS_H

#include <sys/types.h>

/* Starts argv[0] (a path) with the additional NAME=VALUE of `variables` in its environment (both NULL-terminated;
 * variables may be NULL); everything that it prints goes to the file `output`. */
pid_t process_start(const char *const *argv, const char *const *variables, const char *output);

/* Waits for it to end; returns the exit code, or 128 + the signal. */
int process_wait(pid_t process);

#endif
