/* How the memory's checkers say what they found: who did what, where, and what lies there. */
#include "emulator/machine/memory_internal.h"

#include <stdarg.h>
#include <stdio.h>

const char *space_name(enum space space)
{
    static const char *const names[] = {"global", "shared", "local", "parameter", "unknown"};
    return names[space];
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from != NULL ? from : "", size - 1);
    memcpy(to, from != NULL ? from : "", length);
    to[length] = 0;
}

void sites_clear(struct memory *memory)
{
    memset(memory->site_index, 0, sizeof memory->site_index);
    memory->site_count = 1; /* 0: not known */
}

uint32_t site_number(struct memory *memory, const char *file, int32_t line)
{
    uint64_t key = ((uint64_t)(uintptr_t)file >> 3) * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)(uint32_t)line;
    uint32_t slot = (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % SITE_SLOTS;
    for (; memory->site_index[slot] != 0; slot = (slot + 1) % SITE_SLOTS) {
        const struct site *site = &memory->sites[memory->site_index[slot]];
        if (site->file == file && site->line == line)
            return memory->site_index[slot];
    }
    if (memory->site_count == SITES)
        return 0;
    memory->sites[memory->site_count] = (struct site){file, line};
    memory->site_index[slot] = (uint16_t)memory->site_count;
    return (uint32_t)memory->site_count++;
}

struct machine_access report_mark(const struct memory *memory, const struct marks *marks, uint32_t granule,
                                  int32_t lane, bool write)
{
    uint32_t who = marks->who[granule];
    const struct site *site = &memory->sites[who >> WHO_SITE_SHIFT];
    struct machine_access side = {.line = site->line,
                                  .thread = (int32_t)(who & WHO_WARP) * LANES + lane,
                                  .write = write || (who & WHO_ATOMIC) != 0};
    copy_text(side.file, sizeof side.file, site->file);
    memcpy(side.block, order_block_of(memory, marks->clock[granule]), sizeof side.block);
    return side;
}

struct machine_access report_side(const struct memory *memory, const struct access *access, int32_t lane)
{
    struct machine_access side = {.line = access->line,
                                  .thread = access->warp * LANES + lane,
                                  .write = access->action == ACCESS_WRITE || access->action == ACCESS_ATOMIC};
    copy_text(side.file, sizeof side.file, access->file);
    memcpy(side.block, memory->block, sizeof side.block);
    return side;
}

struct machine_access report_host(bool write)
{
    return (struct machine_access){.thread = -1, .write = write};
}

void report_access(struct memory *memory, enum machine_check check, const struct machine_access *access,
                   const struct machine_access *other, uint64_t address, const char *format, ...)
{
    struct machine_report report = {.check = check, .access = *access, .address = address, .times = 1};
    if (other != NULL)
        report.other = *other;
    else
        report.other.thread = -2;
    if (access->thread >= 0)
        copy_text(report.kernel, sizeof report.kernel, memory->launch.kernel);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report.text, sizeof report.text, format, arguments);
    va_end(arguments);
    machine_add_report(memory->machine, &report);
}

void memory_report(struct memory *memory, enum machine_check check, int32_t warp, uint32_t lanes, const char *file,
                   int32_t line, const char *text)
{
    struct access access = {.action = ACCESS_READ, .warp = warp, .file = file, .line = line};
    struct machine_access side = report_side(memory, &access, lanes != 0 ? __builtin_ctz(lanes) : 0);
    report_access(memory, check, &side, NULL, 0, "%s", text);
}

void memory_report_register(struct memory *memory, int32_t warp, uint32_t lanes, const char *name, const char *file,
                            int32_t line)
{
    char text[200];
    snprintf(text, sizeof text, "register %s is used before anything was written to it", name);
    memory_report(memory, CHECK_UNINITIALISED, warp, lanes, file, line, text);
}

/* ---- what lies at an address ---- */

static void describe_allocation(const struct allocation *found, uint64_t address, uint64_t bytes, char *text,
                                size_t size)
{
    const char *state = found->live ? "" : " that was released";
    unsigned long long length = found->bytes;
    if (address < found->address) {
        snprintf(text, size, "%llu bytes before an allocation of %llu bytes%s",
                 (unsigned long long)(found->address - address), length, state);
        return;
    }
    uint64_t offset = address - found->address;
    if (offset > found->bytes)
        snprintf(text, size, "%llu bytes past the end of an allocation of %llu bytes%s",
                 (unsigned long long)(offset - found->bytes), length, state);
    else if (offset == found->bytes)
        snprintf(text, size, "at the end of an allocation of %llu bytes%s", length, state);
    else if (bytes > found->bytes - offset)
        snprintf(text, size, "%llu of %llu bytes lie past the end of an allocation of %llu bytes%s",
                 (unsigned long long)(bytes - (found->bytes - offset)), (unsigned long long)bytes, length, state);
    else
        snprintf(text, size, "%llu bytes into an allocation of %llu bytes%s", (unsigned long long)offset, length,
                 state);
}

static void describe_window(uint64_t offset, uint64_t bytes, uint64_t length, const char *what, char *text, size_t size)
{
    if (offset >= length)
        snprintf(text, size, "%llu bytes past the end of %llu bytes of %s", (unsigned long long)(offset - length),
                 (unsigned long long)length, what);
    else if (bytes > length - offset)
        snprintf(text, size, "%llu of %llu bytes lie past the end of %llu bytes of %s",
                 (unsigned long long)(bytes - (length - offset)), (unsigned long long)bytes, (unsigned long long)length,
                 what);
    else
        snprintf(text, size, "%llu bytes into %llu bytes of %s", (unsigned long long)offset, (unsigned long long)length,
                 what);
}

void report_place(const struct memory *memory, uint64_t address, uint64_t bytes, char *text, size_t size)
{
    if (address - SHARED_WINDOW < WINDOW_BYTES) {
        describe_window(address - SHARED_WINDOW, bytes, memory->shared.size, "shared memory", text, size);
        return;
    }
    if (address - LOCAL_WINDOW < WINDOW_BYTES) {
        describe_window(address - LOCAL_WINDOW, bytes, memory->local.size, "local memory", text, size);
        return;
    }
    if (address - PARAMETER_WINDOW < WINDOW_BYTES) {
        describe_window(address - PARAMETER_WINDOW, bytes, memory->launch.parameter_bytes, "parameters", text, size);
        return;
    }
    const struct allocation *below = memory_find_allocation(memory, address);
    const struct allocation *above = below == NULL ? memory->allocations : below + 1;
    if (above == NULL || above >= memory->allocations + memory->allocation_count)
        above = NULL;
    uint64_t past = UINT64_MAX;
    if (below != NULL)
        past = address < below->address + below->bytes ? 0 : address - (below->address + below->bytes);
    if (address < memory->base || address - memory->base >= memory->span || (below == NULL && above == NULL))
        snprintf(text, size, "no device memory is there");
    else if (below == NULL || (above != NULL && above->address - address < past))
        describe_allocation(above, address, bytes, text, size);
    else
        describe_allocation(below, address, bytes, text, size);
}
