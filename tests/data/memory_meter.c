#include "memory_meter.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static atomic_llong in_use, most, at_start;

static void taken(size_t size)
{
    long long now = atomic_fetch_add(&in_use, (long long)size) + (long long)size, before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        ;
}

static void given_back(size_t size)
{
    atomic_fetch_sub(&in_use, (long long)size);
}

void memory_meter_start(void)
{
    atomic_store(&at_start, atomic_load(&in_use));
    atomic_store(&most, atomic_load(&in_use));
}

int64_t memory_meter_peak(void)
{
    return atomic_load(&most) - atomic_load(&at_start);
}

#ifdef __SANITIZE_ADDRESS__

size_t __sanitizer_get_allocated_size(const volatile void *memory);
void __sanitizer_malloc_hook(const volatile void *memory, size_t size);
void __sanitizer_free_hook(const volatile void *memory);

void __sanitizer_malloc_hook(const volatile void *memory, size_t size)
{
    if (memory)
        taken(size);
}

void __sanitizer_free_hook(const volatile void *memory)
{
    if (memory)
        given_back(__sanitizer_get_allocated_size(memory));
}

#else

/* Dynamic linking makes every shared library use the program's definitions below instead of the C library's, whose own
 * functions remain available under these names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static void *counted(void *memory)
{
    if (memory)
        taken(malloc_usable_size(memory));
    return memory;
}

void *malloc(size_t size)
{
    return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    size_t old = memory ? malloc_usable_size(memory) : 0;
    void *moved = __libc_realloc(memory, size);
    if (moved || size == 0)
        given_back(old);
    return counted(moved);
}

void *memalign(size_t alignment, size_t size)
{
    return counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void free(void *memory)
{
    if (memory)
        given_back(malloc_usable_size(memory));
    __libc_free(memory);
}

#endif
