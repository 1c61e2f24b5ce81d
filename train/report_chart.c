/* A chart as SVG inside the page. Colours are classes of the page's style, so the same drawing is read on a light and a dark
 * background and on paper. */
#include "train/report_internal.h"

#include <math.h>

enum { MOST_TICKS = 12, MARK_DISTANCE = 6 };

static const char *const classes[STREAMS] = {
#define STREAM_CLASS(upper, class, label) #class,
    STREAM_LIST(STREAM_CLASS)
#undef STREAM_CLASS
};
static const char *const labels[STREAMS] = {
#define STREAM_LABEL(upper, class, label) label,
    STREAM_LIST(STREAM_LABEL)
#undef STREAM_LABEL
};

/* A step of 1, 2 or 5 times a power of ten that cuts the range into three to seven parts. */
static double tick_step(struct range range)
{
    double rough = (range.high - range.low) / 4, power = pow(10, floor(log10(rough))), ratio = rough / power;
    return power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
}

static double x_of(struct range x, double value)
{
    return CHART_LEFT + (value - x.low) / (x.high - x.low) * COLUMNS;
}

static double y_of(struct range y, double value)
{
    return CHART_HEIGHT - CHART_BOTTOM - (value - y.low) / (y.high - y.low) * (CHART_HEIGHT - CHART_TOP - CHART_BOTTOM);
}

/* Ticks of an axis; labels are in units of 10^exponent, which the axis's name says, so that they stay short. */
struct axis {
    double step, first, end;
    int exponent, decimals;
};

static struct axis axis_of(struct range range, double smallest_step, double without_exponent)
{
    struct axis axis = {.step = fmax(smallest_step, tick_step(range))};
    double size = fmax(fabs(range.low), fabs(range.high));
    axis.first = ceil(range.low / axis.step) * axis.step;
    axis.end = range.high + 1e-9 * axis.step;
    if (size >= without_exponent || size < 1e-2)
        axis.exponent = 3 * (int)floor(log10(size) / 3);
    int decimals = axis.exponent - (int)floor(log10(axis.step) + 1e-9);
    axis.decimals = decimals < 0 ? 0 : decimals < 9 ? decimals : 9;
    return axis;
}

static void print_tick(FILE *page, const struct axis *axis, double value)
{
    bool zero = fabs(value) < 1e-9 * axis->step;
    fprintf(page, "%.*f</text>\n", zero ? 0 : axis->decimals, zero ? 0 : value / pow(10, axis->exponent));
}

static void print_name(FILE *page, const struct axis *axis, const char *name)
{
    fputs(name, page);
    if (axis->exponent)
        fprintf(page, ", ×10<tspan class=\"power\" dy=\"-4\">%d</tspan>", axis->exponent);
    fputs("</text>\n", page);
}

static void draw_values(FILE *page, const struct chart_kind *kind, struct range y)
{
    const double right = CHART_WIDTH - CHART_RIGHT;
    const struct axis axis = axis_of(y, 0, 1e5);
    for (int i = 0; i < MOST_TICKS && axis.first + i * axis.step <= axis.end; i++) {
        double value = axis.first + i * axis.step, at = y_of(y, value);
        fprintf(page,
                "<line class=\"grid\" x1=\"%d\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" /><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">",
                CHART_LEFT, right, at, at, CHART_LEFT - 6, at + 4);
        print_tick(page, &axis, value);
    }
    fprintf(page, "<text transform=\"translate(14 %.0f) rotate(-90)\" text-anchor=\"middle\">",
            0.5 * (CHART_TOP + CHART_HEIGHT - CHART_BOTTOM));
    print_name(page, &axis, kind->unit);
}

static void draw_steps(FILE *page, struct range x)
{
    const double right = CHART_WIDTH - CHART_RIGHT, bottom = CHART_HEIGHT - CHART_BOTTOM;
    struct axis axis = axis_of(x, 1, 1e7); /* there is no half step */
    for (int i = 0; i < MOST_TICKS && axis.first + i * axis.step <= axis.end; i++) {
        double value = axis.first + i * axis.step, at = x_of(x, value);
        fprintf(page,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\" /><text x=\"%.1f\" y=\"%.0f\" "
                "text-anchor=\"middle\">",
                at, at, bottom, bottom + 4, at, bottom + 18);
        print_tick(page, &axis, value);
    }
    fprintf(page, "<path class=\"axis\" d=\"M%d %d V%.0f H%.0f\" /><text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">",
            CHART_LEFT, CHART_TOP, bottom, right, 0.5 * (CHART_LEFT + right), CHART_HEIGHT - 8);
    print_name(page, &axis, "training step");
}

/* A triangle that points out of the chart, or a cross for what is not finite. */
static void draw_mark(FILE *page, const char *class, const struct column *column, double x, double *last)
{
    const double top = CHART_TOP, bottom = CHART_HEIGHT - CHART_BOTTOM;
    if (x < *last + MARK_DISTANCE) /* a row of them would be a bar */
        return;
    if (column->above || column->below || column->not_finite)
        *last = x;
    if (column->above)
        fprintf(page, "<path class=\"mark %s\" d=\"M%.1f %.1f l4 7 h-8 z\" />\n", class, x, top);
    if (column->below)
        fprintf(page, "<path class=\"mark %s\" d=\"M%.1f %.1f l4 -7 h-8 z\" />\n", class, x, bottom);
    if (column->not_finite)
        fprintf(page, "<path class=\"cross %s\" d=\"M%.1f %.1f l6 6 m-6 0 l6 -6\" />\n", class, x - 3, top + 1);
}

/* Points from `begin` to the next column in which nothing can be drawn where something was measured; returns that one. */
static int64_t draw_piece(FILE *page, const struct curve *curve, const char *class, int64_t begin, struct range x,
                          struct range y)
{
    int64_t end = begin, points = 0, only = begin;
    for (; end < COLUMNS; end++) {
        const struct column *column = &curve->columns[end];
        if (column->count == 0 && (column->above || column->below || column->not_finite))
            break;
        points += column->count > 0;
        only = column->count > 0 ? end : only;
    }
    if (points == 1) {
        fprintf(page, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\" />\n", class,
                x_of(x, curve->columns[only].step), y_of(y, curve->columns[only].value));
    } else if (points > 1) {
        fprintf(page, "<polyline class=\"curve %s\" points=\"", class);
        for (int64_t i = begin; i < end; i++)
            if (curve->columns[i].count > 0)
                fprintf(page, "%.1f,%.1f ", x_of(x, curve->columns[i].step), y_of(y, curve->columns[i].value));
        fputs("\" />\n", page);
    }
    return end;
}

static void draw_curve(FILE *page, const struct curve *curve, const char *class, struct range x, struct range y)
{
    double last = -MARK_DISTANCE;
    for (int64_t i = 0; i < COLUMNS; i++)
        i = draw_piece(page, curve, class, i, x, y);
    for (int64_t i = 0; i < COLUMNS; i++)
        draw_mark(page, class, &curve->columns[i], x_of(x, curve->columns[i].step), &last);
}

static bool is_empty(const struct curve *curve)
{
    return curve->count == 0 && curve->not_finite == 0;
}

static const char *label_of(const struct chart_kind *kind, int stream)
{
    return kind->label ? kind->label : labels[stream];
}

/* With the last value of each, since that is what one looks for. */
static void draw_legend(FILE *page, const struct chart_kind *kind, const struct report_chart *chart)
{
    fputs("<p class=\"legend\">", page);
    for (int i = 0; i < STREAMS; i++) {
        const struct curve *curve = &chart->curves[i];
        if (is_empty(curve))
            continue;
        fprintf(page,
                "<span><svg class=\"key\" viewBox=\"0 0 24 8\" width=\"24\" height=\"8\"><line class=\"curve %s\" "
                "x1=\"0\" x2=\"24\" y1=\"4\" y2=\"4\" /></svg> %s ",
                classes[i], label_of(kind, i));
        if (curve->count > 0)
            fprintf(page,
                    fabs(curve->last.value) >= 1e5 && fabs(curve->last.value) < 1e12 ? "<b>%.0f</b> at step %.0f"
                                                                                     : "<b>%.5g</b> at step %.0f",
                    curve->last.value, curve->last.step);
        fputs("</span> ", page);
    }
    fputs("</p>\n", page);
}

static void note_outside(FILE *page, const char *label, const char *side, const char *most, int64_t count,
                         const struct extreme *extreme)
{
    if (count > 0)
        fprintf(page,
                "<p class=\"note\">%s: %lld %s %s the chart, marked at its edge; the %s is %.6g at step %.0f.</p>\n",
                label, (long long)count, count == 1 ? "value lies" : "values lie", side, most, extreme->value,
                extreme->step);
}

static void draw_notes(FILE *page, const struct chart_kind *kind, const struct report_chart *chart)
{
    for (int i = 0; i < STREAMS; i++) {
        const struct curve *curve = &chart->curves[i];
        note_outside(page, label_of(kind, i), "above", "highest", curve->above, &curve->highest);
        note_outside(page, label_of(kind, i), "below", "lowest", curve->below, &curve->lowest);
        if (curve->not_finite > 0)
            fprintf(page, "<p class=\"note\">%s: %lld %s not finite, marked by a cross; the first at step %.0f.</p>\n",
                    label_of(kind, i), (long long)curve->not_finite, curve->not_finite == 1 ? "value is" : "values are",
                    curve->first_not_finite);
    }
}

void report_chart_draw(FILE *page, const struct chart_kind *kind, const struct report_chart *chart)
{
    struct range x = chart->steps, y = chart->values;
    if (!(x.low <= x.high))
        return;
    if (!(x.high > x.low))
        x.high = x.low + 1;
    if (!(y.low <= y.high)) /* nothing but what is not finite */
        y = (struct range){0, 1};
    double margin = y.high > y.low ? 0.04 * (y.high - y.low) : y.low != 0 ? 0.1 * fabs(y.low) : 1;
    y.low -= margin;
    y.high += margin;
    fprintf(page,
            "<figure><figcaption>%s</figcaption>\n<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"%s: %s by training step\">\n",
            kind->title, CHART_WIDTH, CHART_HEIGHT, kind->title, kind->unit);
    draw_values(page, kind, y);
    draw_steps(page, x);
    for (int i = 0; i < STREAMS; i++)
        draw_curve(page, &chart->curves[i], classes[i], x, y);
    fputs("</svg>\n", page);
    draw_legend(page, kind, chart);
    draw_notes(page, kind, chart);
    fputs("</figure>\n", page);
}
