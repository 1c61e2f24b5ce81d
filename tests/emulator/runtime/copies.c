/* Copies and fills. How a copy behaves toward the host depends on the host memory, as the runtime's manual says ("API
 * synchronization behavior"):
 *   - pinned memory is read and written when the copy runs. What lies in a source is kept as a hash from the call on, and
 *     a destination is filled with 0xCD, so that touching either too early is seen;
 *   - a pageable source is staged at the call; a copy to pageable memory is complete when the call returns;
 *   - a blocking copy waits for its stream, except between places in device memory, and except that the last piece of a
 *     pageable source may still be on its way: a stream that does not wait for the legacy stream must not rely on it. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

struct copy {
    uint64_t destination, source, destination_pitch, source_pitch, width, rows;
    bool from_host, to_host, pinned_source, pinned_destination;
    bool watch_source, watch_destination;
    uint64_t hash;
    size_t staged; /* bytes that follow; rows of `width` */
    unsigned char bytes[];
};

static struct copy *copy_of(struct work *work)
{
    return (struct copy *)(void *)work->payload;
}

static uint64_t hash_rows(const unsigned char *memory, uint64_t pitch, uint64_t width, uint64_t rows)
{
    uint64_t hash = UINT64_C(0x9E3779B97F4A7C15);
    for (uint64_t row = 0; row < rows; row++) {
        const unsigned char *bytes = memory + row * pitch;
        for (uint64_t i = 0; i < width; i += 8) {
            uint64_t part = 0;
            memcpy(&part, bytes + i, width - i < 8 ? (size_t)(width - i) : 8);
            hash = (hash ^ part) * UINT64_C(0xD6E8FEB86659FD93);
            hash ^= hash >> 32;
        }
    }
    return hash;
}

static void *host_pointer(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* ---- running ---- */

static bool still_owned(struct device *device, const struct work *work, const struct operand *operand)
{
    const struct allocation *allocation = allocation_at(operand->span.address);
    uint64_t bytes = span_end(&operand->span) - operand->span.address;
    if (operand->host || (allocation && machine_owns(allocation->device->machine, operand->span.address, bytes)))
        return true;
    runtime_report(device, CHECK_HOST, work->name, operand->span.address,
                   "%s: the %s was freed before the work ran, or is not one allocation", work->name, operand->name);
    return false;
}

static void check_watched(struct device *device, const struct work *work, const struct copy *copy)
{
    if (copy->watch_source &&
        copy->hash != hash_rows(host_pointer(copy->source), copy->source_pitch, copy->width, copy->rows))
        runtime_report(device, CHECK_HOST, work->name, copy->source,
                       "%s: the pinned source was changed after the call and before the copy ran", work->name);
    if (copy->watch_destination &&
        copy->hash != hash_rows(host_pointer(copy->destination), copy->destination_pitch, copy->width, copy->rows))
        runtime_report(device, CHECK_HOST, work->name, copy->destination,
                       "%s: the pinned destination was written by the host before the copy ran", work->name);
}

static struct machine *machine_at(uint64_t address)
{
    return allocation_at(address)->device->machine;
}

static void copy_row(struct copy *copy, uint64_t destination, uint64_t source, uint64_t bytes)
{
    if (copy->from_host && copy->to_host) {
        memmove(host_pointer(destination), host_pointer(source), (size_t)bytes);
    } else if (copy->from_host) {
        machine_write(machine_at(destination), destination, host_pointer(source), bytes);
    } else if (copy->to_host) {
        machine_read(machine_at(source), source, host_pointer(destination), bytes, true);
    } else if (machine_at(source) == machine_at(destination)) {
        machine_copy(machine_at(source), destination, source, bytes);
    } else {
        machine_read(machine_at(source), source, machine_host_pointer(machine_at(destination), destination), bytes,
                     true);
        machine_mark_defined(machine_at(destination), destination, bytes, true);
    }
}

static void count_copy(const struct copy *copy)
{
    uint64_t bytes = copy->width * copy->rows;
    if (!copy->from_host && !copy->to_host) {
        runtime_counters.device_copies++;
        return;
    }
    if (copy->pinned_source || copy->pinned_destination)
        runtime_counters.pinned_copies++;
    else
        runtime_counters.pageable_copies++;
    if (!copy->to_host)
        runtime_counters.copied_to_device += (int64_t)bytes;
    else if (!copy->from_host)
        runtime_counters.copied_to_host += (int64_t)bytes;
}

static void run_copy(struct device *device, struct work *work)
{
    struct copy *copy = copy_of(work);
    for (int32_t i = 0; i < work->operand_count; i++)
        if (!still_owned(device, work, &work->operands[i]))
            return;
    for (int32_t i = 0; i < work->operand_count; i++)
        hazard_access(device, work, &work->operands[i]);
    check_watched(device, work, copy);
    uint64_t source = copy->staged ? (uint64_t)(uintptr_t)copy->bytes : copy->source;
    uint64_t source_pitch = copy->staged ? copy->width : copy->source_pitch;
    count_copy(copy);
    if (source_pitch == copy->width && copy->destination_pitch == copy->width) {
        copy_row(copy, copy->destination, source, copy->width * copy->rows);
        return;
    }
    for (uint64_t row = 0; row < copy->rows; row++)
        copy_row(copy, copy->destination + row * copy->destination_pitch, source + row * source_pitch, copy->width);
}

/* ---- calling ---- */

/* Queued work that touches the range makes its present content meaningless. */
static bool host_range_is_quiet(uint64_t address, uint64_t bytes)
{
    const struct allocation *allocation = allocation_at(address);
    return allocation && (!allocation->pending || !queue_user(address, bytes, false));
}

static void watch_host(struct device *device, struct work *work)
{
    struct copy *copy = copy_of(work);
    if (!machine_settings(device->machine)->checks)
        return;
    struct span source = {copy->source, copy->width, copy->source_pitch, copy->rows};
    struct span destination = {copy->destination, copy->width, copy->destination_pitch, copy->rows};
    if (copy->pinned_source && !copy->to_host &&
        host_range_is_quiet(source.address, span_end(&source) - source.address)) {
        copy->watch_source = true;
        copy->hash = hash_rows(host_pointer(copy->source), copy->source_pitch, copy->width, copy->rows);
    }
    if (copy->pinned_destination && !copy->from_host &&
        host_range_is_quiet(destination.address, span_end(&destination) - destination.address)) {
        for (uint64_t row = 0; row < copy->rows; row++)
            memset(host_pointer(copy->destination + row * copy->destination_pitch), 0xCD, (size_t)copy->width);
        copy->watch_destination = true;
        copy->hash = hash_rows(host_pointer(copy->destination), copy->destination_pitch, copy->width, copy->rows);
    }
}

/* Which side of the copy an address is on, and whether the whole range is there. */
static cudaError_t place(uint64_t address, const struct span *span, bool expected_host, bool by_default, bool *host,
                         bool *pinned)
{
    const struct allocation *allocation = allocation_at(address);
    *pinned = allocation && !allocation->device;
    *host = !allocation || !allocation->device;
    if (!by_default && *host != expected_host)
        return cudaErrorInvalidValue;
    if (allocation && (allocation->retired || !allocation_of(address, span_end(span) - address)))
        return cudaErrorInvalidValue;
    return address ? cudaSuccess : cudaErrorInvalidValue;
}

static cudaError_t describe(struct copy *copy, enum cudaMemcpyKind kind)
{
    if (kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    if (copy->width > copy->destination_pitch || copy->width > copy->source_pitch)
        return cudaErrorInvalidPitchValue;
    bool by_default = kind == cudaMemcpyDefault;
    struct span source = {copy->source, copy->width, copy->source_pitch, copy->rows};
    struct span destination = {copy->destination, copy->width, copy->destination_pitch, copy->rows};
    cudaError_t error = place(copy->source, &source, kind == cudaMemcpyHostToDevice || kind == cudaMemcpyHostToHost,
                              by_default, &copy->from_host, &copy->pinned_source);
    if (!error)
        error = place(copy->destination, &destination, kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyHostToHost,
                      by_default, &copy->to_host, &copy->pinned_destination);
    return error;
}

static struct work *make_copy(const char *name, const struct copy *described, bool stage)
{
    size_t staged = stage ? (size_t)(described->width * described->rows) : 0;
    struct work *work = work_create(name, run_copy, sizeof(struct copy) + staged);
    struct copy *copy = copy_of(work);
    *copy = *described;
    copy->staged = staged;
    for (uint64_t row = 0; stage && row < copy->rows; row++)
        memcpy(copy->bytes + row * copy->width, host_pointer(copy->source + row * copy->source_pitch),
               (size_t)copy->width);
    struct span source = {copy->source, copy->width, copy->source_pitch, copy->rows};
    struct span destination = {copy->destination, copy->width, copy->destination_pitch, copy->rows};
    if (copy->pinned_source || !copy->from_host)
        work_add_operand(work, "source", source, copy->from_host, false);
    if (copy->pinned_destination || !copy->to_host)
        work_add_operand(work, "destination", destination, copy->to_host, true);
    work->prepare = watch_host;
    return work;
}

static cudaError_t put_copy(const char *name, struct copy *copy, enum cudaMemcpyKind kind, struct CUstream_st *stream,
                            bool blocking)
{
    if (!copy->width || !copy->rows)
        return cudaSuccess;
    cudaError_t error = describe(copy, kind);
    if (error)
        return error;
    bool pageable_source = copy->from_host && !copy->pinned_source;
    bool pageable_destination = copy->to_host && !copy->pinned_destination;
    if (stream->capture && (blocking || pageable_source || pageable_destination))
        return capture_forbids(stream);
    if (!copy->from_host && !copy->to_host && copy->source < copy->destination + copy->destination_pitch * copy->rows &&
        copy->destination < copy->source + copy->source_pitch * copy->rows) {
        struct span source = {copy->source, copy->width, copy->source_pitch, copy->rows};
        struct span destination = {copy->destination, copy->width, copy->destination_pitch, copy->rows};
        if (span_overlaps(&source, &destination))
            runtime_report(stream->device, CHECK_HOST, name, copy->destination, "%s: source and destination overlap",
                           name);
    }
    bool waits = pageable_destination || (blocking && (copy->from_host || copy->to_host));
    if (waits)
        runtime_counters.synchronizations++;
    if (pageable_source && blocking)
        queue_finish(stream); /* what comes before it, so that the source may be staged */
    error = queue_put(stream, make_copy(name, copy, pageable_source && !copy->to_host));
    if (!error && waits && !(pageable_source && !copy->to_host)) {
        queue_finish(stream);
        error = stream->device->lost;
    }
    return error;
}

static cudaError_t call(const char *name, struct copy copy, enum cudaMemcpyKind kind, cudaStream_t handle,
                        bool blocking)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error)
        error = put_copy(name, &copy, kind, stream, blocking);
    return runtime_leave(error);
}

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static struct copy one_row(void *destination, const void *source, size_t bytes)
{
    return (struct copy){.destination = address_of(destination),
                         .source = address_of(source),
                         .destination_pitch = bytes,
                         .source_pitch = bytes,
                         .width = bytes,
                         .rows = 1};
}

cudaError_t cudaMemcpy(void *destination, const void *source, size_t bytes, enum cudaMemcpyKind kind)
{
    return call("cudaMemcpy", one_row(destination, source, bytes), kind, NULL, true);
}

cudaError_t cudaMemcpyAsync(void *destination, const void *source, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return call("cudaMemcpyAsync", one_row(destination, source, bytes), kind, stream, false);
}

static struct copy rows_of(void *destination, size_t destination_pitch, const void *source, size_t source_pitch,
                           size_t width, size_t height)
{
    return (struct copy){.destination = address_of(destination),
                         .source = address_of(source),
                         .destination_pitch = destination_pitch,
                         .source_pitch = source_pitch,
                         .width = width,
                         .rows = height};
}

cudaError_t cudaMemcpy2D(void *destination, size_t destination_pitch, const void *source, size_t source_pitch,
                         size_t width, size_t height, enum cudaMemcpyKind kind)
{
    return call("cudaMemcpy2D", rows_of(destination, destination_pitch, source, source_pitch, width, height), kind,
                NULL, true);
}

cudaError_t cudaMemcpy2DAsync(void *destination, size_t destination_pitch, const void *source, size_t source_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    return call("cudaMemcpy2DAsync", rows_of(destination, destination_pitch, source, source_pitch, width, height), kind,
                stream, false);
}
