/* What a judge says of one text or clip. */
#ifndef SPIRITLM_EVAL_JUDGES_JUDGEMENT_H
#define SPIRITLM_EVAL_JUDGES_JUDGEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { JUDGEMENT_NONE = -1 };

struct judgement {
    int32_t
        label; /* the class with the greatest logit, the first of equal ones; JUDGEMENT_NONE: a clip without a frame */
    bool truncated; /* only the beginning of the text was judged: it has more pieces than the model has positions */
};

#endif
