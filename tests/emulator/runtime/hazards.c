/* Missing waits between streams. Each allocation keeps who touched which range last; an access is right when
 * everything conflicting before it lies inside the clock that its work got when it was put into its stream.
 *
 * Work runs in an order that respects all waits, so of two accesses without an order one runs second and finds the
 * other: nothing depends on the order that the queues happened to run in. An access replaces those that are ordered
 * before it inside its range (a read only reads): whoever comes after it comes after them too, and whoever does not is
 * reported for this one. */
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

/* Accesses that all queued and all future work comes after can be forgotten, and those that were replaced. */
static void prune(struct allocation *allocation)
{
    struct stream_clock floor = queue_floor();
    int64_t kept = 0;
    for (int64_t i = 0; i < allocation->record_count; i++) {
        const struct access_record *record = &allocation->records[i];
        if (record->end > 0 && record->sequence > floor.passed[record->slot])
            allocation->records[kept++] = *record;
    }
    allocation->record_count = kept;
    allocation->replaced = false;
    allocation->prune_at = 2 * kept > RECORDS_BEFORE_PRUNING ? 2 * kept : RECORDS_BEFORE_PRUNING;
}

/* Records of the work whose accesses are being noted stand last and need not be compared with each other: a kernel may leave
 * thousands of ranges, and has none in conflict with itself. */
static void begin_own(struct allocation *allocation, const struct work *work)
{
    int64_t count = allocation->record_count;
    if (count > 0 && allocation->records[count - 1].sequence == work->sequence &&
        allocation->records[count - 1].slot == work->slot)
        return;
    if (count > allocation->prune_at || allocation->replaced)
        prune(allocation);
    allocation->own_first = allocation->record_count;
}

void hazard_access(struct device *device, const struct work *work, const struct operand *operand)
{
    struct allocation *allocation = allocation_at(operand->span.address);
    if (!allocation || !operand->span.width || !machine_settings(device->machine)->checks)
        return;
    begin_own(allocation, work);
    uint64_t begin = operand->span.address, end = span_end(&operand->span);
    bool reported = false;
    for (int64_t i = 0; i < allocation->own_first; i++) {
        struct access_record *record = &allocation->records[i];
        bool apart = record->end <= begin || end <= record->span.address;
        bool ordered = record->sequence <= work->clock.passed[record->slot];
        if (!apart && !ordered && !reported && (record->write || operand->write) &&
            span_overlaps(&record->span, &operand->span)) {
            report_missing_wait(device, work, operand, record);
            reported = true;
        }
        if (!apart && ordered && (operand->write || !record->write) && covers(&operand->span, &record->span)) {
            record->end = 0; /* replaced: it is apart from everything, and goes with begin_own */
            allocation->replaced = true;
        }
    }
    if (allocation->record_count == allocation->record_capacity) {
        allocation->record_capacity = allocation->record_count ? 2 * allocation->record_count : 8;
        allocation->records =
            realloc(allocation->records, (size_t)allocation->record_capacity * sizeof *allocation->records);
        if (!allocation->records)
            runtime_fatal("no host memory for the record of accesses");
    }
    struct access_record *record = &allocation->records[allocation->record_count++];
    *record = (struct access_record){.span = operand->span,
                                     .end = end,
                                     .slot = work->slot,
                                     .write = operand->write,
                                     .sequence = work->sequence,
                                     .work = work->name};
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
