/* The learning rate of a step: linear warm-up from 0, then constant or a cosine down to a minimum. */
#ifndef SPIRITLM_TRAIN_SCHEDULE_H
#define SPIRITLM_TRAIN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_COSINE };

struct schedule_settings {
    int kind; /* enum schedule_kind */
    double learning_rate, minimum;
    int64_t warmup_steps;
};

/* Of step 1..steps: step warmup_steps has the full rate; the last step of a cosine has the minimum. */
double schedule_rate(const struct schedule_settings *schedule, int64_t step, int64_t steps);

#endif
