/* Opens a shared library of the toolkit. The loader's own search comes first, so that LD_LIBRARY_PATH chooses. */
#include "kernels/cuda/library.h"

#include <dlfcn.h>
#include <stdio.h>

void *library_open(const char *title, const char *name, int major, char *problem, size_t bytes)
{
    char file[64], path[512];
    *problem = 0;
    snprintf(file, sizeof file, "%s.so.%d", name, major);
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library)
        return library;
    const char *error = dlerror();
    snprintf(problem, bytes, "%s cannot be loaded: %s", title, error ? error : file);
    snprintf(path, sizeof path, "%s/%s", SPIRITLM_CUDA_LIBRARIES, file);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library)
        *problem = 0;
    return library;
}
