/* Paths are put together in one function that checks their length. The buffer has a fixed size, so that a caller has
 * nothing to free; this excludes no usable path, because the system accepts no longer one. */
#include "core/path.h"

#include <errno.h>
#include <stdio.h>

enum status path_format(char path[static PATH_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_BYTES, format, arguments);
    int error = errno;
    va_end(arguments);
    if (length >= 0 && length < PATH_BYTES)
        return STATUS_OK;
    enum status result = length < 0
                             ? status_set_errno(STATUS_INTERNAL, error, "cannot make a path from \"%s\"", format)
                             : status_set(STATUS_USAGE, "path too long: expected at most %d bytes, found %d: %.200s...",
                                          PATH_BYTES - 1, length, path);
    path[0] = '\0';
    return result;
}
