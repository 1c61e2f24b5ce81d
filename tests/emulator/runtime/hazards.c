/* Missing waits between streams. Each allocation keeps who touched which range last; an access is right when everything
 * conflicting before it lies inside the clock that its work got when it was put into its stream.
 *
 * Work runs in an order that respects all waits, so of two accesses without an order one runs second and finds the other:
 * nothing depends on the order that the queues happened to run in. Ranges of one stream that are touched again replace
 * their older entry, because whoever comes after the newer access comes after the older one. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

static void report_missing_wait(struct device *device, const struct work *work, const struct operand *operand,
                                const struct access_record *record)
{
    uint64_t first = record->span.address > operand->span.address ? record->span.address : operand->span.address;
    runtime_report(
        device, CHECK_HOST, work->name, first,
        "missing wait between streams: %s %s %s memory that %s %s in another stream, and nothing orders the two",
        work->name, operand->write ? "writes" : "reads", operand->host ? "pinned" : "device", record->work,
        record->write ? "writes" : "reads");
}

static bool same_span(const struct span *a, const struct span *b)
{
    return a->address == b->address && a->width == b->width && a->pitch == b->pitch && a->rows == b->rows;
}

static bool covers(const struct span *outer, const struct span *inner)
{
    return same_span(outer, inner) ||
           (outer->rows == 1 && outer->address <= inner->address && span_end(inner) <= span_end(outer));
}

void hazard_access(struct device *device, const struct work *work, const struct operand *operand)
{
    struct allocation *allocation = allocation_at(operand->span.address);
    if (!allocation || !operand->span.width || !machine_settings(device->machine)->checks)
        return;
    int32_t own_slot = work->slot;
    bool reported = false;
    int64_t kept = 0;
    for (int64_t i = 0; i < allocation->record_count; i++) {
        struct access_record *record = &allocation->records[i];
        bool ordered = record->sequence <= work->clock.passed[record->slot];
        if (!ordered && !reported && (record->write || operand->write) &&
            span_overlaps(&record->span, &operand->span)) {
            report_missing_wait(device, work, operand, record);
            reported = true;
        }
        /* An older access in this stream to a part of this range is replaced by this one; a write is not by a read. */
        bool replaced =
            record->slot == own_slot && (operand->write || !record->write) && covers(&operand->span, &record->span);
        if (!replaced)
            allocation->records[kept++] = *record;
    }
    allocation->record_count = kept;
    if (kept == allocation->record_capacity) {
        allocation->record_capacity = kept ? 2 * kept : 8;
        allocation->records =
            realloc(allocation->records, (size_t)allocation->record_capacity * sizeof *allocation->records);
        if (!allocation->records)
            runtime_fatal("no host memory for the record of accesses");
    }
    struct access_record *record = &allocation->records[allocation->record_count++];
    *record = (struct access_record){
        .span = operand->span, .slot = own_slot, .sequence = work->sequence, .write = operand->write};
    snprintf(record->work, sizeof record->work, "%s", work->name);
}

/* What the latest launch touched of global memory, in ranges: machine/touched.c, where it is linked. */
__attribute__((weak)) int64_t machine_touched(struct machine *machine, struct machine_range **ranges);

void hazard_launch(struct device *device, const struct work *work)
{
    struct machine_range *ranges = NULL;
    if (!machine_touched || !machine_settings(device->machine)->checks)
        return;
    int64_t count = machine_touched(device->machine, &ranges);
    for (int64_t i = 0; i < count; i++) {
        struct operand operand = {.span = span_of(ranges[i].address, ranges[i].bytes), .write = ranges[i].written};
        hazard_access(device, work, &operand);
    }
    free(ranges);
}
