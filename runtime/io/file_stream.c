/* Files that are no files: a shell's process substitution (/dev/fd/63), /dev/stdout, named pipes, what the kernel shows in
 * /proc. They have no size, cannot be read twice, and must never be replaced by a rename: that would put a plain file in
 * the place of a device. */
#include "io/atomic_file.h"
#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum status code_of_open(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG ? STATUS_USAGE : STATUS_IO;
}

enum status write_all(int descriptor, const char *path, const void *data, int64_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t put = write(descriptor, bytes, (size_t)size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return status_set_errno(STATUS_IO, errno, "%s: cannot write", path);
        bytes += put;
        size -= put;
    }
    return STATUS_OK;
}

/* Reads up to limit + 1 bytes to the end. */
static enum status read_to_end(int descriptor, const char *path, int64_t limit, char **bytes, int64_t *size)
{
    int64_t room = 0, used = 0;
    for (;;) {
        if (used + 1 >= room) {
            room = room ? 2 * room : 4096;
            room = room < limit + 2 ? room : limit + 2;
            char *more = realloc(*bytes, (size_t)room);
            if (!more)
                return status_set(STATUS_INTERNAL, "%s: no memory for %lld bytes", path, (long long)room);
            *bytes = more;
        }
        ssize_t got = read(descriptor, *bytes + used, (size_t)(room - used - 1));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_set_errno(STATUS_IO, errno, "%s: cannot read", path);
        used += got;
        if (used > limit)
            return status_set(STATUS_CORRUPT, "%s: expected at most %lld bytes, found more", path, (long long)limit);
        if (got == 0)
            break;
    }
    (*bytes)[used] = 0;
    *size = used;
    return STATUS_OK;
}

enum status file_read_stream(const char *path, int64_t limit, void **data, int64_t *size)
{
    enum status result = STATUS_OK;
    char *bytes = NULL;
    struct stat info;
    /* O_NONBLOCK: a named pipe without a writer is empty rather than waited for. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s: cannot open", path);
    if (fstat(descriptor, &info) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot read its size", path);
        goto fail;
    }
    if (S_ISDIR(info.st_mode))
        FAIL(STATUS_USAGE, "%s: expected a file, found a folder", path);
    if (info.st_size > limit)
        FAIL(STATUS_CORRUPT, "%s: expected at most %lld bytes, found %lld", path, (long long)limit,
             (long long)info.st_size);
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) != 0) { /* its writer may be slow */
        result = status_set_errno(STATUS_IO, errno, "%s: cannot read", path);
        goto fail;
    }
    TRY(read_to_end(descriptor, path, limit, &bytes, size));
    *data = bytes;
    bytes = NULL;
fail:
    free(bytes);
    close(descriptor);
    return result;
}

/* The number of an open file of this process that a path names; -1: none. */
static int named_descriptor(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const char *digits = path + strlen(folders[i]);
        if (strncmp(path, folders[i], strlen(folders[i])) == 0 && *digits && strspn(digits, "0123456789") < 8 &&
            digits[strspn(digits, "0123456789")] == 0)
            return (int)strtol(digits, NULL, 10);
    }
    /* A link to one of these, or the very file that the output goes to: replaced, it would lose one of the two. */
    struct stat file, open_one;
    for (int i = STDOUT_FILENO; i <= STDERR_FILENO && stat(path, &file) == 0; i++)
        if (fstat(i, &open_one) == 0 && file.st_dev == open_one.st_dev && file.st_ino == open_one.st_ino)
            return i;
    return -1;
}

bool is_stream(const char *path)
{
    struct stat info;
    return named_descriptor(path) >= 0 || (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode));
}

bool output_is_stream(const char *path)
{
    return is_stream(path);
}

FILE *output_summary(const char *path)
{
    struct stat output, error;
    int named = named_descriptor(path);
    bool known = (named >= 0 ? fstat(named, &output) : stat(path, &output)) == 0 && fstat(STDERR_FILENO, &error) == 0;
    bool is_error = known && output.st_dev == error.st_dev && output.st_ino == error.st_ino && named != STDOUT_FILENO;
    return is_stream(path) && !is_error ? stderr : stdout;
}

/* What is open already is written where it stands: opened again, a redirected file would be begun from its start. */
enum status write_stream(const char *path, const void *data, int64_t size)
{
    int named = named_descriptor(path);
    int descriptor = named >= 0 ? fcntl(named, F_DUPFD_CLOEXEC, 0) : open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return status_set_errno(STATUS_IO, errno, "%s: cannot write", path);
    enum status result = write_all(descriptor, path, data, size);
    if (close(descriptor) != 0 && result == STATUS_OK)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot close", path);
    return result;
}
