/* The rate depends on the step alone, never on state that a resume would have to restore. */
#include "train/schedule.h"

#include <math.h>

double schedule_rate(const struct schedule_settings *schedule, int64_t step, int64_t steps)
{
    if (step < schedule->warmup_steps)
        return schedule->learning_rate * (double)step / (double)schedule->warmup_steps;
    if (schedule->kind == SCHEDULE_CONSTANT)
        return schedule->learning_rate;
    int64_t length = steps - schedule->warmup_steps;
    double done = length > 0 ? (double)(step - schedule->warmup_steps) / (double)length : 1.0;
    double share = 0.5 * (1.0 + cos(3.14159265358979323846 * fmin(done, 1.0)));
    return schedule->minimum + (schedule->learning_rate - schedule->minimum) * share;
}
