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

#include "kernels/cuda/library.h"

#include <dlfcn.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[600]; /* "" after success */

static void load(void)
{
    void *library = library_open("cuDNN", "libcudnn", CUDNN_MAJOR, problem, sizeof problem), *address;
    if (!library)
        return;
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
