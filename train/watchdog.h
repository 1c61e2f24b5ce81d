/* Ends a process that hangs: a rank that waits for one that is gone, a disk that does not answer. Without it a
 * cluster's machines stand idle until somebody looks. */
#ifndef SPIRITLM_TRAIN_WATCHDOG_H
#define SPIRITLM_TRAIN_WATCHDOG_H

#include "core/status.h"

#include <stdint.h>

struct watchdog; /* opaque: a thread that sleeps until the next sign of life is overdue */

/* Watches from the first watchdog_alive on. `seconds` 0: nothing is watched, *watchdog is NULL. */
enum status watchdog_create(double seconds, int rank, struct watchdog **watchdog);

/* A sign of life: what begins now ("a step", "saving"; a static text) and after how many steps. When the next sign
 * does not come within the seconds, the process prints both and exits with STATUS_HANG; what was saved stays as it is.
 * NULL is fine. */
void watchdog_alive(struct watchdog *watchdog, int64_t steps_done, const char *doing);

void watchdog_destroy(struct watchdog *watchdog); /* NULL is fine */

#endif
