/* One HTML page with curves as SVG, written in C from metrics.jsonl. It is read once from end to end, and a curve keeps at
 * most 2,048 means however long the run was, so the page costs the same memory after a million steps as after a hundred. */
#include "train/report.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SERIES = 32,
    MAX_POINTS = 2048, /* of a curve that are kept; about 500 are drawn */
    MAX_TICKS = 10,

    WIDTH = 560,
    HEIGHT = 260,
    LEFT = 58,
    RIGHT = 14,
    TOP = 12,
    BOTTOM = 30
};

/* A curve of any length in bounded memory: when all points are taken, each two neighbours become their mean. */
struct series {
    char name[64];
    double steps[MAX_POINTS], values[MAX_POINTS]; /* means of `run` values each, the last of `filled` */
    double last;
    int64_t count, run, filled;
};

struct curves {
    struct series series[MAX_SERIES];
    int count;
};

/* Which series share a chart: all whose name begins with one of the prefixes. */
static const struct chart {
    const char *title, *unit;
    const char *prefixes[3];
} charts[] = {
    {"Training loss", "nats per token", {"loss", NULL, NULL}},
    {"Held-out speech", "nats per token", {"validation/speech/", NULL, NULL}},
    {"Held-out interleaved", "nats per token", {"validation/interleaved/", NULL, NULL}},
    {"Held-out text, and all", "nats per token", {"validation/text/", "validation/loss", NULL}},
    {"Gradient norm", "before clipping", {"grad_norm", NULL, NULL}},
    {"Learning rate", "", {"lr", NULL, NULL}},
    {"Speed", "tokens per second", {"tokens_per_second", NULL, NULL}},
};
/* Okabe and Ito's colours, told apart by colour-blind readers too. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#999933", "#666666"};

static void halve(struct series *series)
{
    for (int64_t i = 0; i < MAX_POINTS / 2; i++) {
        series->steps[i] = 0.5 * (series->steps[2 * i] + series->steps[2 * i + 1]);
        series->values[i] = 0.5 * (series->values[2 * i] + series->values[2 * i + 1]);
    }
    series->count = MAX_POINTS / 2;
    series->run *= 2;
}

static void series_add(struct curves *curves, const char *name, double step, double value)
{
    struct series *series = NULL;
    for (int i = 0; i < curves->count && !series; i++)
        if (!strcmp(curves->series[i].name, name))
            series = &curves->series[i];
    if (!series) {
        if (curves->count == MAX_SERIES)
            return;
        series = &curves->series[curves->count++];
        snprintf(series->name, sizeof series->name, "%s", name);
        series->run = series->filled = 1;
    }
    if (series->filled == series->run) {
        if (series->count == MAX_POINTS)
            halve(series);
        series->steps[series->count] = series->values[series->count] = 0;
        series->count++;
        series->filled = 0;
    }
    double share = 1 / (double)++series->filled;
    series->steps[series->count - 1] += (step - series->steps[series->count - 1]) * share;
    series->values[series->count - 1] += (value - series->values[series->count - 1]) * share;
    series->last = value;
}

static enum status add_line(const char *path, const char *text, int64_t length, struct curves *curves)
{
    enum status result = STATUS_OK;
    json_t *line = NULL, *value;
    const char *key;
    TRY(jdoc_parse(path, text, length, &line));
    double step = json_number_value(json_object_get(line, "step"));
    json_object_foreach(line, key, value)
    {
        if (strcmp(key, "step") != 0 && json_is_number(value))
            series_add(curves, key, step, json_number_value(value));
    }
fail:
    json_decref(line);
    return result;
}

/* A line at a time: the file grows as long as the run does. */
static enum status read_curves(const char *path, struct curves *curves)
{
    enum status result = STATUS_OK;
    FILE *file = NULL;
    char *line = NULL;
    size_t capacity = 0;
    TRY(file_open_to_read(path, &file));
    if (!file)
        FAIL(STATUS_USAGE, "%s: there are no metrics", path);
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0 && line[length - 1] == '\n';)
        TRY(add_line(path, line, length - 1, curves));
    if (ferror(file))
        FAIL(STATUS_IO, "%s: cannot be read", path);
fail:
    free(line);
    if (file)
        fclose(file);
    return result;
}

/* Tags are one in hundreds of tokens: their curve is noise and widens the scale. */
static bool in_chart(const struct chart *chart, const char *name)
{
    size_t length = strlen(name);
    if (length > 4 && !strcmp(name + length - 4, "/tag"))
        return false;
    for (int i = 0; i < 3 && chart->prefixes[i]; i++)
        if (!strncmp(name, chart->prefixes[i], strlen(chart->prefixes[i])))
            return true;
    return false;
}

struct range {
    double low, high;
};

static void widen(struct range *range, double value)
{
    range->low = value < range->low ? value : range->low;
    range->high = value > range->high ? value : range->high;
}

/* A step of 1, 2 or 5 times a power of ten that cuts the range into three to seven parts. */
static double tick_step(struct range range)
{
    double rough = (range.high - range.low) / 4, power = pow(10, floor(log10(rough))), ratio = rough / power;
    return power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
}

static double x_of(struct range x, double value)
{
    return LEFT + (value - x.low) / (x.high - x.low) * (WIDTH - LEFT - RIGHT);
}

static double y_of(struct range y, double value)
{
    return HEIGHT - BOTTOM - (value - y.low) / (y.high - y.low) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(FILE *page, struct range x, struct range y)
{
    double step = tick_step(y);
    double first = ceil(y.low / step) * step;
    for (int i = 0; i < MAX_TICKS && first + i * step <= y.high + 1e-9 * step; i++) {
        double value = first + i * step;
        fprintf(page, "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f /><text x=%d y=%.1f text-anchor=end>%.5g</text>\n",
                LEFT, WIDTH - RIGHT, y_of(y, value), y_of(y, value), LEFT - 6, y_of(y, value) + 4,
                fabs(value) < 1e-12 * step ? 0 : value);
    }
    step = tick_step(x);
    first = ceil(x.low / step) * step;
    for (int i = 0; i < MAX_TICKS && first + i * step <= x.high + 1e-9 * step; i++) {
        double value = first + i * step;
        fprintf(page, "<text x=%.1f y=%d text-anchor=middle>%.6g</text>\n", x_of(x, value), HEIGHT - 10, value);
    }
}

/* At most about 500 points a curve: averages of equal runs, so that a long run stays a small page. */
static void draw_series(FILE *page, const struct series *series, struct range x, struct range y, const char *colour)
{
    int64_t run = series->count / 500 + 1;
    fprintf(page, "<polyline fill=none stroke=\"%s\" stroke-width=1.6 points=\"", colour);
    for (int64_t i = 0; i < series->count; i += run) {
        double sum = 0, step = 0;
        int64_t n = 0;
        for (int64_t j = i; j < i + run && j < series->count; j++, n++) {
            sum += series->values[j];
            step += series->steps[j];
        }
        fprintf(page, "%.1f,%.1f ", x_of(x, step / (double)n), y_of(y, sum / (double)n));
    }
    const struct series *s = series;
    fprintf(page, "\"><title>%s</title></polyline>\n", s->name);
    if (s->count == 1)
        fprintf(page, "<circle cx=%.1f cy=%.1f r=3 fill=\"%s\" />\n", x_of(x, s->steps[0]), y_of(y, s->values[0]),
                colour);
}

static void draw_chart(FILE *page, const struct chart *chart, const struct curves *curves)
{
    struct range x = {INFINITY, -INFINITY}, y = x;
    for (int i = 0; i < curves->count; i++)
        for (int64_t j = 0; j < curves->series[i].count && in_chart(chart, curves->series[i].name); j++) {
            widen(&x, curves->series[i].steps[j]);
            widen(&y, curves->series[i].values[j]);
        }
    if (!(x.low <= x.high))
        return;
    if (!(x.high > x.low))
        x.high = x.low + 1;
    double margin = y.high > y.low ? 0.04 * (y.high - y.low) : fabs(y.low) * 0.1 + 1e-12;
    y.low -= margin;
    y.high += margin;
    fprintf(page, "<figure><figcaption>%s <small>%s</small></figcaption><svg viewBox=\"0 0 %d %d\">\n", chart->title,
            chart->unit, WIDTH, HEIGHT);
    draw_axes(page, x, y);
    int drawn = 0, colour_count = sizeof colours / sizeof *colours;
    for (int i = 0; i < curves->count; i++)
        if (in_chart(chart, curves->series[i].name))
            draw_series(page, &curves->series[i], x, y, colours[drawn++ % colour_count]);
    fputs("</svg><p class=legend>", page);
    drawn = 0;
    for (int i = 0; i < curves->count; i++) {
        const struct series *series = &curves->series[i];
        if (in_chart(chart, series->name))
            fprintf(page, "<span><i style=\"background:%s\"></i>%s %.5g</span> ", colours[drawn++ % colour_count],
                    series->name, series->last);
    }
    fputs("</p></figure>\n", page);
}

static const char head[] =
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n"
    "<style>:root{color-scheme:light dark;--line:#8884}body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;"
    "margin:2em auto;padding:0 1em}figure{display:inline-block;width:min(100%,560px);margin:0 8px 20px 0;"
    "vertical-align:top}figcaption{font-weight:600}small{font-weight:400;opacity:.7}svg{width:100%}"
    "svg text{font-size:11px;fill:currentColor;opacity:.75}.grid{stroke:var(--line)}.legend{margin:0;font-size:13px}"
    ".legend i{display:inline-block;width:10px;height:10px;margin-right:5px;border-radius:2px}"
    ".legend span{margin-right:12px;white-space:nowrap}table{border-collapse:collapse}td,th{padding:2px 12px 2px 0;"
    "text-align:left}</style>\n";

/* The title is the user's: it may hold what HTML reads as its own. */
static void print_escaped(FILE *page, const char *text)
{
    for (; *text; text++)
        if (*text == '<')
            fputs("&lt;", page);
        else if (*text == '&')
            fputs("&amp;", page);
        else if (*text == '>')
            fputs("&gt;", page);
        else
            fputc(*text, page);
}

enum status report_write(const char *run, const char *title, const char *facts_html)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    size_t size = 0;
    FILE *page = NULL;
    struct curves *curves = calloc(1, sizeof *curves);
    if (!curves)
        FAIL(STATUS_INTERNAL, "no memory for the report");
    TRY(path_format(path, "%s/metrics.jsonl", run));
    TRY(read_curves(path, curves));
    page = open_memstream(&text, &size);
    if (!page)
        FAIL(STATUS_INTERNAL, "no memory for the report");
    fprintf(page, "%s<title>", head);
    print_escaped(page, title);
    fputs("</title><h1>", page);
    print_escaped(page, title);
    fprintf(page, "</h1>\n%s\n", facts_html);
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
        draw_chart(page, &charts[i], curves);
    bool written = !ferror(page);
    written = fclose(page) == 0 && written;
    if (!written)
        FAIL(STATUS_INTERNAL, "no memory for the report");
    TRY(path_format(path, "%s/report.html", run));
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    free(text);
    free(curves);
    return result;
}
