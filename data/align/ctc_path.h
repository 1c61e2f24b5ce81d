/* The best way to read a row of labels off frames of speech, as connectionist temporal classification (Graves et al. 2006) allows
 * it: every frame belongs to one label or to the blank between two, labels keep their order, each lasts one frame or more, and
 * between two equal ones there is at least one blank. The best is the path with the greatest sum of log probabilities over all
 * paths: nothing is pruned. */
#ifndef SPIRITLM_DATA_ALIGN_CTC_PATH_H
#define SPIRITLM_DATA_ALIGN_CTC_PATH_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct ctc_problem {
    const float *emissions; /* [frames][columns], log probabilities; -inf is one, NaN is not */
    int64_t frames, columns;
    int64_t blank;         /* its column */
    const int32_t *labels; /* [label_count] columns, none of them the blank's; at least one label */
    int64_t label_count;
    int64_t spacing; /* frames between two checkpoints; 0: what needs the least memory. No bit depends on it */
};

/* states[frames]: 2j + 1 where label j is read, 2j where the blank before label j is, 2 label_count for the blank at the end.
 * *score: the sum of the path's log probabilities, added in double from the first frame to the last. *found is false, and
 * states are undefined, when the frames are too few for the labels or every path has the probability 0.
 *
 * Where several ways into a state have one score, the state stays what it was; where the two others tie above that, it is
 * entered from the state just before it. Where the last label and the blank behind it tie, the path ends in the label. So
 * does torchaudio's forced_align (2.1.2), but that in the second case it stays too, although the score is less: it can then
 * miss the best path, which this does not.
 *
 * Memory: 16 bytes per label at each checkpoint and half a byte per label and frame between two of them, together about
 * 6 sqrt(frames) bytes per label: 130 MB for an hour in 50 Hz frames with 54,000 letters. */
enum status ctc_path_find(const struct ctc_problem *problem, int32_t *states, double *score, bool *found);

/* The fewest frames that the labels need. */
int64_t ctc_path_least_frames(const int32_t *labels, int64_t label_count);

#endif
