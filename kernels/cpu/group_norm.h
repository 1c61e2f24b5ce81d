/* What group norm and the convolution fused with one share: statistics of a channel over a block of frames, and how those
 * of a group come from them. */
#ifndef SPIRITLM_KERNELS_CPU_GROUP_NORM_H
#define SPIRITLM_KERNELS_CPU_GROUP_NORM_H

#include "kernels/cpu/cpu.h"

/* Statistics of one operation. Blocks of frames are counted from a row's first frame. */
struct group_statistics {
    int64_t batch, channels, groups, blocks; /* blocks: of a whole row */
    int64_t block_frames;
    float epsilon;
    float *partial;     /* [B][blocks][2][C]: mean and squares about it of a channel over a block */
    float *mean, *rstd; /* [B][groups] */
};

/* Bytes of partial, mean and rstd; and their places in `scratch`. */
size_t group_statistics_bytes(const struct group_statistics *statistics);
void group_statistics_place(struct group_statistics *statistics, float *scratch);

/* Fills mean and rstd from partial; row b has frames[b] frames (frames NULL: `all`). The outputs may be NULL. */
void group_statistics_finish(const struct device_context *context, const struct group_statistics *statistics,
                             const int32_t *frames, int64_t all, float *mean_output, float *rstd_output);

/* The partial statistics of block `block` of row b. */
static inline float *group_partial(const struct group_statistics *statistics, int64_t b, int64_t block)
{
    return statistics->partial + (b * statistics->blocks + block) * 2 * statistics->channels;
}

#endif
