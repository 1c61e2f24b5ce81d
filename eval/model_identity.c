/* A journal belongs to a model, and a result names it; reading every weight once more for that would double the start. */
#include "eval/model_identity.h"

#include "core/path.h"
#include "io/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBE = 1 << 20, MANIFEST_LIMIT = 64 << 20 };

/* Adds up to PROBE bytes from an offset on. */
static enum status add_probe(struct sha256_stream *stream, int descriptor, const char *path, int64_t offset,
                             char *buffer)
{
    int64_t done = 0;
    while (done < PROBE) {
        ssize_t count = pread(descriptor, buffer + done, (size_t)(PROBE - done), offset + done);
        if (count < 0)
            return status_set_errno(STATUS_IO, errno, "%s: cannot be read", path);
        if (count == 0)
            break;
        done += count;
    }
    sha256_add(stream, buffer, (size_t)done);
    return STATUS_OK;
}

static enum status add_file(struct sha256_stream *stream, const char *path, const char *name)
{
    enum status result = STATUS_OK;
    struct stat info;
    char *buffer = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &info) != 0)
        FAIL(STATUS_IO, "%s: cannot be read: %s", path, strerror(errno));
    buffer = malloc(PROBE);
    if (!buffer)
        FAIL(STATUS_INTERNAL, "no memory to identify %s", path);
    int64_t size = info.st_size;
    sha256_add(stream, name, strlen(name) + 1);
    sha256_add(stream, &size, sizeof size);
    TRY(add_probe(stream, descriptor, path, 0, buffer));
    if (size > PROBE)
        TRY(add_probe(stream, descriptor, path, size / 2, buffer));
    if (size > 2 * PROBE)
        TRY(add_probe(stream, descriptor, path, size - PROBE, buffer));
fail:
    if (descriptor >= 0)
        close(descriptor);
    free(buffer);
    return result;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The regular files of a folder, not those of its subfolders, by name. */
static enum status add_folder(struct sha256_stream *stream, const char *folder)
{
    enum status result = STATUS_OK;
    struct dirent **entries = NULL;
    struct stat info;
    char path[PATH_BYTES];
    int count = scandir(folder, &entries, is_visible, alphasort);
    if (count < 0)
        return status_set_errno(STATUS_IO, errno, "%s: cannot be read", folder);
    for (int i = 0; i < count && result == STATUS_OK; i++) {
        result = path_format(path, "%s/%s", folder, entries[i]->d_name);
        if (result == STATUS_OK && stat(path, &info) == 0 && S_ISREG(info.st_mode))
            result = add_file(stream, path, entries[i]->d_name);
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}

enum status model_identity(const char *path, struct sha256 *identity)
{
    enum status result = STATUS_OK;
    char manifest[PATH_BYTES];
    struct stat info;
    void *data;
    int64_t size;
    TRY(path_format(manifest, "%s/MANIFEST", path));
    if (access(manifest, R_OK) == 0) {
        TRY(file_read(manifest, MANIFEST_LIMIT, &data, &size));
        *identity = sha256_of(data, (size_t)size);
        free(data);
        return STATUS_OK;
    }
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    struct sha256_stream *stream = sha256_start();
    result = folder ? add_folder(stream, path) : add_file(stream, path, "");
    *identity = sha256_finish(stream);
fail:
    return result;
}
