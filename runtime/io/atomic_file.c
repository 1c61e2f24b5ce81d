/* Single files: read whole, replaced whole, appended to whole (folders: atomic_directory.c). A new version is written
 * beside the old one, fsync'd and renamed over it, because a rename is the one replacement that no crash can interrupt
 * halfway. Temporary names carry process and host, so that what dead processes left behind can be told from what live
 * ones are writing. */
#include "io/atomic_file.h"

#include "io/file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *parent_folder(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length ? strndup(path, length) : strdup(".");
}

void host_name(char name[65])
{
    if (gethostname(name, 64) != 0)
        strcpy(name, "localhost");
    name[64] = 0;
    for (char *c = name; *c; c++)
        if (*c == '/')
            *c = '_';
}

enum status temporary_path(const char *path, char temporary[PATH_BYTES])
{
    char host[65];
    host_name(host);
    return path_format(temporary, "%s.tmp-%ld-%s", path, (long)getpid(), host);
}

enum status file_read(const char *path, int64_t limit, void **data, int64_t *size)
{
    enum status result = STATUS_OK;
    char *bytes = NULL;
    /* O_NONBLOCK: opening a pipe must be refused below, not wait for a writer. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s: cannot open", path);
    struct stat info;
    if (fstat(descriptor, &info) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot read its size", path);
        goto fail;
    }
    if (!S_ISREG(info.st_mode))
        FAIL(STATUS_USAGE, "%s: expected a file, found a %s", path, S_ISDIR(info.st_mode) ? "folder" : "device");
    if (info.st_size > limit)
        FAIL(STATUS_CORRUPT, "%s: expected at most %lld bytes, found %lld", path, (long long)limit,
             (long long)info.st_size);
    bytes = malloc((size_t)info.st_size + 1);
    if (!bytes)
        FAIL(STATUS_INTERNAL, "%s: no memory for %lld bytes", path, (long long)info.st_size);
    int64_t done = 0;
    while (done < info.st_size) {
        ssize_t got = read(descriptor, bytes + done, (size_t)(info.st_size - done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            result = status_set_errno(STATUS_IO, errno, "%s: cannot read", path);
            goto fail;
        }
        if (got == 0)
            FAIL(STATUS_IO, "%s: it shrank from %lld to %lld bytes while being read", path, (long long)info.st_size,
                 (long long)done);
        done += got;
    }
    bytes[done] = 0;
    *data = bytes;
    *size = done;
    bytes = NULL;
fail:
    free(bytes);
    close(descriptor);
    return result;
}

enum status file_open_to_read(const char *path, FILE **file)
{
    struct stat info;
    *file = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return errno == ENOENT ? STATUS_OK : status_set_errno(code_of_open(errno), errno, "%s: cannot open", path);
    if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(descriptor);
        return status_set(STATUS_USAGE, "%s: expected a regular file", path);
    }
    *file = fdopen(descriptor, "r");
    if (*file)
        return STATUS_OK;
    close(descriptor);
    return status_set(STATUS_INTERNAL, "%s: no memory to read it", path);
}

enum status file_truncate(const char *path, int64_t size)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s: cannot open", path);
    int failed = ftruncate(descriptor, size) != 0 || fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    return failed ? status_set_errno(STATUS_IO, failed, "%s: cannot truncate it to %lld bytes", path, (long long)size)
                  : STATUS_OK;
}

enum status append_whole(int descriptor, const char *path, const void *data, int64_t size)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0)
        return status_set_errno(STATUS_IO, errno, "%s: cannot read its size", path);
    enum status result = write_all(descriptor, path, data, size);
    if (result != STATUS_OK && ftruncate(descriptor, info.st_size) != 0)
        result = status_prefix(result, "%s now ends in an incomplete piece", path);
    return result;
}

enum status sync_folder(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return status_set_errno(STATUS_IO, errno, "%s: cannot open the folder", path);
    /* EINVAL: a file system that cannot fsync a folder. */
    int failed = fsync(descriptor) != 0 && errno != EINVAL ? errno : 0;
    close(descriptor);
    return failed ? status_set_errno(STATUS_IO, failed, "%s: cannot fsync the folder", path) : STATUS_OK;
}

/* Never through a link that somebody has put there, nor into a file that somebody else has open: one of that name was left
 * by a process with this one's number. */
static int create_temporary(const char *path)
{
    enum { FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };
    int descriptor = open(path, FLAGS, 0666);
    if (descriptor < 0 && errno == EEXIST && unlink(path) == 0)
        descriptor = open(path, FLAGS, 0666);
    return descriptor;
}

/* Makes PATH.tmp-PID-HOST with these bytes, fsync'd. Nothing is left on failure. */
static enum status write_temporary(const char *path, const char *temporary, const void *data, int64_t size)
{
    int descriptor = create_temporary(temporary);
    if (descriptor < 0)
        return status_set_errno(STATUS_IO, errno, "%s: cannot create", temporary);
    enum status result = write_all(descriptor, path, data, size);
    if (result == STATUS_OK && fsync(descriptor) != 0)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot fsync", path);
    if (close(descriptor) != 0 && result == STATUS_OK)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot close", path);
    if (result != STATUS_OK)
        unlink(temporary);
    return result;
}

enum status atomic_write(const char *path, const void *data, int64_t size)
{
    if (is_stream(path))
        return write_stream(path, data, size);
    enum status result = STATUS_OK;
    char temporary[PATH_BYTES], *folder = parent_folder(path);
    if (!folder)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(temporary_path(path, temporary));
    TRY(write_temporary(path, temporary, data, size));
    if (rename(temporary, path) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot rename %s", path, temporary);
        unlink(temporary);
        goto fail;
    }
    TRY(sync_folder(folder));
fail:
    free(folder);
    return result;
}

/* In a folder that many may write in (/tmp), nobody may replace another's file. */
static bool is_protected(const struct stat *file, const struct stat *folder)
{
    uid_t user = geteuid();
    return (folder->st_mode & S_ISVTX) && user != 0 && user != file->st_uid && user != folder->st_uid;
}

enum status atomic_write_check(const char *path)
{
    enum status result = STATUS_OK;
    struct stat info, around;
    char temporary[PATH_BYTES], page[4096] = "", *folder = parent_folder(path);
    if (!folder)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    if (is_stream(path)) {
        if (access(path, W_OK) != 0 && errno == EACCES)
            result = status_set_errno(STATUS_IO, errno, "%s: cannot write", path);
        goto fail;
    }
    if (lstat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            FAIL(STATUS_USAGE, "%s: expected a file, found a folder", path);
        if (stat(folder, &around) == 0 && is_protected(&info, &around))
            FAIL(STATUS_IO, "%s: cannot replace another user's file", path);
    }
    TRY(temporary_path(path, temporary));
    TRY(write_temporary(path, temporary, page, sizeof page));
    if (unlink(temporary) != 0)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot remove", temporary);
fail:
    free(folder);
    return result;
}

static enum status make_one_directory(const char *path)
{
    struct stat info;
    if (mkdir(path, 0777) == 0) {
        char *parent = parent_folder(path);
        enum status result = parent ? sync_folder(parent) : status_set(STATUS_INTERNAL, "%s: out of memory", path);
        free(parent);
        return result;
    }
    int error = errno;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return STATUS_OK;
        return status_set(STATUS_USAGE, "%s: expected a folder, found a file", path);
    }
    return status_set_errno(error == ENOTDIR ? STATUS_USAGE : STATUS_IO, error, "%s: cannot make the folder", path);
}

enum status make_directories(const char *path)
{
    char *part = strdup(path);
    if (!part)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    enum status result = STATUS_OK;
    for (char *c = part; result == STATUS_OK && *c; c++) {
        if (*c != '/' || c == part || c[-1] == '/')
            continue;
        *c = 0;
        result = make_one_directory(part);
        *c = '/';
    }
    if (result == STATUS_OK)
        result = make_one_directory(part);
    free(part);
    return result;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path) == 0 || errno == ENOENT ? 0 : errno;
}

enum status remove_tree(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        if (errno == ENOENT)
            return STATUS_OK;
        return status_set_errno(STATUS_IO, errno, "%s: cannot remove", path);
    }
    int failed;
    if (S_ISDIR(info.st_mode)) {
        failed = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        if (failed < 0)
            failed = errno;
    } else {
        failed = unlink(path) == 0 || errno == ENOENT ? 0 : errno;
    }
    return failed ? status_set_errno(STATUS_IO, failed, "%s: cannot remove", path) : STATUS_OK;
}

enum status atomic_remove(const char *path)
{
    enum status result = STATUS_OK;
    char temporary[PATH_BYTES], *folder = parent_folder(path);
    if (!folder)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(temporary_path(path, temporary));
    TRY(remove_tree(temporary));
    if (rename(path, temporary) != 0) {
        if (errno != ENOENT)
            result = status_set_errno(STATUS_IO, errno, "%s: cannot remove", path);
        goto fail;
    }
    result = sync_folder(folder); /* otherwise a power failure might bring back the name without its contents */
    if (result == STATUS_OK)
        result = remove_tree(temporary);
    else
        result = status_prefix(result, "%s: cannot remove it durably", path);
fail:
    free(folder);
    return result;
}

/* A leftover is NAME.tmp-PID-HOST, or that with "+old" appended, of a process of this host that no longer runs, or of
 * this process itself, which in a container often has the number of the one that was killed. */
enum leftover { LEFTOVER_NONE, LEFTOVER_NEW, LEFTOVER_OLD };

static enum leftover leftover_kind(const char *entry, const char *name, const char *host, size_t *name_length)
{
    const char *mark = strstr(entry, ".tmp-");
    for (const char *next; mark && (next = strstr(mark + 1, ".tmp-"));)
        mark = next;
    if (!mark || (name && (strlen(name) != (size_t)(mark - entry) || memcmp(entry, name, strlen(name)) != 0)))
        return LEFTOVER_NONE;
    char *end;
    errno = 0;
    long process = strtol(mark + 5, &end, 10);
    if (errno || process <= 0 || process > INT32_MAX || *end != '-' || strncmp(end + 1, host, strlen(host)) != 0)
        return LEFTOVER_NONE;
    const char *rest = end + 1 + strlen(host);
    bool old = strcmp(rest, OLD_SUFFIX) == 0;
    *name_length = (size_t)(mark - entry);
    if ((*rest && !old) || (process != (long)getpid() && (kill((pid_t)process, 0) == 0 || errno != ESRCH)))
        return LEFTOVER_NONE;
    return old ? LEFTOVER_OLD : LEFTOVER_NEW;
}

/* Removes a leftover; but a folder that was moved aside for a new one that never came gets its name back. */
static enum status settle_leftover(const char *folder, const char *entry, enum leftover kind, size_t name_length)
{
    enum status result = STATUS_OK;
    struct stat info;
    char path[PATH_BYTES], name[PATH_BYTES];
    TRY(path_format(path, "%s/%s", folder, entry));
    TRY(path_format(name, "%s/%.*s", folder, (int)name_length, entry));
    if (kind == LEFTOVER_NEW || lstat(name, &info) == 0)
        result = remove_tree(path);
    else if (rename(path, name) != 0)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot rename %s", name, path);
fail:
    return result;
}

enum status remove_leftovers_of(const char *folder, const char *name)
{
    char host[65];
    bool synced = false;
    host_name(host);
    DIR *entries = opendir(folder);
    if (!entries)
        return status_set_errno(code_of_open(errno), errno, "%s: cannot list the folder", folder);
    enum status result = STATUS_OK;
    for (struct dirent *entry; result == STATUS_OK && (errno = 0, entry = readdir(entries));) {
        size_t length;
        enum leftover kind = leftover_kind(entry->d_name, name, host, &length);
        if (kind == LEFTOVER_NONE)
            continue;
        /* It may be the old folder of an exchange that is not durable yet, which a power failure would bring back. */
        if (!synced)
            result = sync_folder(folder);
        synced = true;
        if (result == STATUS_OK)
            result = settle_leftover(folder, entry->d_name, kind, length);
    }
    if (result == STATUS_OK && errno != 0)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot list the folder", folder);
    closedir(entries);
    return result;
}

enum status remove_leftovers(const char *folder)
{
    return remove_leftovers_of(folder, NULL);
}
