/* What the checks found. A loop that goes wrong does so thousands of times; the first time is kept with its addresses, and
 * the same check at the same line of the same kernel is only counted after that. */
#include "emulator/machine/interpreter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *machine_check_name(enum machine_check check)
{
    static const char *const names[CHECK_KINDS] = {
        [CHECK_BOUNDS] = "bounds",
        [CHECK_ALIGNMENT] = "alignment",
        [CHECK_RACE] = "race",
        [CHECK_BLOCK_RACE] = "race between blocks",
        [CHECK_UNINITIALISED] = "uninitialised",
        [CHECK_ASYNC] = "asynchronous copy",
        [CHECK_BARRIER] = "barrier",
        [CHECK_ENDLESS] = "endless",
        [CHECK_READ_ONLY] = "read only",
        [CHECK_LAUNCH] = "launch",
        [CHECK_HOST] = "host",
    };
    return (unsigned)check < CHECK_KINDS ? names[check] : "unknown";
}

int64_t machine_report_count(const struct machine *machine)
{
    return machine->report_count;
}

const struct machine_report *machine_report_at(const struct machine *machine, int64_t i)
{
    return i >= 0 && i < machine->report_count ? &machine->reports[i] : NULL;
}

void machine_clear_reports(struct machine *machine)
{
    machine->report_count = 0;
}

/* What the host does has no line: there the text tells reports apart. */
static bool same_report(const struct machine_report *a, const struct machine_report *b)
{
    return a->check == b->check && a->access.line == b->access.line && strcmp(a->kernel, b->kernel) == 0 &&
           strcmp(a->access.file, b->access.file) == 0 && (a->check != CHECK_HOST || strcmp(a->text, b->text) == 0);
}

void machine_add_report(struct machine *machine, const struct machine_report *report)
{
    int64_t times = report->times > 0 ? report->times : 1;
    for (int64_t i = 0; i < machine->report_count; i++) {
        if (same_report(&machine->reports[i], report)) {
            machine->reports[i].times += times;
            return;
        }
    }
    if (machine->report_count == machine->report_capacity) {
        int64_t capacity = 2 * machine->report_capacity + 16;
        struct machine_report *reports = realloc(machine->reports, (size_t)capacity * sizeof *reports);
        if (reports == NULL) {
            fprintf(stderr, "emulator: no memory is left for a report: %s\n", report->text);
            abort();
        }
        machine->reports = reports;
        machine->report_capacity = capacity;
    }
    machine->reports[machine->report_count] = *report;
    machine->reports[machine->report_count++].times = times;
}

static int format_access(char *text, size_t size, const char *what, const struct machine_access *access)
{
    if (access->thread < 0 && access->file[0] == 0)
        return snprintf(text, size, "  %s by the host\n", what);
    const char *file = access->file[0] != 0 ? access->file : "unknown file";
    if (access->thread < 0)
        return snprintf(text, size, "  %s at %s:%d by the host\n", what, file, (int)access->line);
    return snprintf(text, size, "  %s at %s:%d by block (%d, %d, %d), warp %d, lane %d\n", what, file,
                    (int)access->line, (int)access->block[0], (int)access->block[1], (int)access->block[2],
                    (int)(access->thread / WARP_LANES), (int)(access->thread % WARP_LANES));
}

void machine_format_report(const struct machine_report *report, char *text, size_t size)
{
    size_t length = 0;
    const char *name = report->kernel[0] != 0 ? report->kernel : "host";
    int written = snprintf(text, size, "%s in %s: %s\n", machine_check_name(report->check), name, report->text);
    length += written > 0 ? (size_t)written : 0;
    if (length < size && report->address != 0)
        length += (size_t)snprintf(text + length, size - length, "  address 0x%" PRIx64 "\n", report->address);
    if (length < size && report->access.thread != -2)
        length += (size_t)format_access(text + length, size - length, report->access.write ? "written" : "read",
                                        &report->access);
    if (length < size && report->other.thread != -2)
        length +=
            (size_t)format_access(text + length, size - length,
                                  report->other.write ? "before that written" : "before that read", &report->other);
    if (length < size && report->times > 1)
        snprintf(text + length, size - length, "  %" PRId64 " times\n", report->times);
}
