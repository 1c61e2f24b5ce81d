/* The error text belongs to its thread, so that one thread cannot overwrite what another is about to report. It is a
 * fixed buffer: running out of memory can be reported as well. */
#include "core/status.h"

#include "core/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[1024];
static _Thread_local int system_error; /* of the present text; 0: it names none */

/* Leaves errno alone: a caller's status_set may compute its code from errno after this. */
static void format_text(const char *format, va_list arguments, const char *after)
{
    int error = errno;
    char line[sizeof text];
    vsnprintf(line, sizeof line, format, arguments);
    size_t used = strlen(line);
    if (after)
        snprintf(line + used, sizeof line - used, ": %s", after);
    utf8_line(line, text, sizeof text); /* one line that a terminal can show, whatever a hostile file name holds */
    errno = error;
}

int status_record(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_text(format, arguments, NULL);
    va_end(arguments);
    system_error = 0;
    return 0;
}

int status_record_errno(int error_number, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_text(format, arguments, strerror(error_number));
    va_end(arguments);
    system_error = error_number;
    return 0;
}

int status_record_prefix(const char *format, ...)
{
    char before[sizeof text];
    memcpy(before, text, sizeof text);
    va_list arguments;
    va_start(arguments, format);
    format_text(format, arguments, before);
    va_end(arguments);
    return 0;
}

const char *status_text(void)
{
    return text;
}

bool status_concerns_one_file(enum status code)
{
    static const int of_a_file[] = {EACCES, EPERM, ELOOP,  ENAMETOOLONG, ENOENT,    ENOTDIR,
                                    EISDIR, ENXIO, ENODEV, EINVAL,       EOVERFLOW, ESPIPE};
    if (code == STATUS_USAGE || code == STATUS_CORRUPT)
        return true;
    for (size_t i = 0; code == STATUS_IO && i < sizeof of_a_file / sizeof *of_a_file; i++)
        if (system_error == of_a_file[i])
            return true;
    return false;
}
