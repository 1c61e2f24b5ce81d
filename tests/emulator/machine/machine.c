/* One emulated GPU: what it has, and the modules that are loaded into it. */
#include "emulator/machine/interpreter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB INT64_C(1024)
#define GIB (KIB * KIB * KIB)

/* CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". Processors and memory: T4, A100 SXM 80 GB,
 * A10 and H100 SXM. The first is there for what is said of a GPU that is too old. */
const struct machine_limits machine_sm_75 = {.name = "sm_75",
                                             .major = 7,
                                             .minor = 5,
                                             .processors = 40,
                                             .shared_per_block = 48 * KIB,
                                             .shared_per_block_optin = 64 * KIB,
                                             .shared_per_processor = 64 * KIB,
                                             .registers_per_block = 65536,
                                             .threads_per_block = 1024,
                                             .total_memory = 16 * GIB};
const struct machine_limits machine_sm_80 = {.name = "sm_80",
                                             .major = 8,
                                             .minor = 0,
                                             .processors = 108,
                                             .shared_per_block = 48 * KIB,
                                             .shared_per_block_optin = 163 * KIB,
                                             .shared_per_processor = 164 * KIB,
                                             .registers_per_block = 65536,
                                             .threads_per_block = 1024,
                                             .total_memory = 80 * GIB};
const struct machine_limits machine_sm_86 = {.name = "sm_86",
                                             .major = 8,
                                             .minor = 6,
                                             .processors = 72,
                                             .shared_per_block = 48 * KIB,
                                             .shared_per_block_optin = 99 * KIB,
                                             .shared_per_processor = 100 * KIB,
                                             .registers_per_block = 65536,
                                             .threads_per_block = 1024,
                                             .total_memory = 24 * GIB};
const struct machine_limits machine_sm_90 = {.name = "sm_90",
                                             .major = 9,
                                             .minor = 0,
                                             .processors = 132,
                                             .shared_per_block = 48 * KIB,
                                             .shared_per_block_optin = 227 * KIB,
                                             .shared_per_processor = 228 * KIB,
                                             .registers_per_block = 65536,
                                             .threads_per_block = 1024,
                                             .total_memory = 80 * GIB};

void machine_default_settings(struct machine_settings *settings)
{
    *settings = (struct machine_settings){.limits = machine_sm_80, .order = MACHINE_FORWARD, .checks = true};
}

struct machine *machine_create(const struct machine_settings *settings)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (machine == NULL)
        return NULL;
    machine->settings = *settings;
    machine->memory = memory_create(machine);
    if (machine->memory == NULL) {
        free(machine);
        return NULL;
    }
    return machine;
}

void machine_destroy(struct machine *machine)
{
    if (machine == NULL)
        return;
    while (machine->kernels != NULL) {
        struct machine_kernel *kernel = machine->kernels;
        machine->kernels = kernel->next;
        decode_free(kernel);
    }
    while (machine->modules != NULL) {
        struct machine_module *module = machine->modules;
        machine->modules = module->next;
        ptx_free(module->ptx);
        free(module->addresses);
        free(module);
    }
    memory_destroy(machine->memory);
    free(machine->reports);
    free(machine);
}

struct machine_settings *machine_settings(struct machine *machine)
{
    return &machine->settings;
}

struct memory *machine_memory(struct machine *machine)
{
    return machine->memory;
}

struct machine_counters *machine_counters_of(struct machine *machine)
{
    return &machine->counters;
}

struct machine_counters machine_counters(const struct machine *machine)
{
    return machine->counters;
}

void machine_reset_counters(struct machine *machine)
{
    memset(&machine->counters, 0, sizeof machine->counters);
}

/* ---- modules ---- */

static bool in_memory(const struct ptx_variable *variable)
{
    return variable->space == PTX_GLOBAL || variable->space == PTX_CONST;
}

static bool place_variable(struct machine *machine, const struct ptx_variable *variable, uint64_t *address)
{
    uint64_t bytes = variable->size > 0 ? variable->size : 1;
    *address = machine_allocate(machine, bytes);
    if (*address == 0)
        return false;
    if (variable->initial != NULL)
        machine_write(machine, *address, variable->initial, variable->size);
    else
        machine_fill(machine, *address, 0, bytes);
    if (variable->space == PTX_CONST) {
        uint64_t end = *address + bytes;
        if (machine->constant_start == machine->constant_end || *address < machine->constant_start)
            machine->constant_start = *address;
        machine->constant_end = end > machine->constant_end ? end : machine->constant_end;
    }
    return true;
}

static bool place_variables(struct machine *machine, struct machine_module *module, char *error, size_t size)
{
    const struct ptx_module *ptx = module->ptx;
    module->addresses = calloc((size_t)ptx->variable_count + 1, sizeof *module->addresses);
    if (module->addresses == NULL) {
        snprintf(error, size, "no memory is left");
        return false;
    }
    for (int32_t i = 0; i < ptx->variable_count; i++) {
        if (in_memory(&ptx->variables[i]) && !place_variable(machine, &ptx->variables[i], &module->addresses[i])) {
            snprintf(error, size, "variable %s: the device's memory is used up", ptx->variables[i].name);
            return false;
        }
    }
    return true;
}

static bool load_kernels(struct machine *machine, struct machine_module *module, char *error, size_t size)
{
    for (int32_t i = 0; i < module->ptx->kernel_count; i++) {
        struct machine_kernel *kernel = decode_kernel(machine, module, &module->ptx->kernels[i], error, size);
        if (kernel == NULL)
            return false;
        kernel->next = machine->kernels;
        machine->kernels = kernel;
    }
    return true;
}

/* What a failed load leaves: the machine as it was, but for memory that variables took. */
static void unload(struct machine *machine, struct machine_module *module, struct machine_kernel *kernels)
{
    while (machine->kernels != kernels) {
        struct machine_kernel *kernel = machine->kernels;
        machine->kernels = kernel->next;
        decode_free(kernel);
    }
    for (int32_t i = 0; module->addresses != NULL && i < module->ptx->variable_count; i++) {
        if (module->addresses[i] != 0)
            machine_release(machine, module->addresses[i]);
    }
    ptx_free(module->ptx);
    free(module->addresses);
    free(module);
}

bool machine_load(struct machine *machine, struct ptx_module *ptx, char *error, size_t size)
{
    struct machine_module *module = calloc(1, sizeof *module);
    if (module == NULL) {
        ptx_free(ptx);
        snprintf(error, size, "no memory is left");
        return false;
    }
    module->ptx = ptx;
    struct machine_kernel *before = machine->kernels;
    if (!place_variables(machine, module, error, size) || !load_kernels(machine, module, error, size)) {
        unload(machine, module, before);
        return false;
    }
    module->next = machine->modules;
    machine->modules = module;
    return true;
}

struct machine_kernel *machine_find_kernel(struct machine *machine, const char *name)
{
    for (struct machine_kernel *kernel = machine->kernels; kernel != NULL; kernel = kernel->next) {
        if (strcmp(kernel->source->name, name) == 0)
            return kernel;
    }
    return NULL;
}

uint64_t machine_find_variable(struct machine *machine, const char *name, uint64_t *bytes)
{
    for (struct machine_module *module = machine->modules; module != NULL; module = module->next) {
        for (int32_t i = 0; i < module->ptx->variable_count; i++) {
            const struct ptx_variable *variable = &module->ptx->variables[i];
            if (in_memory(variable) && strcmp(variable->name, name) == 0) {
                *bytes = variable->size;
                return module->addresses[i];
            }
        }
    }
    return 0;
}

static int32_t threads_of(const int32_t size[3])
{
    int32_t threads = 1;
    for (int i = 0; i < 3; i++)
        threads *= size[i] > 0 ? size[i] : 1;
    return threads;
}

struct machine_kernel_attributes machine_attributes(const struct machine_kernel *kernel)
{
    const struct ptx_kernel *source = kernel->source;
    struct machine_kernel_attributes attributes = {.static_shared = (int64_t)kernel->static_shared,
                                                   .local_bytes = (int64_t)kernel->local_bytes,
                                                   .maximum_threads =
                                                       kernel->machine->settings.limits.threads_per_block,
                                                   .parameter_bytes = source->parameter_bytes,
                                                   .parameter_count = source->parameter_count};
    if (source->maximum_threads[0] > 0)
        attributes.maximum_threads = threads_of(source->maximum_threads);
    if (source->required_threads[0] > 0)
        attributes.maximum_threads = threads_of(source->required_threads);
    return attributes;
}

uint64_t machine_parameter_offset(const struct machine_kernel *kernel, int32_t i, uint64_t *bytes)
{
    *bytes = kernel->source->parameters[i].size;
    return kernel->source->parameters[i].offset;
}
