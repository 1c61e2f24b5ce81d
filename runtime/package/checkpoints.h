/* The checkpoints of a run: RUN/checkpoints/step_00001000/, each a Hugging Face folder published by the protocol of
 * io/atomic_file.h, with `trainer/` beside the weights. */
#ifndef SPIRITLM_PACKAGE_CHECKPOINTS_H
#define SPIRITLM_PACKAGE_CHECKPOINTS_H

#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* N of a folder called step_N by checkpoint_save; -1 for any other name (step_00000006.damaged-1, a temporary one). */
int64_t checkpoint_step(const char *name);

/* Removes the oldest until `keep` are left, `saved_step` (just saved) the newest of them; folders of later steps are of
 * another history and neither count nor go. */
enum status checkpoint_prune(const char *run, int64_t saved_step, int64_t keep);

/* The newest checkpoint of the run that verifies whole. Damaged ones newer than it are passed over with a warning, and
 * with `repair` renamed step_N.damaged-k. *path is allocated for the caller, NULL when there are no checkpoints;
 * STATUS_CORRUPT when there are and none verifies: starting anew is the user's decision. */
enum status checkpoint_newest(const char *run, bool repair, char **path);

/* RUN or a checkpoint folder itself, as a user names a model: *path is a verified checkpoint folder. */
enum status checkpoint_resolve(const char *name, char **path);

/* trainer/state.json of a folder. The caller decrefs. */
enum status checkpoint_read_state(const char *path, json_t **state);

#endif
