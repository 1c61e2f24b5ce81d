#include "support/poison.h"

#include <float.h>
#include <math.h>

static _Thread_local struct {
    enum poison_kind kind;
    int64_t first, last, element, step; /* step: the one that is being computed */
    bool loss_done;
} poison;

const char *poison_name(enum poison_kind kind)
{
    static const char *const names[POISON_KINDS] = {"nothing",      "loss NaN",      "loss +inf",     "loss -inf",
                                                    "gradient NaN", "gradient +inf", "gradient -inf", "norm overflows",
                                                    "loss spike",   "gradient spike"};
    return names[kind];
}

void poison_begin(enum poison_kind kind, int64_t first, int64_t last, int64_t element)
{
    poison.kind = kind;
    poison.first = first;
    poison.last = last;
    poison.element = element;
    poison.step = 1;
    poison.loss_done = false;
}

static bool is_due(void)
{
    return poison.step >= poison.first && poison.step <= poison.last;
}

static void spoil_losses(const struct cross_entropy *p)
{
    static const float values[POISON_KINDS] = {
        [POISON_LOSS_NAN] = NAN, [POISON_LOSS_INFINITE] = INFINITY, [POISON_LOSS_MINUS_INFINITE] = -INFINITY};
    for (int64_t r = 0; r < p->rows; r++) {
        float loss = p->losses[r];
        if (poison.kind == POISON_LOSS_SPIKE) {
            loss *= 10;
        } else if (values[poison.kind] != 0 && p->targets[r] >= 0 && !poison.loss_done) {
            loss = values[poison.kind];
            poison.loss_done = true;
        }
        if (p->group_sums)
            p->group_sums[p->groups[r]] += (double)loss - (double)p->losses[r];
        p->losses[r] = loss;
    }
}

static enum status poisoned_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    enum status result = kernels_cpu()->cross_entropy(context, p);
    if (result == STATUS_OK && is_due())
        spoil_losses(p);
    return result;
}

static void spoil_gradients(float *gradients)
{
    static const float values[POISON_KINDS] = {[POISON_GRADIENT_NAN] = NAN,
                                               [POISON_GRADIENT_INFINITE] = INFINITY,
                                               [POISON_GRADIENT_MINUS_INFINITE] = -INFINITY,
                                               [POISON_NORM_OVERFLOWS] = FLT_MAX,
                                               [POISON_GRADIENT_SPIKE] = 1e4f};
    float value = values[poison.kind];
    if (value == 0)
        return;
    gradients[poison.element] = value;
    if (poison.kind == POISON_NORM_OVERFLOWS)
        gradients[poison.element ? 0 : 1] = -value;
}

/* The last operation of the way back: after it the gradients are complete. */
static enum status poisoned_embedding_backward(const struct device_context *context, const struct embedding_backward *p)
{
    enum status result = kernels_cpu()->embedding_backward(context, p);
    if (result == STATUS_OK && is_due())
        spoil_gradients(p->grad_table);
    poison.step++;
    poison.loss_done = false;
    return result;
}

void poison_kernels(struct kernels *kernels)
{
    kernels->cross_entropy = poisoned_cross_entropy;
    kernels->embedding_backward = poisoned_embedding_backward;
}
