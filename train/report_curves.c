/* The curves of a run, collected from metrics.jsonl for drawing.
 *
 * One loss of 1e30 must not turn all others into a line along the bottom. So a chart's range is taken from the bulk of its
 * values: each curve's median and three times its median absolute deviation to both sides, which half of the values may
 * be spikes without moving. Only if all values together would take several times that range, those more than
 * that range's width outside it are left out, counted, and marked at the edge; a curve that falls quickly in its
 * first steps is thereby cut only in a run so long that its later course could not be seen otherwise. */
#include "train/report_internal.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS, HELD_OUT, HELD_OUT_SPEECH, HELD_OUT_INTERLEAVED, HELD_OUT_TEXT, NORM, RATE, SPEED };

const struct chart_kind chart_kinds[CHARTS] = {
    [LOSS] = {"Training loss", "nats per token", NULL, false},
    [HELD_OUT] = {"Held-out loss", "nats per token", NULL, false},
    [HELD_OUT_SPEECH] = {"Held-out speech", "nats per token", NULL, false},
    [HELD_OUT_INTERLEAVED] = {"Held-out interleaved text and speech", "nats per token", NULL, false},
    [HELD_OUT_TEXT] = {"Held-out text", "nats per token", NULL, false},
    [NORM] = {"Gradient norm before clipping", "L2 norm of the gradient", "norm", false},
    [RATE] = {"Learning rate", "step size of the optimizer", "learning rate", true},
    [SPEED] = {"Speed", "tokens per second", "speed", false},
};

/* Beyond it, sums and differences might not be finite: for ranges, what is larger counts as this. */
static const double largest = 1e290;

/* Which chart and stream a metric belongs to. Tags are one in hundreds of tokens: their curve would be noise. */
static const struct metric {
    const char *name;
    int chart;
    enum stream stream;
} metrics[] = {
    {"loss", LOSS, STREAM_ALL},
    {"loss/text", LOSS, STREAM_TEXT},
    {"loss/hubert", LOSS, STREAM_HUBERT},
    {"loss/pitch", LOSS, STREAM_PITCH},
    {"loss/style", LOSS, STREAM_STYLE},
    {"validation/loss", HELD_OUT, STREAM_ALL},
    {"validation/speech/text", HELD_OUT_SPEECH, STREAM_END},
    {"validation/speech/hubert", HELD_OUT_SPEECH, STREAM_HUBERT},
    {"validation/speech/pitch", HELD_OUT_SPEECH, STREAM_PITCH},
    {"validation/speech/style", HELD_OUT_SPEECH, STREAM_STYLE},
    {"validation/interleaved/text", HELD_OUT_INTERLEAVED, STREAM_TEXT},
    {"validation/interleaved/hubert", HELD_OUT_INTERLEAVED, STREAM_HUBERT},
    {"validation/interleaved/pitch", HELD_OUT_INTERLEAVED, STREAM_PITCH},
    {"validation/interleaved/style", HELD_OUT_INTERLEAVED, STREAM_STYLE},
    {"validation/text/text", HELD_OUT_TEXT, STREAM_TEXT},
    {"grad_norm", NORM, STREAM_ALL},
    {"lr", RATE, STREAM_ALL},
    {"tokens_per_second", SPEED, STREAM_ALL},
};

static void widen(struct range *range, double value)
{
    range->low = value < range->low ? value : range->low;
    range->high = value > range->high ? value : range->high;
}

static double bounded(double value)
{
    return fmax(-largest, fmin(largest, value));
}

/* ---- first: ranges ---- */

/* Every stride-th value; when there is no room, every second of those is let go. */
static void add_to_sample(struct curve *curve, double value)
{
    if (curve->count % curve->stride != 0)
        return;
    if (curve->sampled == SAMPLE) {
        for (int64_t i = 0; i < SAMPLE / 2; i++)
            curve->sample[i] = curve->sample[2 * i];
        curve->sampled = SAMPLE / 2;
        curve->stride *= 2;
    }
    if (curve->count % curve->stride == 0)
        curve->sample[curve->sampled++] = bounded(value);
}

static void note_value(struct report_chart *chart, struct curve *curve, double step, double value)
{
    widen(&chart->steps, step);
    if (!isfinite(value)) {
        if (curve->not_finite++ == 0)
            curve->first_not_finite = step;
        return;
    }
    const struct extreme here = {value, step};
    if (curve->count == 0) {
        curve->lowest = curve->highest = here;
        curve->stride = 1;
    }
    add_to_sample(curve, value);
    curve->count++;
    curve->last = here;
    if (value < curve->lowest.value)
        curve->lowest = here;
    if (value > curve->highest.value)
        curve->highest = here;
}

static int compare_values(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double sorted_median(const double *sorted, int64_t count)
{
    return 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
}

/* Where most values of a curve are. */
static struct range bulk_of(struct curve *curve)
{
    double distances[SAMPLE];
    int64_t n = curve->sampled;
    qsort(curve->sample, (size_t)n, sizeof(double), compare_values);
    double median = sorted_median(curve->sample, n);
    for (int64_t i = 0; i < n; i++)
        distances[i] = fabs(curve->sample[i] - median);
    qsort(distances, (size_t)n, sizeof(double), compare_values);
    double reach = 3 * sorted_median(distances, n);
    if (!(reach > 0)) /* more than half are equal */
        reach = 1.5 * (curve->sample[n - 1 - n / 10] - curve->sample[n / 10]);
    if (!(reach > 1e-3 * fabs(median)))
        reach = 1e-3 * fabs(median) + 1e-12;
    return (struct range){median - reach, median + reach};
}

static void accept_range(const struct chart_kind *kind, struct report_chart *chart)
{
    struct range bulk = {INFINITY, -INFINITY}, all = bulk;
    int64_t longest = 0;
    for (int i = 0; i < STREAMS; i++) {
        struct curve *curve = &chart->curves[i];
        if (curve->count == 0)
            continue;
        struct range of_curve = bulk_of(curve);
        widen(&bulk, of_curve.low);
        widen(&bulk, of_curve.high);
        widen(&all, bounded(curve->lowest.value));
        widen(&all, bounded(curve->highest.value));
        longest = curve->count > longest ? curve->count : longest;
    }
    double width = bulk.high - bulk.low;
    /* Of a few values it is hard to say which are not like the others. */
    double most = longest < 16 ? 12 : 4;
    chart->accepted = all;
    if (kind->whole || !(all.high - all.low > most * width))
        return;
    chart->accepted.low = fmax(all.low, bulk.low - width);
    chart->accepted.high = fmin(all.high, bulk.high + width);
}

/* ---- then: columns ---- */

static void add_to_column(struct report_chart *chart, struct curve *curve, double step, double value)
{
    double width = chart->steps.high - chart->steps.low;
    int64_t at = width > 0 ? (int64_t)((step - chart->steps.low) / width * COLUMNS) : 0;
    struct column *column = &curve->columns[at < 0 ? 0 : at < COLUMNS ? at : COLUMNS - 1];
    if (!isfinite(value)) {
        column->not_finite = true;
    } else if (value > chart->accepted.high) {
        column->above = true;
        curve->above++;
    } else if (value < chart->accepted.low) {
        column->below = true;
        curve->below++;
    } else {
        double share = 1 / (double)++column->count;
        column->step += (step - column->step) * share;
        column->value += (value - column->value) * share;
        widen(&chart->values, value);
    }
    if (column->count == 0)
        column->step = step;
}

/* ---- the file ---- */

typedef void use_value(struct report_chart *chart, struct curve *curve, double step, double value);

static enum status use_line(const char *path, const char *text, int64_t length, struct report_chart *charts,
                            use_value *use)
{
    json_t *line = NULL;
    enum status result = jdoc_parse(path, text, length, &line);
    if (result != STATUS_OK)
        return result;
    double step = json_number_value(json_object_get(line, "step"));
    for (size_t i = 0; fabs(step) < 1e15 && i < sizeof metrics / sizeof *metrics; i++) {
        const json_t *value = json_object_get(line, metrics[i].name);
        struct report_chart *chart = &charts[metrics[i].chart];
        if (!json_is_number(value) && !json_is_null(value)) /* null: it was not finite */
            continue;
        use(chart, &chart->curves[metrics[i].stream], step, json_is_null(value) ? NAN : json_number_value(value));
    }
    json_decref(line);
    return STATUS_OK;
}

/* A line at a time: the file grows as long as the run does. */
static enum status use_file(const char *path, struct report_chart *charts, use_value *use)
{
    enum status result = STATUS_OK;
    FILE *file = NULL;
    char *line = NULL;
    size_t capacity = 0;
    TRY(file_open_to_read(path, &file));
    if (!file)
        FAIL(STATUS_USAGE, "%s: there are no metrics", path);
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0 && line[length - 1] == '\n';)
        TRY(use_line(path, line, length - 1, charts, use));
    if (ferror(file))
        FAIL(STATUS_IO, "%s: cannot be read", path);
fail:
    free(line);
    if (file)
        fclose(file);
    return result;
}

enum status report_curves_read(const char *path, struct report_chart *charts)
{
    enum status result = STATUS_OK;
    for (int i = 0; i < CHARTS; i++)
        charts[i].steps = charts[i].values = (struct range){INFINITY, -INFINITY};
    TRY(use_file(path, charts, note_value));
    for (int i = 0; i < CHARTS; i++)
        accept_range(&chart_kinds[i], &charts[i]);
    TRY(use_file(path, charts, add_to_column));
fail:
    return result;
}
