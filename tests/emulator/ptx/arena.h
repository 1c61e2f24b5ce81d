/* Memory that is freed all at once: a tree of many small parts has one owner, and a parse that fails half way leaks
 * nothing. */
#ifndef SPIRITLM_EMULATOR_ARENA_H
#define SPIRITLM_EMULATOR_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* the newest first; NULL: nothing is allocated yet */
};

/* `bytes` zeros at a 16-byte boundary; NULL when memory runs out. */
void *arena_allocate(struct arena *arena, size_t bytes);
void arena_free(struct arena *arena);

/* Room for one element more: `array` of `count` elements is moved to twice the room when count is a power of two (or 0),
 * so that the caller keeps no capacity. Returns where the array lies now, new elements being zeros; NULL: no memory. */
void *arena_grow(struct arena *arena, void *array, int32_t count, size_t element_size);

#endif
