/* Paths are put together in one function that checks their length. The buffer has a fixed size, so that a caller has
 * nothing to free; this excludes no usable path, because the system accepts no longer one. */
#include "core/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum status path_expand_home(const char *given, char path[static PATH_BYTES])
{
    const char *slash = strchr(given, '/'), *rest = given + 1, *home = getenv("HOME");
    if (given[0] != '~' || (!slash && given[1]))
        return path_format(path, "%s", given);
    if (slash > given + 1)
        return status_set(STATUS_USAGE,
                          "%s: expected a path; only ~/ is replaced by a home folder, so write out that of another "
                          "user, or ./%s for a folder of that name",
                          given, given);
    if (!home || !*home)
        return status_set(STATUS_USAGE, "%s: ~ stands for the home folder, but HOME is not set", given);
    return path_format(path, "%s%s", home, rest);
}
