/* The curves of report.html, between those who collect them (report_curves.c), draw them (report_chart.c) and write the page
 * (report.c). A curve is one stream of tokens in one chart; which metric belongs where is decided here once, so a stream has
 * the same name and colour in all charts. */
#ifndef SPIRITLM_TRAIN_REPORT_INTERNAL_H
#define SPIRITLM_TRAIN_REPORT_INTERNAL_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* STREAM(NAME, class, label). In documents of speech alone the only token of text that is predicted is the end of the
 * sequence, so what the metrics call validation/speech/text is a stream of its own. */
#define STREAM_LIST(STREAM)                                                                                            \
    STREAM(ALL, all, "all tokens")                                                                                     \
    STREAM(TEXT, text, "text (with end of sequence)")                                                                  \
    STREAM(HUBERT, hubert, "speech units")                                                                             \
    STREAM(PITCH, pitch, "pitch")                                                                                      \
    STREAM(STYLE, style, "style")                                                                                      \
    STREAM(END, end, "end of sequence")

enum stream {
#define STREAM_ENUMERATOR(upper, class, label) STREAM_##upper,
    STREAM_LIST(STREAM_ENUMERATOR)
#undef STREAM_ENUMERATOR
        STREAMS
};

enum {
    CHARTS = 8,
    SAMPLE = 2048, /* values of a curve from which its range is estimated */

    /* In the units of the drawing. */
    CHART_WIDTH = 560,
    CHART_HEIGHT = 280,
    CHART_LEFT = 70,
    CHART_RIGHT = 26,
    CHART_TOP = 14,
    CHART_BOTTOM = 46,
    COLUMNS = CHART_WIDTH - CHART_LEFT - CHART_RIGHT /* a curve is drawn by the mean of each */
};

struct range {
    double low, high;
};

struct extreme {
    double value, step;
};

/* What a column of the drawing shows of a curve: the mean of the values in the chart's range, and that there were others. */
struct column {
    double step, value;
    int64_t count;
    bool above, below, not_finite;
};

struct curve {
    int64_t count, not_finite; /* values that are finite; those that are not */
    int64_t above, below;      /* of the finite ones, outside the chart's range */
    struct extreme lowest, highest, last;
    double first_not_finite; /* step */
    double sample[SAMPLE];   /* each `stride`-th value */
    int64_t sampled, stride;
    struct column columns[COLUMNS];
};

struct report_chart {
    struct curve curves[STREAMS];
    struct range steps;    /* of all values, not finite ones too */
    struct range accepted; /* values outside it are marked at the edge */
    struct range values;   /* those that were accepted */
};

struct chart_kind {
    const char *title;
    const char *unit;  /* of the vertical axis */
    const char *label; /* of its only curve; NULL: curves are named by their streams */
    bool whole;        /* everything is drawn: a schedule has no outliers */
};
extern const struct chart_kind chart_kinds[CHARTS];

/* Reads the metrics twice from end to end, and takes the same memory however long they are: once for the ranges, once for
 * the columns. charts[CHARTS] are zeros before. */
enum status report_curves_read(const char *path, struct report_chart *charts);

/* Nothing for a chart without values. */
void report_chart_draw(FILE *page, const struct chart_kind *kind, const struct report_chart *chart);

#endif
