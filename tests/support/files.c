#include "support/files.h"

#include "support/test_support.h"

#include "io/atomic_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *test_path(const char *format, ...)
{
    static char paths[64][1024];
    static int next;
    char *path = paths[next++ % 64];
    int used = snprintf(path, sizeof paths[0], "%s/", test_directory());
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path + used, sizeof paths[0] - (size_t)used, format, arguments);
    va_end(arguments);
    if (length < 0 || used + length >= (int)sizeof paths[0])
        fail_msg("path too long: %s", path);
    return path;
}

void write_plainly(const char *path, const void *bytes, int64_t size)
{
    /* Truncated only at the end, because file systems flush a file that is emptied and then written again. */
    int descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0)
        fail_msg("cannot write %s", path);
    for (int64_t done = 0; done < size;) {
        ssize_t put = write(descriptor, (const char *)bytes + done, (size_t)(size - done));
        if (put <= 0)
            fail_msg("cannot write %s", path);
        done += put;
    }
    if (ftruncate(descriptor, size) != 0)
        fail_msg("cannot truncate %s", path);
    close(descriptor);
}

void write_text(const char *path, const char *text)
{
    write_plainly(path, text, (int64_t)strlen(text));
}

void write_text_in(const char *folder, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    write_text(path, text);
}

void copy_golden(const char *golden, const char *path)
{
    char source[1024];
    void *bytes;
    int64_t size;
    snprintf(source, sizeof source, "%s/%s", TEST_GOLDEN_DIRECTORY, golden);
    assert_ok(file_read(source, 1 << 24, &bytes, &size));
    write_plainly(path, bytes, size);
    free(bytes);
}
