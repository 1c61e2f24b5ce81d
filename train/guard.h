/* Decides whether a step may change the weights: never on a NaN or infinity, and, when wanted, not on a spike. The
 * window holds only finite, accepted values, so that a bad step cannot poison what later ones are judged by. */
#ifndef SPIRITLM_TRAIN_GUARD_H
#define SPIRITLM_TRAIN_GUARD_H

#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { GUARD_STOPS_AT = 3 }; /* skipped steps in a row stop the run */

struct guard; /* opaque: two windows (loss, gradient norm) and the run of skips */

/* deviations 0: only non-finite values are refused. The spike rule waits until the window is half full. */
enum status guard_create(int64_t window, double deviations, struct guard **guard);
void guard_destroy(struct guard *guard);

/* NULL: accepted, and remembered. Else a static text why the step must be skipped. */
const char *guard_judge(struct guard *guard, double loss, double gradient_norm);

int64_t guard_skips_in_a_row(const struct guard *guard);

enum status guard_save(const struct guard *guard, json_t **state);
enum status guard_restore(struct guard *guard, const json_t *state);

#endif
