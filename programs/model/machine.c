/* Devices by name. A backend is a table of kernels and nothing else, so this list is the only place that knows which there
 * are; everything else computes on what it is given. */
#include "programs/model/machine.h"

#include <stdio.h>
#include <string.h>

static const struct device {
    const char *name;
    const struct kernels *(*kernels)(void);
} devices[] = {{"cpu", kernels_cpu}};

enum { DEVICES = sizeof devices / sizeof *devices };

enum status machine_kernels(const struct program_arguments *arguments, const struct kernels **kernels)
{
    const char *name = program_value(arguments, "--device", devices[0].name);
    char names[200] = "";
    for (size_t i = 0; i < DEVICES; i++) {
        size_t used = strlen(names);
        if (strcmp(name, devices[i].name) == 0) {
            *kernels = devices[i].kernels();
            return STATUS_OK;
        }
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", devices[i].name);
    }
    return status_set(STATUS_USAGE, "--device %s: no such device; this program has: %s", name, names);
}

enum status machine_create(const struct program_arguments *arguments, int64_t threads, struct machine *machine)
{
    enum status result = STATUS_OK;
    *machine = (struct machine){0};
    TRY(machine_kernels(arguments, &machine->kernels));
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
