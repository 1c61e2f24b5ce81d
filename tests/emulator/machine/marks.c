/* Where it is kept who touched which byte: arrays per page, made when needed and taken back to a pool when the launch ends.
 * They are never wiped in between: what they still hold has clocks of earlier launches, which count as nothing. */
#include "emulator/machine/memory_internal.h"

void marks_create(struct memory *memory)
{
    /* For elements of 1, 2, 4, 8 and 16 granules: the lane of each granule of a row of 32 elements, as a bit. */
    uint32_t *bits = memory->lane_bits;
    for (uint32_t granules = 1; granules <= 16; granules *= 2)
        for (uint32_t i = 0; i < LANES * granules; i++)
            *bits++ = UINT32_C(1) << (i / granules);
}

static struct marks *take_marks(struct memory *memory, uint32_t shift)
{
    struct marks *marks = memory->pool.marks[shift];
    if (marks != NULL) {
        memory->pool.marks[shift] = marks->next;
        marks->since = memory->order.block_base;
        marks->latest = 0;
        marks->owner = -1;
        return marks;
    }
    size_t count = PAGE_BYTES >> shift;
    marks = memory_need(calloc(1, sizeof *marks));
    marks->since = memory->order.block_base;
    marks->owner = -1;
    uint32_t *words = memory_need(calloc(3 * count, sizeof *words));
    marks->clock = (int32_t *)words; /* freed by this pointer */
    marks->who = words + count;
    marks->lanes = words + 2 * count;
    return marks;
}

static void give_marks(struct memory *memory, struct marks **marks, uint32_t shift)
{
    if (*marks == NULL)
        return;
    (*marks)->next = memory->pool.marks[shift];
    memory->pool.marks[shift] = *marks;
    *marks = NULL;
}

struct marks *marks_need(struct memory *memory, const struct records *records, struct marks **marks)
{
    if (*marks == NULL)
        *marks = take_marks(memory, records->shift);
    return *marks;
}

struct marks *marks_add_slot(struct memory *memory, struct records *records)
{
    if (records->slot_count == records->slot_capacity) {
        records->slot_capacity = records->slot_capacity * 2 + 4;
        records->slots = memory_need(realloc(records->slots, (size_t)records->slot_capacity * sizeof(struct marks *)));
    }
    records->slots[records->slot_count] = take_marks(memory, records->shift);
    return records->slots[records->slot_count++];
}

/* The same knowledge with finer granules. */
static void split_marks(struct memory *memory, struct marks **marks, uint32_t from, uint32_t to)
{
    if (*marks == NULL)
        return;
    struct marks *old = *marks, *fine = take_marks(memory, to);
    fine->since = old->since;
    fine->latest = old->latest;
    fine->owner = old->owner;
    for (uint32_t i = 0; i < (uint32_t)PAGE_BYTES >> to; i++) {
        uint32_t coarse = i >> (from - to);
        fine->clock[i] = old->clock[coarse];
        fine->who[i] = old->who[coarse];
        fine->lanes[i] = old->lanes[coarse];
    }
    memset(old->clock, 0,
           ((size_t)PAGE_BYTES >> from) * sizeof *old->clock); /* the pool has no clocks of this launch */
    give_marks(memory, marks, from);
    *marks = fine;
}

static void split(struct memory *memory, struct records *records, uint32_t shift)
{
    uint32_t from = records->shift;
    for (int32_t i = 0; i < records->slot_count; i++)
        split_marks(memory, &records->slots[i], from, shift);
    split_marks(memory, &records->write, from, shift);
    split_marks(memory, &records->earlier_read, from, shift);
    split_marks(memory, &records->earlier_atomic, from, shift);
    split_marks(memory, &records->cached, from, shift);
    records->shift = shift;
}

struct records *marks_records(struct memory *memory, struct page *page, uint32_t bytes)
{
    struct records *records = page->records;
    if (records == NULL) {
        records = memory->pool.records;
        if (records != NULL)
            memory->pool.records = records->next;
        else
            records = memory_need(calloc(1, sizeof *records));
        records->shift = LARGEST_SHIFT;
        records->block = memory->order.block_base;
        page->records = records;
    }
    if ((bytes & ((UINT32_C(1) << records->shift) - 1)) != 0)
        split(memory, records, (uint32_t)__builtin_ctz(bytes));
    return records;
}

static void release_records(struct memory *memory, struct page *page)
{
    struct records *records = page->records;
    if (records == NULL)
        return;
    for (int32_t i = 0; i < records->slot_count; i++)
        give_marks(memory, &records->slots[i], records->shift);
    give_marks(memory, &records->write, records->shift);
    give_marks(memory, &records->earlier_read, records->shift);
    give_marks(memory, &records->earlier_atomic, records->shift);
    give_marks(memory, &records->cached, records->shift);
    records->slot_count = 0;
    records->atomics = false;
    records->next = memory->pool.records;
    memory->pool.records = records;
    page->records = NULL;
}

void marks_launch_end(struct memory *memory)
{
    for (int64_t i = 0; i < memory->touched_count; i++)
        release_records(memory, memory->touched[i]);
    for (uint64_t i = 0; i < memory->shared.capacity / PAGE_BYTES; i++)
        release_records(memory, &memory->shared.pages[i]);
}

void marks_drop_pool(struct memory *memory)
{
    for (uint32_t shift = 0; shift <= LARGEST_SHIFT; shift++)
        for (struct marks *marks = memory->pool.marks[shift], *next; marks != NULL; marks = next) {
            next = marks->next;
            free(marks->clock);
            free(marks);
        }
    for (struct records *records = memory->pool.records, *next; records != NULL; records = next) {
        next = records->next;
        free(records->slots);
        free(records);
    }
    memory->pool = (struct record_pool){0};
}
