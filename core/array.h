/* Room for one more: arrays on the heap that grow as they are filled. */
#ifndef SPIRITLM_CORE_ARRAY_H
#define SPIRITLM_CORE_ARRAY_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Makes room for at least `needed` elements in the array of *capacity elements that *array points at (both start as NULL
 * and 0; the caller frees). The room at least doubles, so that n elements that are added one by one are moved O(n) times
 * in all. New elements are not initialised. STATUS_INTERNAL, "no memory for NEEDED WHAT", when memory runs out or the
 * size in bytes overflows: array and capacity are then as before. A negative `needed` is a count that has overflowed.
 *   enum status array_grow(T **array, int64_t *capacity, int64_t needed, const char *what); */
#define array_grow(array, capacity, needed, what)                                                                      \
    array_grow_sized((array), (capacity), (needed), sizeof **(array), (what))

/* The same for elements whose size only the caller knows: `array` is the address of the pointer to them. */
enum status array_grow_sized(void *array, int64_t *capacity, int64_t needed, size_t element_size, const char *what);

#endif
