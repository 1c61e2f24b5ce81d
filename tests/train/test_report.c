/* report.html, read back: a curve's points against the numbers that went in, by the labels of the axes; values that are
 * like no others; colours; and texts that are no texts. */
#include "support/files.h"
#include "support/markup.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "train/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 65536, HEIGHT = 220 /* of the space for curves, in the drawing's units */ };

static char run[700];
static FILE *metrics;

static void begin(void)
{
    static int number;
    snprintf(run, sizeof run, "%s/run_%d", test_directory(), number++);
    assert_ok(make_directories(run));
    char path[800];
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    metrics = fopen(path, "w");
    assert_non_null(metrics);
}

/* The page, well-formed, to be freed. */
static char *finish(void)
{
    char path[800], *page;
    int64_t size;
    fclose(metrics);
    assert_ok(report_write(run, run, "Facts."));
    snprintf(path, sizeof path, "%s/report.html", run);
    assert_ok(file_read(path, 1 << 24, (void **)&page, &size));
    markup_assert_well_formed(page);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "http"));
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "\"inf"));
    return page;
}

/* The figure of a title, copied; NULL when there is none. */
static char *figure(const char *page, const char *title)
{
    char caption[200];
    snprintf(caption, sizeof caption, "<figcaption>%s</figcaption>", title);
    const char *found = strstr(page, caption);
    return found ? strndup(found, (size_t)(strstr(found, "</figure>") - found)) : NULL;
}

/* What the axes say: value = offset + slope * place. */
struct scale {
    double slope, offset;
    int ticks;
};

/* Labels must stand at even distances and be in a line. `vertical`: those of the values. */
static struct scale read_scale(const char *chart, bool vertical)
{
    char *attributes = malloc(ROOM), *value = malloc(ROOM);
    double places[32], labels[32];
    struct scale scale = {0};
    double factor = 1;
    for (const char *at = chart; markup_next(&at, "text", attributes);) {
        if (!markup_attribute(attributes, "text-anchor", value) || (strcmp(value, "end") == 0) != vertical)
            if (!strstr(attributes, "rotate"))
                continue;
        char *end;
        double label = strtod(at, &end);
        if (end == at || *end != '<') { /* the axis's own name, perhaps with a power of ten */
            const char *power = strstr(at, "×10<tspan class=\"power\" dy=\"-4\">");
            if (power && power < strstr(at, "</text>") && (strstr(attributes, "rotate") != NULL) == vertical)
                factor = pow(10, strtod(strchr(power, '>') + 1, NULL));
            continue;
        }
        assert_true(end - at <= 7); /* a longer one would lie on the axis's name */
        assert_true(scale.ticks < 32);
        assert_true(markup_attribute(attributes, vertical ? "y" : "x", value));
        places[scale.ticks] = strtod(value, NULL) - (vertical ? 4 : 0); /* text stands below its line */
        labels[scale.ticks++] = label;
    }
    if (scale.ticks > 1) {
        int last = scale.ticks - 1;
        for (int i = 0; i <= last; i++)
            labels[i] *= factor;
        scale.slope = (labels[last] - labels[0]) / (places[last] - places[0]);
        scale.offset = labels[0] - scale.slope * places[0];
    }
    for (int i = 0; i < scale.ticks && scale.ticks > 1; i++) {
        double expected = scale.offset + scale.slope * places[i], step = (labels[1] - labels[0]);
        if (!(fabs(labels[i] - expected) <= 0.02 * fabs(step)) || !(step > 0))
            fail_msg("tick %d: %g stands where %g belongs", i, labels[i], expected);
    }
    free(attributes);
    free(value);
    return scale;
}

struct points {
    double x[4096], y[4096];
    int count;
};

/* All points of the curves of a class. */
static void read_points(const char *chart, const char *class, struct points *points)
{
    char *attributes = malloc(ROOM), *value = malloc(ROOM), wanted[40];
    points->count = 0;
    snprintf(wanted, sizeof wanted, "curve %s", class);
    for (const char *at = chart; markup_next(&at, "polyline", attributes);) {
        assert_true(markup_attribute(attributes, "class", value));
        if (strcmp(value, wanted) != 0)
            continue;
        assert_true(markup_attribute(attributes, "points", value));
        for (char *c = value; *c; c += strspn(c, " ")) {
            points->x[points->count] = strtod(c, &c);
            assert_int_equal(*c, ',');
            points->y[points->count++] = strtod(c + 1, &c);
        }
    }
    snprintf(wanted, sizeof wanted, "dot %s", class);
    for (const char *at = chart; markup_next(&at, "circle", attributes);) {
        assert_true(markup_attribute(attributes, "class", value) && markup_attribute(attributes, "cx", wanted));
        points->x[points->count] = strtod(wanted, NULL);
        assert_true(markup_attribute(attributes, "cy", wanted));
        points->y[points->count] = strtod(wanted, NULL);
        snprintf(wanted, sizeof wanted, "dot %s", class);
        points->count += strcmp(value, wanted) == 0;
    }
    free(attributes);
    free(value);
}

/* How much of the chart's height the points of a class take. */
static double share(const char *chart, const char *class)
{
    struct points *points = malloc(sizeof *points);
    double low = INFINITY, high = -INFINITY;
    read_points(chart, class, points);
    for (int i = 0; i < points->count; i++) {
        low = fmin(low, points->y[i]);
        high = fmax(high, points->y[i]);
        assert_true(points->y[i] >= 14 && points->y[i] <= 14 + HEIGHT);
        assert_true(points->x[i] >= 70 && points->x[i] <= 560 - 26);
    }
    free(points);
    return (high - low) / HEIGHT;
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        count++;
    return count;
}

/* ---- the numbers ---- */

/* 400 points are one per column: each must stand at its value, over ranges of all sizes. */
static void points_stand_where_the_axes_say(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 91, 0);
    struct points *points = malloc(sizeof *points);
    for (int round = 0; round < (test_is_long() ? 400 : 30); round++) {
        double size = pow(10, (double)(round * 7 % 20) - 10), base = round % 3 == 0 ? 0 : size * (round % 7 - 3);
        double values[400];
        begin();
        for (int i = 0; i < 400; i++) {
            values[i] = base + size * rng_uniform(&rng);
            fprintf(metrics, "{\"step\": %d, \"loss\": %.17g}\n", 100 + 7 * i, values[i]);
        }
        char *page = finish(), *chart = figure(page, "Training loss");
        assert_non_null(chart);
        struct scale x = read_scale(chart, false), y = read_scale(chart, true);
        if (x.ticks < 3 || x.ticks > 12 || y.ticks < 3 || y.ticks > 12)
            fail_msg("values of %g + %g: %d and %d ticks", base, size, x.ticks, y.ticks);
        read_points(chart, "all", points);
        assert_int_equal(points->count, 400);
        for (int i = 0; i < 400; i++) {
            double step = x.offset + x.slope * points->x[i], value = y.offset + y.slope * points->y[i];
            if (!(fabs(step - (100 + 7 * i)) <= 1) || !(fabs(value - values[i]) <= 0.003 * size))
                fail_msg("values of %g + %g, point %d: step %g value %.9g, expected %d and %.9g", base, size, i, step,
                         value, 100 + 7 * i, values[i]);
        }
        assert_true(share(chart, "all") > 0.85);
        free(chart);
        free(page);
    }
    free(points);
}

/* The means of the steps that share a column. */
static void long_runs_stay_small(void **state)
{
    (void)state;
    begin();
    for (int i = 1; i <= 100000; i++)
        fprintf(metrics, "{\"step\": %d, \"loss\": %.9g, \"loss/hubert\": %.9g}\n", i, 3 + 1e-5 * i + (i & 1 ? 1 : -1),
                i == 70000 ? 1e30 : 2 + 1e-5 * i);
    char *page = finish(), *chart = figure(page, "Training loss");
    struct points *points = malloc(sizeof *points);
    assert_true(strlen(page) < 100000);
    struct scale x = read_scale(chart, false), y = read_scale(chart, true);
    read_points(chart, "all", points);
    assert_true(points->count > 400);
    for (int i = 0; i < points->count; i++) {
        double step = x.offset + x.slope * points->x[i], value = y.offset + y.slope * points->y[i];
        if (!(fabs(value - (3 + 1e-5 * step)) <= 0.03))
            fail_msg("step %g: %g", step, value);
    }
    read_points(chart, "hubert", points); /* the spike is in no mean */
    for (int i = 0; i < points->count; i++)
        assert_true(fabs(y.offset + y.slope * points->y[i] - 2 - 1e-5 * (x.offset + x.slope * points->x[i])) <= 0.03);
    assert_non_null(strstr(chart,
                           "speech units: 1 value lies above the chart, marked at its edge; the highest is 1e+30 "
                           "at step 70000."));
    free(points);
    free(chart);
    free(page);
}

/* ---- values like no others ---- */

static void a_spike_flattens_nothing(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 92, 0);
    static const double spikes[] = {1e30, -1e30, 1e308, 1e4, -500, 60};
    for (int round = 0; round < (test_is_long() ? 600 : 60); round++) {
        int count = 5 + round * (round + 1) / 6, at = (int)rng_below(&rng, (uint64_t)count);
        double spike = spikes[round % 6];
        char expected[200];
        begin();
        for (int i = 0; i < count; i++)
            fprintf(metrics, "{\"step\": %d, \"loss/text\": %.17g}\n", 10 * i,
                    i == at ? spike : 3 + rng_uniform(&rng) - 2.0 * i / count);
        char *page = finish(), *chart = figure(page, "Training loss");
        if (!(share(chart, "text") >= 0.5))
            fail_msg("%d values, one of %g: the others take %g of the height", count, spike, share(chart, "text"));
        snprintf(expected, sizeof expected, "1 value lies %s the chart, marked at its edge; the %s is %.6g at step %d.",
                 spike > 0 ? "above" : "below", spike > 0 ? "highest" : "lowest", spike, 10 * at);
        if (!strstr(chart, expected))
            fail_msg("%d values: \"%s\" is not in %s", count, expected, strstr(chart, "<p"));
        assert_int_equal(count_of(chart, "class=\"mark text\""), 1);
        free(chart);
        free(page);
    }
}

/* What any run has is shown whole: it falls at first, streams lie apart, some have few values. */
static void ordinary_curves_are_not_cut(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 6, 15, 16, 240, 1200};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        begin();
        for (int i = 0; i < counts[c]; i++)
            fprintf(metrics,
                    "{\"step\": %d, \"loss\": %.9g, \"loss/style\": %.9g, \"validation/speech/text\": %.9g, "
                    "\"validation/speech/style\": 900, \"validation/loss\": %.9g, \"lr\": %.9g}\n",
                    i + 1, 3 + 4 * exp(-6.0 * i / counts[c]), 5 + 2 * exp(-6.0 * i / counts[c]), 0.3 + 0.01 * (i % 7),
                    3 + 4 * exp(-4.0 * i / counts[c]), i < 5 ? 1e-3 * i : 5e-3);
        char *page = finish();
        assert_null(strstr(page, "the chart, marked"));
        assert_int_equal(count_of(page, "class=\"mark"), 0);
        char *chart = figure(page, "Learning rate");
        struct scale y = read_scale(chart, true);
        assert_true(y.ticks >= 1);
        free(chart);
        free(page);
    }
}

static void nothing_and_next_to_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        int charts;
        const char *text; /* in the page; NULL: anything */
    } cases[] = {
        {"", 0, NULL},
        {"{\"step\": 1}\n", 0, NULL},
        {"{\"step\": 1, \"loss\": 2.5}\n", 1, "<b>2.5</b> at step 1"},
        {"{\"step\": 1, \"loss\": 0}\n", 1, "<b>0</b>"},
        {"{\"step\": 3, \"loss\": -7}\n{\"step\": 4, \"loss\": -7}\n", 1, "<b>-7</b> at step 4"},
        {"{\"step\": 1, \"loss\": null}\n", 1, "1 value is not finite"},
        {"{\"step\": 1, \"loss\": null}\n{\"step\": 2, \"loss\": null}\n", 1, "2 values are not finite"},
        {"{\"step\": 1, \"loss\": null}\n{\"step\": 2, \"loss\": 4}\n", 1, "<b>4</b> at step 2"},
        {"{\"step\": 1, \"loss\": 1e-320}\n{\"step\": 2, \"loss\": -1e-320}\n", 1, NULL},
        {"{\"step\": 1, \"loss\": 1e289}\n{\"step\": 2, \"loss\": -1e289}\n", 1, NULL},
        {"{\"step\": 1, \"loss\": 3}\n{\"step\": 2, \"loss\": 3.0000000000000004}\n", 1, NULL},
        {"{\"step\": -5, \"loss\": 3}\n{\"step\": 1e14, \"loss\": 4}\n", 1, NULL},
        {"{\"step\": 1e300, \"loss\": 3}\n{\"loss\": 3}\n[1, 2]\n7\n", 1, "at step 0"},
        {"{\"step\": \"one\", \"loss\": \"three\", \"lr\": true, \"grad_norm\": [1]}\n", 0, NULL},
        {"{\"step\": 5, \"loss\": 2}\n{\"step\": 5, \"loss\": 3}\n{\"step\": 2, \"loss\": 1}\n", 1, "at step 2"},
        {"{\"step\": 1, \"grad_norm\": 1, \"lr\": 0.1, \"tokens_per_second\": 5, \"loss/unheard\": 4}\n", 3, NULL},
        {"{\"step\": 1, \"loss/tag\": 1, \"validation/text/tag\": 2}\n", 0, NULL},
        {"{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"lo", 1, NULL}, /* the end is being written */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        fputs(cases[i].lines, metrics);
        char *page = finish();
        if (count_of(page, "<figure>") != cases[i].charts || (cases[i].text && !strstr(page, cases[i].text)))
            fail_msg("%s: %d charts: %s", cases[i].lines, count_of(page, "<figure>"), strstr(page, "</style>"));
        free(page);
    }
    snprintf(run, sizeof run, "%s/nowhere", test_directory());
    assert_fails(report_write(run, "", ""), STATUS_USAGE, "no metrics");
}

/* ---- names and colours ---- */

static void write_all_streams(void)
{
    static const char *const groups[] = {"loss", "validation/speech", "validation/interleaved", "validation/text"};
    static const char *const kinds[] = {"text", "hubert", "pitch", "style", "tag"};
    for (int step = 1; step <= 20; step++) {
        fprintf(metrics, "{\"step\": %d, \"loss\": 3, \"validation/loss\": 3, \"lr\": 1, \"grad_norm\": %d", step,
                step);
        for (int g = 0; g < 4; g++)
            for (int k = 0; k < 5; k++)
                fprintf(metrics, ", \"%s/%s\": %d", groups[g], kinds[k], step * k + g);
        fputs(", \"tokens_per_second\": 70000}\n", metrics);
    }
}

static void each_stream_has_one_name_and_one_colour(void **state)
{
    (void)state;
    static const struct {
        const char *title, *unit, *legend;
    } charts[] = {
        {"Training loss", "nats per token", "all tokens|text (with end of sequence)|speech units|pitch|style|"},
        {"Held-out loss", "nats per token", "all tokens|"},
        {"Held-out speech", "nats per token", "speech units|pitch|style|end of sequence|"},
        {"Held-out interleaved text and speech", "nats per token",
         "text (with end of sequence)|speech units|pitch|style|"},
        {"Held-out text", "nats per token", "text (with end of sequence)|"},
        {"Gradient norm before clipping", "L2 norm of the gradient", "norm|"},
        {"Learning rate", "step size of the optimizer", "learning rate|"},
        {"Speed", "tokens per second", "speed|"},
    };
    static const char *const classes[] = {"all", "text", "hubert", "pitch", "style", "end"};
    static const char *const names[] = {
        "all tokens", "text (with end of sequence)", "speech units", "pitch", "style", "end of sequence"};
    begin();
    write_all_streams();
    char *page = finish(), *attributes = malloc(ROOM), class[100];
    assert_int_equal(count_of(page, "<figure>"), sizeof charts / sizeof *charts);
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++) {
        char *chart = figure(page, charts[i].title), legend[400] = "";
        assert_non_null(chart);
        assert_non_null(strstr(chart, ">training step"));
        snprintf(class, sizeof class, ">%s", charts[i].unit);
        assert_non_null(strstr(chart, class));
        for (const char *at = strstr(chart, "<p class=\"legend\">"); markup_next(&at, "line", attributes);) {
            const char *name = strstr(at, "</svg> ") + 7, *end = strstr(name, " <b>");
            assert_true(markup_attribute(attributes, "class", class));
            for (int c = 0; c < 6; c++) /* a stream's colour stands beside its name alone */
                if (strncmp(name, names[c], (size_t)(end - name)) == 0 && strlen(names[c]) == (size_t)(end - name))
                    assert_string_equal(class + strlen("curve "), classes[c]);
            snprintf(legend + strlen(legend), sizeof legend - strlen(legend), "%.*s|", (int)(end - name), name);
        }
        assert_string_equal(legend, charts[i].legend);
        free(chart);
    }
    /* Nothing is coloured but by the class of its stream. */
    assert_null(strstr(strstr(page, "</style>"), "#"));
    assert_null(strstr(strstr(page, "</style>"), "stroke="));
    assert_null(strstr(strstr(page, "</style>"), "fill="));
    assert_null(strstr(strstr(page, "</style>"), "style="));
    for (int c = 0; c < 6; c++) {
        snprintf(class, sizeof class, ".%s{--c:var(--%s)}", classes[c], classes[c]);
        assert_int_equal(count_of(page, class), 1);
    }
    free(attributes);
    free(page);
}

/* Relative luminance, WCAG 2.1. */
static double luminance(uint32_t colour)
{
    double sum = 0;
    static const double weights[3] = {0.2126, 0.7152, 0.0722};
    for (int i = 0; i < 3; i++) {
        double c = (double)((colour >> (16 - 8 * i)) & 255) / 255;
        sum += weights[i] * (c <= 0.03928 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static uint32_t colour_of(const char *style, const char *name)
{
    char wanted[40];
    snprintf(wanted, sizeof wanted, "--%s:#", name);
    const char *found = strstr(style, wanted);
    assert_non_null(found);
    return (uint32_t)strtoul(found + strlen(wanted), NULL, 16);
}

static void colours_have_contrast_light_and_dark(void **state)
{
    (void)state;
    static const char *const names[] = {"ink", "faint", "all", "text", "hubert", "pitch", "style", "end"};
    begin();
    char *page = finish();
    const char *styles[2] = {strstr(page, ":root{"), strstr(page, "@media screen and (prefers-color-scheme:dark)")};
    for (int s = 0; s < 2; s++) {
        assert_non_null(styles[s]);
        double paper = luminance(colour_of(styles[s], "paper"));
        for (int i = 0; i < 8; i++) {
            double ink = luminance(colour_of(styles[s], names[i]));
            double contrast = (fmax(paper, ink) + 0.05) / (fmin(paper, ink) + 0.05);
            if (!(contrast >= 4.5))
                fail_msg("%s: --%s has a contrast of %.2f", s ? "dark" : "light", names[i], contrast);
            for (int j = 0; j < i; j++)
                assert_int_not_equal(colour_of(styles[s], names[i]), colour_of(styles[s], names[j]));
        }
    }
    assert_true(luminance(colour_of(styles[0], "paper")) > 0.8 && luminance(colour_of(styles[1], "paper")) < 0.1);
    free(page);
}

/* ---- what was run ---- */

static void starts_are_shown_and_nothing_in_them_is_obeyed(void **state)
{
    (void)state;
    begin();
    fputs("{\"step\": 1, \"loss\": 2}\n", metrics);
    write_text_in(
        run, "run.json",
        "{\"starts\": [{\"started\": \"2026-01-02T03:04:05Z\", \"host\": \"node<1>\", \"command\": \"bin/train "
        "--config 'a & <b>\\\"</code><script>alert(1)</script>.yaml'\", \"commit\": \"abc1234\", \"version\": "
        "\"0.1.0\", \"folder\": \"/home/\\u202euser\", \"first_step\": 0},"
        "{\"started\": \"<i>\", \"command\": \"second\\u0001\\n\", \"commit\": \"def-dirty\", \"first_step\": 400}, "
        "{\"started\": 5}, 7, {}]}");
    char *page = finish();
    assert_non_null(strstr(page, "Run started 2026-01-02 03:04:05 UTC; report of 2"));
    assert_non_null(strstr(page, "0.1.0 (commit abc1234)"));
    assert_non_null(
        strstr(page, "<code>bin/train --config 'a &amp; &lt;b&gt;&quot;&lt;/code&gt;&lt;script&gt;alert(1)"));
    assert_non_null(strstr(page, "resumed at step 400</td><td>commit def-dirty"));
    assert_null(strstr(page, "\xe2\x80\xae"));
    assert_null(strstr(page, "\x01"));
    free(page);
    /* Titles and facts. */
    char path[800], *text;
    int64_t size;
    assert_ok(report_write(run, "a <b> & \"c\" \xff\xe2\x80\xae\x1b[2J", "1 < 2 & <script>"));
    snprintf(path, sizeof path, "%s/report.html", run);
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    markup_assert_well_formed(text);
    assert_int_equal(count_of(text, "a &lt;b&gt; &amp; &quot;c&quot; \xef\xbf\xbd"), 2); /* title and heading */
    assert_non_null(strstr(text, "1 &lt; 2 &amp; &lt;script&gt;"));
    assert_null(strstr(text, "\x1b"));
    free(text);
    /* A record that is damaged, or of thousands of starts. */
    write_text_in(run, "run.json", "{\"starts\": [");
    assert_ok(report_write(run, "t", ""));
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    assert_non_null(strstr(text, "run.json cannot be read"));
    free(text);
    FILE *file = fopen(test_path("%s/run.json", strrchr(run, '/') + 1), "w");
    for (int i = 0; i < 5000; i++)
        fprintf(file,
                "%s{\"started\": \"2026-01-02T03:04:05Z\", \"command\": \"start number %d.\", \"first_step\": %d}",
                i ? ", " : "{\"starts\": [", i, i);
    fputs("]}", file);
    fclose(file);
    assert_ok(report_write(run, "t", ""));
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    markup_assert_well_formed(text);
    assert_non_null(strstr(text, "start number 0."));
    assert_non_null(strstr(text, "4800 more"));
    assert_null(strstr(text, "start number 4800."));
    assert_non_null(strstr(text, "start number 4801."));
    assert_non_null(strstr(text, "start number 4999."));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_stand_where_the_axes_say),
        cmocka_unit_test(long_runs_stay_small),
        cmocka_unit_test(a_spike_flattens_nothing),
        cmocka_unit_test(ordinary_curves_are_not_cut),
        cmocka_unit_test(nothing_and_next_to_nothing),
        cmocka_unit_test(each_stream_has_one_name_and_one_colour),
        cmocka_unit_test(colours_have_contrast_light_and_dark),
        cmocka_unit_test(starts_are_shown_and_nothing_in_them_is_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
