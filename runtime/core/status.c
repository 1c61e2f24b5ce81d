#include "core/status.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char text[1024];

static void format_text(const char *format, va_list arguments)
{
    char line[sizeof text];
    vsnprintf(line, sizeof line, format, arguments);
    for (char *c = line; *c; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' '; /* an error is one line, whatever a hostile file name holds */
    memcpy(text, line, sizeof text);
}

enum status status_set(enum status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_text(format, arguments);
    va_end(arguments);
    return code;
}

enum status status_set_errno(enum status code, int error_number, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_text(format, arguments);
    va_end(arguments);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", strerror(error_number));
    return code;
}

enum status status_prefix(enum status code, const char *format, ...)
{
    char before[sizeof text];
    memcpy(before, text, sizeof text);
    va_list arguments;
    va_start(arguments, format);
    format_text(format, arguments);
    va_end(arguments);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", before);
    return code;
}

const char *status_text(void)
{
    return text;
}
