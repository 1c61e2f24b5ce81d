/* A step is judged by the median and the median absolute deviation of the accepted ones before it: unlike mean and
 * variance, neither is moved by the very outliers that are to be found. Comparisons are written so that NaN fails. */
#include "train/guard.h"

#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS, NORM, SIGNALS };

struct guard {
    int64_t window, count, next; /* the windows are rings: `count` values, the next one goes to `next` */
    double deviations;
    double *values[SIGNALS];
    double *sorted; /* work space */
    int64_t skips;
};

enum status guard_create(int64_t window, double deviations, struct guard **out)
{
    *out = NULL;
    struct guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return status_set(STATUS_INTERNAL, "no memory for the step guard");
    guard->window = window;
    guard->deviations = deviations;
    guard->values[LOSS] = calloc((size_t)window, sizeof(double));
    guard->values[NORM] = calloc((size_t)window, sizeof(double));
    guard->sorted = calloc((size_t)window, sizeof(double));
    if (!guard->values[LOSS] || !guard->values[NORM] || !guard->sorted) {
        guard_destroy(guard);
        return status_set(STATUS_INTERNAL, "no memory for a guard window of %lld steps", (long long)window);
    }
    *out = guard;
    return STATUS_OK;
}

void guard_destroy(struct guard *guard)
{
    if (!guard)
        return;
    free(guard->values[LOSS]);
    free(guard->values[NORM]);
    free(guard->sorted);
    free(guard);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of_sorted(const struct guard *guard)
{
    int64_t middle = guard->count / 2;
    return guard->count % 2 ? guard->sorted[middle] : 0.5 * (guard->sorted[middle - 1] + guard->sorted[middle]);
}

static bool is_spike(struct guard *guard, int signal, double value)
{
    size_t count = (size_t)guard->count;
    memcpy(guard->sorted, guard->values[signal], count * sizeof(double));
    qsort(guard->sorted, count, sizeof(double), compare);
    double median = median_of_sorted(guard);
    for (size_t i = 0; i < count; i++)
        guard->sorted[i] = fabs(guard->values[signal][i] - median);
    qsort(guard->sorted, count, sizeof(double), compare);
    /* 1.4826 turns the median of absolute deviations into a normal's standard deviation; the floor of a thousandth
     * of the median keeps a window of nearly equal values from calling everything a spike. */
    double deviation = fmax(1.4826 * median_of_sorted(guard), 1e-3 * fabs(median));
    return !(value <= median + guard->deviations * deviation);
}

const char *guard_judge(struct guard *guard, double loss, double norm)
{
    const char *reason = NULL;
    if (!isfinite(loss))
        reason = "the loss is not finite";
    else if (!isfinite(norm))
        reason = "the gradient is not finite";
    else if (guard->deviations > 0 && guard->count >= guard->window / 2) {
        if (is_spike(guard, LOSS, loss))
            reason = "the loss is a spike";
        else if (is_spike(guard, NORM, norm))
            reason = "the gradient norm is a spike";
    }
    if (reason) {
        guard->skips++;
        return reason;
    }
    guard->skips = 0;
    guard->values[LOSS][guard->next] = loss;
    guard->values[NORM][guard->next] = norm;
    guard->next = (guard->next + 1) % guard->window;
    if (guard->count < guard->window)
        guard->count++;
    return NULL;
}

int64_t guard_skips_in_a_row(const struct guard *guard)
{
    return guard->skips;
}

/* Oldest first, so that the state does not depend on where the ring stood. */
static json_t *values_to_json(const struct guard *guard, int signal)
{
    json_t *list = json_array();
    int64_t start = (guard->next - guard->count + guard->window) % guard->window;
    for (int64_t i = 0; list && i < guard->count; i++)
        if (json_array_append_new(list, json_real(guard->values[signal][(start + i) % guard->window])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

enum status guard_save(const struct guard *guard, json_t **state)
{
    *state = json_pack("{s:I, s:o, s:o}", "skips", (json_int_t)guard->skips, "losses", values_to_json(guard, LOSS),
                       "norms", values_to_json(guard, NORM));
    return *state ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the guard's state");
}

enum status guard_restore(struct guard *guard, const json_t *state)
{
    const char *const keys[SIGNALS] = {"losses", "norms"};
    size_t count = json_array_size(json_object_get(state, "losses"));
    if (count != json_array_size(json_object_get(state, "norms")))
        return status_set(STATUS_CORRUPT, "guard state: %zu losses but another number of norms", count);
    size_t skipped = count > (size_t)guard->window ? count - (size_t)guard->window : 0; /* a smaller window now */
    for (int signal = 0; signal < SIGNALS; signal++)
        for (size_t i = skipped; i < count; i++) {
            const json_t *value = json_array_get(json_object_get(state, keys[signal]), i);
            if (!json_is_number(value) || !isfinite(json_number_value(value)))
                return status_set(STATUS_CORRUPT, "guard state: %s[%zu] is not a finite number", keys[signal], i);
            guard->values[signal][i - skipped] = json_number_value(value);
        }
    guard->count = (int64_t)(count - skipped);
    guard->next = guard->count % guard->window;
    return jdoc_get_int("guard state", state, "skips", 0, GUARD_STOPS_AT, &guard->skips);
}
