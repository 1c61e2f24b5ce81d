/* How functions report failure. A function that can fail returns an enum status; the one place that knows what went
 * wrong (which file or tensor, what was expected, what was found) sets the text once with status_set(), callers pass
 * the value up, and only programs print it and exit. The values are the programs' exit codes. */
#ifndef SPIRITLM_CORE_STATUS_H
#define SPIRITLM_CORE_STATUS_H

#include <errno.h>
#include <stdarg.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum status {
    STATUS_OK = 0,
    STATUS_UNMET = 1,        /* a check that was asked for does not hold */
    STATUS_USAGE = 2,        /* a wrong option, configuration key or value; a file that the user named is missing */
    STATUS_CORRUPT = 65,     /* an input file is damaged or not what it should be; the text names it */
    STATUS_INTERNAL = 70,    /* a broken invariant inside the program, or out of memory */
    STATUS_IO = 74,          /* a read or write failed, no permission, disk full */
    STATUS_REQUEUE = 75,     /* stopped by a signal with the state saved: to be started again */
    STATUS_HANG = 76,        /* a rank no longer makes progress */
    STATUS_NO_PROGRESS = 77, /* three restarts in a row without a new checkpoint */
};

/* Sets this thread's error text (one line, no final newline, cut at 1023 bytes) and returns `code`:
 *   enum status status_set(enum status code, const char *format, ...);
 * A macro, so that a compiler or analyser sees in the caller that the value is `code`, not just any status. */
#define status_set(code, ...) status_value((code), status_record(__VA_ARGS__))

/* As status_set, and appends ": " and strerror(error_number):
 *   enum status status_set_errno(enum status code, int error_number, const char *format, ...);
 * A system call that got no memory is a shortage of memory, STATUS_INTERNAL, and no failed read or write. */
#define status_set_errno(code, error_number, ...)                                                                      \
    status_of_errno((code), (error_number), status_record_errno((error_number), __VA_ARGS__))

/* Puts "context: " before the present text: for a caller who knows the file when the callee knew only the line.
 *   enum status status_prefix(enum status code, const char *format, ...); */
#define status_prefix(code, ...) status_value((code), status_record_prefix(__VA_ARGS__))

/* The functions behind the three macros: they set the text, leave errno alone and return 0. */
int status_record(const char *format, ...) __attribute__((format(printf, 1, 2)));
int status_record_errno(int error_number, const char *format, ...) __attribute__((format(printf, 2, 3)));
int status_record_prefix(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline enum status status_value(enum status code, int recorded)
{
    (void)recorded;
    return code;
}
static inline enum status status_of_errno(enum status code, int error_number, int recorded)
{
    (void)recorded;
    return error_number == ENOMEM && code == STATUS_IO ? STATUS_INTERNAL : code;
}

/* This thread's text; "" when nothing was set. Valid until the next status_set of the thread. */
const char *status_text(void);

/* Whether the present failure says something of the one file that was read, and nothing of the machine: it is missing, damaged,
 * a folder, a pipe, behind a circle of links, not ours to read. Work on many files goes on without such a file; a disk that
 * cannot be read, descriptors or memory that have run out (STATUS_IO and STATUS_INTERNAL otherwise) end it. */
bool status_concerns_one_file(enum status code);

/* For functions with one exit path: they declare `enum status result = STATUS_OK;` and a label `fail:` that frees
 * (success reaches it too, unless the function returns before it). */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if ((result = (call)) != STATUS_OK)                                                                            \
            goto fail;                                                                                                 \
    } while (0)

#define FAIL(code, ...)                                                                                                \
    do {                                                                                                               \
        result = status_set((code), __VA_ARGS__);                                                                      \
        goto fail;                                                                                                     \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
