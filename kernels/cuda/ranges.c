/* NVTX is headers alone: they look for the library that a profiler (Nsight Systems) puts into the process, and call nothing
 * where there is none. A toolkit without them gives a program without ranges. */
#include "kernels/cuda/ranges.h"

#include <stdlib.h>
#include <string.h>

#if defined __has_include
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define HAVE_NVTX
#endif
#endif

atomic_bool cuda_ranges_wanted;

#ifdef HAVE_NVTX

void cuda_ranges_open(void)
{
    const char *text = getenv("SPIRITLM_NVTX");
    atomic_store(&cuda_ranges_wanted, text && strcmp(text, "1") == 0);
}

void cuda_range_push(const char *name)
{
    (void)nvtxRangePushA(name);
}

void cuda_range_pop(void)
{
    (void)nvtxRangePop();
}

#else

void cuda_ranges_open(void)
{
}

void cuda_range_push(const char *name)
{
    (void)name;
}

void cuda_range_pop(void)
{
}

#endif
