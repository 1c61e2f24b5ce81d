/* Fills of device memory, and copies to and from the variables of modules. Like most fills on a device these do not wait:
 * cudaMemset is put into the legacy stream and returns. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

struct fill {
    uint64_t address, pitch, width, rows;
    uint8_t value;
};

static void run_fill(struct device *device, struct work *work)
{
    const struct fill *fill = (const struct fill *)(const void *)work->payload;
    const struct allocation *allocation = allocation_at(fill->address);
    uint64_t bytes = span_end(&work->operands[0].span) - fill->address;
    if (!allocation || !allocation->device || !machine_owns(allocation->device->machine, fill->address, bytes)) {
        runtime_report(device, CHECK_HOST, work->name, fill->address, "%s: the memory was freed before the work ran",
                       work->name);
        return;
    }
    hazard_access(device, work, &work->operands[0]);
    runtime_counters.fills++;
    for (uint64_t row = 0; row < fill->rows; row++)
        machine_fill(allocation->device->machine, fill->address + row * fill->pitch, fill->value, fill->width);
}

static cudaError_t put_fill(const char *name, struct fill fill, cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && fill.width > fill.pitch)
        error = cudaErrorInvalidPitchValue;
    if (error || !fill.width || !fill.rows)
        return runtime_leave(error);
    struct span span = {fill.address, fill.width, fill.pitch, fill.rows};
    const struct allocation *allocation = allocation_of(fill.address, span_end(&span) - fill.address);
    if (!allocation || !allocation->device || allocation->retired)
        return runtime_leave(cudaErrorInvalidValue);
    struct work *work = work_create(name, run_fill, sizeof fill);
    memcpy(work->payload, &fill, sizeof fill);
    work_add_operand(work, "memory", span, false, true);
    return runtime_leave(queue_put(stream, work));
}

static struct fill fill_of(void *memory, size_t pitch, int value, size_t width, size_t height)
{
    return (struct fill){(uint64_t)(uintptr_t)memory, pitch, width, height, (uint8_t)value};
}

cudaError_t cudaMemset(void *memory, int value, size_t bytes)
{
    return put_fill("cudaMemset", fill_of(memory, bytes, value, bytes, 1), NULL);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    return put_fill("cudaMemsetAsync", fill_of(memory, bytes, value, bytes, 1), stream);
}

cudaError_t cudaMemset2D(void *memory, size_t pitch, int value, size_t width, size_t height)
{
    return put_fill("cudaMemset2D", fill_of(memory, pitch, value, width, height), NULL);
}

cudaError_t cudaMemset2DAsync(void *memory, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream)
{
    return put_fill("cudaMemset2DAsync", fill_of(memory, pitch, value, width, height), stream);
}

/* ---- variables ---- */

/* Where `bytes` bytes at `offset` of the variable lie. */
static cudaError_t find_variable(const void *symbol, size_t bytes, size_t offset, void **address)
{
    cudaError_t error = runtime_enter();
    uint64_t size = 0;
    uint64_t start = error ? 0 : module_variable(symbol, device_current(), &size);
    if (!error && !start)
        error = cudaErrorInvalidSymbol;
    if (!error && (offset > size || bytes > size - offset))
        error = cudaErrorInvalidValue;
    if (!error)
        *address = (void *)(uintptr_t)(start + offset);
    return runtime_leave(error);
}

cudaError_t cudaGetSymbolAddress(void **address, const void *symbol)
{
    return address ? find_variable(symbol, 0, 0, address) : cudaErrorInvalidValue;
}

cudaError_t cudaGetSymbolSize(size_t *bytes, const void *symbol)
{
    cudaError_t error = runtime_enter();
    uint64_t size = 0;
    if (!error && !bytes)
        error = cudaErrorInvalidValue;
    if (!error && !module_variable(symbol, device_current(), &size))
        error = cudaErrorInvalidSymbol;
    if (!error)
        *bytes = (size_t)size;
    return runtime_leave(error);
}

cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *source, size_t bytes, size_t offset,
                               enum cudaMemcpyKind kind)
{
    void *address = NULL;
    cudaError_t error = find_variable(symbol, bytes, offset, &address);
    return error ? error : cudaMemcpy(address, source, bytes, kind);
}

cudaError_t cudaMemcpyToSymbolAsync(const void *symbol, const void *source, size_t bytes, size_t offset,
                                    enum cudaMemcpyKind kind, cudaStream_t stream)
{
    void *address = NULL;
    cudaError_t error = find_variable(symbol, bytes, offset, &address);
    return error ? error : cudaMemcpyAsync(address, source, bytes, kind, stream);
}

cudaError_t cudaMemcpyFromSymbol(void *destination, const void *symbol, size_t bytes, size_t offset,
                                 enum cudaMemcpyKind kind)
{
    void *address = NULL;
    cudaError_t error = find_variable(symbol, bytes, offset, &address);
    return error ? error : cudaMemcpy(destination, address, bytes, kind);
}

cudaError_t cudaMemcpyFromSymbolAsync(void *destination, const void *symbol, size_t bytes, size_t offset,
                                      enum cudaMemcpyKind kind, cudaStream_t stream)
{
    void *address = NULL;
    cudaError_t error = find_variable(symbol, bytes, offset, &address);
    return error ? error : cudaMemcpyAsync(destination, address, bytes, kind, stream);
}

/* ---- host functions ---- */

struct host_call {
    cudaHostFn_t function;
    void *data;
};

static void run_host_call(struct device *device, struct work *work)
{
    (void)device;
    const struct host_call *host = (const struct host_call *)(const void *)work->payload;
    runtime_call_host(host->function, host->data);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void *data)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = function ? stream_resolve(handle, &stream) : cudaErrorInvalidValue;
    if (!error) {
        struct work *work = work_create("cudaLaunchHostFunc", run_host_call, sizeof(struct host_call));
        *(struct host_call *)(void *)work->payload = (struct host_call){function, data};
        error = queue_put(stream, work);
    }
    return runtime_leave(error);
}
