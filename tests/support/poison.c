#include "support/poison.h"

#include "support/test_kernels.h"
#include "support/test_support.h"

#include <float.h>
#include <math.h>

static _Thread_local struct {
    enum poison_kind kind;
    int64_t first, last, element, step; /* step: the one that is being computed */
    const float *target;                /* device; NULL: `element` of the embedding's gradient */
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
    poison.target = NULL;
    poison.step = 1;
    poison.loss_done = false;
}

void poison_aim(const float *gradient)
{
    poison.target = gradient;
}

static bool is_due(void)
{
    return poison.step >= poison.first && poison.step <= poison.last;
}

/* ---- losses ---- */

enum { MOST_GROUPS = 16 };

static void copy_sums(const struct device_context *context, double *host, double *device, int64_t count, bool to_host)
{
    const struct kernels *kernels = test_kernels();
    size_t bytes = (size_t)count * sizeof *host;
    assert_in_range(count, 1, MOST_GROUPS);
    assert_ok(to_host ? kernels->copy_to_host(context, QUEUE_COMPUTE, host, device, bytes)
                      : kernels->copy_to_device(context, QUEUE_COMPUTE, device, host, bytes));
    assert_ok(kernels->synchronize(context));
}

static void spoil_losses(const struct device_context *context, const struct cross_entropy *p, const double *before)
{
    static const float values[POISON_KINDS] = {
        [POISON_LOSS_NAN] = NAN, [POISON_LOSS_INFINITE] = INFINITY, [POISON_LOSS_MINUS_INFINITE] = -INFINITY};
    double sums[MOST_GROUPS];
    copy_sums(context, sums, p->group_sums, p->group_count, true);
    for (int64_t g = 0; g < p->group_count && poison.kind == POISON_LOSS_SPIKE; g++)
        sums[g] += 9 * (sums[g] - before[g]);
    if (values[poison.kind] != 0 && !poison.loss_done) {
        sums[0] += (double)values[poison.kind];
        poison.loss_done = true;
    }
    copy_sums(context, sums, p->group_sums, p->group_count, false);
}

static enum status poisoned_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    double before[MOST_GROUPS];
    bool due = is_due() && p->group_sums;
    if (due)
        copy_sums(context, before, p->group_sums, p->group_count, true);
    enum status result = test_kernels()->cross_entropy(context, p);
    if (result == STATUS_OK && due)
        spoil_losses(context, p, before);
    return result;
}

/* ---- gradients ---- */

/* Spoils the gradient that is aimed at when it is among the `count` that an operation has just left at `written`: a bucket
 * may be on its way to other ranks as soon as its last operation is over. */
static enum status spoil_gradients(const struct device_context *context, const float *written, int64_t count,
                                   const float *target)
{
    static const float values[POISON_KINDS] = {[POISON_GRADIENT_NAN] = NAN,
                                               [POISON_GRADIENT_INFINITE] = INFINITY,
                                               [POISON_GRADIENT_MINUS_INFINITE] = -INFINITY,
                                               [POISON_NORM_OVERFLOWS] = FLT_MAX,
                                               [POISON_GRADIENT_SPIKE] = 1e4f};
    static const float opposite = -FLT_MAX;
    enum status result = STATUS_OK;
    const struct kernels *kernels = test_kernels();
    int64_t at = target - written;
    if (!is_due() || values[poison.kind] == 0 || at < 0 || at >= count)
        return STATUS_OK;
    float *place = (float *)(uintptr_t)target, *neighbour = at > 0 ? place - 1 : place + 1;
    TRY(kernels->copy_to_device(context, QUEUE_COMPUTE, place, &values[poison.kind], sizeof *place));
    if (poison.kind == POISON_NORM_OVERFLOWS)
        TRY(kernels->copy_to_device(context, QUEUE_COMPUTE, neighbour, &opposite, sizeof opposite));
fail:
    return result;
}

static enum status poisoned_matmul(const struct device_context *context, const struct matmul *p)
{
    enum status result = test_kernels()->matmul(context, p);
    if (result == STATUS_OK && poison.target && p->c_type == DTYPE_F32 && p->c_row_stride == p->n && p->batch == 1)
        result = spoil_gradients(context, p->c, p->m * p->n, poison.target);
    return result;
}

static enum status poisoned_rmsnorm_backward(const struct device_context *context, const struct rmsnorm_backward *p)
{
    enum status result = test_kernels()->rmsnorm_backward(context, p);
    if (result == STATUS_OK && poison.target)
        result = spoil_gradients(context, p->grad_weight, p->channels, poison.target);
    return result;
}

/* The last operation of the way back: after it all gradients are complete. */
static enum status poisoned_embedding_backward(const struct device_context *context, const struct embedding_backward *p)
{
    enum status result = test_kernels()->embedding_backward(context, p);
    if (result == STATUS_OK)
        result = spoil_gradients(context, p->grad_table, p->rows * p->channels,
                                 poison.target ? poison.target : p->grad_table + poison.element);
    poison.step++;
    poison.loss_done = false;
    return result;
}

void poison_kernels(struct kernels *kernels)
{
    kernels->cross_entropy = poisoned_cross_entropy;
    kernels->matmul = poisoned_matmul;
    kernels->rmsnorm_backward = poisoned_rmsnorm_backward;
    kernels->embedding_backward = poisoned_embedding_backward;
}
