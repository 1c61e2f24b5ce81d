/* A hash table of names, each with a stack of meanings. Closing a block pops what the block declared, which its list
 * names, so that the cost is that of the declarations and not of the table. */
#include "emulator/ptx/symbols.h"

#include <stdlib.h>
#include <string.h>

bool symbols_create(struct symbols *symbols, struct arena *names)
{
    *symbols = (struct symbols){.names = names, .depth = -1, .bucket_count = 1024};
    symbols->buckets = calloc(symbols->bucket_count, sizeof *symbols->buckets);
    return symbols->buckets && symbols_open(symbols);
}

void symbols_destroy(struct symbols *symbols)
{
    free(symbols->buckets);
    arena_free(&symbols->scratch);
}

/* FNV-1a. */
static uint64_t hash_of(const char *name, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3u;
    return hash;
}

/* Twice as many buckets. Without memory the table goes on with those it has. */
static void rehash(struct symbols *symbols)
{
    size_t count = 2 * symbols->bucket_count;
    struct symbol **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return;
    for (size_t i = 0; i < symbols->bucket_count; i++) {
        struct symbol *next;
        for (struct symbol *symbol = symbols->buckets[i]; symbol; symbol = next) {
            next = symbol->next;
            symbol->next = buckets[symbol->hash % count];
            buckets[symbol->hash % count] = symbol;
        }
    }
    free(symbols->buckets);
    symbols->buckets = buckets;
    symbols->bucket_count = count;
}

struct symbol *symbols_intern(struct symbols *symbols, const char *name, size_t length)
{
    uint64_t hash = hash_of(name, length);
    for (struct symbol *symbol = symbols->buckets[hash % symbols->bucket_count]; symbol; symbol = symbol->next) {
        if (symbol->hash == hash && symbol->length == length && !memcmp(symbol->name, name, length))
            return symbol;
    }
    if (symbols->symbol_count >= symbols->bucket_count)
        rehash(symbols);
    struct symbol *symbol = arena_allocate(&symbols->scratch, sizeof *symbol);
    char *copy = arena_allocate(symbols->names, length + 1);
    if (!symbol || !copy)
        return NULL;
    memcpy(copy, name, length);
    struct symbol **bucket = &symbols->buckets[hash % symbols->bucket_count];
    *symbol = (struct symbol){.name = copy, .length = length, .hash = hash, .next = *bucket};
    *bucket = symbol;
    symbols->symbol_count++;
    return symbol;
}

struct binding *symbols_bind(struct symbols *symbols, struct symbol *symbol, enum binding_kind kind, int32_t index)
{
    struct binding *binding = symbols->unused;
    if (binding)
        symbols->unused = binding->sibling;
    else if (!(binding = arena_allocate(&symbols->scratch, sizeof *binding)))
        return NULL;
    *binding = (struct binding){
        .kind = kind,
        .index = index,
        .depth = symbols->depth,
        .symbol = symbol,
        .outer = symbol->binding,
        .sibling = symbols->blocks[symbols->depth],
    };
    symbol->binding = binding;
    symbols->blocks[symbols->depth] = binding;
    return binding;
}

bool symbols_open(struct symbols *symbols)
{
    int32_t depth = symbols->depth + 1;
    struct binding **blocks = arena_grow(&symbols->scratch, symbols->blocks, depth, sizeof *blocks);
    if (!blocks)
        return false;
    blocks[depth] = NULL;
    symbols->blocks = blocks;
    symbols->depth = depth;
    return true;
}

void symbols_close(struct symbols *symbols)
{
    struct binding *binding = symbols->blocks[symbols->depth--], *sibling;
    for (; binding; binding = sibling) {
        sibling = binding->sibling;
        binding->symbol->binding = binding->outer;
        binding->sibling = symbols->unused;
        symbols->unused = binding;
    }
}
