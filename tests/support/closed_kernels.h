/* The cpu's operations behind the contract of a GPU (kernels/kernels.h), so that what a GPU would punish fails here, by
 * name and on any machine:
 *   - Device memory has two mappings. Callers hold addresses of the one that nobody may touch: a host that looks into
 *     device memory ends with SIGSEGV. The table finds each operand's allocation, and hands the cpu addresses of the
 *     other mapping. Host memory, released memory and what lies past an allocation are refused, naming operation and
 *     operand. Memory is never given out a second time.
 *   - Copies to the host arrive when the host has waited for them; until then their destination holds 0xCB. What copies
 *     read on the host is compared when they are over with what it was when they were called: a buffer that changed in
 *     between is a fault of the context. So is pinned memory released before its copies are over.
 *   - Operations run when they are called, but whether queues were made to wait for each other is kept by vector
 *     clocks: work that touches memory which another queue reads or writes, with no wait between them, is refused as a
 *     "missing wait".
 *   - A graph keeps copies of the calls that it recorded, and a launch makes them again, with all that is checked about
 *     them; the context's scratch must be where it was. While one is recorded, what a GPU could not record is refused.
 * All refusals are STATUS_INTERNAL. What is found where no status can be returned is a fault of the context, which
 * synchronize and event_wait report from then on; a context that is closed before it could report a fault, or before
 * its device memory was released, aborts the program.
 *
 * Contexts of all threads share one device. Tables with replaced members may be copies of this one. A child made by
 * fork has its own copy of the device. */
#ifndef SPIRITLM_TESTS_CLOSED_KERNELS_H
#define SPIRITLM_TESTS_CLOSED_KERNELS_H

#include "kernels/kernels.h"

const struct kernels *kernels_closed(void);

/* What a context was asked for. */
struct closed_counters {
    int64_t synchronizes, event_waits, queue_waits;
    int64_t allocations, releases;           /* of device memory */
    int64_t host_allocations, host_releases; /* of pinned memory */
    int64_t pinned_copies, pageable_copies;  /* between host and device, by the memory of the host's side */
    int64_t copies, fills;                   /* inside device memory */
    int64_t graph_launches;                  /* what they launch is counted as well */
    struct {
#define CLOSED_COUNTER(name) int64_t name;
        KERNEL_OPERATIONS(CLOSED_COUNTER)
#undef CLOSED_COUNTER
    } operations;
};
struct closed_counters closed_counters(const struct device_context *context);
void closed_reset_counters(const struct device_context *context);

/* The cpu's own context inside, for calls such as cpu_set_engine; it has no scratch. */
struct device_context closed_inner_context(const struct device_context *context);

/* Whether operations are also watched for writing to operands that operands.h says they only read; costs two hashes of
 * each such operand. Off at first. */
void closed_watch_reads(bool on);

#endif
