/* Locks by F_OFD_SETLK (io/lock.h). A lock that is to be shared is first asked for alone: who gets it so is the first, and
 * writes down the purpose before the others are let in; who does not shares it and compares. */
#include "io/lock.h"

#include "core/log.h"
#include "io/atomic_file.h"
#include "io/file_internal.h"
#include "io/lock_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_lock {
    struct lock_request request; /* its strings are copies */
    char path[PATH_BYTES];
    int descriptor; /* -1 in a process that was forked */
    struct stat file, folder;
    int64_t made_folders; /* the innermost ones of `folder` that did not exist */
    struct file_lock *next;
};

/* ---- locks that are held: a forked process must not keep them when this one has ended ---- */

static pthread_mutex_t held_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t held_once = PTHREAD_ONCE_INIT;
static struct file_lock *held;

static void before_fork(void)
{
    pthread_mutex_lock(&held_mutex);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&held_mutex);
}

static void after_fork_in_child(void)
{
    for (struct file_lock *lock = held; lock; lock = lock->next) {
        close(lock->descriptor);
        lock->descriptor = -1;
    }
    held = NULL;
    pthread_mutex_unlock(&held_mutex);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child); /* without memory for it, forks keep the lock */
}

static void enlist(struct file_lock *lock)
{
    pthread_once(&held_once, watch_forks);
    pthread_mutex_lock(&held_mutex);
    lock->next = held;
    held = lock;
    pthread_mutex_unlock(&held_mutex);
}

static void strike_off(struct file_lock *lock)
{
    pthread_mutex_lock(&held_mutex);
    for (struct file_lock **at = &held; *at; at = &(*at)->next)
        if (*at == lock) {
            *at = lock->next;
            break;
        }
    pthread_mutex_unlock(&held_mutex);
}

/* ---- the kernel's part ---- */

/* 0, or errno. */
static int set_lock(int descriptor, short kind)
{
    struct flock range = {.l_type = kind, .l_whence = SEEK_SET}; /* l_len 0: whatever the file's length */
    int failed;
    do
        failed = fcntl(descriptor, F_OFD_SETLK, &range) != 0 ? errno : 0;
    while (failed == EINTR);
    return failed;
}

static bool is_busy(int error)
{
    return error == EAGAIN || error == EACCES;
}

/* EINVAL: a file system or kernel that does not know this kind of lock. */
static bool has_no_locks(int error)
{
    return error == ENOLCK || error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS || error == EINVAL;
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool has_its_name(const struct file_lock *lock)
{
    struct stat named;
    return lstat(lock->path, &named) == 0 && same_inode(&named, &lock->file);
}

/* ---- the file ---- */

static void lock_free(struct file_lock *lock)
{
    if (!lock)
        return;
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    free((char *)(uintptr_t)lock->request.folder);
    free((char *)(uintptr_t)lock->request.file);
    free((char *)(uintptr_t)lock->request.what);
    free((char *)(uintptr_t)lock->request.advice);
    free((char *)(uintptr_t)lock->request.purpose);
    free(lock);
}

static char *copy(const char *text, bool *failed)
{
    char *copied = text ? strdup(text) : NULL;
    *failed = *failed || (text && !copied);
    return copied;
}

static enum status lock_create(const struct lock_request *request, struct file_lock **out)
{
    bool failed = false;
    struct file_lock *lock = calloc(1, sizeof *lock);
    *out = lock;
    if (!lock)
        return status_set(STATUS_INTERNAL, "%s: out of memory", request->what);
    lock->descriptor = -1;
    lock->request = *request;
    lock->request.folder = copy(request->folder, &failed);
    lock->request.file = copy(request->file, &failed);
    lock->request.what = copy(request->what, &failed);
    lock->request.advice = copy(request->advice, &failed);
    lock->request.purpose = copy(request->purpose, &failed);
    if (failed)
        return status_set(STATUS_INTERNAL, "%s: out of memory", request->what);
    return path_format(lock->path, "%s/%s", request->folder, request->file);
}

/* Makes the folder; counts what had to be made, so that a program that was refused leaves nothing. */
static enum status make_folder(struct file_lock *lock)
{
    struct stat info;
    char *path = strdup(lock->request.folder);
    lock->made_folders = 0;
    while (path && stat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        char *parent = parent_folder(path);
        lock->made_folders++;
        free(path);
        path = parent;
    }
    if (!path)
        return status_set(STATUS_INTERNAL, "%s: out of memory", lock->request.folder);
    free(path);
    return lock->made_folders ? make_directories(lock->request.folder) : STATUS_OK;
}

static void remove_made_folders(const struct file_lock *lock)
{
    char *path = strdup(lock->request.folder);
    for (int64_t i = 0; path && i < lock->made_folders && rmdir(path) == 0; i++) {
        char *parent = parent_folder(path);
        free(path);
        path = parent;
    }
    free(path);
}

static void close_file(struct file_lock *lock)
{
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    lock->descriptor = -1;
}

/* Another program that ends may remove the folder that it made while this one is about to use it. */
static enum status open_file(struct file_lock *lock)
{
    enum status result = STATUS_OK;
    for (int attempt = 0; lock->descriptor < 0; attempt++) {
        TRY(make_folder(lock));
        lock->descriptor = open(lock->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (lock->descriptor < 0 && errno == ENOTDIR)
            TRY(make_directories(lock->request.folder)); /* which says where a file is in the way */
        if (lock->descriptor < 0 && (errno != ENOENT || attempt == 100)) {
            result = status_set_errno(STATUS_IO, errno, "%s: cannot create or open the lock's file", lock->path);
            goto fail;
        }
    }
    if (fstat(lock->descriptor, &lock->file) != 0 || stat(lock->request.folder, &lock->folder) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot read its size", lock->path);
        goto fail;
    }
    if (!S_ISREG(lock->file.st_mode))
        FAIL(STATUS_IO, "%s: expected a file, to lock it", lock->path);
fail:
    if (result != STATUS_OK)
        close_file(lock);
    return result;
}

/* The name is for messages: on a full disk the lock holds without it. */
static void write_holder(const struct file_lock *lock, bool alone)
{
    char *line = lock_holder_line(lock->request.purpose);
    if ((alone && ftruncate(lock->descriptor, 0) != 0) ||
        (line && append_whole(lock->descriptor, lock->path, line, (int64_t)strlen(line)) != STATUS_OK))
        log_debug("%s: %s", lock->path, status_text());
    free(line);
}

/* ---- taking it ---- */

enum outcome { LOCK_TAKEN, LOCK_BUSY, LOCK_GONE }; /* GONE: the file lost its name meanwhile */

static enum status refuse_without_locks(struct file_lock *lock, int error)
{
    if (lock->file.st_size == 0)
        unlink(lock->path);
    remove_made_folders(lock);
    return status_set_errno(
        STATUS_USAGE, error,
        "%s: its file system has no locks, so two programs could spoil each other's files there; make "
        "sure that only one writes there at a time, then set files.locks=none",
        lock->request.what);
}

/* Shares the lock with those who hold it, or becomes the first when they have just ended. */
static enum outcome join(struct file_lock *lock, int *error)
{
    char text[LOCK_HOLDER_TEXT];
    *error = set_lock(lock->descriptor, F_RDLCK);
    if (*error)
        return LOCK_BUSY;
    if (!has_its_name(lock))
        return LOCK_GONE;
    if (lock_holder_read(lock->descriptor, lock->request.purpose, true, text) == LOCK_HOLDER_FITS) {
        write_holder(lock, false);
        return LOCK_TAKEN;
    }
    *error = set_lock(lock->descriptor, F_WRLCK);
    if (*error)
        return LOCK_BUSY;
    write_holder(lock, true);
    *error = set_lock(lock->descriptor, F_RDLCK);
    return *error ? LOCK_BUSY : LOCK_TAKEN;
}

/* One attempt. The file stays open when the lock is busy, to be read. */
static enum status attempt(struct file_lock *lock, enum outcome *outcome)
{
    close_file(lock);
    enum status result = open_file(lock);
    if (result != STATUS_OK)
        return result;
    int error = set_lock(lock->descriptor, F_WRLCK);
    if (error == 0 && !has_its_name(lock)) {
        *outcome = LOCK_GONE;
    } else if (error == 0) {
        write_holder(lock, true);
        *outcome = LOCK_TAKEN;
        error = lock->request.shared ? set_lock(lock->descriptor, F_RDLCK) : 0;
    } else if (is_busy(error)) {
        *outcome = LOCK_BUSY;
        if (lock->request.shared)
            *outcome = join(lock, &error);
    }
    if (error == 0 || is_busy(error))
        return STATUS_OK;
    if (has_no_locks(error))
        return refuse_without_locks(lock, error);
    return status_set_errno(STATUS_IO, error, "%s: cannot be locked", lock->path);
}

static enum status refuse(const struct lock_request *request, const char *holder, bool differs)
{
    return status_set(STATUS_USAGE, "%s: in use%s by %s; wait until it has ended, or %s", request->what,
                      differs ? ", for something else," : "", holder, request->advice);
}

/* The lock is busy. True: try again. Who holds it writes its name a moment after it has got it. */
static bool be_patient(const struct file_lock *lock, double *began, bool *told, enum status *result)
{
    const struct lock_request *request = &lock->request;
    char text[LOCK_HOLDER_TEXT];
    enum lock_holder holder = lock_holder_read(lock->descriptor, request->purpose, request->shared, text);
    double now = clock_seconds(), waited = *began > 0 ? now - *began : 0;
    *began = *began > 0 ? *began : now;
    if (request->patience == LOCK_TRY)
        return false;
    bool differs = holder == LOCK_HOLDER_DIFFERS, waits = request->patience == LOCK_WAIT;
    /* Those who share are let in as soon as the first has written its name, or the last has removed the file. */
    bool known = request->shared ? differs : holder != LOCK_HOLDER_UNKNOWN;
    if (differs || (!waits && (known || waited > (request->shared ? 10 : 1)))) {
        *result = refuse(request, text, differs);
        return false;
    }
    if (waits && !*told && (holder == LOCK_HOLDER_FITS || waited > 1)) {
        log_info("%s: waiting for %s", request->what, text);
        *told = true;
    }
    usleep(waited < 0.1 ? 1000 : waited < 2 ? 20000 : 200000);
    return true;
}

/* Also after a busy attempt, in which it may have been shared for a moment: who ends then leaves the file to this one. The
 * last of those who share it gets it alone; if two try at once, one of them does so after the other. */
static void give_back(struct file_lock *lock)
{
    if (!lock || lock->descriptor < 0)
        return;
    if (lock->request.shared)
        (void)set_lock(lock->descriptor, F_UNLCK);
    if (set_lock(lock->descriptor, F_WRLCK) == 0 && has_its_name(lock)) {
        unlink(lock->path);
        if (lock->request.folder)
            remove_made_folders(lock);
    }
    (void)set_lock(lock->descriptor, F_UNLCK);
}

enum status lock_acquire(const struct lock_request *request, struct file_lock **out)
{
    enum status result = STATUS_OK;
    enum outcome outcome = LOCK_BUSY;
    struct file_lock *lock = NULL;
    double began = 0;
    bool told = false;
    *out = NULL;
    if (request->policy == LOCKS_NONE)
        return STATUS_OK;
    TRY(lock_create(request, &lock));
    do
        TRY(attempt(lock, &outcome));
    while (outcome == LOCK_GONE || (outcome == LOCK_BUSY && be_patient(lock, &began, &told, &result)));
    if (outcome == LOCK_TAKEN) {
        enlist(lock);
        *out = lock;
        return STATUS_OK;
    }
fail:
    give_back(lock);
    lock_free(lock);
    return result;
}

/* ---- keeping and giving it back ---- */

enum status lock_confirm(struct file_lock *lock)
{
    enum status result = STATUS_OK;
    struct file_lock *again = NULL;
    struct stat folder;
    if (!lock || has_its_name(lock))
        return STATUS_OK;
    const char *what = lock->request.what;
    if (stat(lock->request.folder, &folder) != 0 || !same_inode(&folder, &lock->folder))
        FAIL(STATUS_IO, "%s: renamed, removed or replaced while this program used it; nothing more is written there",
             what);
    struct lock_request request = lock->request;
    request.patience = LOCK_REFUSE;
    TRY(lock_acquire(&request, &again));
    pthread_mutex_lock(&held_mutex);
    int old = lock->descriptor;
    lock->descriptor = again->descriptor;
    lock->file = again->file;
    again->descriptor = -1;
    pthread_mutex_unlock(&held_mutex);
    close(old);
    strike_off(again);
    lock_free(again);
fail:
    return result == STATUS_USAGE ? status_prefix(STATUS_IO, "%s was removed", lock->path) : result;
}

void lock_release(struct file_lock *lock)
{
    if (!lock)
        return;
    strike_off(lock);
    give_back(lock);
    lock_free(lock);
}

static void remove_if_abandoned(const char *folder, const char *file)
{
    struct file_lock lock = {.descriptor = -1};
    if (path_format(lock.path, "%s/%s", folder, file) != STATUS_OK)
        return;
    lock.descriptor = open(lock.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (lock.descriptor >= 0 && fstat(lock.descriptor, &lock.file) == 0 && S_ISREG(lock.file.st_mode))
        give_back(&lock);
    close_file(&lock);
}

void lock_remove_abandoned(const char *folder, const char *file)
{
    if (file) {
        remove_if_abandoned(folder, file);
        return;
    }
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' && length > 6 && strcmp(entry->d_name + length - 5, ".lock") == 0)
            remove_if_abandoned(folder, entry->d_name);
    }
    if (entries)
        closedir(entries);
}
