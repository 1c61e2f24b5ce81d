/* What the files of the machine's memory share: pages with their shadow, the windows of a block, the clocks of its warps.
 * Only memory.c, shadow.c, blocks.c, access.c, traffic.c, order.c, marks.c, races.c, async.c, memory_reports.c and the two
 * *_lanes.c include it.
 *
 * A device address of global memory is an address of this process. One range is reserved without access rights and without
 * pages; an allocation makes its part of it a private mapping of a file that holds nothing but 0xCD, so that fresh memory
 * reads as 0xCD without being written, a page costs memory only once it is written, and a host library that overruns an
 * allocation faults. Everything that is known about bytes is kept per page of 4 KiB, made when the page is first touched. */
#ifndef SPIRITLM_EMULATOR_MEMORY_INTERNAL_H
#define SPIRITLM_EMULATOR_MEMORY_INTERNAL_H

#include "emulator/machine/memory.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_SHIFT = 12, PAGE_BYTES = 1 << PAGE_SHIFT, MAP_WORDS = PAGE_BYTES / 64, WARPS = 32, LANES = 32 };
enum { FRESH_BYTE = 0xCD };
enum { LARGEST_SHIFT = 4 };                    /* no access of a lane is larger than 16 bytes */
enum { SITES = 8192, SITE_SLOTS = 2 * SITES }; /* of a launch */

enum space { SPACE_GLOBAL, SPACE_SHARED, SPACE_LOCAL, SPACE_PARAMETER, SPACE_NONE };

/* One bit per byte of a page. */
typedef uint64_t byte_map[MAP_WORDS];

struct records; /* who touched each byte of a page */

struct page {
    uint8_t *bytes;      /* where the page's first byte lies on the host */
    uint32_t begin, end; /* global memory: the part of the page that an allocation owns */
    uint64_t age;        /* the launch (global) or block (shared, local) that the rest of this struct speaks of */
    struct page *next;   /* in the list of unused ones */
    uint64_t *pending;   /* byte_map: destinations of asynchronous copies under way; NULL: none ever */
    uint64_t *read_only; /* byte_map: what ld.global.nc has read in this launch; NULL: nothing */
    struct records *records;
    int32_t sources;   /* asynchronous copies under way that read from the page */
    int32_t under_way; /* parts of them that write to it: while there are none, nothing is set in `pending` */
    uint32_t read_bytes, written_bytes; /* how many are set in `read` and `written` */
    bool all_defined;                   /* `defined` is known to be full */
    uint32_t looks;                     /* at `defined`, by access_lanes.c */
    byte_map defined;
    byte_map read, written; /* global memory: in this launch */
};

struct allocation {
    uint64_t address, bytes;
    bool live;
};

/* Shared memory of a block, or local memory of all of its threads. */
struct window {
    uint8_t *bytes;
    struct page *pages;
    uint64_t size;     /* shared: of the block; local: of one thread */
    uint64_t stride;   /* local: between threads */
    uint64_t capacity; /* bytes that `bytes` and `pages` have room for; whole pages */
};

/* A line of source that touches memory; accesses are remembered by its number. 0: not known. */
struct site {
    const char *file;
    int32_t line;
};

/* What each warp knows of the others. Clocks only ever grow, through all blocks and launches: a record whose clock lies
 * below the launch's first one is out of date without anybody clearing it. */
struct order {
    int32_t top;                 /* the largest clock in use */
    int32_t launch_base;         /* clocks below: earlier launches */
    int32_t block_base;          /* clocks below: earlier blocks */
    int32_t warps;               /* of a block */
    uint32_t existing[WARPS];    /* lanes of each warp that exist */
    int32_t clock[WARPS];        /* of what the warp does now */
    int32_t known[WARPS][WARPS]; /* [w][v]: all that v did up to this clock happened before what w does now */
    int32_t joined[WARPS];       /* all that any lane of w did up to this clock happened before what any does now */
    int32_t floor[WARPS];        /* the least of known[w] and joined[w]: old enough for w, whoever did it */
    int32_t lanes[WARPS][LANES][LANES]; /* [w][l][m]: as known, of lane m to lane l; only above joined[w] */
};

struct block_start {
    int32_t clock;
    int32_t block[3];
};

/* One access that is remembered per granule of a page: when, by which warp from which line, and by which of its lanes. */
struct marks {
    struct marks *next; /* in the pool */
    int32_t *clock;
    uint32_t *who, *lanes;
    int32_t since;  /* the first clock of the block that had them first: no mark is of an earlier block of the launch */
    int32_t latest; /* no clock is larger */
    int32_t owner;  /* of a slot: the warp for which all marks are its own or old; -1: none */
};
#define WHO_WARP UINT32_C(31)
#define WHO_ATOMIC UINT32_C(32)
#define WHO_SITE_SHIFT 16

/* Who touched a page. The granule, 1 << shift bytes, is as large as the smallest access so far. `write` has the last plain
 * write. A slot holds, for each granule, one read or atomic operation that a later access may still conflict with;
 * slots are taken in order, the first that is free or holds what the new access makes superfluous. The rest are of global
 * memory. Any of the marks may be NULL: nothing. Clocks below the launch's (shared memory: the block's) are nothing too. */
struct records {
    struct records *next;
    uint32_t shift;
    bool atomics;  /* some slot holds an atomic operation */
    int32_t block; /* races_lanes.c: the first clock of the block since which slots have only its reads */
    int32_t slot_count, slot_capacity;
    struct marks **slots;
    uint8_t slot_of_warp[WARPS]; /* where a warp's latest read went: its next one will most likely do so, too */
    struct marks *write;
    struct marks *earlier_read, *earlier_atomic; /* by some earlier block of the launch, if its slot was taken over */
    struct marks *cached;                        /* the last ld.global.nc */
};

struct record_pool {
    struct marks *marks[LARGEST_SHIFT + 1]; /* by shift; with clocks of earlier launches only */
    struct records *records;
};

struct slab;

struct memory {
    struct machine *machine;

    uint64_t base, span, next;      /* the reserved range; where the next allocation goes */
    struct page **pages;            /* [span / PAGE_BYTES], without pages of its own until touched */
    struct allocation *allocations; /* ascending; released ones stay, to name them in reports */
    int64_t allocation_count, allocation_capacity;
    uint64_t allocated;
    int pattern_file; /* holds pattern_bytes of 0xCD */
    uint64_t pattern_bytes;
    struct slab *slabs;
    struct page *unused_pages;

    struct window shared, local;
    struct memory_launch launch;
    bool running, checks;
    int32_t block[3];
    uint64_t launch_age, block_age;
    struct page **touched; /* global pages that the launch touched */
    int64_t touched_count, touched_capacity;

    struct order order;
    uint32_t lane_bits[LANES * 31]; /* marks.c */
    struct block_start *blocks;     /* of the launch, to name one by a clock */
    int64_t block_count, block_capacity;
    struct site sites[SITES];
    int32_t site_count;
    uint16_t site_index[SITE_SLOTS]; /* hash table of numbers of sites; 0: free */

    struct async_copy *copies; /* under way */
    struct record_pool pool;
    uint8_t stamp[PAGE_BYTES]; /* races_lanes.c: which of an access's lanes was last at an offset of a page */
};

/* ---- memory.c ---- */

void *memory_need(void *pointer); /* ends the program when an allocation on the host failed */
/* The allocation that lies at or next below `address`, or NULL. */
const struct allocation *memory_find_allocation(const struct memory *memory, uint64_t address);

/* ---- shadow.c ---- */

/* The page of a global address; NULL where no live allocation has a byte. */
struct page *shadow_make_page(struct memory *memory, uint64_t address);
static inline bool memory_in_range(const struct memory *memory, uint64_t address)
{
    return address - memory->base < memory->span;
}
static inline struct page *shadow_page(struct memory *memory, uint64_t address)
{
    if (!memory_in_range(memory, address))
        return NULL;
    struct page *page = memory->pages[(address - memory->base) >> PAGE_SHIFT];
    return page != NULL ? page : shadow_make_page(memory, address);
}
/* The page of a window's byte, filled anew when an earlier block used it. */
struct page *shadow_window_page(struct memory *memory, struct window *window, uint64_t place);
void shadow_window_resize(struct window *window, uint64_t bytes);
void shadow_window_free(struct window *window);
void shadow_forget_pages(struct memory *memory, uint64_t address, uint64_t bytes);
void shadow_free(struct memory *memory);
/* Puts the page on the launch's list, its marks of reading and writing empty. */
void shadow_touch(struct memory *memory, struct page *page);
void shadow_copy(struct memory *memory, uint64_t destination, uint64_t source, uint64_t bytes);

/* Ranges of a byte_map; never empty. */
void map_set_range(uint64_t *map, uint32_t first, uint32_t count);
void map_clear(uint64_t *map, uint32_t first, uint32_t count);
uint32_t map_set_new(uint64_t *map, uint32_t first, uint32_t count);                /* how many were not set */
uint32_t map_find(const uint64_t *map, uint32_t first, uint32_t count, bool value); /* UINT32_MAX: none */

/* The bits of word `first / 64` that lie in a range that does not leave it. */
static inline uint64_t map_bits_within(uint32_t first, uint32_t count)
{
    return ~UINT64_C(0) >> (64 - count) << (first % 64);
}
static inline bool map_within_word(uint32_t first, uint32_t count)
{
    return first % 64 + count <= 64;
}
static inline void map_set(uint64_t *map, uint32_t first, uint32_t count)
{
    if (map_within_word(first, count))
        map[first / 64] |= map_bits_within(first, count);
    else
        map_set_range(map, first, count);
}
static inline bool map_has_all(const uint64_t *map, uint32_t first, uint32_t count)
{
    if (map_within_word(first, count))
        return (~map[first / 64] & map_bits_within(first, count)) == 0;
    return map_find(map, first, count, false) == UINT32_MAX;
}

/* ---- access.c ---- */

/* Neighbouring bytes of one page that lanes next to each other touch, or one element that several lanes read. */
struct run {
    struct page *page;
    uint32_t offset, bytes; /* in the page */
    int32_t lane;           /* the first */
    uint32_t lanes;         /* all; more than one for an element that several touch */
};

/* What the addresses of all lanes have in common: a row has every lane's bytes right after those of the lane before it. */
enum shape { SHAPE_ROW, SHAPE_ONE, SHAPE_OTHER };

struct request {
    const struct access *access;
    enum space space;
    enum shape shape;
    uint32_t lanes; /* those of the access that touch this space */
    int32_t run_count;
    struct run runs[LANES];
};

/* Sets everything but the runs, the space as the first lane's. */
void request_begin(const struct memory *memory, struct request *request, const struct access *access, uint32_t lanes);
/* Fills pointers and runs; false when illegal (reported). */
bool request_resolve(struct memory *memory, struct request *request, void *pointers[LANES]);
/* Reports the first lane whose address is no multiple of access->bytes, a power of two. */
bool request_aligned(struct memory *memory, const struct request *request);
/* Checks and counts what was resolved; bytes that are written become defined. */
void request_check(struct memory *memory, const struct request *request);
/* The address that the program gave for a byte of a run. */
uint64_t run_address(const struct request *request, const struct run *run, uint32_t offset);
enum space access_space(const struct memory *memory, uint64_t address);
static inline int32_t run_lane(const struct request *request, const struct run *run, uint32_t offset)
{
    return run->lane + (int32_t)((offset - run->offset) / (uint32_t)request->access->bytes);
}

/* ---- access_lanes.c, races_lanes.c ---- */

/* The bytes of an access that lie in one page: a row of neighbours, or a list of elements. */
struct part {
    const struct access *access;
    struct page *page;
    bool global; /* shared otherwise */
    bool row;
    uint32_t offset, length, lane; /* of a row, and the lane of its first element */
    uint32_t count, offsets[LANES], lanes[LANES];
    uint64_t element; /* as many bits as an element has bytes */
    /* What is the same for all parts of an access, as in struct order, and for the part's marks. */
    int32_t low, base, floor, joined, clock;
    uint32_t who;
    struct records *records;
    uint32_t granule_count, first; /* of a row */
    const uint32_t *granule_lanes;
    uint32_t granules[LANES << LARGEST_SHIFT], lanes_of_granules[LANES << LARGEST_SHIFT];
};

/* All of a plain access. False: something is out of the ordinary; then nothing has been done that request_resolve and
 * request_check would not do as well. */
bool access_lanes(struct memory *memory, const struct access *access, void *pointers[LANES]);
void part_set(const struct part *part, uint64_t *map);
/* Of shared memory; `offsets` of all 32 lanes. */
int64_t traffic_wavefronts(const uint32_t offsets[LANES], uint32_t lanes, uint32_t bytes);
void races_part_begin(struct memory *memory, struct part *part);
/* Checks the part and remembers it; false: it may conflict. */
bool races_part(struct memory *memory, struct part *part);

/* ---- async.c ---- */

/* Whether an access touches a copy under way (reported, in the words of `text` for a destination). */
bool async_check(struct memory *memory, const struct request *request, const char *text);
void async_block_end(struct memory *memory); /* forgets copies that nobody waited for */

/* ---- traffic.c ---- */

void traffic_count(struct memory *memory, const struct request *request);

/* ---- order.c ---- */

void order_launch_begin(struct memory *memory);
void order_block_begin(struct memory *memory);
void order_launch_end(struct memory *memory);
const int32_t *order_block_of(const struct memory *memory, int32_t clock); /* [3]; of this launch */
/* Those of other_lanes whose accesses at `clock` of this block are not known to have happened before what some of `lanes`
 * do now. */
uint32_t order_conflict(const struct order *order, int32_t warp, uint32_t lanes, int32_t other_warp,
                        uint32_t other_lanes, int32_t clock);

/* ---- marks.c ---- */

/* The page's records with granules that divide `bytes`. */
struct records *marks_records(struct memory *memory, struct page *page, uint32_t bytes);
struct marks *marks_need(struct memory *memory, const struct records *records, struct marks **marks);
struct marks *marks_add_slot(struct memory *memory, struct records *records);
void marks_create(struct memory *memory);
void marks_launch_end(struct memory *memory); /* takes the records off all pages */
void marks_drop_pool(struct memory *memory);

/* ---- races.c ---- */

/* Checks an access of global or shared memory if told to, and remembers it. */
void races_access(struct memory *memory, const struct request *request, bool check);

/* ---- memory_reports.c ---- */

void sites_clear(struct memory *memory);
/* 0 when a launch has more lines that touch memory than numbers. */
uint32_t site_number(struct memory *memory, const char *file, int32_t line);
struct machine_access report_side(const struct memory *memory, const struct access *access, int32_t lane);
/* The access that a mark remembers. */
struct machine_access report_mark(const struct memory *memory, const struct marks *marks, uint32_t granule,
                                  int32_t lane, bool write);
struct machine_access report_host(bool write);
/* `other` may be NULL. */
void report_access(struct memory *memory, enum machine_check check, const struct machine_access *access,
                   const struct machine_access *other, uint64_t address, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* What lies near an address: "12 bytes past the end of an allocation of 4096 bytes". */
void report_place(const struct memory *memory, uint64_t address, uint64_t bytes, char *text, size_t size);
const char *space_name(enum space space);

#endif
