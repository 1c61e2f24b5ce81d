/* SALMon (Maimon et al. 2024): which recordings of its folders are a pair. A member PART/sample_I_J.wav is recording J of
 * pair I, 0 the natural one and 1 the one with a disturbance; numbers may have gaps, and other folders may lie above. */
#ifndef SPIRITLM_EVAL_ZERO_SHOT_SALMON_H
#define SPIRITLM_EVAL_ZERO_SHOT_SALMON_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct salmon_pair {
    const char *part; /* its length is in part_length: a piece of a member's name, borrowed */
    int64_t part_length;
    int64_t number;
    int64_t members[2]; /* natural, disturbed: indices of the names */
};

struct salmon {
    struct salmon_pair *pairs; /* by part, then by number */
    int64_t count, capacity;
    int64_t lone; /* pairs that lacked a side and were left out */
};

/* Joins the members of an archive, `names` in any order. STATUS_CORRUPT, naming `where` and the member: a .wav of another form of name,
 * a third recording, two members for one side, no pair at all, and without `skip` a pair that lacks a side. Members that are no
 * .wav are passed over. */
enum status salmon_read(const char *where, const char *const *names, int64_t count, bool skip, struct salmon *salmon);
void salmon_free(struct salmon *salmon);

#endif
