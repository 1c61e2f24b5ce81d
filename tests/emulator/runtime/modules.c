/* What nvcc's host objects register before main: fat binaries, and which host symbol stands for which kernel or
 * variable in them. A module is parsed and decoded for a device at the first use of anything in it. What the parser or
 * the machine does not understand ends the program with one line: a kernel that cannot be executed cannot be tested. */
#include "emulator/runtime/runtime.h"

#include "emulator/ptx/fatbin.h"

#include <stdlib.h>
#include <string.h>

struct registered_variable {
    struct registered_variable *next;
    const void *host_variable;
    const char *name;
    size_t size;
    struct registered_module *module;
    uint64_t address[DEVICES_MAXIMUM];
};

struct registered_module {
    struct registered_module *next;
    const void *wrapper;
    bool loaded[DEVICES_MAXIMUM];
    void *handle; /* what the host object holds points here */
};

static struct registered_module *modules;
static struct CUkern_st *kernels;
static struct registered_variable *variables;

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory)
        runtime_fatal("no host memory to register kernels");
    return memory;
}

static struct registered_module *module_of(void **handle)
{
    return (struct registered_module *)(void *)((char *)handle - offsetof(struct registered_module, handle));
}

/* ---- called by the host objects ---- */

void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
char __cudaInitModule(void **handle);
void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size);
void __cudaRegisterVar(void **handle, char *host_variable, char *device_address, const char *name, int external,
                       size_t size, int constant, int global);

void **__cudaRegisterFatBinary(void *wrapper)
{
    struct registered_module *module = allocate(sizeof *module);
    module->wrapper = wrapper;
    module->next = modules;
    modules = module;
    return &module->handle;
}

void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle;
}

/* Called while the program ends: the tables go with it. */
void __cudaUnregisterFatBinary(void **handle)
{
    (void)handle;
}

char __cudaInitModule(void **handle)
{
    (void)handle;
    return 1;
}

void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size)
{
    (void)device_function, (void)thread_limit, (void)tid, (void)bid, (void)block, (void)grid, (void)warp_size;
    struct CUkern_st *kernel = allocate(sizeof *kernel);
    *kernel =
        (struct CUkern_st){.next = kernels, .host_function = host_function, .name = name, .module = module_of(handle)};
    kernels = kernel;
}

void __cudaRegisterVar(void **handle, char *host_variable, char *device_address, const char *name, int external,
                       size_t size, int constant, int global)
{
    (void)device_address, (void)external, (void)constant, (void)global;
    struct registered_variable *variable = allocate(sizeof *variable);
    *variable = (struct registered_variable){
        .next = variables, .host_variable = host_variable, .name = name, .size = size, .module = module_of(handle)};
    variables = variable;
}

/* ---- loading ---- */

/* The newest PTX that the device can run, as the driver would choose. */
static bool choose_ptx(const struct registered_module *module, const struct machine_limits *limits,
                       struct fatbin_ptx *chosen)
{
    struct fatbin_ptx found[16];
    char error[256];
    int count = fatbin_find_ptx(module->wrapper, found, 16, error, sizeof error);
    if (count < 0)
        runtime_fatal("a fat binary is damaged: %s", error);
    int best = -1;
    for (int i = 0; i < count && i < 16; i++)
        if (found[i].architecture <= limits->major * 10 + limits->minor &&
            (best < 0 || found[i].architecture > found[best].architecture))
            best = i;
    if (best >= 0)
        *chosen = found[best];
    return best >= 0;
}

bool module_suits(const struct CUkern_st *kernel, const struct device *device)
{
    struct fatbin_ptx chosen;
    return choose_ptx(kernel->module, &machine_settings(device->machine)->limits, &chosen);
}

static void load(struct registered_module *module, struct device *device)
{
    if (module->loaded[device->number])
        return;
    struct fatbin_ptx ptx;
    const struct machine_limits *limits = &machine_settings(device->machine)->limits;
    if (!choose_ptx(module, limits, &ptx))
        runtime_fatal("a module has no PTX for %s: compile it with -arch=compute_%d%d", limits->name, limits->major,
                      limits->minor);
    char error[512];
    struct ptx_module *parsed = ptx_parse(ptx.text, ptx.length, error, sizeof error);
    const char *name = "?";
    for (const struct CUkern_st *kernel = kernels; kernel; kernel = kernel->next)
        if (kernel->module == module)
            name = kernel->name;
    if (!parsed)
        runtime_fatal("the PTX of the module with kernel %s cannot be parsed: %s", name, error);
    if (!machine_load(device->machine, parsed, error, sizeof error))
        runtime_fatal("the module with kernel %s cannot be executed: %s", name, error);
    module->loaded[device->number] = true;
    /* Looked up at once: another module may have a kernel of the same name. */
    for (struct CUkern_st *kernel = kernels; kernel; kernel = kernel->next)
        if (kernel->module == module)
            kernel->loaded[device->number] = machine_find_kernel(device->machine, kernel->name);
    for (struct registered_variable *variable = variables; variable; variable = variable->next) {
        if (variable->module != module)
            continue;
        uint64_t bytes = 0;
        uint64_t address = machine_find_variable(device->machine, variable->name, &bytes);
        variable->address[device->number] = address;
        if (address && !allocation_at(address))
            allocation_add(address, bytes, DEVICE_VARIABLE, device);
    }
}

struct CUkern_st *module_kernel(const void *host_function)
{
    for (struct CUkern_st *kernel = kernels; kernel; kernel = kernel->next)
        if (kernel->host_function == host_function || kernel == host_function)
            return kernel;
    return NULL;
}

struct machine_kernel *module_load_kernel(struct CUkern_st *kernel, struct device *device)
{
    load(kernel->module, device);
    if (!kernel->loaded[device->number])
        runtime_fatal("kernel %s is registered, but its module has no such entry", kernel->name);
    return kernel->loaded[device->number];
}

uint64_t module_variable(const void *host_variable, struct device *device, uint64_t *bytes)
{
    struct registered_variable *variable = variables;
    while (variable && variable->host_variable != host_variable)
        variable = variable->next;
    if (!variable)
        return 0;
    load(variable->module, device);
    *bytes = variable->size;
    if (!variable->address[device->number])
        runtime_fatal("variable %s is registered, but its module has no such variable", variable->name);
    return variable->address[device->number];
}

void modules_forget(const struct device *device)
{
    for (struct registered_module *module = modules; module; module = module->next)
        module->loaded[device->number] = false;
    for (struct CUkern_st *kernel = kernels; kernel; kernel = kernel->next) {
        kernel->loaded[device->number] = NULL;
        kernel->dynamic_shared[device->number] = 0;
    }
    for (struct registered_variable *variable = variables; variable; variable = variable->next)
        variable->address[device->number] = 0;
}
