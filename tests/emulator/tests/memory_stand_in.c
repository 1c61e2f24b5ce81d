/* A machine that has memory and nothing else: what the memory needs of machine.c, so that its tests can run alone. Not
 * linked where machine.c is. */
#include "emulator/machine/memory.h"

#include <stdlib.h>
#include <string.h>

struct machine {
    struct machine_settings settings;
    struct machine_counters counters;
    struct memory *memory;
    struct machine_report *reports;
    int64_t count, capacity;
};

void machine_default_settings(struct machine_settings *settings)
{
    *settings = (struct machine_settings){.checks = true, .limits.total_memory = INT64_C(80) << 30};
}

struct machine *machine_create(const struct machine_settings *settings)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (machine == NULL)
        return NULL;
    machine->settings = *settings;
    machine->memory = memory_create(machine);
    return machine;
}

void machine_destroy(struct machine *machine)
{
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
    machine->counters = (struct machine_counters){0};
}

/* The same check at the same lines is one report, as machine.c has it. */
void machine_add_report(struct machine *machine, const struct machine_report *report)
{
    for (int64_t i = 0; i < machine->count; i++)
        if (machine->reports[i].check == report->check && machine->reports[i].access.line == report->access.line) {
            machine->reports[i].times++;
            return;
        }
    if (machine->count == machine->capacity) {
        machine->capacity = machine->capacity * 2 + 16;
        machine->reports = realloc(machine->reports, (size_t)machine->capacity * sizeof *machine->reports);
        if (machine->reports == NULL)
            abort();
    }
    machine->reports[machine->count++] = *report;
}

int64_t machine_report_count(const struct machine *machine)
{
    return machine->count;
}

const struct machine_report *machine_report_at(const struct machine *machine, int64_t i)
{
    return &machine->reports[i];
}

void machine_clear_reports(struct machine *machine)
{
    machine->count = 0;
}

const char *machine_check_name(enum machine_check check)
{
    static const char *const names[CHECK_KINDS] = {
        [CHECK_BOUNDS] = "bounds",
        [CHECK_ALIGNMENT] = "alignment",
        [CHECK_RACE] = "race",
        [CHECK_BLOCK_RACE] = "block race",
        [CHECK_UNINITIALISED] = "uninitialised",
        [CHECK_ASYNC] = "asynchronous copy",
        [CHECK_BARRIER] = "barrier",
        [CHECK_ENDLESS] = "endless",
        [CHECK_READ_ONLY] = "read-only",
        [CHECK_LAUNCH] = "launch",
        [CHECK_HOST] = "host",
    };
    return names[check];
}
