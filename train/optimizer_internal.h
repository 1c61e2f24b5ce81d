/* What optimizer.c and optimizer_state.c share. */
#ifndef SPIRITLM_TRAIN_OPTIMIZER_INTERNAL_H
#define SPIRITLM_TRAIN_OPTIMIZER_INTERNAL_H

#include "train/optimizer.h"

static inline int64_t bucket_size(const struct parameter_layout *layout, int64_t bucket)
{
    return layout->bucket_offsets[bucket + 1] - layout->bucket_offsets[bucket];
}

/* A rank's slice of a bucket, in elements of the whole arena: begin, and the part of the count that lies inside the
 * bucket (the last ranks' slices may be short or empty). */
static inline int64_t slice_begin(const struct optimizer *optimizer, int64_t bucket, int rank)
{
    return optimizer->model->layout.bucket_offsets[bucket] + rank * optimizer->slice_counts[bucket];
}

static inline int64_t slice_length(const struct optimizer *optimizer, int64_t bucket, int rank)
{
    int64_t left = optimizer->model->layout.bucket_offsets[bucket + 1] - slice_begin(optimizer, bucket, rank);
    return left < 0 ? 0 : left < optimizer->slice_counts[bucket] ? left : optimizer->slice_counts[bucket];
}

#endif
