/* Checkpoints: RUN/checkpoints/step_00001000/, a Hugging Face folder with the components beside the weights and
 * `trainer/` (moments, masters, state.json), published by the protocol of io/atomic_file.h. */
#ifndef SPIRITLM_TRAIN_CHECKPOINT_H
#define SPIRITLM_TRAIN_CHECKPOINT_H

#include "package/components.h"
#include "train/optimizer.h"

#include <jansson.h>

/* Writes the checkpoint of `step`. All ranks call; rank 0 writes; `state` (rank 0's; borrowed) goes to
 * trainer/state.json. A folder of that step that exists (a damaged one, say) is replaced. Returns the same status on
 * all ranks. */
enum status checkpoint_save(const char *run, int64_t step, const struct components *components,
                            struct optimizer *optimizer, const json_t *state);

/* Host memory beside the arenas while rank 0 writes a checkpoint, or while a rank reads one: a state as a whole. */
int64_t checkpoint_host_bytes(const struct parameter_layout *layout);

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

/* Weights, masters and moments. The model must have the same shapes; the types may differ (f32 masters are stored
 * where they differ from the weights). */
enum status checkpoint_load(const char *path, struct optimizer *optimizer);

#endif
