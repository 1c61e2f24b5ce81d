/* What computing programs start with and end with. */
#include "programs/model/machine.h"

#include "kernels/cuda/sizes/cuda_sizes.h"

enum status program_machine_kernels(const struct program_arguments *arguments, const struct kernels **kernels)
{
    enum status result = program_device_kernels(arguments, kernels);
    if (result == STATUS_OK && !*kernels)
        *kernels = kernels_cpu();
    return result;
}

enum status program_machine_plan_kernels(const struct program_arguments *arguments, const struct kernels **kernels)
{
    if (!program_device_is_gpu(arguments))
        return program_machine_kernels(arguments, kernels);
    *kernels = kernels_cuda_plan();
    return STATUS_OK;
}

enum status program_machine_create(const struct program_arguments *arguments, int64_t threads,
                                   const struct kernels_settings *settings, struct machine *machine)
{
    enum status result = STATUS_OK;
    *machine = (struct machine){0};
    TRY(program_machine_kernels(arguments, &machine->kernels));
    if (settings)
        TRY(program_device_engines(machine->kernels, settings));
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
