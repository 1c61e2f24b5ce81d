/* SIGTERM, SIGINT and SIGUSR1 ask a run to save and stop: a handler only sets a flag, all ranks agree on the step by a
 * maximum over the flag, and a second signal leaves at once. */
#ifndef SPIRITLM_TRAIN_SIGNALS_H
#define SPIRITLM_TRAIN_SIGNALS_H

#include <stdbool.h>

void signals_install(void);
bool signals_stop_wanted(void);

#endif
