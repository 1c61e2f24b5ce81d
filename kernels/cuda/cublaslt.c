/* Loads cuBLASLt: by its name, as the loader finds it, else from the toolkit that the program was built with. A build whose
 * linker already has the calls (SPIRITLM_CUBLASLT_LINKED) takes those. */
#include "kernels/cuda/cublaslt.h"

#include <pthread.h>
#include <string.h>

static struct cublaslt table;

#ifdef SPIRITLM_CUBLASLT_LINKED

enum status cublaslt_load(const struct cublaslt **calls)
{
#define TAKE(name) table.name = cublasLt##name;
    CUBLASLT_CALLS(TAKE)
#undef TAKE
    *calls = &table;
    return STATUS_OK;
}

#else

#include "kernels/cuda/library.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[600]; /* "" after success */

static void load(void)
{
    void *library = library_open("cuBLASLt", "libcublasLt", CUDART_VERSION / 1000, problem, sizeof problem), *address;
    if (!library)
        return;
#define FIND(name)                                                                                                     \
    address = dlsym(library, "cublasLt" #name);                                                                        \
    if (!address)                                                                                                      \
        snprintf(problem, sizeof problem, "cuBLASLt is too old: it has no cublasLt%s", #name);                         \
    memcpy(&table.name, &address, sizeof address);
    CUBLASLT_CALLS(FIND)
#undef FIND
}

enum status cublaslt_load(const struct cublaslt **calls)
{
    pthread_once(&once, load);
    if (*problem)
        return status_set(STATUS_USAGE, "%s", problem);
    *calls = &table;
    return STATUS_OK;
}

#endif
