/* Where the programs choose their backend. Pool and context are made and destroyed together, because a context holds
 * scratch memory for each thread of the pool that it was made with. */
#include "programs/model/machine.h"

enum status machine_create(int64_t threads, struct machine *machine)
{
    enum status result = STATUS_OK;
    *machine = (struct machine){.kernels = kernels_cpu()};
    TRY(thread_pool_create((int)threads, &machine->pool));
    TRY(device_context_create(machine->kernels, machine->pool, 0, &machine->context));
    return STATUS_OK;
fail:
    thread_pool_destroy(machine->pool);
    *machine = (struct machine){0};
    return result;
}

void machine_destroy(struct machine *machine)
{
    if (machine->pool)
        device_context_destroy(machine->kernels, &machine->context);
    thread_pool_destroy(machine->pool);
    *machine = (struct machine){0};
}
