/* Handlers may do next to nothing safely, so they set a flag, which the run looks at between steps. The second signal is
 * for somebody who does not want to wait for a save. */
#include "train/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t stop_wanted;

static void handle(int number)
{
    if (stop_wanted)
        _exit(128 + number);
    stop_wanted = 1;
}

void signals_install(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

bool signals_stop_wanted(void)
{
    return stop_wanted != 0;
}
