/* The machine's memory as its interpreter (execute.c) sees it: every access of a warp goes through memory_access, which
 * finds the bytes, runs the checks of machine.h on them and counts them. memory.c has allocations, shadow.c what is known
 * about each byte, races.c who touched it and what happened before that. Internal to machine/.
 *
 * Addresses are generic ones. Shared memory of the block that runs lies at SHARED_WINDOW + offset, local memory of a thread
 * at LOCAL_WINDOW + offset (the same addresses for all threads), parameters at PARAMETER_WINDOW + offset (only read);
 * everything else is global. */
#ifndef SPIRITLM_EMULATOR_MEMORY_H
#define SPIRITLM_EMULATOR_MEMORY_H

#include "emulator/machine/machine.h"

#define SHARED_WINDOW UINT64_C(0x0000010000000000)
#define LOCAL_WINDOW UINT64_C(0x0000020000000000)
#define PARAMETER_WINDOW UINT64_C(0x0000030000000000)
#define WINDOW_BYTES UINT64_C(0x0000000040000000)

/* The device's memory: part of struct machine, made and freed with it. */
struct memory;
struct memory *memory_create(struct machine *machine);
void memory_destroy(struct memory *memory);
struct memory *machine_memory(struct machine *machine); /* machine.c has it */

/* ---- a launch and its blocks ---- */

struct memory_launch {
    const char *kernel;
    const void *parameters;                              /* borrowed until memory_launch_end */
    uint64_t parameter_bytes, shared_bytes, local_bytes; /* shared of a block, local of a thread */
    int32_t threads;                                     /* of a block */
};
/* Begin makes the record of who touches which global byte empty; end reports what blocks did to each other. */
void memory_launch_begin(struct memory *memory, const struct memory_launch *launch);
void memory_launch_end(struct memory *memory);
/* A block begins: shared and local memory are undefined (0xCD), clocks are new. Blocks run one after the other. */
void memory_block_begin(struct memory *memory, const int32_t block[3], int64_t block_number);
void memory_block_end(struct memory *memory);

/* ---- accesses ---- */

enum access_action {
    ACCESS_READ,
    ACCESS_READ_ONLY, /* ld.global.nc: the launch must not write there */
    ACCESS_WRITE,
    ACCESS_ATOMIC /* read and written; two atomics are no race */
};

/* One instruction of one warp. */
struct access {
    enum access_action action;
    int32_t warp;
    uint32_t lanes;            /* which take part */
    int32_t bytes;             /* of each lane: 1, 2, 4, 8 or 16; addresses must be multiples of it */
    const uint64_t *addresses; /* [32] */
    const char *file;          /* "rmsnorm.cu" or "" */
    int32_t line;
};

/* Where each lane's bytes are. False: an illegal access (bounds, alignment, unknown space), which is reported and ends the
 * launch. Everything else is reported and goes on. Reading undefined bytes is reported here. Bytes that are written become
 * defined at this call: the caller writes them right after it. */
bool memory_access(struct memory *memory, const struct access *access, void *pointers[32]);

/* cp.async of 4, 8 or 16 bytes per lane: `source_bytes`[lane] of them are read (the rest becomes zeros). From begin to end
 * the destination is "under way": whoever touches it is reported (CHECK_ASYNC), and so is a source that is written before
 * end. Returns a handle, or NULL for an illegal access (reported). The bytes are moved by end (or at begin when the
 * settings say eager copies; end is called all the same). */
struct async_copy;
struct async_copy *memory_async_begin(struct memory *memory, const struct access *destination,
                                      const uint64_t sources[32], const int32_t source_bytes[32]);
void memory_async_end(struct memory *memory, struct async_copy *copy); /* frees it */

/* ---- what orders accesses ---- */

/* All accesses of lanes before this call happen before all of theirs after it. Bit w of warps[w / 32] says that warp w takes
 * part; barriers of a part of a block name only those. */
void memory_barrier(struct memory *memory, const uint32_t warps[32]);
/* __syncwarp and every .sync instruction: between those lanes of the warp. */
void memory_warp_barrier(struct memory *memory, int32_t warp, uint32_t lanes);
/* __threadfence and red/atom with .release or .acquire order nothing by themselves here: blocks talk by atomics only. */

/* Registers that were never written are the interpreter's to find; it reports them with this. */
void memory_report_register(struct memory *memory, int32_t warp, uint32_t lanes, const char *name, const char *file,
                            int32_t line);
/* Any other report of a warp: kernel and block are filled in here; repeated ones are counted. */
void memory_report(struct memory *memory, enum machine_check check, int32_t warp, uint32_t lanes, const char *file,
                   int32_t line, const char *text);

/* Sectors, wavefronts and distinct bytes go here; the interpreter counts instructions. */
struct machine_counters *machine_counters_of(struct machine *machine); /* machine.c has it */

#endif
