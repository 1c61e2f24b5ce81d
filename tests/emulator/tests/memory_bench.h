/* What the tests of the emulator's memory share: a machine with a block that runs, accesses in one line, and what was
 * reported. */
#ifndef SPIRITLM_EMULATOR_MEMORY_BENCH_H
#define SPIRITLM_EMULATOR_MEMORY_BENCH_H

#include "support/test_support.h"

#include "emulator/machine/memory.h"

struct bench {
    struct machine *machine;
    struct memory *memory;
    int32_t line; /* of the last access: each has its own, and reports name it */
    int64_t block_number;
    void *pointers[32];
};

/* A machine with checks and 200 GB of device memory. */
void bench_open(struct bench *bench);
void bench_close(struct bench *bench);
void bench_launch(struct bench *bench, int32_t threads, uint64_t shared_bytes, uint64_t local_bytes);
void bench_block(struct bench *bench, int32_t x); /* ends the block before it */
void bench_end(struct bench *bench);              /* the block and the launch */

/* One instruction; the bytes are really read or written (with lane numbers). */
bool bench_access(struct bench *bench, enum access_action action, int32_t warp, uint32_t lanes, int32_t bytes,
                  const uint64_t addresses[32]);
/* Lane l at first + l * stride. */
bool bench_row(struct bench *bench, enum access_action action, int32_t warp, uint32_t lanes, int32_t bytes,
               uint64_t first, uint64_t stride);
bool bench_one(struct bench *bench, enum access_action action, int32_t warp, int32_t lane, int32_t bytes,
               uint64_t address);
void bench_barrier(struct bench *bench, uint32_t warps);
/* Every byte of a range is written by the host. */
uint64_t bench_allocate_defined(struct bench *bench, uint64_t bytes);

/* Fails unless exactly one report of the kind was added since the last call, whose text has `part`; returns it. */
const struct machine_report *bench_expect(struct bench *bench, enum machine_check check, const char *part);
void bench_expect_none(struct bench *bench);

#endif
