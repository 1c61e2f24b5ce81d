/* Loads OpenBLAS while the program runs, for three reasons.
 *
 * Threads. The flavour for POSIX threads starts one per processor as soon as it is loaded, and where it cannot (ulimit -v,
 * ulimit -u) the process spins or hangs. It reads its number of threads from the environment when it is loaded and never
 * again, so the variable is set around dlopen: no thread is ever started. Ours share out the tiles.
 *
 * Flavours. Debian has three under one name. The serial one is no way out: version 0.3.21 is built without locks and mixes up
 * the buffers of threads that call it at the same time (8 threads, 24,000 products: 14 wrong). So the library is asked which
 * one it is, and anything but POSIX threads is left alone; our own tiles multiply then.
 *
 * Memory. Every call works in a buffer of 128 MiB of address space, and a call that gets none asks for it forever. The
 * buffers are kept once they exist, and the first free one is taken; so all are made to exist when a context is opened, after
 * a look at whether there is room for them. */
#include "kernels/cpu/blas_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    BUFFER_BYTES = 128 << 20,
    BUFFERS = 128, /* that OpenBLAS counts without complaint; more threads than this find theirs when they need it */
    POSIX_THREADS = 1,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct blas_library library;
static bool usable;
static char absence[200] = "";

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int callers, buffers; /* threads of all contexts; buffers that exist */

/* The symbol's address as a pointer to a function, which ISO C does not convert. */
static bool find(void *handle, const char *name, void *function)
{
    void *symbol = dlsym(handle, name);
    if (symbol)
        memcpy(function, &symbol, sizeof symbol);
    else
        snprintf(absence, sizeof absence, "it has no %s", name);
    return symbol;
}

static bool fits(void *handle)
{
    if (!find(handle, "cblas_sgemm", &library.sgemm) || !find(handle, "openblas_get_config", &library.config) ||
        !find(handle, "openblas_get_parallel", &library.parallel) ||
        !find(handle, "blas_memory_alloc", &library.take_buffer) ||
        !find(handle, "blas_memory_free", &library.return_buffer))
        return false;
    if (library.parallel() == POSIX_THREADS)
        return true;
    snprintf(absence, sizeof absence, "its %s flavour must not be called from several threads",
             library.parallel() ? "OpenMP" : "serial");
    return false;
}

static void load(void)
{
    static const char *const names[] = {SPIRITLM_OPENBLAS,
                                        "libopenblas.so.0"}; /* as configured, or as the system chooses */
    static const char variable[] = "OPENBLAS_NUM_THREADS";
    const char *set = getenv(variable);
    char *before = set ? strdup(set) : NULL;
    setenv(variable, "1", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names && !usable; i++) {
        void *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            snprintf(absence, sizeof absence, "%s", dlerror());
        else if (!(usable = fits(handle)))
            dlclose(handle);
    }
    if (before)
        setenv(variable, before, 1);
    else
        unsetenv(variable);
    free(before);
}

const struct blas_library *blas_library(void)
{
    pthread_once(&once, load);
    return usable ? &library : NULL;
}

const char *blas_library_absence(void)
{
    return absence;
}

/* Maps `count` buffers as OpenBLAS is going to, and one more for what else is allocated meanwhile. */
static bool is_room_for(int count)
{
    void *maps[BUFFERS + 1];
    int made = 0;
    while (made <= count) {
        void *map = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED)
            break;
        maps[made++] = map;
    }
    for (int i = 0; i < made; i++)
        munmap(maps[i], BUFFER_BYTES);
    return made > count;
}

enum status blas_library_reserve(int threads)
{
    enum status result = STATUS_OK;
    void *taken[BUFFERS];
    pthread_mutex_lock(&mutex);
    callers += threads;
    int wanted = callers < BUFFERS ? callers : BUFFERS;
    if (wanted > buffers && !is_room_for(wanted)) {
        callers -= threads;
        result = status_set(STATUS_INTERNAL,
                            "no memory: OpenBLAS works in %d MiB of address space for each of %d threads; use fewer "
                            "threads (SPIRITLM_THREADS), or raise the limit (ulimit -v)",
                            BUFFER_BYTES >> 20, wanted);
    } else if (wanted > buffers) {
        for (int i = 0; i < wanted; i++)
            taken[i] = library.take_buffer(1);
        for (int i = 0; i < wanted; i++)
            library.return_buffer(taken[i]);
        buffers = wanted;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}
