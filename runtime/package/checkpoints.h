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

/* Whether a run's folder step_N is a whole checkpoint of step N: a folder and not a link, which another run may change or
 * prune; every file agrees with MANIFEST; and the stored step is that of its name. STATUS_CORRUPT says what it is not. */
enum status checkpoint_verify(const char *path);

/* Removes the oldest checkpoints until `keep` are left, the newest of them `saved_step` (just saved), and that of the step
 * `spared` (-1: none) beside them if it is older. Folders of later steps belong to another history: they are neither counted
 * nor removed. */
enum status checkpoint_prune(const char *run, int64_t saved_step, int64_t keep, int64_t spared);

/* The newest checkpoint of the run that verifies completely. Damaged ones newer than it are skipped with a warning and,
 * with `repair`, renamed step_N.damaged-k. *path is allocated for the caller, NULL when there are no checkpoints;
 * STATUS_CORRUPT when there are and none verifies: starting from scratch is the user's decision. */
enum status checkpoint_newest(const char *run, bool repair, char **path);

/* `name` is a run's folder or a checkpoint folder, as a user names a model, the latter perhaps by a link: *path is a
 * verified checkpoint folder. */
enum status checkpoint_resolve(const char *name, char **path);

/* trainer/state.json of a folder. The caller decrefs. */
enum status checkpoint_read_state(const char *path, json_t **state);

#endif
