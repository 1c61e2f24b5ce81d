/* Devices by name. A backend is a table of kernels and nothing else, so this file is the only place that knows which there
 * are; everything else computes on what it is given. CUDA's is there in builds with it (SPIRITLM_HAVE_CUDA). */
#include "programs/model/machine.h"

#include "core/log.h"
#include "kernels/cuda/sizes/cuda_sizes.h"

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

static bool finds_gpu(void)
{
    return false;
}

#endif

enum status program_machine_kernels(const struct program_arguments *arguments, const struct kernels **kernels)
{
    int index;
    const char *name = program_value(arguments, "--device", NULL);
    if (!name)
        name = finds_gpu() ? "cuda" : "cpu";
    if (names_gpu(name, &index))
        return use_gpu(name, index, kernels);
    if (strcmp(name, "cpu") != 0)
        return unknown_device(name);
    *kernels = kernels_cpu();
    return STATUS_OK;
}

enum status program_machine_plan_kernels(const struct program_arguments *arguments, const struct kernels **kernels)
{
    int index;
    const char *name = program_value(arguments, "--device", NULL);
    if (!name || !names_gpu(name, &index))
        return program_machine_kernels(arguments, kernels);
    *kernels = kernels_cuda_plan();
    return STATUS_OK;
}

enum status program_machine_create(const struct program_arguments *arguments, int64_t threads, struct machine *machine)
{
    enum status result = STATUS_OK;
    *machine = (struct machine){0};
    TRY(program_machine_kernels(arguments, &machine->kernels));
    TRY(thread_pool_create((int)threads, &machine->pool));
    TRY(device_context_create(machine->kernels, machine->pool, 0, &machine->context));
    return STATUS_OK;
fail:
    thread_pool_destroy(machine->pool);
    *machine = (struct machine){0};
    return result;
}

void program_machine_destroy(struct machine *machine)
{
    if (machine->pool)
        device_context_destroy(machine->kernels, &machine->context);
    thread_pool_destroy(machine->pool);
    *machine = (struct machine){0};
}
