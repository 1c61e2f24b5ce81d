/* Every range of memory that the runtime knows: device memory, variables of modules, pinned host memory. A sorted array,
 * because addresses are looked up far more often than ranges come and go. Also the arithmetic of strided ranges, by which
 * accesses are compared: the columns of a matrix inside a wider one must not look like the whole of it. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

static struct allocation **allocations;
static int64_t count, capacity;

struct span span_of(uint64_t address, uint64_t bytes)
{
    return (struct span){.address = address, .width = bytes, .pitch = bytes, .rows = 1};
}

struct span span_of_batches(uint64_t address, uint64_t width, uint64_t pitch, uint64_t rows, uint64_t stride,
                            uint64_t batches)
{
    if (!width || !rows || !batches)
        return span_of(address, 0);
    if (rows == 1 || width == pitch) {
        width = pitch * (rows - 1) + width;
        rows = 1;
        pitch = width;
    }
    if (batches == 1)
        return (struct span){address, width, pitch, rows};
    if (rows == 1 && stride >= width)
        return (struct span){address, width, stride, batches};
    if (stride * (batches - 1) + width <= pitch) /* heads side by side in one row */
        return (struct span){address, stride * (batches - 1) + width, pitch, rows};
    if (stride % pitch == 0) /* one matrix below the other */
        return (struct span){address, width, pitch, stride / pitch * (batches - 1) + rows};
    return span_of(address, stride * (batches - 1) + pitch * (rows - 1) + width);
}

uint64_t span_end(const struct span *span)
{
    return span->rows ? span->address + span->pitch * (span->rows - 1) + span->width : span->address;
}

bool span_overlaps(const struct span *a, const struct span *b)
{
    if (!a->width || !b->width || a->address >= span_end(b) || b->address >= span_end(a))
        return false;
    uint64_t pitch = a->rows > 1 ? a->pitch : b->pitch;
    if ((a->rows > 1 && a->pitch != pitch) || (b->rows > 1 && b->pitch != pitch))
        return true;
    if ((a->rows == 1 && a->width > pitch) || (b->rows == 1 && b->width > pitch))
        return true;
    /* Columns of the same width of row: whether they meet depends on where in a row they begin. */
    uint64_t ahead = a->address >= b->address ? (a->address - b->address) % pitch
                                              : (pitch - (b->address - a->address) % pitch) % pitch;
    return ahead < b->width || ahead + a->width > pitch;
}

static int64_t position_of(uint64_t address)
{
    int64_t low = 0, high = count; /* the first that begins after the address */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (allocations[middle]->address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct allocation *allocation_add(uint64_t address, uint64_t bytes, enum allocation_kind kind, struct device *device)
{
    if (count == capacity) {
        capacity = capacity ? 2 * capacity : 64;
        allocations = realloc(allocations, (size_t)capacity * sizeof *allocations);
    }
    struct allocation *allocation = calloc(1, sizeof *allocation);
    if (!allocations || !allocation)
        runtime_fatal("no host memory for the table of allocations");
    *allocation = (struct allocation){.address = address, .bytes = bytes, .kind = kind, .device = device};
    int64_t position = position_of(address);
    memmove(&allocations[position + 1], &allocations[position], (size_t)(count - position) * sizeof *allocations);
    allocations[position] = allocation;
    count++;
    return allocation;
}

struct allocation *allocation_at(uint64_t address)
{
    int64_t position = position_of(address);
    if (!position)
        return NULL;
    struct allocation *allocation = allocations[position - 1];
    return address - allocation->address < allocation->bytes ? allocation : NULL;
}

struct allocation *allocation_of(uint64_t address, uint64_t bytes)
{
    struct allocation *allocation = allocation_at(address);
    return allocation && bytes <= allocation->bytes - (address - allocation->address) ? allocation : NULL;
}

static void remove_at(int64_t position)
{
    struct allocation *allocation = allocations[position];
    memmove(&allocations[position], &allocations[position + 1], (size_t)(count - position - 1) * sizeof *allocations);
    count--;
    free(allocation->records);
    free(allocation);
}

void allocation_remove(struct allocation *allocation)
{
    remove_at(position_of(allocation->address) - 1);
}

void allocations_remove_of(const struct device *device)
{
    for (int64_t i = count - 1; i >= 0; i--) {
        struct allocation *allocation = allocations[i];
        if (allocation->device != device)
            continue;
        if (allocation->kind == HOST_ALLOCATED)
            free((void *)(uintptr_t)allocation->address);
        remove_at(i);
    }
}

void allocations_forget_accesses(void)
{
    for (int64_t i = 0; i < count; i++)
        allocations[i]->record_count = 0;
}

int64_t allocation_count(void)
{
    return count;
}

struct allocation *allocation_number(int64_t i)
{
    return allocations[i];
}
