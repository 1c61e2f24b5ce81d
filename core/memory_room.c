/* Maps the memory and lets it go again: the only answer that knows all limits. No page of it is touched, so it costs two
 * system calls whatever the size. */
#include "core/memory_room.h"

#include <sys/mman.h>

bool memory_has_room(size_t bytes)
{
    void *map = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    munmap(map, bytes ? bytes : 1);
    return true;
}
