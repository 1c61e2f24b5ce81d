/* Memory for the values of pickles. A hostile pickle can be made to ask for far more than its own size (a list per byte, or
 * one list copied over and over), so everything comes out of one budget, and nothing is freed before the end. */
#include "io/weights/pickle.h"

#include <stdlib.h>
#include <string.h>

struct pickle_block {
    struct pickle_block *next;
    int64_t used, size;
    _Alignas(16) unsigned char bytes[];
};

enum { BLOCK_BYTES = 64 << 10, LARGE_BYTES = BLOCK_BYTES / 8, ALIGNMENT = 16 };

static enum status add_block(struct pickle_memory *memory, struct pickle_block **list, int64_t size)
{
    if (size > memory->limit - memory->used)
        return status_set(STATUS_CORRUPT, "its values need more than %lld MiB", (long long)(memory->limit >> 20));
    struct pickle_block *block = calloc(1, sizeof *block + (size_t)size);
    if (!block)
        return status_set(STATUS_INTERNAL, "out of memory");
    block->next = *list;
    block->size = size;
    memory->used += size;
    *list = block;
    return STATUS_OK;
}

enum status pickle_take(struct pickle_memory *memory, int64_t bytes, void **out)
{
    enum status result = STATUS_OK;
    struct pickle_block *block = memory->blocks;
    *out = NULL;
    if (bytes < 0 || bytes > memory->limit)
        return status_set(STATUS_CORRUPT, "its values need more than %lld MiB", (long long)(memory->limit >> 20));
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes >= LARGE_BYTES) { /* a block of its own: what is left of the present one is not lost */
        result = add_block(memory, &memory->large, bytes);
        block = memory->large;
    } else if (!block || block->size - block->used < bytes) {
        result = add_block(memory, &memory->blocks, BLOCK_BYTES);
        block = memory->blocks;
    }
    if (result != STATUS_OK)
        return result;
    *out = block->bytes + block->used;
    block->used += bytes;
    return STATUS_OK;
}

static void free_blocks(struct pickle_block *block)
{
    while (block) {
        struct pickle_block *next = block->next;
        free(block);
        block = next;
    }
}

void pickle_memory_free(struct pickle_memory *memory)
{
    free_blocks(memory->blocks);
    free_blocks(memory->large);
    memory->blocks = memory->large = NULL;
    memory->used = 0;
}

static enum status reserve(struct pickle_memory *memory, struct torch_items *items, int64_t capacity)
{
    void *values;
    enum status result = pickle_take(memory, capacity * (int64_t)sizeof *items->values, &values);
    if (result != STATUS_OK)
        return result;
    if (items->count > 0)
        memcpy(values, items->values, (size_t)items->count * sizeof *items->values);
    items->values = values;
    items->capacity = capacity;
    return STATUS_OK;
}

enum status pickle_new_items(struct pickle_memory *memory, int64_t capacity, struct torch_items **items)
{
    void *memory_of_items;
    enum status result = pickle_take(memory, sizeof **items, &memory_of_items);
    *items = memory_of_items;
    if (result == STATUS_OK && capacity > 0)
        result = reserve(memory, *items, capacity);
    return result;
}

enum status pickle_append(struct pickle_memory *memory, struct torch_items *items, const struct torch_value *values,
                          int64_t count)
{
    if (count > items->capacity - items->count) {
        int64_t least = items->count + count, capacity = items->capacity * 2 > least ? items->capacity * 2 : least;
        enum status result = reserve(memory, items, capacity);
        if (result != STATUS_OK)
            return result;
    }
    if (count > 0)
        memmove(items->values + items->count, values, (size_t)count * sizeof *values);
    items->count += count;
    return STATUS_OK;
}
