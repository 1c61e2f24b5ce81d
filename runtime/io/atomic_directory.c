/* Folders that appear whole or not at all, by the protocol of io/atomic_file.h. Files are hashed while they are
 * written, so that MANIFEST records what was meant to be in them and not what came back from the disk. */
#include "io/atomic_file.h"

#include "core/log.h"
#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

struct atomic_directory {
    char *path, *parent, temporary[PATH_BYTES];
    bool replace;
    bool failed; /* a file of it could not be written: it must not be published */
    int64_t open_files;
    struct file_list files;
};

struct output_file {
    struct atomic_directory *directory;
    char *name, path[PATH_BYTES];
    int descriptor;
    int64_t size, expected_size, used;
    struct sha256_stream *hash;
    unsigned char *buffer;
};

static void directory_free(struct atomic_directory *directory)
{
    file_list_free(&directory->files);
    free(directory->path);
    free(directory->parent);
    free(directory);
}

enum status atomic_directory_begin(const char *path, bool replace, struct atomic_directory **out)
{
    enum status result = STATUS_OK;
    struct stat info;
    struct atomic_directory *directory = calloc(1, sizeof *directory);
    *out = NULL;
    if (!directory)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    directory->replace = replace;
    directory->path = strndup(path, length);
    directory->parent = parent_folder(path);
    if (!directory->path || !directory->parent)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(temporary_path(directory->path, directory->temporary));
    if (lstat(directory->path, &info) == 0 && (!replace || !S_ISDIR(info.st_mode)))
        FAIL(STATUS_USAGE, "%s: already exists", path);
    TRY(make_directories(directory->parent));
    const char *slash = strrchr(directory->path, '/');
    TRY(remove_leftovers_of(directory->parent, slash ? slash + 1 : directory->path));
    if (mkdir(directory->temporary, 0777) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot make the folder", directory->temporary);
        goto fail;
    }
    *out = directory;
    directory = NULL;
fail:
    if (directory)
        directory_free(directory);
    return result;
}

const char *atomic_directory_path(const struct atomic_directory *directory)
{
    return directory->temporary;
}

static enum status check_new_name(const struct atomic_directory *directory, const char *name)
{
    for (int64_t i = 0; i < directory->files.count; i++)
        if (strcmp(directory->files.entries[i].name, name) == 0)
            return status_set(STATUS_INTERNAL, "%s: %s is written twice", directory->path, name);
    return check_entry_name(directory->path, name);
}

/* Makes the subfolder of "sub/name" when there is none yet. */
static enum status make_subfolder(const struct atomic_directory *directory, const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash)
        return STATUS_OK;
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%.*s", directory->temporary, (int)(slash - name), name);
    if (result == STATUS_OK && mkdir(path, 0777) != 0 && errno != EEXIST)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot make the folder", path);
    return result;
}

static void output_free(struct output_file *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    if (file->hash)
        (void)sha256_finish(file->hash);
    free(file->buffer);
    free(file->name);
    free(file);
}

enum status atomic_directory_create(struct atomic_directory *directory, const char *name, int64_t expected_size,
                                    struct output_file **out)
{
    enum status result = STATUS_OK;
    struct output_file *file = NULL;
    *out = NULL;
    TRY(check_new_name(directory, name));
    TRY(make_subfolder(directory, name));
    file = calloc(1, sizeof *file);
    if (!file)
        FAIL(STATUS_INTERNAL, "%s: out of memory", name);
    file->descriptor = -1;
    file->directory = directory;
    file->expected_size = expected_size;
    file->name = strdup(name);
    file->buffer = malloc(BUFFER);
    if (!file->name || !file->buffer)
        FAIL(STATUS_INTERNAL, "%s: out of memory", name);
    TRY(path_format(file->path, "%s/%s", directory->temporary, name));
    file->descriptor = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor < 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot create", file->path);
        goto fail;
    }
    /* A full disk is found now, not after an hour of writing. A file system that cannot reserve space says so and is
     * left alone. */
    int reserved = 0;
    do
        reserved = expected_size > 0 ? fallocate(file->descriptor, FALLOC_FL_KEEP_SIZE, 0, expected_size) : 0;
    while (reserved != 0 && errno == EINTR);
    if (reserved != 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) {
        result =
            status_set_errno(STATUS_IO, errno, "%s: no space for its %lld bytes", file->path, (long long)expected_size);
        goto fail;
    }
    file->hash = sha256_start();
    directory->open_files++;
    *out = file;
    return STATUS_OK;
fail:
    directory->failed = true;
    if (file)
        output_free(file);
    return result;
}

static enum status output_flush(struct output_file *file)
{
    int64_t used = file->used;
    file->used = 0;
    return write_all(file->descriptor, file->path, file->buffer, used);
}

enum status output_write(struct output_file *file, const void *data, int64_t size)
{
    enum status result = STATUS_OK;
    if (size < 0 || __builtin_add_overflow(file->size, size, &file->size))
        FAIL(STATUS_INTERNAL, "%s: cannot write a piece of %lld bytes", file->path, (long long)size);
    sha256_add(file->hash, data, (size_t)size);
    if (size > BUFFER - file->used)
        TRY(output_flush(file));
    if (size >= BUFFER) {
        TRY(write_all(file->descriptor, file->path, data, size));
    } else if (size > 0) {
        memcpy(file->buffer + file->used, data, (size_t)size);
        file->used += size;
    }
    return STATUS_OK;
fail:
    file->directory->failed = true;
    return result;
}

enum status output_close(struct output_file *file)
{
    enum status result = STATUS_OK;
    struct atomic_directory *directory = file->directory;
    if (directory->failed)
        FAIL(STATUS_IO, "%s: not written completely", file->path);
    TRY(output_flush(file));
    /* Space reserved beyond the end is given back. */
    if (file->expected_size > file->size && ftruncate(file->descriptor, file->size) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot give back unused space", file->path);
        goto fail;
    }
    if (fsync(file->descriptor) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot fsync", file->path);
        goto fail;
    }
    int closed = close(file->descriptor);
    file->descriptor = -1;
    if (closed != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot close", file->path);
        goto fail;
    }
    struct sha256 hash = sha256_finish(file->hash);
    file->hash = NULL;
    TRY(file_list_add(&directory->files, directory->path, file->name, file->size, &hash));
fail:
    if (result != STATUS_OK)
        directory->failed = true;
    directory->open_files--;
    output_free(file);
    return result;
}

void output_abandon(struct output_file *file)
{
    if (!file)
        return;
    file->directory->failed = true;
    file->directory->open_files--;
    output_free(file);
}

enum status atomic_directory_add(struct atomic_directory *directory, const char *name, const void *data, int64_t size)
{
    struct output_file *file;
    enum status result = atomic_directory_create(directory, name, size, &file);
    if (result != STATUS_OK)
        return result;
    result = output_write(file, data, size);
    if (result == STATUS_OK)
        return output_close(file);
    output_abandon(file);
    return result;
}

enum status atomic_directory_adopt(struct atomic_directory *directory, const char *name)
{
    enum status result = STATUS_OK;
    int descriptor = -1;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/%s", directory->temporary, name));
    TRY(check_new_name(directory, name));
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fsync(descriptor) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot fsync", path);
        goto fail;
    }
    int64_t size;
    struct sha256 hash;
    TRY(hash_file(path, &size, &hash));
    TRY(file_list_add(&directory->files, directory->path, name, size, &hash));
fail:
    if (result != STATUS_OK)
        directory->failed = true;
    if (descriptor >= 0)
        close(descriptor);
    return result;
}

/* Gives the temporary folder its final name. It is exchanged with an existing folder in one step; where the file system
 * cannot do that, the old one is moved aside for an instant. Afterwards the old one has the temporary name. */
static enum status publish(struct atomic_directory *directory)
{
    const char *from = directory->temporary, *to = directory->path;
    struct stat info;
    bool exists = lstat(to, &info) == 0;
    if (exists && !directory->replace)
        return status_set(STATUS_USAGE, "%s: already exists", to);
    int failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, exists ? RENAME_EXCHANGE : RENAME_NOREPLACE) ? errno : 0;
    if (failed == EINVAL || failed == ENOSYS) {
        failed = 0;
        char aside[PATH_BYTES];
        enum status fits = path_format(aside, "%s%s", from, OLD_SUFFIX);
        if (fits != STATUS_OK)
            return fits;
        if (exists && rename(to, aside) != 0)
            failed = errno;
        if (!failed && rename(from, to) != 0) {
            failed = errno;
            if (exists && rename(aside, to) != 0)
                log_warning("%s is now named %s", to, aside);
        }
        if (!failed && exists && rename(aside, from) != 0)
            log_warning("%s: the folder that was replaced could not be removed", aside);
    }
    return failed ? status_set_errno(STATUS_IO, failed, "%s: cannot rename %s", to, from) : STATUS_OK;
}

static enum status write_manifest(struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    int descriptor = -1;
    file_list_sort(&directory->files);
    char path[PATH_BYTES], *text = manifest_text(&directory->files);
    if (!text)
        FAIL(STATUS_INTERNAL, "%s: out of memory", directory->path);
    TRY(path_format(path, "%s/%s", directory->temporary, MANIFEST_NAME));
    TRY(check_no_extra(directory->temporary, &directory->files, STATUS_INTERNAL));
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot create", path);
        goto fail;
    }
    TRY(write_all(descriptor, path, text, (int64_t)strlen(text)));
    int failed = fsync(descriptor) != 0 ? errno : 0;
    failed = close(descriptor) != 0 && !failed ? errno : failed;
    descriptor = -1;
    if (failed) {
        result = status_set_errno(STATUS_IO, failed, "%s: cannot fsync", path);
        goto fail;
    }
    for (int64_t i = 0; i < directory->files.count; i++) { /* sorted, so a subfolder's files are adjacent */
        const char *name = directory->files.entries[i].name, *slash = strchr(name, '/');
        const char *before = i ? directory->files.entries[i - 1].name : "";
        if (!slash || strncmp(before, name, (size_t)(slash - name) + 1) == 0)
            continue;
        char sub[PATH_BYTES];
        TRY(path_format(sub, "%s/%.*s", directory->temporary, (int)(slash - name), name));
        TRY(sync_folder(sub));
    }
    TRY(sync_folder(directory->temporary));
fail:
    if (descriptor >= 0)
        close(descriptor);
    free(text);
    return result;
}

enum status atomic_directory_commit(struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    if (directory->open_files || directory->failed)
        FAIL(directory->failed ? STATUS_IO : STATUS_INTERNAL, "%s: not published: %s", directory->path,
             directory->failed ? "one of its files could not be written" : "one of its files is still open");
    TRY(write_manifest(directory));
    TRY(publish(directory));
    result = sync_folder(directory->parent);
    if (result != STATUS_OK) {
        result = status_prefix(result, "%s: renamed, but perhaps not durably", directory->path);
        directory_free(directory);
        return result;
    }
    if (directory->replace && remove_tree(directory->temporary) != STATUS_OK)
        log_warning("%s", status_text()); /* the new folder is there; the old one only takes space */
    directory_free(directory);
    return STATUS_OK;
fail:
    atomic_directory_abandon(directory);
    return result;
}

void atomic_directory_abandon(struct atomic_directory *directory)
{
    if (!directory)
        return;
    char kept[1024];
    snprintf(kept, sizeof kept, "%s", status_text()); /* kept in case the removal fails and sets another text */
    if (remove_tree(directory->temporary) != STATUS_OK)
        log_warning("%s", status_text());
    status_set(STATUS_OK, "%s", kept);
    directory_free(directory);
}
