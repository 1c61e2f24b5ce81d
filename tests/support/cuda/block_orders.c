/* Every operation is wrapped from the lists of kernels/operations.h and kernels/operands.h. What it may write is copied within the
 * emulated device beforehand, together with what the checkers know of it, so that a second run finds undefined memory undefined. */
#include "support/cuda/block_orders.h"

#ifndef SPIRITLM_EMULATED

const struct kernels *block_orders(const struct kernels *inner)
{
    return inner;
}

void block_orders_pause(bool on)
{
    (void)on;
}

#else

#include "core/rng.h"
#include "emulator/runtime/emulator.h"
#include "kernels/operands.h"
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_RANGES = 8, MOST_BYTES = 16 << 20 }; /* a call that writes more runs once */

/* Memory that an operation may write. */
struct range {
    uint64_t address, bytes;
    uint64_t backup;      /* device: as it was */
    unsigned char *first; /* host: as the first run left it */
};
struct writes {
    struct range ranges[MOST_RANGES];
    int count;
    uint64_t bytes;
    bool covered; /* all of them could be noted */
};

static const struct kernels *inner;
static struct kernels table;
static int64_t one_in;
static bool paused;

void block_orders_pause(bool on)
{
    paused = on;
}

/* The first call of each operation that can be compared, and of the others one in `one_in`. */
static bool is_chosen(bool seen)
{
    static struct rng rng;
    static bool started;
    if (!started)
        rng = rng_make(test_seed(), RNG_TEST, 0x0DE5, 0);
    started = true;
    const bool drawn = rng_below(&rng, (uint64_t)one_in) == 0;
    return !paused && (drawn || !seen);
}

static void add(struct writes *writes, const void *memory, size_t bytes)
{
    if (!memory || bytes == 0)
        return;
    writes->bytes += bytes;
    if (writes->count == MOST_RANGES || writes->bytes > MOST_BYTES ||
        !machine_owns(emulator_machine(), (uint64_t)(uintptr_t)memory, bytes)) {
        writes->covered = false;
        return;
    }
    writes->ranges[writes->count++] = (struct range){.address = (uint64_t)(uintptr_t)memory, .bytes = bytes};
}

static void release(struct writes *writes)
{
    for (int i = 0; i < writes->count; i++) {
        if (writes->ranges[i].backup)
            machine_release(emulator_machine(), writes->ranges[i].backup);
        free(writes->ranges[i].first);
    }
}

/* False when the device's memory is used up. */
static bool back_up(struct writes *writes)
{
    struct machine *machine = emulator_machine();
    for (int i = 0; i < writes->count; i++) {
        struct range *range = &writes->ranges[i];
        range->backup = machine_allocate(machine, range->bytes);
        if (!range->backup)
            return false;
        machine_copy(machine, range->backup, range->address, range->bytes);
    }
    return true;
}

static void restore(const struct writes *writes)
{
    for (int i = 0; i < writes->count; i++)
        machine_copy(emulator_machine(), writes->ranges[i].address, writes->ranges[i].backup, writes->ranges[i].bytes);
}

static unsigned char *contents(const struct range *range)
{
    unsigned char *bytes = malloc(range->bytes);
    if (!bytes)
        fail_msg("no memory to compare %llu bytes", (unsigned long long)range->bytes);
    machine_read(emulator_machine(), range->address, bytes, range->bytes, false);
    return bytes;
}

static void compare(const char *name, const char *order, struct writes *writes)
{
    for (int i = 0; i < writes->count; i++) {
        struct range *range = &writes->ranges[i];
        unsigned char *found = contents(range);
        if (!range->first) {
            range->first = found;
            continue;
        }
        for (uint64_t byte = 0; byte < range->bytes; byte++)
            if (found[byte] != range->first[byte])
                fail_msg("%s: with its blocks %s, byte %llu of %llu of what it writes (array %d) differs", name, order,
                         (unsigned long long)byte, (unsigned long long)range->bytes, i);
        free(found);
    }
}

/* One more run of an operation. */
typedef enum status (*again)(const struct device_context *, const void *);

/* *seen: whether a call of this operation has been compared in all orders; set when this one has. */
static enum status run_orders(const char *name, const struct device_context *context, const void *p, again run,
                              struct writes *writes, bool *seen)
{
    static const struct {
        enum machine_order order;
        const char *name;
    } orders[] = {{MACHINE_FORWARD, "in order"}, {MACHINE_REVERSED, "reversed"}, {MACHINE_SHUFFLED, "shuffled"}};
    struct machine_settings *settings = emulator_settings(), kept = *settings;
    if (!writes->covered || inner->synchronize(context) != STATUS_OK || !back_up(writes)) {
        release(writes);
        return run(context, p);
    }
    enum status result = STATUS_OK;
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            restore(writes);
        settings->order = orders[i].order;
        settings->seed = test_seed() + (uint64_t)i;
        result = run(context, p);
        /* after a refusal nothing has been written, after a fault anything */
        if (result != STATUS_OK || inner->synchronize(context) != STATUS_OK)
            break;
        compare(name, orders[i].name, writes);
        *seen = *seen || i == 2;
    }
    *settings = kept;
    release(writes);
    return result;
}

#define NOTE(member, bytes, access)                                                                                    \
    if ((access)&OPERAND_WRITTEN)                                                                                      \
        add(&writes, p->member, (bytes));
#define ORDERED(name)                                                                                                  \
    static enum status again_##name(const struct device_context *context, const void *p)                               \
    {                                                                                                                  \
        return inner->name(context, p);                                                                                \
    }                                                                                                                  \
    static enum status ordered_##name(const struct device_context *context, const struct name *p)                      \
    {                                                                                                                  \
        static bool seen;                                                                                              \
        struct writes writes = {.covered = true};                                                                      \
        if (!is_chosen(seen) || !context || !p)                                                                        \
            return inner->name(context, p);                                                                            \
        OPERANDS_##name(NOTE);                                                                                         \
        return run_orders(#name, context, p, again_##name, &writes, &seen);                                            \
    }
KERNEL_OPERATIONS(ORDERED)
#undef ORDERED

const struct kernels *block_orders(const struct kernels *kernels)
{
    const char *text = getenv("SPIRITLM_TEST_ORDERS");
    if (!text || !*text)
        return kernels;
    one_in = strtoll(text, NULL, 10);
    if (one_in < 1)
        fail_msg("SPIRITLM_TEST_ORDERS=%s: expected a number from 1 on", text);
    inner = kernels;
    table = *kernels;
#define MEMBER(name) table.name = ordered_##name;
    KERNEL_OPERATIONS(MEMBER)
#undef MEMBER
    return &table;
}

#endif
