/* What the latest launch touched of global memory, from the marks that count its traffic: one bit per byte and page for
 * reads and one for writes. The runtime compares these ranges with those of other streams' work. */
#include "emulator/machine/memory_internal.h"

struct list {
    struct machine_range *ranges;
    int64_t count, capacity;
};

static void add(struct list *list, uint64_t address, uint64_t bytes, bool written)
{
    struct machine_range *last = list->count ? &list->ranges[list->count - 1] : NULL;
    if (last && last->written == written && last->address + last->bytes == address) {
        last->bytes += bytes;
        return;
    }
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->ranges = memory_need(realloc(list->ranges, (size_t)list->capacity * sizeof *list->ranges));
    }
    list->ranges[list->count++] = (struct machine_range){address, bytes, written};
}

static void add_page(struct list *list, const struct page *page)
{
    uint64_t address = (uint64_t)(uintptr_t)page->bytes;
    for (uint32_t word = 0; word < MAP_WORDS; word++) {
        uint64_t read = page->read[word], written = page->written[word];
        for (uint32_t bit = 0; bit < 64;) {
            uint64_t marks = (read | written) >> bit;
            if (!marks)
                break;
            bit += (uint32_t)__builtin_ctzll(marks);
            bool is_written = written >> bit & 1;
            uint64_t same = is_written ? written >> bit : (read & ~written) >> bit;
            uint32_t length = ~same ? (uint32_t)__builtin_ctzll(~same) : 64;
            length = length > 64 - bit ? 64 - bit : length;
            add(list, address + word * 64 + bit, length, is_written);
            bit += length;
        }
    }
}

static int compare_pages(const void *a, const void *b)
{
    const struct page *const *first = a, *const *second = b;
    return ((*first)->bytes > (*second)->bytes) - ((*first)->bytes < (*second)->bytes);
}

int64_t machine_touched(struct machine *machine, struct machine_range **ranges)
{
    struct memory *memory = machine_memory(machine);
    struct list list = {0};
    qsort(memory->touched, (size_t)memory->touched_count, sizeof(struct page *), compare_pages);
    for (int64_t i = 0; i < memory->touched_count; i++)
        add_page(&list, memory->touched[i]);
    *ranges = list.ranges;
    return list.count;
}
