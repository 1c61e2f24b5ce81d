/* One checked way to enlarge an array. The arithmetic of sizes is where such code goes wrong, so it is done here alone. */
#include "core/array.h"

#include <stdlib.h>
#include <string.h>

enum { FEWEST = 4 }; /* few: an array that is asked for too little room shows it in a small test already */

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
    /* Copied, not cast: a pointer to any type may not be read as a void *. */
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
