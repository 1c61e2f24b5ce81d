/* Checkpoints: RUN/checkpoints/step_00001000/, a Hugging Face folder with the components beside the weights and
 * `trainer/` (moments, masters, state.json), published by the protocol of io/atomic_file.h. */
#ifndef SPIRITLM_TRAIN_CHECKPOINT_H
#define SPIRITLM_TRAIN_CHECKPOINT_H

#include "package/checkpoints.h"
#include "package/components.h"
#include "train/optimizer.h"

#include <jansson.h>

/* Writes the checkpoint of `step`. All ranks call; rank 0 writes; `state` (rank 0's; borrowed) goes to
 * trainer/state.json. A folder of that step that exists (a damaged one, say) is replaced. Returns the same status on
 * all ranks. */
enum status checkpoint_save(const char *run, int64_t step, const struct components *components,
                            struct optimizer *optimizer, const json_t *state);

/* Pinned host memory that a rank needs beside its arenas to start, to save and to load: a few pieces, whatever the size of
 * the model. */
int64_t checkpoint_host_bytes(enum dtype dtype);

/* Weights, masters and moments. The model must have the same shapes; the types may differ (f32 masters are stored
 * where they differ from the weights). */
enum status checkpoint_load(const char *path, struct optimizer *optimizer);

#endif
