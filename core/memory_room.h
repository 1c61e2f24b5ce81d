/* Whether memory could be had, asked before a library is called that crashes or spins without it. */
#ifndef SPIRITLM_CORE_MEMORY_ROOM_H
#define SPIRITLM_CORE_MEMORY_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* True if `bytes` of memory can be mapped at this moment, under the limits of the process (ulimit -v) and the system. Nothing
 * stays reserved: another thread may take it at once. */
bool memory_has_room(size_t bytes);

#endif
