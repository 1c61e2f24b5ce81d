/* Preloaded into a program: counts the calls by which it changes files below one folder, records each, and makes one of
 * them fail or be the last. The environment controls it:
 *   FAULT_ROOT      the folder
 *   FAULT_TRACE     file to which each call that was carried out is appended: "NUMBER\tWHAT\tPATH\tPATH2\n"
 *   FAULT_CALL      number of the call that goes wrong, counted from 1; unset: none
 *   FAULT_KIND      EIO, ENOSPC: the call fails with it (a write after half of its bytes, a close after closing); KILL:
 *                   the process is killed instead of making the call (for a write: after half of its bytes)
 *   FAULT_SWALLOW   file, MANIFEST, temporary, parent: every fsync of that class is left out but reports success: of
 *                   files of a folder that is being made, of its MANIFEST, of the folder itself, of any other folder
 *   FAULT_SWALLOW_AT   leaves out only those fsyncs whose path contains this
 *   FAULT_EXCHANGE  refuse: act like a file system that supports neither RENAME_EXCHANGE nor RENAME_NOREPLACE
 *   FAULT_LOCKS     ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL: act like a file system without locks, which answers with this
 * A message on standard error about a saved checkpoint is recorded too, as call 0 "said". */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DESCRIPTORS = 4096 };

static struct {
    const char *root, *swallow, *swallow_at;
    bool refuse_exchange, kill;
    long chosen;
    int error, trace, locks; /* locks: errno of each; 0: they work */
} fault = {.trace = -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls;
static char *paths[DESCRIPTORS]; /* of open files and folders below the root */
static bool writable[DESCRIPTORS];

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) {                                                                                                       \
        void *symbol = dlsym(RTLD_NEXT, #name);                                                                        \
        memcpy(&real, &symbol, sizeof real);                                                                           \
    }

static ssize_t real_write(int descriptor, const void *data, size_t size)
{
    REAL(ssize_t, write, int, const void *, size_t)
    return real(descriptor, data, size);
}

static int lock_error(const char *name)
{
    if (!name)
        return 0;
    if (strcmp(name, "EOPNOTSUPP") == 0)
        return EOPNOTSUPP;
    if (strcmp(name, "ENOSYS") == 0)
        return ENOSYS;
    return strcmp(name, "EINVAL") == 0 ? EINVAL : ENOLCK;
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *call = getenv("FAULT_CALL"), *kind = getenv("FAULT_KIND"), *trace = getenv("FAULT_TRACE");
    const char *exchange = getenv("FAULT_EXCHANGE");
    fault.root = getenv("FAULT_ROOT");
    fault.swallow = getenv("FAULT_SWALLOW");
    fault.swallow_at = getenv("FAULT_SWALLOW_AT");
    fault.chosen = call ? strtol(call, NULL, 10) : 0;
    fault.kill = kind && strcmp(kind, "KILL") == 0;
    fault.error = kind && strcmp(kind, "ENOSPC") == 0 ? ENOSPC : EIO;
    fault.refuse_exchange = exchange && strcmp(exchange, "refuse") == 0;
    fault.locks = lock_error(getenv("FAULT_LOCKS"));
    if (trace) {
        int low = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        struct rlimit files;
        int place = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 908 ? (int)files.rlim_cur - 8 : 900;
        fault.trace = fcntl(low, F_DUPFD_CLOEXEC, place);
        close(low);
    }
}

/* ---- bookkeeping ---- */

static bool is_ours(const char *path)
{
    size_t length = fault.root ? strlen(fault.root) : 0;
    return length && path && strncmp(path, fault.root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static const char *path_of(int descriptor)
{
    return descriptor >= 0 && descriptor < DESCRIPTORS ? paths[descriptor] : NULL;
}

static const char *written_path(int descriptor)
{
    return path_of(descriptor) && writable[descriptor] ? paths[descriptor] : NULL;
}

static void remember(int descriptor, const char *path, bool write)
{
    if (descriptor < 0 || descriptor >= DESCRIPTORS)
        return;
    free(paths[descriptor]);
    paths[descriptor] = is_ours(path) ? strdup(path) : NULL;
    writable[descriptor] = write;
}

static void note(long number, const char *what, const char *path, const char *path2)
{
    char line[4096];
    int kept = errno, length = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\n", number, what, path, path2);
    if (fault.trace >= 0 && length > 0)
        (void)!real_write(fault.trace, line, (size_t)length);
    errno = kept;
}

/* Returns the number of a call below the root. *strikes: it is the chosen one, and the caller must make it go wrong. */
static long count_call(bool *strikes)
{
    pthread_mutex_lock(&lock);
    long number = ++calls;
    pthread_mutex_unlock(&lock);
    *strikes = number == fault.chosen;
    return number;
}

/* What the chosen call does instead of its work or after it. */
static int strike(void)
{
    if (fault.kill)
        kill(getpid(), SIGKILL);
    errno = fault.error;
    return -1;
}

/* For a call that does nothing at all when it goes wrong. */
#define GUARDED(what, path, path2, call)                                                                               \
    do {                                                                                                               \
        bool strikes_;                                                                                                 \
        long number_ = count_call(&strikes_);                                                                          \
        int done_ = strikes_ ? strike() : (call);                                                                      \
        if (done_ == 0)                                                                                                \
            note(number_, (what), (path), (path2));                                                                    \
        return done_;                                                                                                  \
    } while (0)

/* ---- opening ---- */

static const char *what_opening_does(const char *path, bool write, bool cut)
{
    if (!write)
        return "open";
    if (access(path, F_OK) != 0)
        return "create";
    return cut ? "write" : "open";
}

/* Opening a folder counts too: it is opened to be fsync'd. */
static int watch_open(int (*real)(int, const char *, int, unsigned), int at, const char *path, int flags, unsigned mode)
{
    bool write = (flags & O_ACCMODE) != O_RDONLY, strikes = false;
    if (!is_ours(path))
        return real(at, path, flags, mode);
    long number = 0;
    const char *what = what_opening_does(path, write, flags & O_TRUNC);
    if (write || (flags & O_DIRECTORY))
        number = count_call(&strikes);
    int descriptor = strikes ? strike() : real(at, path, flags, mode);
    if (descriptor >= 0) {
        remember(descriptor, path, write);
        if (number)
            note(number, what, path, "");
    }
    return descriptor;
}

static int real_openat(int at, const char *path, int flags, unsigned mode)
{
    REAL(int, openat, int, const char *, int, ...)
    return real(at, path, flags, mode);
}

#define OPEN_FUNCTION(name)                                                                                            \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;                                             \
        va_end(arguments);                                                                                             \
        return watch_open(real_openat, AT_FDCWD, path, flags, mode);                                                   \
    }
#define OPENAT_FUNCTION(name)                                                                                          \
    int name(int at, const char *path, int flags, ...)                                                                 \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;                                             \
        va_end(arguments);                                                                                             \
        return watch_open(real_openat, at, path, flags, mode);                                                         \
    }
OPEN_FUNCTION(open)
OPEN_FUNCTION(open64)
OPENAT_FUNCTION(openat)
OPENAT_FUNCTION(openat64)

int creat(const char *path, mode_t mode)
{
    return watch_open(real_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

static FILE *watch_fopen(FILE *(*real)(const char *, const char *), const char *path, const char *mode)
{
    bool write = mode[0] != 'r' || strchr(mode, '+'), strikes = false;
    if (!is_ours(path) || !write)
        return real(path, mode);
    long number = count_call(&strikes);
    const char *what = what_opening_does(path, true, mode[0] == 'w');
    FILE *file = NULL;
    if (strikes)
        strike();
    else
        file = real(path, mode);
    if (file) {
        remember(fileno(file), path, true);
        note(number, what, path, "");
    }
    return file;
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(FILE *, fopen, const char *, const char *)
    return watch_fopen(real, path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    REAL(FILE *, fopen64, const char *, const char *)
    return watch_fopen(real, path, mode);
}

/* ---- writing ---- */

ssize_t write(int descriptor, const void *data, size_t size)
{
    const char *path = written_path(descriptor);
    bool strikes;
    if (!path)
        return real_write(descriptor, data, size);
    long number = count_call(&strikes);
    ssize_t put = real_write(descriptor, data, strikes ? size / 2 : size);
    if (strikes)
        return strike();
    if (put >= 0)
        note(number, "write", path, "");
    return put;
}

static ssize_t watch_pwrite(ssize_t (*real)(int, const void *, size_t, off64_t), int descriptor, const void *data,
                            size_t size, off64_t offset)
{
    const char *path = written_path(descriptor);
    bool strikes;
    if (!path)
        return real(descriptor, data, size, offset);
    long number = count_call(&strikes);
    ssize_t put = real(descriptor, data, strikes ? size / 2 : size, offset);
    if (strikes)
        return strike();
    if (put >= 0)
        note(number, "write", path, "");
    return put;
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t)
    return watch_pwrite(real, descriptor, data, size, offset);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset)
{
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t)
    return watch_pwrite(real, descriptor, data, size, offset);
}

/* The writes inside a stream are not seen; its flush counts for them. */
int fflush(FILE *file)
{
    REAL(int, fflush, FILE *)
    const char *path = file ? written_path(fileno(file)) : NULL;
    if (!path)
        return real(file);
    GUARDED("write", path, "", real(file));
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    REAL(size_t, fwrite, const void *, size_t, size_t, FILE *)
    char line[1024];
    if (file == stderr && size == 1 && count > 6 && count < sizeof line && memcmp(data, "saved ", 6) == 0) {
        memcpy(line, (const char *)data + 6, count - 7); /* without the end of the line */
        line[count - 7] = 0;
        note(0, "said", line, "");
    }
    return real(data, size, count, file);
}

static int watch_reserve(int (*real)(int, int, off64_t, off64_t), int descriptor, int mode, off64_t offset,
                         off64_t size)
{
    const char *path = written_path(descriptor);
    if (!path)
        return real(descriptor, mode, offset, size);
    GUARDED("write", path, "", real(descriptor, mode, offset, size));
}

int fallocate(int descriptor, int mode, off_t offset, off_t size)
{
    REAL(int, fallocate64, int, int, off64_t, off64_t)
    return watch_reserve(real, descriptor, mode, offset, size);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t size)
{
    REAL(int, fallocate64, int, int, off64_t, off64_t)
    return watch_reserve(real, descriptor, mode, offset, size);
}

static int watch_truncate(int (*real)(int, off64_t), int descriptor, off64_t size)
{
    const char *path = written_path(descriptor);
    if (!path)
        return real(descriptor, size);
    GUARDED("write", path, "", real(descriptor, size));
}

int ftruncate(int descriptor, off_t size)
{
    REAL(int, ftruncate64, int, off64_t)
    return watch_truncate(real, descriptor, size);
}

int ftruncate64(int descriptor, off64_t size)
{
    REAL(int, ftruncate64, int, off64_t)
    return watch_truncate(real, descriptor, size);
}

/* ---- making durable ---- */

static bool is_swallowed(int descriptor, const char *path)
{
    struct stat information;
    const char *class, *name = strrchr(path, '/');
    bool folder = fstat(descriptor, &information) == 0 && S_ISDIR(information.st_mode);
    bool making = strstr(path, ".tmp-") != NULL;
    if (!fault.swallow || (!folder && !making) || (fault.swallow_at && !strstr(path, fault.swallow_at)))
        return false;
    if (folder)
        class = making ? "temporary" : "parent";
    else
        class = name && strcmp(name, "/MANIFEST") == 0 ? "MANIFEST" : "file";
    return strcmp(class, fault.swallow) == 0;
}

static int watch_fsync(int (*real)(int), int descriptor)
{
    const char *path = path_of(descriptor);
    if (!path)
        return real(descriptor);
    if (is_swallowed(descriptor, path))
        return 0;
    GUARDED("fsync", path, "", real(descriptor));
}

int fsync(int descriptor)
{
    REAL(int, fsync, int)
    return watch_fsync(real, descriptor);
}

int fdatasync(int descriptor)
{
    REAL(int, fdatasync, int)
    return watch_fsync(real, descriptor);
}

/* ---- closing: as on Linux, the file is closed whatever is reported ---- */

int close(int descriptor)
{
    REAL(int, close, int)
    bool ours = path_of(descriptor) != NULL, counted = written_path(descriptor) != NULL, strikes = false;
    if (counted)
        count_call(&strikes);
    if (strikes && fault.kill)
        strike();
    int done = real(descriptor);
    if (ours)
        remember(descriptor, NULL, false);
    return strikes ? strike() : done;
}

int fclose(FILE *file)
{
    REAL(int, fclose, FILE *)
    int descriptor = fileno(file);
    bool counted = written_path(descriptor) != NULL, strikes = false;
    if (counted)
        count_call(&strikes);
    if (strikes && fault.kill)
        strike();
    int done = real(file);
    if (counted)
        remember(descriptor, NULL, false);
    return strikes ? strike() : done;
}

/* ---- locking ---- */

/* What follows the command is a pointer, a number or nothing; all travel alike. */
static int watch_control(int (*real)(int, int, void *), int descriptor, int command, void *argument)
{
    if (fault.locks && path_of(descriptor) && (command == F_OFD_SETLK || command == F_OFD_SETLKW)) {
        errno = fault.locks;
        return -1;
    }
    return real(descriptor, command, argument);
}

#define CONTROL_FUNCTION(name)                                                                                         \
    int name(int descriptor, int command, ...)                                                                         \
    {                                                                                                                  \
        REAL(int, name, int, int, void *)                                                                              \
        va_list arguments;                                                                                             \
        va_start(arguments, command);                                                                                  \
        void *argument = va_arg(arguments, void *);                                                                    \
        va_end(arguments);                                                                                             \
        return watch_control(real, descriptor, command, argument);                                                     \
    }
CONTROL_FUNCTION(fcntl)
CONTROL_FUNCTION(fcntl64)

/* ---- names ---- */

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *)
    if (!is_ours(from) && !is_ours(to))
        return real(from, to);
    GUARDED("rename", from, to, real(from, to));
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    REAL(int, renameat2, int, const char *, int, const char *, unsigned)
    if (!is_ours(from) && !is_ours(to))
        return real(from_at, from, to_at, to, flags);
    if (fault.refuse_exchange) {
        errno = EINVAL;
        return -1;
    }
    GUARDED(flags & RENAME_EXCHANGE ? "exchange" : "rename", from, to, real(from_at, from, to_at, to, flags));
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, mkdir, const char *, mode_t)
    if (!is_ours(path))
        return real(path, mode);
    GUARDED("mkdir", path, "", real(path, mode));
}

#define REMOVE_FUNCTION(name)                                                                                          \
    int name(const char *path)                                                                                         \
    {                                                                                                                  \
        REAL(int, name, const char *)                                                                                  \
        if (!is_ours(path))                                                                                            \
            return real(path);                                                                                         \
        GUARDED("unlink", path, "", real(path));                                                                       \
    }
REMOVE_FUNCTION(unlink)
REMOVE_FUNCTION(rmdir)
REMOVE_FUNCTION(remove)
