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
    bool stochastic_rounding; /* struct adamw; the bits come from the seed, the step and a parameter's place */
    uint64_t seed;
    /* Rows of the vocabulary from this one on, in the embedding and in a head of its own, learn at another rate: the given
     * one times these. Rates of 0 and 1 change nothing. */
    int64_t new_rows;
    double new_input_rate, new_output_rate;
};

/* What lies in device memory for the host's judge and for the update. */
struct optimizer_scalars {
    double squared_norm; /* of all ranks' gradients, and so are the others */
    int32_t nonfinite;   /* the update branches around everything when it is set */
    float norm, clip_scale;
};

/* What is under way in an exchange buffer. */
struct optimizer_transfer {
    int64_t ticket; /* 0: nothing */
    int64_t bucket;
    bool gathers; /* weights; else it reduces gradients */
};

struct optimizer {
    struct llama *model;             /* borrowed */
    struct comm *comm;               /* borrowed; host values */
    struct device_comm *device_comm; /* borrowed; gradients and weights */
    float *gradients;                /* device, layout.elements: where the backward passes leave them */
    int64_t *slice_counts; /* [bucket_count]: elements of a rank's slice, the last ranks' cut at the bucket's end */
    int64_t *slice_starts; /* [bucket_count]: where the bucket's slice lies in the slice arenas */
    int64_t slice_elements;
    struct adamw_segment *segments;      /* device: of bucket b from segment_starts[b] to segment_starts[b + 1] */
    int64_t *segment_starts;             /* [bucket_count + 1] */
    float *segment_rates;                /* host: what the learning rate is multiplied by */
    float *first_moment, *second_moment; /* device, slice_elements */
    float *masters;            /* device, slice_elements; NULL in f32, where the weights are their own masters */
    float *exchange;           /* device: two buffers, each a bucket padded to size * slice; NULL with one rank */
    int64_t exchange_elements; /* of one buffer */
    struct optimizer_transfer transfers[2];
    int64_t turn, buckets_done;
    struct optimizer_scalars *scalars; /* device */
    struct optimizer_scalars *figures; /* pinned: what they were when optimizer_measure's work was done */
    struct optimizer_settings settings;
};

/* Adds gradients and states to two plans for one of `ranks` ranks. */
enum status optimizer_plan(const struct parameter_layout *layout, enum dtype dtype, int ranks,
                           struct memory_plan *gradients, struct memory_plan *states);
/* Bytes of the context's scratch that its operations need. */
size_t optimizer_scratch(const struct kernels *kernels, const struct parameter_layout *layout, int ranks);

/* All states start at zero, and scratch is reserved. Make the optimizer before the weights are filled: with
 * optimizer_master_sink it takes its masters on their way. */
enum status optimizer_create(struct llama *model, struct comm *comm, struct device_comm *device_comm,
                             const struct optimizer_settings *settings, struct optimizer **optimizer);
void optimizer_destroy(struct optimizer *optimizer);

/* A step, of which all ranks call all parts. Nothing here waits for the device.
 *
 * For the last backward pass of the step: gradients are summed over the ranks, bucket by bucket, while it goes on. */
struct llama_bucket_hook optimizer_hook(struct optimizer *optimizer);

/* After that pass: leaves each rank its slices of the sums, and brings the norm of all on its way to the host. */
enum status optimizer_measure(struct optimizer *optimizer);

/* The norm before clipping, equal on all ranks; NaN when any gradient was not finite. After the synchronize that follows
 * optimizer_measure. */
double optimizer_gradient_norm(const struct optimizer *optimizer);

/* Applies the gradients; `step` counts updates from 1. Left out when the step is to be skipped. */
enum status optimizer_update(struct optimizer *optimizer, double learning_rate, int64_t step);

/* Before anything else uses the model's weights, or the next step begins: later work of the compute queue finds all ranks'
 * new weights. */
enum status optimizer_finish_update(struct optimizer *optimizer);

/* ---- states, for a start and for checkpoints (optimizer_state.c) ---- */

/* `which`: 0 first moment, 1 second moment, 2 masters. */
enum { OPTIMIZER_STATES = 3 };

/* Elements [offset, offset + count) of a state, by their place in the whole arena; padding between tensors included.
 * put takes the part that lies in this rank's slices from `values` (host; untouched until the next synchronize, or until
 * an event behind the call in the compute queue), and is no collective. get is one: all ranks call with the same range and
 * a buffer for it, and all receive it. A rank whose part cannot be had takes part all the same, so that nobody waits for
 * it; the others learn of it by comm_agree. */
enum status optimizer_put(struct optimizer *optimizer, int which, int64_t offset, const float *values, int64_t count);
enum status optimizer_get(struct optimizer *optimizer, int which, int64_t offset, int64_t count, float *values);

/* The part of a range within one bucket that lies in this rank's slice: elements [*from, *to). False: none. */
bool optimizer_own_part(const struct optimizer *optimizer, int64_t offset, int64_t count, int64_t *from, int64_t *to);

/* Takes weights as they are made or read into the masters of whichever rank has them. In f32, where the weights are their
 * own masters, it takes nothing. */
struct weight_sink optimizer_master_sink(struct optimizer *optimizer);

#endif
