/* A list of what memory is needed for, made from shapes before anything is allocated, and the layout of the arenas that
 * hold it: one allocation per category, every entry at a multiple of 256 bytes. */
#ifndef SPIRITLM_CORE_MEMORY_PLAN_H
#define SPIRITLM_CORE_MEMORY_PLAN_H

#include "core/status.h"

#include <stdint.h>
#include <stdio.h>

enum { MEMORY_ALIGNMENT = 256 };

struct memory_entry {
    char name[48];
    int64_t offset; /* bytes from the category's start, a multiple of MEMORY_ALIGNMENT */
    int64_t bytes;  /* as requested */
};

/* One category ("parameters", "gradients", "activations"). Zero-initialise with the name set; free with
 * memory_plan_free. */
struct memory_plan {
    const char *name;
    struct memory_entry *entries;
    int64_t count, capacity;
    int64_t total; /* bytes, padding included */
};

/* Appends an entry and returns its offset; -1 when the sizes overflow or memory for the list is exhausted. */
int64_t memory_plan_add(struct memory_plan *plan, int64_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One line per category: its name, bytes in MiB, number of entries, and its three largest entries. */
void memory_plan_print(const struct memory_plan *plan, FILE *file);
void memory_plan_free(struct memory_plan *plan);

/* bytes rounded up to MEMORY_ALIGNMENT. */
static inline int64_t memory_align(int64_t bytes)
{
    return (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

#endif
