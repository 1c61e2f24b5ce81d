/* What is known about each byte: one bit says whether somebody wrote it, others what the present launch did with it. The
 * shadow of a page is made when the page is first touched; a page without one is undefined. Shared and local memory are
 * made undefined for each block without touching what the block does not use: a page carries the number of the block that
 * its contents belong to. */
#include "emulator/machine/memory_internal.h"

#include <stdio.h>

/* ---- ranges of a byte_map ---- */

/* The bits of `map[word]` that lie in [first, first + count). */
static uint64_t word_mask(uint32_t word, uint32_t first, uint32_t count)
{
    uint32_t low = word * 64;
    uint64_t mask = ~UINT64_C(0);
    if (first > low)
        mask &= ~UINT64_C(0) << (first - low);
    if (first + count < low + 64)
        mask &= ~UINT64_C(0) >> (low + 64 - first - count);
    return mask;
}

void map_set_range(uint64_t *map, uint32_t first, uint32_t count)
{
    for (uint32_t word = first / 64; word <= (first + count - 1) / 64; word++)
        map[word] |= word_mask(word, first, count);
}

void map_clear(uint64_t *map, uint32_t first, uint32_t count)
{
    for (uint32_t word = first / 64; word <= (first + count - 1) / 64; word++)
        map[word] &= ~word_mask(word, first, count);
}

uint32_t map_set_new(uint64_t *map, uint32_t first, uint32_t count)
{
    uint32_t added = 0;
    for (uint32_t word = first / 64; word <= (first + count - 1) / 64; word++) {
        uint64_t mask = word_mask(word, first, count) & ~map[word];
        if (mask == 0)
            continue;
        added += mask == ~UINT64_C(0) ? 64 : (uint32_t)__builtin_popcountll(mask);
        map[word] |= mask;
    }
    return added;
}

uint32_t map_find(const uint64_t *map, uint32_t first, uint32_t count, bool value)
{
    for (uint32_t word = first / 64; word <= (first + count - 1) / 64; word++) {
        uint64_t found = (value ? map[word] : ~map[word]) & word_mask(word, first, count);
        if (found != 0)
            return word * 64 + (uint32_t)__builtin_ctzll(found);
    }
    return UINT32_MAX;
}

/* ---- pages of global memory ---- */

enum { SLAB_PAGES = 64 };
struct slab {
    struct slab *next;
    struct page pages[SLAB_PAGES];
};

struct page *shadow_make_page(struct memory *memory, uint64_t address)
{
    uint64_t start = address & ~(uint64_t)(PAGE_BYTES - 1);
    const struct allocation *owner = memory_find_allocation(memory, start + PAGE_BYTES - 1);
    if (owner == NULL || !owner->live || owner->address + owner->bytes <= start)
        return NULL;
    if (memory->unused_pages == NULL) {
        struct slab *slab = memory_need(calloc(1, sizeof *slab));
        slab->next = memory->slabs;
        memory->slabs = slab;
        for (int32_t i = 0; i < SLAB_PAGES; i++) {
            slab->pages[i].next = memory->unused_pages;
            memory->unused_pages = &slab->pages[i];
        }
    }
    struct page *page = memory->unused_pages;
    memory->unused_pages = page->next;
    uint64_t end = owner->address + owner->bytes - start;
    memset(page, 0, sizeof *page);
    page->bytes = (uint8_t *)(uintptr_t)start;
    page->begin = owner->address > start ? (uint32_t)(owner->address - start) : 0;
    page->end = end < PAGE_BYTES ? (uint32_t)end : PAGE_BYTES;
    memory->pages[(start - memory->base) >> PAGE_SHIFT] = page;
    return page;
}

static void free_maps(struct page *page)
{
    free(page->pending);
    free(page->read_only);
    page->pending = page->read_only = NULL;
}

void shadow_forget_pages(struct memory *memory, uint64_t address, uint64_t bytes)
{
    uint64_t first = (address - memory->base) >> PAGE_SHIFT, last = (address + bytes - 1 - memory->base) >> PAGE_SHIFT;
    for (uint64_t i = first; i <= last; i++) {
        struct page *page = memory->pages[i];
        if (page == NULL)
            continue;
        free_maps(page);
        page->next = memory->unused_pages;
        memory->unused_pages = page;
        memory->pages[i] = NULL;
    }
}

void shadow_free(struct memory *memory)
{
    for (struct slab *slab = memory->slabs, *next; slab != NULL; slab = next) {
        next = slab->next;
        for (int32_t i = 0; i < SLAB_PAGES; i++)
            free_maps(&slab->pages[i]);
        free(slab);
    }
    shadow_window_free(&memory->shared);
    shadow_window_free(&memory->local);
}

void shadow_touch(struct memory *memory, struct page *page)
{
    page->age = memory->launch_age;
    page->read_bytes = page->written_bytes = 0;
    memset(page->read, 0, sizeof page->read);
    memset(page->written, 0, sizeof page->written);
    if (page->read_only != NULL)
        memset(page->read_only, 0, sizeof(byte_map));
    if (memory->touched_count == memory->touched_capacity) {
        memory->touched_capacity = memory->touched_capacity * 2 + 256;
        memory->touched =
            memory_need(realloc(memory->touched, (size_t)memory->touched_capacity * sizeof *memory->touched));
    }
    memory->touched[memory->touched_count++] = page;
}

/* ---- windows ---- */

void shadow_window_free(struct window *window)
{
    for (uint64_t i = 0; i < window->capacity / PAGE_BYTES; i++)
        free_maps(&window->pages[i]);
    free(window->bytes);
    free(window->pages);
    *window = (struct window){0};
}

void shadow_window_resize(struct window *window, uint64_t bytes)
{
    if (bytes <= window->capacity)
        return;
    shadow_window_free(window);
    uint64_t count = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
    window->bytes = memory_need(aligned_alloc(PAGE_BYTES, count * PAGE_BYTES));
    window->pages = memory_need(calloc(count, sizeof *window->pages));
    for (uint64_t i = 0; i < count; i++) {
        window->pages[i].bytes = window->bytes + i * PAGE_BYTES;
        window->pages[i].end = PAGE_BYTES;
    }
    window->capacity = count * PAGE_BYTES;
}

struct page *shadow_window_page(struct memory *memory, struct window *window, uint64_t place)
{
    struct page *page = &window->pages[place >> PAGE_SHIFT];
    if (page->age != memory->block_age) {
        page->age = memory->block_age;
        memset(page->bytes, FRESH_BYTE, PAGE_BYTES);
        memset(page->defined, 0, sizeof page->defined);
        page->all_defined = false;
    }
    return page;
}

/* ---- what the host marks and asks ---- */

void machine_mark_defined(struct machine *machine, uint64_t address, uint64_t bytes, bool defined)
{
    struct memory *memory = machine_memory(machine);
    while (bytes > 0) {
        uint32_t offset = (uint32_t)(address & (PAGE_BYTES - 1));
        uint64_t part = PAGE_BYTES - offset < bytes ? PAGE_BYTES - offset : bytes;
        struct page *page = shadow_page(memory, address);
        if (page != NULL && defined)
            map_set(page->defined, offset, (uint32_t)part);
        else if (page != NULL) {
            map_clear(page->defined, offset, (uint32_t)part);
            page->all_defined = false;
        }
        address += part;
        bytes -= part;
    }
}

int64_t machine_first_undefined(const struct machine *machine, uint64_t address, uint64_t bytes)
{
    const struct memory *memory = machine_memory((struct machine *)(uintptr_t)machine);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t place = address + done;
        uint32_t offset = (uint32_t)(place & (PAGE_BYTES - 1));
        uint64_t part = PAGE_BYTES - offset < bytes - done ? PAGE_BYTES - offset : bytes - done;
        const struct page *page =
            memory_in_range(memory, place) ? memory->pages[(place - memory->base) >> PAGE_SHIFT] : NULL;
        uint32_t found = page != NULL ? map_find(page->defined, offset, (uint32_t)part, false) : offset;
        if (found != UINT32_MAX)
            return (int64_t)(done + found - offset);
        done += part;
    }
    return -1;
}

/* Up to 64 bits of a page's map from bit `first`; bits beyond the page are 0. */
static uint64_t map_bits(const struct page *page, uint32_t first)
{
    if (page == NULL)
        return 0;
    uint64_t bits = page->defined[first / 64] >> (first % 64);
    if (first % 64 != 0 && first / 64 + 1 < MAP_WORDS)
        bits |= page->defined[first / 64 + 1] << (64 - first % 64);
    return bits;
}

void shadow_copy(struct memory *memory, uint64_t destination, uint64_t source, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        uint32_t to = (uint32_t)((destination + done) & (PAGE_BYTES - 1));
        uint32_t from = (uint32_t)((source + done) & (PAGE_BYTES - 1));
        uint64_t part =
            bytes - done < 64 - to % 64 ? bytes - done : 64 - to % 64; /* within one word of the destination */
        part = part < PAGE_BYTES - from ? part : PAGE_BYTES - from;
        uint64_t mask = word_mask(to / 64, to, (uint32_t)part);
        struct page *page = shadow_page(memory, destination + done);
        uint64_t bits = map_bits(shadow_page(memory, source + done), from) << (to % 64);
        if (page != NULL) {
            page->defined[to / 64] = (page->defined[to / 64] & ~mask) | (bits & mask);
            page->all_defined = false;
        }
        done += part;
    }
}
