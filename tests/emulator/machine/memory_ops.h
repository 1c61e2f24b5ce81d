/* What ld, st, atom and the copies share: addresses, and the modifiers that only hint. Internal. */
#ifndef SPIRITLM_EMULATOR_MEMORY_OPS_H
#define SPIRITLM_EMULATOR_MEMORY_OPS_H

#include "emulator/machine/decode.h"

/* Addresses of the active lanes in the machine's numbering. False for one that the named space cannot have (reported). */
bool memory_addresses(struct execution *execution, struct warp *warp, const struct op *op, uint32_t slot,
                      uint8_t base_size, int64_t offset, enum ptx_space space, bool generic, uint32_t active,
                      uint64_t addresses[WARP_LANES]);

/* memory_access, with the place of the op; a write to .const variables is reported here. False ends the launch. */
bool memory_touch(struct execution *execution, struct warp *warp, const struct op *op, enum access_action action,
                  int32_t bytes, const uint64_t addresses[WARP_LANES], uint32_t active, void *pointers[WARP_LANES]);

bool memory_is_constant(const struct machine *machine, uint64_t address); /* in a .const variable */

/* Whether a modifier names a space; "" and unknown ones do not. */
bool memory_space_named(const char *name, enum ptx_space *space);
bool memory_is_scope(const char *name); /* cta, cluster, gpu, sys */
bool memory_is_hint(const char *name);  /* cache operators, eviction priorities, prefetch sizes */

#endif
