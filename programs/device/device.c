/* GPUs by name. A backend is a table of kernels and nothing else, so this file is the only place that knows which there are
 * beside the cpu's. CUDA's is there in builds with it (SPIRITLM_HAVE_CUDA). */
#include "programs/device/device.h"

#include "core/log.h"
#include "kernels/cuda/sizes/conv1d_engine.h"

#include <stdlib.h>
#include <string.h>

#ifdef SPIRITLM_HAVE_CUDA
#include "kernels/cuda/kernels_cuda.h"
#endif

/* "cuda" or "cuda:N": whether that is what was asked for, and N, or -1 where none is given. */
static bool names_gpu(const char *name, int *index)
{
    *index = -1;
    if (strcmp(name, "cuda") == 0)
        return true;
    if (strncmp(name, "cuda:", 5) != 0 || name[5] < '0' || name[5] > '9')
        return false;
    char *end;
    long number = strtol(name + 5, &end, 10);
    *index = (int)number;
    return *end == 0 && number <= 1000;
}

static enum status unknown_device(const char *name)
{
#ifdef SPIRITLM_HAVE_CUDA
    return status_set(STATUS_USAGE, "--device %s: no such device; this program has: cpu, cuda, cuda:N", name);
#else
    return status_set(STATUS_USAGE, "--device %s: no such device; this program has: cpu", name);
#endif
}

#ifdef SPIRITLM_HAVE_CUDA

static enum status use_gpu(const char *name, int index, const struct kernels **kernels)
{
    int count;
    enum status result = kernels_cuda_devices(&count);
    if (result == STATUS_OK && index < 0 && count > 1)
        log_info("note: %d GPUs are visible; computing on cuda:0 (--device cuda:N or CUDA_VISIBLE_DEVICES chooses)",
                 count);
    if (result == STATUS_OK)
        result = kernels_cuda_select(index < 0 ? 0 : index);
    if (result != STATUS_OK)
        return status_prefix(result, "--device %s", name);
    *kernels = kernels_cuda();
    return STATUS_OK;
}

static int64_t gpu_bytes(int index)
{
    int64_t bytes;
    bool good = kernels_cuda_select(index < 0 ? 0 : index) == STATUS_OK;
    return good && kernels_cuda_device_bytes(index < 0 ? 0 : index, &bytes) == STATUS_OK ? bytes : 0;
}

/* Says why there is none, for whoever thought that there was one. */
static bool finds_gpu(void)
{
    int count;
    if (kernels_cuda_devices(&count) == STATUS_OK && kernels_cuda_select(0) == STATUS_OK)
        return true;
    log_info("note: computing on the cpu: %s", status_text());
    return false;
}

#else

static enum status use_gpu(const char *name, int index, const struct kernels **kernels)
{
    (void)index;
    *kernels = NULL;
    return status_set(STATUS_USAGE,
                      "--device %s: this program was built without CUDA; scripts/build cuda builds it with CUDA", name);
}

static int64_t gpu_bytes(int index)
{
    (void)index;
    return 0;
}

static bool finds_gpu(void)
{
    return false;
}

#endif

bool program_device_is_gpu(const struct program_arguments *arguments)
{
    int index;
    const char *name = program_value(arguments, "--device", NULL);
    return name && names_gpu(name, &index);
}

enum status program_device_kernels(const struct program_arguments *arguments, const struct kernels **kernels)
{
    int index;
    const char *name = program_value(arguments, "--device", NULL);
    *kernels = NULL;
    if (!name)
        name = finds_gpu() ? "cuda" : "cpu";
    if (names_gpu(name, &index))
        return use_gpu(name, index, kernels);
    return strcmp(name, "cpu") == 0 ? STATUS_OK : unknown_device(name);
}

int64_t program_device_bytes(const struct program_arguments *arguments)
{
    int index;
    const char *name = program_value(arguments, "--device", "cuda"); /* as it is where none is given */
    return names_gpu(name, &index) ? gpu_bytes(index) : 0;
}

enum status program_device_engines(const struct kernels *kernels, const struct kernels_settings *settings)
{
    const bool cudnn = settings->conv1d == CONV1D_CHOICE_CUDNN;
    if (cudnn && (!kernels || strcmp(kernels->name, "cuda") != 0))
        return status_set(STATUS_USAGE, "kernels.conv1d: cudnn computes on GPUs alone; the cpu has own");
    cuda_conv1d_choose(cudnn ? CUDA_CONV1D_CUDNN : CUDA_CONV1D_OWN);
    return STATUS_OK;
}
