/* AdamW over a model's flat parameters, sharded over the ranks: of every bucket (one layer) a rank owns a slice, for
 * which it keeps the f32 moments (and, in bf16, the f32 masters), receives the summed gradient, and from which all
 * ranks then gather the new weights. With one rank a slice is the whole bucket and nothing is exchanged. */
#ifndef SPIRITLM_TRAIN_OPTIMIZER_H
#define SPIRITLM_TRAIN_OPTIMIZER_H

#include "comm/comm.h"
#include "comm/device_comm.h"
#include "core/memory_plan.h"
#include "models/llama/llama.h"

#include <stdbool.h>

struct optimizer_settings {
    double beta1, beta2, epsilon, weight_decay, clip;
};

/* What the judge of a step needs; equal on all ranks. */
struct step_norm {
    double gradient_norm; /* before clipping; NaN when any gradient was not finite */
};

struct optimizer {
    struct llama *model;             /* borrowed */
    struct comm *comm;               /* borrowed; host values */
    struct device_comm *device_comm; /* borrowed; gradients and weights */
    float *gradients;                /* device, layout.elements: what the backward pass adds to */
    int64_t *slice_counts; /* [bucket_count]: elements of a rank's slice, the last ranks' cut at the bucket's end */
    int64_t *slice_starts; /* [bucket_count]: where the bucket's slice lies in the slice arenas */
    int64_t slice_elements;
    struct adamw_segment *segments;      /* device: of bucket b from segment_starts[b] to segment_starts[b + 1] */
    int64_t *segment_starts;             /* [bucket_count + 1] */
    float *first_moment, *second_moment; /* device, slice_elements */
    float *masters;       /* device, slice_elements; NULL in f32, where the weights are their own masters */
    float *exchange;      /* device: one bucket, padded to size * slice; NULL with one rank */
    double *squared_norm; /* device scalars */
    float *clip_scale, *norm;
    int32_t *nonfinite; /* of all ranks' gradients; the update branches around everything when it is set */
    struct optimizer_settings settings;
};

/* Adds gradients and states to two plans for one of `ranks` ranks. */
enum status optimizer_plan(const struct parameter_layout *layout, enum dtype dtype, int ranks,
                           struct memory_plan *gradients, struct memory_plan *states);

/* All states start at zero: in bf16 the caller then fills the masters, from which the weights are made in every update, by
 * optimizer_put. */
enum status optimizer_create(struct llama *model, struct comm *comm, struct device_comm *device_comm,
                             const struct optimizer_settings *settings, struct optimizer **optimizer);
void optimizer_destroy(struct optimizer *optimizer);

enum status optimizer_zero_gradients(struct optimizer *optimizer);

/* Sums the gradients over the ranks, leaves each rank its slices, and measures the norm. Synchronizes once. */
enum status optimizer_reduce(struct optimizer *optimizer, struct step_norm *norm);

/* Applies the reduced gradients; `step` counts updates from 1. */
enum status optimizer_update(struct optimizer *optimizer, double learning_rate, int64_t step);

/* The states as whole arenas (host f32, layout.elements) for a checkpoint, gathered from all ranks; and back. `which`:
 * 0 first moment, 1 second moment, 2 masters. All ranks must call; NULL on ranks that do not want the result. */
enum { OPTIMIZER_STATES = 3 };

/* Elements [offset, offset + count) of a state, by their place in the whole arena; padding between tensors included.
 * put takes the part that lies in this rank's slices from `values` (host; untouched until the next synchronize), and is no
 * collective. get is one: all ranks call with the same range and a buffer for it, and all receive it. */
enum status optimizer_put(struct optimizer *optimizer, int which, int64_t offset, const float *values, int64_t count);
enum status optimizer_get(struct optimizer *optimizer, int which, int64_t offset, int64_t count, float *values);

enum status optimizer_gather(struct optimizer *optimizer, int which, float *arena);
enum status optimizer_scatter(struct optimizer *optimizer, int which, const float *arena);

#endif
