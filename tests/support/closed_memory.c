/* Device memory of the closed table: two reservations of address space of equal size. Callers hold addresses of the first,
 * which stays without access; the cpu works at the same offset of the second, where only live allocations can be
 * touched. An allocation ends with its last page, so that a kernel which runs past it by 256 bytes or more ends with
 * SIGSEGV too, and it begins at a multiple of 256 bytes that is rarely one of more. Addresses only grow, so that a
 * released one is known as such for ever. */
#include "support/closed_internal.h"

#include "kernels/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, ALIGNMENT = 256, HUGE_PAGE = 2 << 20 };
static const size_t device_bytes = (size_t)1 << 40; /* of address space; pages cost something once they are touched */

static struct {
    char *outer, *inner;                   /* the two reservations */
    size_t used;                           /* of both */
    struct closed_allocation *allocations; /* live and released ones, by address */
    int64_t count, capacity;
    struct pinned {
        char *memory;
        size_t bytes;
    } * pinned; /* live ones */
    int64_t pinned_count, pinned_capacity;
} device;

/* Makes room for one more element of `size` bytes. */
static bool grow(void **array, int64_t count, int64_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    int64_t larger = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(*array, (size_t)larger * size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = larger;
    return true;
}

static enum status reserve(void)
{
    if (device.outer)
        return STATUS_OK;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *outer = mmap(NULL, device_bytes, PROT_NONE, flags, -1, 0);
    char *inner = mmap(NULL, device_bytes, PROT_NONE, flags, -1, 0);
    CHECK(outer != MAP_FAILED && inner != MAP_FAILED, "closed kernels: no address space for the device");
    device.outer = outer;
    device.inner = inner;
    return STATUS_OK;
}

enum status closed_memory_allocate(struct closed_context *owner, size_t bytes, void **memory)
{
    enum status result = reserve();
    if (result != STATUS_OK)
        return result;
    CHECK(bytes <= device_bytes - device.used - 3 * PAGE && bytes <= device_bytes / 2,
          "no memory: %zu bytes were asked for", bytes);
    CHECK(grow((void **)&device.allocations, device.count, &device.capacity, sizeof *device.allocations),
          "closed kernels: no memory for the list of allocations");
    size_t rounded = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    size_t pages = (rounded + PAGE - 1) / PAGE * PAGE, start = device.used + PAGE; /* behind a page without access */
    CHECK(mprotect(device.inner + start, pages, PROT_READ | PROT_WRITE) == 0, "no memory: %zu bytes were asked for",
          bytes);
    if (pages >= HUGE_PAGE)
        (void)madvise(device.inner + start, pages, MADV_HUGEPAGE);
    *memory = device.outer + start + pages - rounded;
    device.allocations[device.count++] =
        (struct closed_allocation){.begin = (uintptr_t)*memory, .bytes = bytes, .page_bytes = pages, .owner = owner};
    device.used = start + pages;
    owner->live++;
    owner->memory.allocated += (int64_t)bytes;
    if (owner->memory.peak < owner->memory.allocated)
        owner->memory.peak = owner->memory.allocated;
    return STATUS_OK;
}

/* The last allocation, live or not, that begins at `address` or before. */
static struct closed_allocation *at_or_before(uintptr_t address)
{
    int64_t low = 0, high = device.count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (device.allocations[middle].begin <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &device.allocations[low - 1] : NULL;
}

void closed_memory_release(struct closed_context *owner, void *memory)
{
    struct closed_allocation *found = at_or_before((uintptr_t)memory);
    if (!found || found->begin != (uintptr_t)memory) {
        closed_fault(owner, "release: %p is no allocation", memory);
        return;
    }
    if (found->owner != owner) {
        closed_fault(owner, "release: %p %s", memory,
                     found->owner ? "was allocated by another context" : "was released before");
        return;
    }
    uintptr_t end = found->begin + (found->bytes ? (found->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT);
    char *pages = closed_memory_inner((const void *)(end - found->page_bytes));
    (void)madvise(pages, found->page_bytes, MADV_DONTNEED);
    if (mprotect(pages, found->page_bytes, PROT_NONE) != 0)
        closed_fault(owner, "release: the memory's pages cannot be closed");
    owner->live--;
    owner->memory.allocated -= (int64_t)found->bytes;
    found->owner = NULL;
    free(found->uses);
    found->uses = NULL;
    found->use_count = found->use_capacity = 0;
}

bool closed_memory_is_device(const void *address)
{
    return device.outer && (const char *)address >= device.outer && (const char *)address < device.outer + device_bytes;
}

void *closed_memory_inner(const void *address)
{
    return device.inner + ((const char *)address - device.outer);
}

struct closed_allocation *closed_memory_find(const void *address, size_t bytes, char why[128])
{
    enum { ROOM = 128 };
    if (!closed_memory_is_device(address)) {
        snprintf(why, ROOM, "it is host memory");
        return NULL;
    }
    struct closed_allocation *found = at_or_before((uintptr_t)address);
    size_t offset = found ? (uintptr_t)address - found->begin : 0;
    if (!found || offset > found->bytes) {
        snprintf(why, ROOM, "it lies in no allocation");
    } else if (!found->owner) {
        snprintf(why, ROOM, "it was released");
    } else if (bytes > found->bytes - offset) {
        snprintf(why, ROOM, "it runs %zu bytes past the end of an allocation of %zu", bytes - (found->bytes - offset),
                 found->bytes);
    } else {
        return found;
    }
    return NULL;
}

/* ---- pinned memory ---- */

enum status closed_pinned_allocate(size_t bytes, void **memory)
{
    *memory = NULL;
    CHECK(grow((void **)&device.pinned, device.pinned_count, &device.pinned_capacity, sizeof *device.pinned),
          "closed kernels: no memory for the list of pinned memory");
    *memory = calloc(1, bytes ? bytes : 1);
    CHECK(*memory, "no memory: %zu bytes were asked for", bytes);
    device.pinned[device.pinned_count++] = (struct pinned){*memory, bytes};
    return STATUS_OK;
}

size_t closed_pinned_release(void *memory)
{
    for (int64_t i = 0; i < device.pinned_count; i++)
        if (device.pinned[i].memory == memory) {
            size_t bytes = device.pinned[i].bytes;
            device.pinned[i] = device.pinned[--device.pinned_count];
            return bytes + 1;
        }
    return 0;
}

bool closed_is_pinned(const void *memory, size_t bytes)
{
    for (int64_t i = 0; i < device.pinned_count; i++) {
        const struct pinned *block = &device.pinned[i];
        const char *start = memory;
        if (start >= block->memory && start + bytes <= block->memory + block->bytes)
            return true;
    }
    return false;
}
