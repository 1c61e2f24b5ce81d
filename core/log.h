/* Lines on standard error: "warning: ..." and plain information. The level comes from SPIRITLM_LOG (quiet, info, debug;
 * default info). Standard output is for results alone. Thread-safe, one write per line. */
#ifndef SPIRITLM_CORE_LOG_H
#define SPIRITLM_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2))); /* at every level, without a prefix */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress of long work: on a terminal one line rewritten in place with rate and remaining time, elsewhere a plain
 * line at most every ten seconds. A message takes the line's place, and progress goes on below it. `extra` is appended ("" for nothing). */
struct progress {
    const char *what; /* "aligning", "step" */
    const char *unit; /* "clips", "steps" */
    int64_t total;    /* 0 when unknown */
    int64_t first;    /* units done earlier; set it after progress_start when work is continued */
    double started, last_shown;
    int64_t shown_at;
    bool terminal;
};

void progress_start(struct progress *progress, const char *what, const char *unit, int64_t total);
void progress_update(struct progress *progress, int64_t done, const char *extra);
void progress_finish(struct progress *progress, int64_t done, const char *extra);

/* Seconds on a clock that only goes forward. */
double clock_seconds(void);

#endif
