/* Chunks from malloc, cut from the front. Under the address sanitizer every allocation is a chunk of its own, so that a
 * read beyond its end is seen and not hidden by its neighbour. */
#include "emulator/ptx/arena.h"

#include <stdlib.h>
#include <string.h>

#ifdef __has_feature /* clang's way to ask */
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER
#endif
#endif
#if defined(ADDRESS_SANITIZER) || defined(__SANITIZE_ADDRESS__)
enum { CHUNK_BYTES = 0 };
#else
enum { CHUNK_BYTES = 64 << 10 };
#endif

struct arena_chunk {
    struct arena_chunk *older;
    size_t used, room;
    _Alignas(16) unsigned char bytes[];
};

void *arena_allocate(struct arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (bytes + 15) / 16 * 16;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->room - chunk->used < rounded) {
        size_t room = rounded > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk)
            return NULL;
        chunk->older = arena->chunks;
        chunk->room = room;
        arena->chunks = chunk;
    }
    void *start = chunk->bytes + chunk->used;
    chunk->used = chunk->room - chunk->used < rounded ? chunk->room : chunk->used + rounded;
    return start;
}

void arena_free(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *older = arena->chunks->older;
        free(arena->chunks);
        arena->chunks = older;
    }
}

void *arena_grow(struct arena *arena, void *array, int32_t count, size_t element_size)
{
    if (count & (count - 1))
        return array;
    if (count > INT32_MAX / 4)
        return NULL;
    size_t room = count ? 2 * (size_t)count : 1;
    void *moved = arena_allocate(arena, room * element_size);
    if (moved && count)
        memcpy(moved, array, (size_t)count * element_size);
    return moved;
}
