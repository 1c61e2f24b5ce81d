/* Missing waits between streams. Each allocation keeps who touched which range last; an access is right when everything
 * conflicting before it lies inside the clock that its work got when it was put into its stream.
 *
 * Work runs in an order that respects all waits, so of two accesses without an order one runs second and finds the other:
 * nothing depends on the order that the queues happened to run in. Ranges of one stream that are touched again replace
 * their older entry, because whoever comes after the newer access comes after the older one. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS_BEFORE_PRUNING = 64 };

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

/* Accesses that all queued and all future work comes after can be forgotten. */
static void prune(struct allocation *allocation)
{
    struct stream_clock floor = queue_floor();
    int64_t kept = 0;
    for (int64_t i = 0; i < allocation->record_count; i++)
        if (allocation->records[i].sequence > floor.passed[allocation->records[i].slot])
            allocation->records[kept++] = allocation->records[i];
    allocation->record_count = kept;
    allocation->prune_at = 2 * kept > RECORDS_BEFORE_PRUNING ? 2 * kept : RECORDS_BEFORE_PRUNING;
}

void hazard_access(struct device *device, const struct work *work, const struct operand *operand)
{
    struct allocation *allocation = allocation_at(operand->span.address);
    if (!allocation || !operand->span.width || !machine_settings(device->machine)->checks)
        return;
    int32_t own_slot = work->slot;
    if (allocation->record_count > allocation->prune_at)
        prune(allocation);
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

/* Ranges of equal size at equal distances become one strided range: a kernel that writes some columns of a wide matrix
 * would otherwise leave a record per row. */
static void access_merged(struct device *device, const struct work *work, const struct machine_range *ranges,
                          int64_t count)
{
    for (int64_t i = 0; i < count;) {
        struct span span = span_of(ranges[i].address, ranges[i].bytes);
        int64_t next = i + 1;
        const struct allocation *allocation = allocation_at(span.address);
        if (next < count)
            span.pitch = ranges[next].address - ranges[i].address;
        while (next < count && ranges[next].written == ranges[i].written && ranges[next].bytes == span.width &&
               ranges[next].address == span.address + span.rows * span.pitch &&
               allocation_at(ranges[next].address) == allocation) {
            span.rows++;
            next++;
        }
        if (span.rows == 1)
            span.pitch = span.width;
        struct operand operand = {.span = span, .write = ranges[i].written};
        hazard_access(device, work, &operand);
        i = next;
    }
}

static int by_writing(const void *a, const void *b)
{
    const struct machine_range *first = a, *second = b;
    if (first->written != second->written)
        return first->written ? 1 : -1;
    return (first->address > second->address) - (first->address < second->address);
}

void hazard_launch(struct device *device, const struct work *work)
{
    struct machine_range *ranges = NULL;
    if (!machine_settings(device->machine)->checks)
        return;
    int64_t count = machine_touched(device->machine, &ranges);
    if (count)
        qsort(ranges, (size_t)count, sizeof *ranges, by_writing);
    access_merged(device, work, ranges, count);
    free(ranges);
}
