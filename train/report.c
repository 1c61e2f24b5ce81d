/* One HTML page: when, from which commit and by which commands a run was made (run.json), and its curves as SVG. It is also
 * well-formed XML, so that other programs can read it. */
#include "train/report.h"

#include "core/path.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "train/report_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_STARTS = 200 }; /* that are shown: of a run that is requeued all the time, the newest */

/* Okabe and Ito's hues, which colour-blind readers tell apart, made darker for a light background and lighter for a dark
 * one: each has a contrast of at least 4.5 to it. On paper without colours the dashes tell them apart. */
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\" />\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n<style>\n"
    ":root{color-scheme:light dark;--paper:#ffffff;--ink:#1c1c1c;--faint:#595959;--rule:#d8d8d8;--all:#3a3a3a;"
    "--text:#0067a3;--hubert:#b84300;--pitch:#00755a;--style:#9c3d7f;--end:#7a5800}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e8e8e8;--faint:#a9adb3;"
    "--rule:#3a3e45;--all:#d9d9d9;--text:#5ab8f0;--hubert:#ff9d5c;--pitch:#3fd0a4;--style:#f09ad0;--end:#e6c34a}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;background:var(--paper);"
    "color:var(--ink)}h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.15em}\n"
    "figure{display:inline-block;width:min(100%,560px);margin:0 8px 24px 0;vertical-align:top;break-inside:avoid}"
    "figcaption{font-weight:600}.chart{display:block;width:100%;height:auto;overflow:visible}\n"
    "svg text{font-size:12px;fill:var(--faint)}svg "
    ".power{font-size:.75em}.grid{stroke:var(--rule)}.axis{fill:none;stroke:var(--faint)}"
    ".curve{fill:none;stroke-width:1.7;stroke-linejoin:round}.cross{fill:none;stroke-width:2}\n"
    ".all{--c:var(--all)}.text{--c:var(--text)}.hubert{--c:var(--hubert)}.pitch{--c:var(--pitch)}"
    ".style{--c:var(--style)}.end{--c:var(--end)}.curve,.cross{stroke:var(--c)}.mark,.dot{fill:var(--c)}"
    ".key .curve{stroke-width:3}\n"
    ".legend,.note{margin:0;font-size:13px}.note{color:var(--faint)}.legend span{margin-right:14px;"
    "display:inline-block}.key{vertical-align:middle}table{border-collapse:collapse;width:100%}"
    "td,th{padding:3px 14px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}"
    "td{overflow-wrap:anywhere}.when{white-space:nowrap}code{font-size:13px;white-space:pre-wrap}\n"
    "@media (max-width:600px){body{margin:1em auto}svg text{font-size:15px}table,tbody,tr,td{display:block}"
    "thead{display:none}td{border:0;padding:0}tr{border-bottom:1px solid var(--rule);padding:6px 0;display:block}}\n"
    "@media print{:root{color-scheme:light}body{margin:0;max-width:none;font-size:11pt}figure{width:48%}"
    ".text{stroke-dasharray:12 3}.pitch{stroke-dasharray:7 3}.style{stroke-dasharray:2 3}"
    ".end{stroke-dasharray:9 3 2 3}}\n</style>\n";

/* Any text as text: what HTML reads as its own is escaped, and so is what could turn the direction of a line or is no
 * character at all. */
static enum status print_text(FILE *page, const char *text)
{
    char *clean;
    int64_t size;
    bool malformed;
    enum status result = utf8_repair(text, (int64_t)strlen(text), true, &clean, &size, &malformed);
    if (result != STATUS_OK)
        return result;
    for (const char *c = clean; *c; c++)
        if (*c == '<')
            fputs("&lt;", page);
        else if (*c == '&')
            fputs("&amp;", page);
        else if (*c == '>')
            fputs("&gt;", page);
        else if (*c == '"')
            fputs("&quot;", page);
        else
            fputc(*c, page);
    free(clean);
    return STATUS_OK;
}

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* "2026-11-29T10:07:17Z" as people write it. */
static enum status print_time(FILE *page, const char *text)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    size_t length = strlen(copy);
    if (length != 20 || copy[10] != 'T' || copy[19] != 'Z')
        return print_text(page, text);
    copy[10] = ' ';
    copy[19] = 0;
    strcat(copy, " UTC");
    return print_text(page, copy);
}

static enum status print_commit(FILE *page, const json_t *start)
{
    enum status result = STATUS_OK;
    const char *version = string_of(start, "version");
    TRY(print_text(page, version));
    fputs(*version ? " (commit " : "commit ", page);
    TRY(print_text(page, string_of(start, "commit")));
    fputs(*version ? ")" : "", page);
fail:
    return result;
}

static enum status print_start(FILE *page, const json_t *start)
{
    enum status result = STATUS_OK;
    fputs("<tr><td class=\"when\">", page);
    TRY(print_time(page, string_of(start, "started")));
    fprintf(page, "</td><td>%s step %lld</td><td>",
            json_integer_value(json_object_get(start, "first_step")) > 0 ? "resumed at" : "from",
            (long long)json_integer_value(json_object_get(start, "first_step")));
    TRY(print_commit(page, start));
    fputs("</td><td><code>", page);
    TRY(print_text(page, string_of(start, "command")));
    fputs("</code>", page);
    if (*string_of(start, "folder")) {
        fputs(" in <code>", page);
        TRY(print_text(page, string_of(start, "folder")));
        fputs("</code>", page);
    }
    if (*string_of(start, "host")) {
        fputs(" on ", page);
        TRY(print_text(page, string_of(start, "host")));
    }
    fputs("</td></tr>\n", page);
fail:
    return result;
}

static enum status print_starts(FILE *page, const json_t *starts)
{
    enum status result = STATUS_OK;
    const size_t count = json_array_size(starts);
    if (count == 0)
        return STATUS_OK;
    fputs("<h2>Starts</h2>\n<table><thead><tr><th>When</th><th>Step</th><th>Version</th><th>Command</th></tr></thead>"
          "<tbody>\n",
          page);
    for (size_t i = 0; i < count; i++) {
        if (i == 1 && count > MOST_STARTS) {
            i = count - MOST_STARTS + 1;
            fprintf(page, "<tr><td colspan=\"4\">%zu more, which run.json has</td></tr>\n", count - MOST_STARTS);
        }
        TRY(print_start(page, json_array_get(starts, i)));
    }
    fputs("</tbody></table>\n", page);
fail:
    return result;
}

static enum status print_dates(FILE *page, const json_t *starts)
{
    enum status result = STATUS_OK;
    char now[32];
    struct tm parts;
    time_t seconds = time(NULL);
    strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&seconds, &parts));
    fputs("<p>", page);
    if (json_array_size(starts) > 0) {
        fputs("Run started ", page);
        TRY(print_time(page, string_of(json_array_get(starts, 0), "started")));
        fputs("; ", page);
    }
    fprintf(page, "report of %s.</p>\n", now);
fail:
    return result;
}

/* NULL where there is no record of starts; a record that cannot be read is no reason not to show the curves. */
static json_t *read_starts(const char *run, FILE *page)
{
    char path[PATH_BYTES];
    json_t *root = NULL, *starts = NULL;
    if (path_format(path, "%s/run.json", run) != STATUS_OK || access(path, F_OK) != 0)
        return NULL;
    if (jdoc_read(path, &root) == STATUS_OK)
        starts = json_incref(json_object_get(root, "starts"));
    else
        fputs("<p>run.json cannot be read, so the commands of this run are not shown.</p>\n", page);
    json_decref(root);
    return starts;
}

static enum status print_page(FILE *page, const char *run, const char *title, const char *facts,
                              const struct report_chart *charts)
{
    enum status result = STATUS_OK;
    json_t *starts = NULL;
    fprintf(page, "%s<title>", head);
    TRY(print_text(page, title));
    fputs("</title></head><body>\n<h1>", page);
    TRY(print_text(page, title));
    fputs("</h1>\n", page);
    starts = read_starts(run, page);
    TRY(print_dates(page, starts));
    fputs("<p>", page);
    TRY(print_text(page, facts));
    fputs("</p>\n<h2>Curves</h2>\n", page);
    for (int i = 0; i < CHARTS; i++)
        report_chart_draw(page, &chart_kinds[i], &charts[i]);
    fputs("<p class=\"note\">A curve has the mean of the steps in each of its points. Losses are means over the tokens "
          "of "
          "their kind; the tags that switch between text and speech are left out. In held-out speech the end of the "
          "sequence is the only token that is no speech.</p>\n",
          page);
    TRY(print_starts(page, starts));
    fputs("</body></html>\n", page);
fail:
    json_decref(starts);
    return result;
}

enum status report_write(const char *run, const char *title, const char *facts)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    size_t size = 0;
    FILE *page = NULL;
    struct report_chart *charts = calloc(CHARTS, sizeof *charts);
    if (!charts)
        FAIL(STATUS_INTERNAL, "no memory for the report");
    TRY(path_format(path, "%s/metrics.jsonl", run));
    TRY(report_curves_read(path, charts));
    page = open_memstream(&text, &size);
    if (!page)
        FAIL(STATUS_INTERNAL, "no memory for the report");
    TRY(print_page(page, run, title, facts, charts));
    bool written = !ferror(page);
    written = fclose(page) == 0 && written;
    page = NULL;
    if (!written)
        FAIL(STATUS_INTERNAL, "no memory for the report");
    TRY(path_format(path, "%s/report.html", run));
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    if (page)
        fclose(page);
    free(text);
    free(charts);
    return result;
}
