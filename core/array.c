/* One checked way to enlarge an array. Such code goes wrong in the arithmetic of sizes, so that is done in this one
 * place. */
#include "core/array.h"

#include <stdlib.h>
#include <string.h>

enum { FEWEST = 4 }; /* few, so that even a small test shows when too little room was asked for */

enum status array_grow_sized(void *array, int64_t *capacity, int64_t needed, size_t element_size, const char *what)
{
    if (needed >= 0 && needed <= *capacity)
        return STATUS_OK;
    int64_t larger = 0;
    size_t bytes = 0;
    if (__builtin_mul_overflow(*capacity, 2, &larger) || larger < needed)
        larger = needed;
    if (larger < FEWEST)
        larger = FEWEST;
    /* Copied, not cast: C does not allow a pointer to another type to be read as a void *. */
    void *present = NULL, *grown = NULL;
    memcpy(&present, array, sizeof present);
    if (needed > 0 && !__builtin_mul_overflow(larger, element_size, &bytes) && bytes <= PTRDIFF_MAX)
        grown = realloc(present, bytes);
    if (!grown)
        return status_set(STATUS_INTERNAL, "no memory for %lld %s", (long long)needed, what);
    memcpy(array, &grown, sizeof grown);
    *capacity = larger;
    return STATUS_OK;
}
