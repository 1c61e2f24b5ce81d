/* The address space of the emulated device: allocations, and what the host does with them. Addresses come from one reserved
 * range, upwards, and are never given out again, so that a stale pointer is always found out. How fresh bytes come to be
 * 0xCD without costing memory is explained in memory_internal.h. */
#include "emulator/machine/memory_internal.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_BYTES UINT64_C(65536)
/* A released or fresh page is this far from its allocation's first byte, so that no kernel finds more than 256 aligned. */
#define ALLOCATION_OFFSET UINT64_C(256)
#define PATTERN_LARGEST (UINT64_C(16) << 20)
#define WANTED_ADDRESS UINT64_C(0x0000200000000000)

void *memory_need(void *pointer)
{
    if (pointer == NULL) {
        fprintf(stderr, "emulator: out of host memory\n");
        abort();
    }
    return pointer;
}

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* As much address space as the system grants, 8 TiB at best, away from the windows of memory.h. */
static bool reserve_range(struct memory *memory)
{
    for (uint64_t span = UINT64_C(1) << 43; span >= UINT64_C(1) << 32; span /= 2) {
        void *wanted = (void *)(uintptr_t)WANTED_ADDRESS;
        void *range = mmap(wanted, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (range == MAP_FAILED)
            continue;
        uint64_t base = (uint64_t)(uintptr_t)range;
        void *table = MAP_FAILED;
        if (base >= PARAMETER_WINDOW + WINDOW_BYTES || base + span <= SHARED_WINDOW)
            table = mmap(NULL, (span >> PAGE_SHIFT) * sizeof(struct page *), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (table != MAP_FAILED) {
            memory->base = base;
            memory->span = span;
            memory->next = base + GUARD_BYTES;
            memory->pages = table;
            return true;
        }
        munmap(range, span);
    }
    return false;
}

struct memory *memory_create(struct machine *machine)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return NULL;
    memory->machine = machine;
    marks_create(memory);
    memory->pattern_file = memfd_create("emulator-fresh-memory", MFD_CLOEXEC);
    if (memory->pattern_file < 0 || !reserve_range(memory)) {
        fprintf(stderr, "emulator: no address space for device memory\n");
        memory_destroy(memory);
        return NULL;
    }
    return memory;
}

void memory_destroy(struct memory *memory)
{
    if (memory == NULL)
        return;
    if (memory->running)
        memory_launch_end(memory);
    marks_drop_pool(memory);
    shadow_free(memory);
    if (memory->span != 0) {
        munmap((void *)(uintptr_t)memory->base, memory->span);
        munmap(memory->pages, (memory->span >> PAGE_SHIFT) * sizeof(struct page *));
    }
    if (memory->pattern_file >= 0)
        close(memory->pattern_file);
    free(memory->allocations);
    free(memory->blocks);
    free(memory->touched);
    free(memory);
}

/* ---- allocations ---- */

/* The file of 0xCD grows to what the largest allocation wants, to 16 MiB at most: larger ones map it again and again. */
static bool grow_pattern(struct memory *memory, uint64_t bytes)
{
    if (bytes > PATTERN_LARGEST)
        bytes = PATTERN_LARGEST;
    static const size_t piece_bytes = 65536;
    uint8_t *piece = memory_need(malloc(piece_bytes));
    memset(piece, FRESH_BYTE, piece_bytes);
    bool grown = true;
    while (grown && memory->pattern_bytes < bytes) {
        ssize_t written = pwrite(memory->pattern_file, piece, piece_bytes, (off_t)memory->pattern_bytes);
        grown = written == (ssize_t)piece_bytes;
        memory->pattern_bytes += grown ? piece_bytes : 0;
    }
    free(piece);
    return grown;
}

static bool map_fresh(struct memory *memory, uint64_t address, uint64_t bytes)
{
    if (!grow_pattern(memory, bytes))
        return false;
    for (uint64_t done = 0; done < bytes;) {
        uint64_t part = bytes - done < memory->pattern_bytes ? bytes - done : memory->pattern_bytes;
        void *place = (void *)(uintptr_t)(address + done);
        if (mmap(place, part, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, memory->pattern_file,
                 0) == MAP_FAILED)
            return false;
        done += part;
    }
    return true;
}

/* Back to a reserved range without pages. */
static void unmap(uint64_t address, uint64_t bytes)
{
    void *place = (void *)(uintptr_t)address;
    if (mmap(place, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
        fprintf(stderr, "emulator: released device memory cannot be given back\n");
        abort();
    }
}

static uint64_t whole_lines(uint64_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

uint64_t machine_allocate(struct machine *machine, uint64_t bytes)
{
    struct memory *memory = machine_memory(machine);
    const struct machine_settings *settings = machine_settings(machine);
    uint64_t total = (uint64_t)settings->limits.total_memory,
             used = memory->allocated + (uint64_t)settings->memory_taken;
    if (bytes == 0 || bytes > total || used > total || whole_lines(bytes) > total - used)
        return 0;
    uint64_t mapped = whole_pages(ALLOCATION_OFFSET + bytes);
    uint64_t left = memory->base + memory->span - memory->next;
    if (mapped + GUARD_BYTES > left)
        return 0;
    if (!map_fresh(memory, memory->next, mapped)) {
        unmap(memory->next, mapped);
        return 0;
    }
    if (memory->allocation_count == memory->allocation_capacity) {
        memory->allocation_capacity = memory->allocation_capacity * 2 + 64;
        memory->allocations = memory_need(
            realloc(memory->allocations, (size_t)memory->allocation_capacity * sizeof *memory->allocations));
    }
    uint64_t address = memory->next + ALLOCATION_OFFSET;
    memory->allocations[memory->allocation_count++] = (struct allocation){address, bytes, true};
    memory->allocated += whole_lines(bytes);
    memory->next += mapped + GUARD_BYTES;
    return address;
}

const struct allocation *memory_find_allocation(const struct memory *memory, uint64_t address)
{
    int64_t low = 0, high = memory->allocation_count; /* the answer is below high, and not below low */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (memory->allocations[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &memory->allocations[low - 1] : NULL;
}

bool machine_release(struct machine *machine, uint64_t address)
{
    struct memory *memory = machine_memory(machine);
    const struct allocation *found = memory_find_allocation(memory, address);
    if (found == NULL || found->address != address || !found->live)
        return false;
    memory->allocations[found - memory->allocations].live = false;
    memory->allocated -= whole_lines(found->bytes);
    shadow_forget_pages(memory, address, found->bytes);
    unmap(address - ALLOCATION_OFFSET, whole_pages(ALLOCATION_OFFSET + found->bytes));
    return true;
}

/* The memory of a machine that is not to be changed. */
static struct memory *memory_of(const struct machine *machine)
{
    return machine_memory((struct machine *)(uintptr_t)machine);
}

uint64_t machine_allocated(const struct machine *machine)
{
    return memory_of(machine)->allocated;
}

bool machine_owns(const struct machine *machine, uint64_t address, uint64_t bytes)
{
    const struct allocation *found = memory_find_allocation(memory_of(machine), address);
    return found != NULL && found->live && address - found->address < found->bytes &&
           bytes <= found->bytes - (address - found->address);
}

/* ---- what the host does ---- */

static bool host_owns(struct machine *machine, uint64_t address, uint64_t bytes, bool write, const char *what)
{
    if (machine_owns(machine, address, bytes))
        return true;
    char place[160];
    report_place(machine_memory(machine), address, bytes, place, sizeof place);
    struct machine_access host = report_host(write);
    report_access(machine_memory(machine), CHECK_BOUNDS, &host, NULL, address, "%s of %llu bytes: %s", what,
                  (unsigned long long)bytes, place);
    return false;
}

void *machine_host_pointer(struct machine *machine, uint64_t address)
{
    return machine_owns(machine, address, 1) ? (void *)(uintptr_t)address : NULL;
}

void machine_write(struct machine *machine, uint64_t address, const void *host, uint64_t bytes)
{
    if (bytes == 0 || !host_owns(machine, address, bytes, true, "a copy from the host"))
        return;
    memcpy((void *)(uintptr_t)address, host, bytes);
    machine_mark_defined(machine, address, bytes, true);
}

void machine_read(struct machine *machine, uint64_t address, void *host, uint64_t bytes, bool must_be_defined)
{
    if (bytes == 0 || !host_owns(machine, address, bytes, false, "a copy to the host"))
        return;
    int64_t undefined = must_be_defined ? machine_first_undefined(machine, address, bytes) : -1;
    if (undefined >= 0) {
        struct machine_access side = report_host(false);
        report_access(machine_memory(machine), CHECK_UNINITIALISED, &side, NULL, address + (uint64_t)undefined,
                      "a copy of %llu bytes to the host: byte %lld was never written", (unsigned long long)bytes,
                      (long long)undefined);
    }
    memcpy(host, (const void *)(uintptr_t)address, bytes);
}

void machine_fill(struct machine *machine, uint64_t address, uint8_t value, uint64_t bytes)
{
    if (bytes == 0 || !host_owns(machine, address, bytes, true, "a fill"))
        return;
    memset((void *)(uintptr_t)address, value, bytes);
    machine_mark_defined(machine, address, bytes, true);
}

void machine_copy(struct machine *machine, uint64_t destination, uint64_t source, uint64_t bytes)
{
    if (bytes == 0 || !host_owns(machine, source, bytes, false, "a copy on the device") ||
        !host_owns(machine, destination, bytes, true, "a copy on the device"))
        return;
    if (source - destination < bytes || destination - source < bytes) {
        struct machine_access side = report_host(true);
        report_access(machine_memory(machine), CHECK_HOST, &side, NULL, destination,
                      "a copy of %llu bytes on the device: source and destination overlap", (unsigned long long)bytes);
    }
    memmove((void *)(uintptr_t)destination, (const void *)(uintptr_t)source, bytes);
    shadow_copy(machine_memory(machine), destination, source, bytes);
}
