/* The life of a launch and of its blocks. Blocks run one after the other, so one window of shared memory and one of local
 * memory serve them all; what belongs to an earlier block is told by its age (shadow.c) and its clocks (order.c). */
#include "emulator/machine/memory_internal.h"

enum { LOCAL_ALIGNMENT = 16 };

void memory_launch_begin(struct memory *memory, const struct memory_launch *launch)
{
    memory->launch = *launch;
    memory->running = true;
    memory->checks = machine_settings(memory->machine)->checks;
    memory->launch_age++;
    memory->touched_count = 0;
    uint64_t stride = (launch->local_bytes + LOCAL_ALIGNMENT - 1) & ~(uint64_t)(LOCAL_ALIGNMENT - 1);
    shadow_window_resize(&memory->shared, launch->shared_bytes);
    shadow_window_resize(&memory->local, stride * (uint64_t)launch->threads);
    memory->shared.size = launch->shared_bytes;
    memory->local.size = launch->local_bytes;
    memory->local.stride = stride;
    sites_clear(memory);
    order_launch_begin(memory);
}

void memory_launch_end(struct memory *memory)
{
    async_block_end(memory);
    marks_launch_end(memory);
    order_launch_end(memory);
    memory->shared.size = memory->local.size = 0;
    memory->launch = (struct memory_launch){0};
    memory->running = false;
}

void memory_block_begin(struct memory *memory, const int32_t block[3], int64_t block_number)
{
    (void)block_number; /* the clocks number blocks in the order in which they run */
    memcpy(memory->block, block, sizeof memory->block);
    memory->block_age++;
    order_block_begin(memory);
}

void memory_block_end(struct memory *memory)
{
    async_block_end(memory);
}
