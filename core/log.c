/* A line is formatted whole and written by one call, so that the lines of several threads and processes do not mix. The
 * level is looked up in the environment at every line: nothing has to be initialised before the first message, and a
 * message is rare enough for that. */
#include "core/log.h"

#include "core/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum level { LEVEL_QUIET, LEVEL_INFO, LEVEL_DEBUG };

static enum level current_level(void)
{
    const char *name = getenv("SPIRITLM_LOG");
    if (!name || !strcmp(name, "info"))
        return LEVEL_INFO;
    if (!strcmp(name, "debug"))
        return LEVEL_DEBUG;
    return !strcmp(name, "quiet") ? LEVEL_QUIET : LEVEL_INFO;
}

/* Whether the terminal's last line is progress: a message takes its place, and the next update writes it anew below. */
static atomic_bool progress_shown;
static const char erase_line[] = "\r\033[K";

static void write_line(const char *prefix, const char *format, va_list arguments)
{
    char text[4096], whole[4096 + sizeof erase_line], *line = whole;
    int used = snprintf(text, sizeof text, "%s", prefix);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    if (atomic_exchange(&progress_shown, false))
        line = stpcpy(line, erase_line);
    line += utf8_line(text, line, sizeof text - 1);
    *line++ = '\n';
    fwrite(whole, 1, (size_t)(line - whole), stderr);
    fflush(stderr);
}

#define DEFINE_LOG(name, minimum, prefix)                                                                              \
    void name(const char *format, ...)                                                                                 \
    {                                                                                                                  \
        if (current_level() < (minimum))                                                                               \
            return;                                                                                                    \
        va_list arguments;                                                                                             \
        va_start(arguments, format);                                                                                   \
        write_line(prefix, format, arguments);                                                                         \
        va_end(arguments);                                                                                             \
    }

DEFINE_LOG(log_debug, LEVEL_DEBUG, "debug: ")
DEFINE_LOG(log_info, LEVEL_INFO, "")
DEFINE_LOG(log_notice, LEVEL_QUIET, "")
DEFINE_LOG(log_warning, LEVEL_QUIET, "warning: ")
DEFINE_LOG(log_error, LEVEL_QUIET, "error: ")

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(struct progress *progress, const char *what, const char *unit, int64_t total)
{
    double now = clock_seconds();
    *progress = (struct progress){.what = what,
                                  .unit = unit,
                                  .total = total,
                                  .started = now,
                                  .last_shown = now,
                                  .terminal = isatty(STDERR_FILENO) != 0};
}

static void show(struct progress *progress, int64_t done, const char *extra, bool last)
{
    double now = clock_seconds(), elapsed = now - progress->started;
    double rate = elapsed > 0 ? (double)(done - progress->first) / elapsed : 0;
    char text[512], line[sizeof text], eta[64] = "";
    if (!last && progress->total > done && rate > 0) {
        double left = (double)(progress->total - done) / rate;
        snprintf(eta, sizeof eta, ", %d:%02d left", (int)(left / 60), (int)left % 60);
    }
    if (progress->total)
        snprintf(text, sizeof text, "%s: %lld/%lld %s, %.1f/s%s%s%s", progress->what, (long long)done,
                 (long long)progress->total, progress->unit, rate, eta, *extra ? ", " : "", extra);
    else
        snprintf(text, sizeof text, "%s: %lld %s, %.1f/s%s%s", progress->what, (long long)done, progress->unit, rate,
                 *extra ? ", " : "", extra);
    utf8_line(text, line, sizeof line);
    if (progress->terminal) {
        fprintf(stderr, "%s%s%s", erase_line, line, last ? "\n" : "");
        atomic_store(&progress_shown, !last);
    } else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    progress->last_shown = now;
    progress->shown_at = done;
}

void progress_update(struct progress *progress, int64_t done, const char *extra)
{
    double interval = progress->terminal ? 0.2 : 10.0;
    if (current_level() >= LEVEL_INFO && clock_seconds() - progress->last_shown >= interval)
        show(progress, done, extra, false);
}

void progress_finish(struct progress *progress, int64_t done, const char *extra)
{
    if (current_level() >= LEVEL_INFO)
        show(progress, done, extra, true);
}
