/* A launch: its limits, its blocks one after the other, and the order in which blocks and warps go. No CUDA program may
 * depend on that order, so that tests run a kernel forward, reversed and shuffled and want the same bits. */
#include "emulator/machine/interpreter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- limits ---- */

static bool refuse(struct machine *machine, const struct machine_launch *launch, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct machine *machine, const struct machine_launch *launch, const char *format, ...)
{
    struct machine_report report = {.check = CHECK_LAUNCH, .access = {.thread = -1}, .other = {.thread = -2}};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report.text, sizeof report.text, format, arguments);
    va_end(arguments);
    snprintf(report.kernel, sizeof report.kernel, "%s", launch->kernel->source->name);
    machine_add_report(machine, &report);
    return false;
}

static bool check_sizes(struct machine *machine, const struct machine_launch *launch)
{
    static const uint32_t most_blocks[3] = {INT32_MAX, 65535, 65535}, most_threads[3] = {1024, 1024, 64};
    for (int i = 0; i < 3; i++) {
        if (launch->grid[i] == 0 || launch->grid[i] > most_blocks[i])
            return refuse(machine, launch, "grid.%c is %u, 1 to %u are expected", "xyz"[i], launch -> grid[i],
                          most_blocks[i]);
        if (launch->block[i] == 0 || launch->block[i] > most_threads[i])
            return refuse(machine, launch, "block.%c is %u, 1 to %u are expected", "xyz"[i], launch -> block[i],
                          most_threads[i]);
    }
    return true;
}

static bool check_threads(struct machine *machine, const struct machine_launch *launch)
{
    const struct ptx_kernel *source = launch->kernel->source;
    int64_t threads = (int64_t)launch->block[0] * launch->block[1] * launch->block[2];
    int64_t most = machine_attributes(launch->kernel).maximum_threads;
    if (threads > machine->settings.limits.threads_per_block)
        return refuse(machine, launch, "a block of %lld threads, %s allows %d", (long long)threads,
                      machine->settings.limits.name, (int)machine->settings.limits.threads_per_block);
    for (int i = 0; i < 3; i++) {
        uint32_t required = source->required_threads[i] > 0 ? (uint32_t)source->required_threads[i] : 1;
        if (source->required_threads[0] > 0 && launch->block[i] != required)
            return refuse(machine, launch, "block.%c is %u, the kernel's .reqntid wants %u", "xyz"[i],
                          launch -> block[i], required);
    }
    if (threads > most)
        return refuse(machine, launch, "a block of %lld threads, the kernel's .maxntid allows %lld", (long long)threads,
                      (long long)most);
    return true;
}

static uint64_t shared_bytes_of(const struct machine_launch *launch)
{
    return launch->dynamic_shared > 0 ? launch->kernel->dynamic_shared_offset + launch->dynamic_shared
                                      : launch->kernel->static_shared;
}

static bool check_launch(struct machine *machine, const struct machine_launch *launch)
{
    const struct machine_limits *limits = &machine->settings.limits;
    if (!check_sizes(machine, launch) || !check_threads(machine, launch))
        return false;
    if (launch->dynamic_shared > (uint64_t)limits->shared_per_block_optin ||
        shared_bytes_of(launch) > (uint64_t)limits->shared_per_block_optin)
        return refuse(machine, launch, "%llu bytes of shared memory (%llu of them dynamic), %s allows %lld",
                      (unsigned long long)shared_bytes_of(launch), (unsigned long long)launch->dynamic_shared,
                      limits->name, (long long)limits->shared_per_block_optin);
    if (launch->kernel->source->parameter_bytes > 0 && launch->parameters == NULL)
        return refuse(machine, launch, "the kernel's %llu bytes of parameters are missing",
                      (unsigned long long)launch->kernel->source->parameter_bytes);
    return true;
}

/* ---- the shared file ---- */

static void fill_shared(const struct machine_kernel *kernel, enum shared_slot slot, uint32_t value)
{
    uint32_t *lanes = (uint32_t *)(void *)(kernel->shared_file + 128 * (int)slot);
    for (int lane = 0; lane < WARP_LANES; lane++)
        lanes[lane] = value;
}

static void fill_lanes(const struct machine_kernel *kernel)
{
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        uint32_t *lanes = (uint32_t *)(void *)kernel->shared_file + lane, bit = 1u << lane;
        lanes[32 * SHARED_LANE] = lane;
        lanes[32 * SHARED_LANEMASK_EQ] = bit;
        lanes[32 * SHARED_LANEMASK_LT] = bit - 1;
        lanes[32 * SHARED_LANEMASK_LE] = bit | (bit - 1);
        lanes[32 * SHARED_LANEMASK_GT] = ~(bit | (bit - 1));
        lanes[32 * SHARED_LANEMASK_GE] = ~(bit - 1);
    }
}

static void fill_launch(const struct execution *execution)
{
    const struct machine_launch *launch = execution->launch;
    const struct machine_kernel *kernel = execution->kernel;
    fill_lanes(kernel);
    fill_shared(kernel, SHARED_WARP_SIZE, WARP_LANES);
    for (int i = 0; i < 3; i++) {
        fill_shared(kernel, SHARED_NTID_X + (unsigned)i, launch->block[i]);
        fill_shared(kernel, SHARED_NCTAID_X + (unsigned)i, launch->grid[i]);
    }
    fill_shared(kernel, SHARED_NWARPID, (uint32_t)execution->warp_count);
    fill_shared(kernel, SHARED_NSMID, (uint32_t)execution->machine->settings.limits.processors);
    fill_shared(kernel, SHARED_DYNAMIC_SIZE, (uint32_t)launch->dynamic_shared);
    fill_shared(kernel, SHARED_TOTAL_SIZE, (uint32_t)execution->shared_bytes);
    fill_shared(kernel, SHARED_ZERO, 0);
    fill_shared(kernel, SHARED_ONE, 1);
}

static void fill_warp(const struct execution *execution, const struct warp *warp)
{
    const uint32_t *block = execution->launch->block;
    uint32_t *lanes = (uint32_t *)(void *)warp->bases[0];
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        uint32_t thread = (uint32_t)warp->index * WARP_LANES + lane;
        lanes[32 * WARP_TID_X + lane] = thread % block[0];
        lanes[32 * WARP_TID_Y + lane] = thread / block[0] % block[1];
        lanes[32 * WARP_TID_Z + lane] = thread / block[0] / block[1];
        lanes[32 * WARP_ID + lane] = (uint32_t)warp->index;
    }
}

/* ---- order ---- */

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

/* A permutation of [0, count) without a table: four Feistel rounds over the next power of four, walked on until the result
 * is inside. */
static uint64_t shuffled(uint64_t i, uint64_t count, uint64_t seed)
{
    int half = 1;
    while (half < 32 && (UINT64_C(1) << 2 * half) < count)
        half++;
    uint64_t mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t next = left ^ (mix(right + mix(seed + round)) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= count);
    return i;
}

static uint64_t ordered(const struct machine_settings *settings, uint64_t i, uint64_t count, uint64_t salt)
{
    if (settings->order == MACHINE_REVERSED)
        return count - 1 - i;
    return settings->order == MACHINE_SHUFFLED ? shuffled(i, count, settings->seed + salt) : i;
}

/* Whether the settings let block `number` of `count` run. */
static bool is_wanted(const struct machine_settings *settings, uint64_t number, uint64_t count)
{
    int64_t first = settings->first_block, wanted = settings->block_count;
    if (first < 0)
        first += (int64_t)count;
    if (wanted <= 0 || first < 0 || first + wanted > (int64_t)count)
        return true;
    return (int64_t)number >= first && (int64_t)number < first + wanted;
}

/* ---- running ---- */

static bool run_block(struct execution *execution, uint64_t number)
{
    const uint32_t *grid = execution->launch->grid;
    const struct machine_settings *settings = &execution->machine->settings;
    int32_t block[3] = {(int32_t)(number % grid[0]), (int32_t)(number / grid[0] % grid[1]),
                        (int32_t)(number / grid[0] / grid[1])};
    for (int i = 0; i < 3; i++)
        fill_shared(execution->kernel, SHARED_CTAID_X + (unsigned)i, (uint32_t)block[i]);
    fill_shared(execution->kernel, SHARED_SMID, (uint32_t)(number % (uint64_t)settings->limits.processors));
    for (int32_t w = 0; w < execution->warp_count; w++)
        execution->warp_order[w] = (int32_t)ordered(settings, (uint64_t)w, (uint64_t)execution->warp_count, number + 1);
    memory_block_begin(execution->memory, block, (int64_t)number);
    bool good = execute_block(execution);
    for (int32_t w = 0; w < execution->warp_count; w++)
        copies_finish(execution, &execution->warps[w]);
    memory_block_end(execution->memory);
    return good;
}

static bool make_warps(struct execution *execution)
{
    size_t count = (size_t)execution->warp_count, bytes = execution->kernel->warp_file_bytes;
    size_t registers = (size_t)execution->kernel->source->register_count + 1;
    execution->warps = calloc(count, sizeof *execution->warps);
    execution->files = aligned_alloc(64, count * bytes);
    execution->defined = calloc(count * registers, sizeof *execution->defined);
    if (execution->warps == NULL || execution->files == NULL || execution->defined == NULL)
        return false;
    memset(execution->files, 0, count * bytes);
    for (int32_t w = 0; w < execution->warp_count; w++) {
        struct warp *warp = &execution->warps[w];
        warp->index = w;
        warp->bases[0] = execution->files + (size_t)w * bytes;
        warp->bases[1] = execution->kernel->shared_file;
        warp->defined = execution->defined + (size_t)w * registers;
        fill_warp(execution, warp);
    }
    return true;
}

static void free_warps(struct execution *execution)
{
    for (int32_t w = 0; execution->warps != NULL && w < execution->warp_count; w++)
        free(execution->warps[w].copies);
    free(execution->warps);
    free(execution->files);
    free(execution->defined);
}

static bool run_blocks(struct execution *execution)
{
    const struct machine_launch *launch = execution->launch;
    struct machine *machine = execution->machine;
    uint64_t blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    struct memory_launch memory = {.kernel = launch->kernel->source->name,
                                   .parameters = launch->parameters,
                                   .parameter_bytes = launch->kernel->source->parameter_bytes,
                                   .shared_bytes = execution->shared_bytes,
                                   .local_bytes = launch->kernel->local_bytes,
                                   .threads = execution->threads};
    bool good = true;
    fill_launch(execution);
    memory_launch_begin(execution->memory, &memory);
    for (uint64_t i = 0; i < blocks && good; i++) {
        uint64_t number = ordered(&machine->settings, i, blocks, 0);
        if (is_wanted(&machine->settings, number, blocks))
            good = run_block(execution, number);
    }
    memory_launch_end(execution->memory);
    machine->counters.launches++;
    machine->counters.warp_instructions += execution->instructions;
    machine->counters.ex2 += execution->special_functions;
    machine->counters.barriers += execution->barriers_passed;
    return good;
}

bool machine_run(struct machine *machine, const struct machine_launch *launch)
{
    if (!check_launch(machine, launch))
        return false;
    struct execution execution = {.machine = machine,
                                  .memory = machine->memory,
                                  .kernel = launch->kernel,
                                  .launch = launch,
                                  .checks = machine->settings.checks,
                                  .threads = (int32_t)(launch->block[0] * launch->block[1] * launch->block[2]),
                                  .shared_bytes = shared_bytes_of(launch)};
    execution.warp_count = (execution.threads + WARP_LANES - 1) / WARP_LANES;
    execution.budget =
        machine->settings.instruction_budget > 0 ? machine->settings.instruction_budget : INT64_C(4000000000);
    bool good =
        make_warps(&execution) ? run_blocks(&execution) : refuse(machine, launch, "the emulator has no memory left");
    free_warps(&execution);
    return good;
}
