/* Loads cuDNN, of the major version whose header the program was built with: by its name, as the loader finds it, else from the
 * toolkit. A build whose linker already has the calls (SPIRITLM_CUDNN_LINKED) takes those. */
#ifdef SPIRITLM_HAVE_CUDNN

#include "kernels/cuda/cudnn.h"

#include <pthread.h>
#include <string.h>

static struct cudnn table;

#ifdef SPIRITLM_CUDNN_LINKED

enum status cudnn_load(const struct cudnn **calls)
{
#define TAKE(name) table.name = cudnn##name;
    CUDNN_CALLS(TAKE)
#undef TAKE
    *calls = &table;
    return STATUS_OK;
}

#else

#include <dlfcn.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[600]; /* "" after success */

static void *open_library(void)
{
    char name[64], path[512];
    snprintf(name, sizeof name, "libcudnn.so.%d", CUDNN_MAJOR);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library)
        return library;
    const char *error = dlerror();
    snprintf(problem, sizeof problem, "cuDNN cannot be loaded: %s", error ? error : name);
    snprintf(path, sizeof path, "%s/%s", SPIRITLM_CUDA_LIBRARIES, name);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void load(void)
{
    void *library = open_library(), *address;
    if (!library)
        return;
    *problem = 0;
#define FIND(name)                                                                                                     \
    address = dlsym(library, "cudnn" #name);                                                                           \
    if (!address)                                                                                                      \
        snprintf(problem, sizeof problem, "cuDNN does not fit: it has no cudnn%s", #name);                             \
    memcpy(&table.name, &address, sizeof address);
    CUDNN_CALLS(FIND)
#undef FIND
}

enum status cudnn_load(const struct cudnn **calls)
{
    pthread_once(&once, load);
    if (*problem)
        return status_set(STATUS_USAGE, "%s", problem);
    *calls = &table;
    return STATUS_OK;
}

#endif
#else
typedef int translation_unit_without_cudnn; /* ISO C wants a declaration */
#endif
