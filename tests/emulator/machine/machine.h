/* One emulated GPU: its memory, its limits, its kernels, and what the checkers found. The runtime shim (runtime/) stands
 * on this header alone.
 *
 * A launch runs to its end in the calling thread. Memory of the device lies at 64-bit addresses of the host's own address
 * space that are reserved without pages, so that a tensor of 100 GB costs what is touched of it; the machine reads and
 * writes there through its checks, and the shim's copies through machine_copy. */
#ifndef SPIRITLM_EMULATOR_MACHINE_H
#define SPIRITLM_EMULATOR_MACHINE_H

#include "emulator/ptx/ptx.h"

struct machine;

/* What a device of an architecture has: from NVIDIA's CUDA programming guide, table "technical specifications per compute
 * capability". */
struct machine_limits {
    const char *name;               /* "sm_80" */
    int32_t major, minor;           /* compute capability */
    int32_t processors;             /* SMs */
    int64_t shared_per_block;       /* without opting in: 48 KiB */
    int64_t shared_per_block_optin; /* 163 KiB on sm_80, 99 on sm_86, sm_89 and sm_120, 227 on sm_90 */
    int64_t shared_per_processor;
    int64_t registers_per_block;
    int32_t threads_per_block;
    int64_t total_memory; /* bytes of device memory; allocations beyond it fail */
};
extern const struct machine_limits machine_sm_75, machine_sm_80, machine_sm_86, machine_sm_90;

enum machine_order { MACHINE_FORWARD, MACHINE_REVERSED, MACHINE_SHUFFLED };

struct machine_settings {
    struct machine_limits limits;
    enum machine_order order; /* of blocks, and of the warps of a block */
    uint64_t seed;            /* of MACHINE_SHUFFLED */
    bool checks;              /* races, bounds, uninitialised reads, asynchronous copies; barriers are always checked */
    bool truncate;            /* mma: partial sums are cut toward zero, as tensor cores do; false: rounded to nearest */
    bool eager_copies;        /* cp.async copies at once; false: when its group is waited for */
    int64_t memory_taken;     /* bytes of the device that another process has */
    int64_t instruction_budget; /* warp instructions of one launch after which it is reported as endless; 0: 4e9 */
    /* With a count, only blocks [first_block, first_block + block_count) of a launch run, counted from the last one where
     * first_block is negative; a launch of no more than that many runs whole. So a test reaches the far end of arrays too
     * large to be computed. */
    int64_t first_block, block_count;
};
void machine_default_settings(struct machine_settings *settings); /* sm_80, forward, checks, rounded, deferred */

struct machine *machine_create(const struct machine_settings *settings);
void machine_destroy(struct machine *machine);
struct machine_settings *machine_settings(struct machine *machine); /* may be changed between launches */

/* ---- reports ---- */

enum machine_check {
    CHECK_BOUNDS,    /* an access outside every live allocation, or across its end */
    CHECK_ALIGNMENT, /* an address that is no multiple of the access's size */
    CHECK_RACE,      /* two accesses of a block with no barrier between them, one of which writes */
    CHECK_BLOCK_RACE, /* two blocks of one launch touch a byte of global memory, one of them writing, not both atomically */
    CHECK_UNINITIALISED, /* memory or a register that nobody wrote is used */
    CHECK_ASYNC,         /* the destination of a cp.async that is still under way is touched, or its source rewritten */
    CHECK_BARRIER,       /* a barrier, shuffle or vote that some lanes never reach; wrong counts */
    CHECK_ENDLESS,       /* the instruction budget is used up */
    CHECK_READ_ONLY, /* ld.global.nc of memory that the same launch writes; a write to constant memory or parameters */
    CHECK_LAUNCH,    /* a launch outside the limits */
    CHECK_HOST,      /* the host's side: a copy, a stream, an event, a library's argument (from the shims) */
    CHECK_KINDS
};
const char *machine_check_name(enum machine_check check); /* "race" */

struct machine_access {
    char file[128]; /* "rmsnorm.cu"; "" when not known */
    int32_t line;
    int32_t block[3], thread; /* thread within its block: warp * 32 + lane; -1: none (the host) */
    bool write;
};
struct machine_report {
    enum machine_check check;
    char kernel[128];
    struct machine_access access, other; /* other.thread is -2 where there is no second access */
    uint64_t address;
    char text[256]; /* one sentence */
    int64_t times;  /* the same check at the same instruction is counted, not repeated */
};

/* Since creation or the last clear. A report names its kernel, file:line, block, lane, address and both accesses. */
int64_t machine_report_count(const struct machine *machine);
const struct machine_report *machine_report_at(const struct machine *machine, int64_t i);
void machine_clear_reports(struct machine *machine);
void machine_add_report(struct machine *machine, const struct machine_report *report);
void machine_format_report(const struct machine_report *report, char *text, size_t size); /* lines for people */

/* ---- memory ---- */

/* 256-byte aligned; filled with 0xCD and undefined. 0 when the device's memory is used up. Addresses are never given out
 * twice, and 64 KiB around each allocation belong to nobody. */
uint64_t machine_allocate(struct machine *machine, uint64_t bytes);
bool machine_release(struct machine *machine, uint64_t address); /* false: no allocation begins there */
/* Bytes of all live allocations, each rounded up to 256 as a device places them. */
uint64_t machine_allocated(const struct machine *machine);
/* Whether [address, address + bytes) lies in one live allocation. */
bool machine_owns(const struct machine *machine, uint64_t address, uint64_t bytes);
/* The host's copies: to or from device memory, which then is or must be defined (CHECK_UNINITIALISED when not and
 * `must_be_defined`). The range must be owned. */
void machine_write(struct machine *machine, uint64_t address, const void *host, uint64_t bytes);
void machine_read(struct machine *machine, uint64_t address, void *host, uint64_t bytes, bool must_be_defined);
void machine_fill(struct machine *machine, uint64_t address, uint8_t value, uint64_t bytes);
void machine_copy(struct machine *machine, uint64_t destination, uint64_t source, uint64_t bytes); /* with its shadow */
/* Where the bytes of an owned range lie for a library shim that computes on the host. It marks what it wrote, and asks
 * whether what it reads is defined: offset of the first byte that is not, or -1. */
void *machine_host_pointer(struct machine *machine, uint64_t address);
void machine_mark_defined(struct machine *machine, uint64_t address, uint64_t bytes, bool defined);
int64_t machine_first_undefined(const struct machine *machine, uint64_t address, uint64_t bytes);

/* ---- kernels ---- */

struct machine_kernel; /* decoded; belongs to the machine */

/* Decodes all kernels of a module and places its variables. The machine takes the module over. False with `error` when an
 * opcode, modifier or operand is not known: an unknown one is never skipped. */
bool machine_load(struct machine *machine, struct ptx_module *module, char *error, size_t size);
struct machine_kernel *machine_find_kernel(struct machine *machine,
                                           const char *name); /* of the latest load that has it */
uint64_t machine_find_variable(struct machine *machine, const char *name,
                               uint64_t *bytes); /* .global, .const; 0: none */

struct machine_kernel_attributes {
    int64_t static_shared, local_bytes;
    int32_t maximum_threads; /* from .maxntid, else of the limits */
    uint64_t parameter_bytes;
    int32_t parameter_count;
};
struct machine_kernel_attributes machine_attributes(const struct machine_kernel *kernel);
uint64_t machine_parameter_offset(const struct machine_kernel *kernel, int32_t i, uint64_t *bytes);

struct machine_launch {
    struct machine_kernel *kernel;
    uint32_t grid[3], block[3];
    uint64_t dynamic_shared;
    const void *parameters; /* [parameter_bytes] */
};
/* False when the launch is outside the limits (CHECK_LAUNCH), or ended by an illegal access: then the caller's context is
 * lost, as on a device. Other reports do not end a launch. */
bool machine_run(struct machine *machine, const struct machine_launch *launch);

/* Global memory that the latest launch touched: ranges in the order of their addresses that do not overlap, small gaps
 * never closed. The caller frees `*ranges`. */
struct machine_range {
    uint64_t address, bytes;
    bool written;
};
int64_t machine_touched(struct machine *machine, struct machine_range **ranges);

/* ---- counters ---- */

/* Of all launches since the last reset. Sectors are 32 bytes; "ideal" of shared memory is the number of wavefronts that
 * the bytes asked for need at 128 bytes each; of global memory the distinct bytes that the launch touched. */
struct machine_counters {
    int64_t launches, warp_instructions;
    int64_t global_sectors_read, global_sectors_written;
    int64_t global_bytes_read, global_bytes_written; /* distinct bytes touched, a launch at a time */
    int64_t shared_wavefronts, shared_wavefronts_ideal;
    int64_t mma, ldmatrix, ex2, atomics, barriers;
};
struct machine_counters machine_counters(const struct machine *machine);
void machine_reset_counters(struct machine *machine);

#endif
