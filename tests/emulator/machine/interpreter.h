/* What the parts of the interpreter share: the executable form of a kernel (made by decode*.c), the state of a block and
 * its warps (execute.c), and the parts of struct machine. Internal to machine/.
 *
 * A register lives in a slot: 32 lanes side by side in the register file of its warp, found by a byte offset. Immediates
 * and what a launch or block holds still (%ntid, %ctaid, %laneid) are slots of a second file that all warps share, so that
 * an operation reads every operand the same way. */
#ifndef SPIRITLM_EMULATOR_INTERPRETER_H
#define SPIRITLM_EMULATOR_INTERPRETER_H

#include "emulator/machine/alu.h"
#include "emulator/machine/machine.h"
#include "emulator/machine/memory.h"

enum {
    OP_SLOTS = 14, /* mma.m16n8k16 has 4 destinations and 10 sources */
    WARP_LANES = 32,
    BLOCK_WARPS = 32,
    BLOCK_BARRIERS = 16
};
#define ALL_LANES 0xFFFFFFFFu
#define SLOT_SHARED 0x80000000u /* in the file that all warps share */
#define SLOT_OFFSET 0x7FFFFFFFu
#define SLOT_NONE 0xFFFFFFFFu

enum op_kind {
    OP_ALU,        /* arithmetic of alu.h, operands held as it wants them */
    OP_ADAPTED,    /* the same with a register that is wider than its type */
    OP_PLAIN,      /* `run` for the active lanes */
    OP_COLLECTIVE, /* `run` once the lanes of the member mask are there */
    OP_BARRIER,    /* of the block */
    OP_BRANCH,
    OP_TABLE, /* brx.idx */
    OP_EXIT,
    OP_YIELD /* nanosleep: other lanes and warps may go first */
};

struct op;
struct warp;
struct execution;
/* False ends the launch; why has been reported. */
typedef bool (*op_run)(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active);

/* Bit i of each mask is operand i of struct op's slots. */
struct op_adaptation {
    uint16_t narrow;                 /* the register is wider than the type: sources are cut, destinations extended */
    uint16_t wide;                   /* the register has 64 bits */
    uint8_t register_size[OP_SLOTS]; /* of the destinations: 2, 4 or 8 */
};

struct op_memory {
    enum access_action action;
    enum ptx_space space;
    bool generic;             /* no space was named */
    uint8_t size, count;      /* bytes of an element, elements of the vector */
    bool sign;                /* narrower integers are extended by their sign */
    uint8_t base_size;        /* of the register of the address: 4, 8; 0: `offset` is the whole address */
    uint16_t wide;            /* bit i: operand i of `slots` is held in 64 bits */
    uint8_t register_size[8]; /* of the destinations of ld: 2, 4 or 8 */
    int64_t offset;
    int32_t function;      /* atom: enum atomic_function; cp.async: enum copy_source */
    int64_t second_offset; /* cp.async: of the source */
    uint8_t second_base_size;
};

struct op_warp {
    int32_t mode;   /* of shfl, vote, match, redux... : an enum of warp_ops.c */
    bool negated;   /* the predicate that is voted on */
    bool has_value; /* the first destination is not _ */
    bool has_predicate;
    bool wide;       /* match.b64 */
    bool needs_warp; /* .aligned: all 32 lanes */
    uint32_t member; /* slot of the mask of lanes, or SLOT_NONE: every lane */
    uint32_t count;  /* barrier: slot of its number of threads, or SLOT_NONE; slots[source] is the barrier's number */
    int64_t offset;  /* ldmatrix, stmatrix: their address, as in struct op_memory */
    uint8_t base_size;
    bool generic;
};

/* What every op needs stands first, so that most of them are read from one line of the cache. */
struct op {
    union {
        op_run run;
        void (*arithmetic)(const struct alu_operation *operation, void *const *destinations, const void *const *sources,
                           uint32_t active); /* OP_ALU */
    };
    uint8_t kind;
    bool guard_negated;
    uint8_t destination_count, source_count;
    bool special_function; /* counted as ex2 */
    /* It reads or writes registers of which it must be known what lanes have written them (allocate.c). */
    bool doubtful_reads, doubtful_writes;
    uint32_t guard;              /* slot of the predicate, or SLOT_NONE */
    int32_t target;              /* branch: an op; table: the first of its targets */
    uint32_t slots[OP_SLOTS];    /* destinations, then sources */
    int32_t index;               /* of this op: places[index] is its place in the source */
    int32_t reads, read_count;   /* registers, in kernel->touched; after allocate.c only those in doubt */
    int32_t writes, write_count; /* likewise */
    union {
        struct {
            struct alu_operation alu;
            struct op_adaptation adaptation;
        };
        struct {
            struct op_memory memory;
            struct alu_operation combine; /* atom.add of 16-bit floats */
        };
        struct op_warp warp;
    };
};

struct place {
    const char *file; /* without its folder; "" when not known */
    int32_t line;
};

/* Slots that launches and blocks fill in: numbers of 32-bit slots at the start of the shared file. */
enum shared_slot {
    SHARED_LANE,
    SHARED_LANEMASK_EQ,
    SHARED_LANEMASK_LE,
    SHARED_LANEMASK_LT,
    SHARED_LANEMASK_GE,
    SHARED_LANEMASK_GT,
    SHARED_WARP_SIZE,
    SHARED_NTID_X,
    SHARED_NTID_Y,
    SHARED_NTID_Z,
    SHARED_CTAID_X,
    SHARED_CTAID_Y,
    SHARED_CTAID_Z,
    SHARED_NCTAID_X,
    SHARED_NCTAID_Y,
    SHARED_NCTAID_Z,
    SHARED_NWARPID,
    SHARED_SMID,
    SHARED_NSMID,
    SHARED_DYNAMIC_SIZE,
    SHARED_TOTAL_SIZE,
    SHARED_ZERO,
    SHARED_ONE,
    SHARED_SLOTS
};
/* The same of the file that each warp has. */
enum warp_slot { WARP_TID_X, WARP_TID_Y, WARP_TID_Z, WARP_ID, WARP_SINK, WARP_SINK_HIGH, WARP_CARRY, WARP_SLOTS };

struct machine_kernel {
    struct machine_kernel *next;
    struct machine *machine;
    const struct ptx_module *module;
    const struct ptx_kernel *source;
    struct op *ops; /* instruction_count + 1: an exit ends them */
    struct place *places;
    int32_t op_count;
    int32_t *touched; /* registers that ops read and write */
    int32_t touched_count, touched_capacity;
    int32_t *targets; /* of all branch tables, one after the other */
    int32_t *table_start;
    char *shared_file; /* 64-byte aligned */
    uint32_t shared_file_bytes, shared_file_capacity;
    uint32_t warp_file_bytes;
    uint64_t static_shared, local_bytes; /* static_shared without the alignment of what follows it */
    uint64_t dynamic_shared_offset;
    uint64_t *shared_offsets;  /* of the module's variables; UINT64_MAX where the kernel does not use it */
    uint64_t *variable_offset; /* of the kernel's variables, in their space */
};

struct machine_module {
    struct machine_module *next;
    struct ptx_module *ptx;
    uint64_t *addresses; /* of its variables in global and constant memory; 0 for shared ones */
};

struct machine {
    struct machine_settings settings;
    struct memory *memory;
    struct machine_counters counters;
    struct machine_report *reports;
    int64_t report_count, report_capacity;
    struct machine_kernel *kernels; /* the latest first */
    struct machine_module *modules;
    uint64_t constant_start, constant_end; /* hull of all .const variables; equal: there are none */
};

/* ---- while a launch runs ---- */

enum fragment_state {
    FRAGMENT_READY,
    FRAGMENT_WAITS_LANES,   /* at a collective or aligned barrier whose other lanes are not there yet */
    FRAGMENT_WAITS_BARRIER, /* has arrived at a barrier of the block */
};

/* Lanes of a warp that are at the same instruction. */
struct fragment {
    int32_t pc;
    uint32_t mask;
    enum fragment_state state;
    int32_t barrier;   /* that it waits at */
    int64_t last_turn; /* when it last ran */
};

struct pending_copy {
    struct async_copy *copy;
    uint32_t lanes; /* that have not waited for it */
    int32_t group;
};

struct warp {
    char *bases[2]; /* its register file and the shared one */
    int32_t index;
    uint32_t lanes, alive; /* that exist; of these, those that have not ended */
    bool spent;            /* its last turn ended without need: another fragment goes first */
    int32_t fragment_count;
    struct fragment fragments[WARP_LANES];
    int64_t turn;
    uint32_t *defined; /* a mask of lanes per register */
    int32_t commits[WARP_LANES];
    struct pending_copy *copies;
    int32_t copy_count, copy_capacity;
};

struct barrier {
    bool used;
    int32_t expected; /* threads; 0: all of the block */
    int32_t arrived;  /* threads; a warp that is there as a whole counts 32 */
    int32_t first_op;
    uint32_t lanes[BLOCK_WARPS];
    int32_t population; /* bar.red */
    bool any, all;
};

struct execution {
    struct machine *machine;
    struct memory *memory;
    struct machine_kernel *kernel;
    const struct machine_launch *launch;
    bool checks;
    struct warp *warps;
    int32_t warp_count;
    int32_t warp_order[BLOCK_WARPS];
    int32_t threads;
    struct barrier barriers[BLOCK_BARRIERS];
    int64_t instructions, budget, barriers_passed, special_functions;
    char *files; /* register files of all warps */
    uint32_t *defined;
    uint64_t shared_bytes;
};

#define FOR_LANES(lane, mask)                                                                                          \
    for (uint32_t lane##_rest = (mask), lane; lane##_rest != 0 && (lane = (uint32_t)__builtin_ctz(lane##_rest), true); \
         lane##_rest &= lane##_rest - 1)

static inline void *warp_slot(const struct warp *warp, uint32_t slot)
{
    return warp->bases[slot >> 31] + (slot & SLOT_OFFSET);
}

/* The op has written its registers for these lanes. */
static inline void execution_mark(const struct execution *execution, const struct warp *warp, const struct op *op,
                                  uint32_t lanes)
{
    const int32_t *touched = execution->kernel->touched + op->writes;
    for (int32_t i = 0; i < op->write_count; i++)
        warp->defined[touched[i]] |= lanes;
}

/* execute.c */
bool execute_block(struct execution *execution);
/* The machine's report of a warp at an op; always false, so that a handler can end the launch with it. */
bool execution_report(struct execution *execution, enum machine_check check, const struct warp *warp,
                      const struct op *op, uint32_t lanes, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* Writes "0-7, 12" into text. */
void format_lanes(char *text, size_t size, uint32_t lanes);

/* fragments.c */
void fragment_merge(struct warp *warp);
struct fragment *fragment_add(struct warp *warp, int32_t pc, uint32_t mask);
struct fragment *fragment_pick(struct warp *warp); /* the one to run next, NULL when none is ready */
void fragment_exit(struct warp *warp, struct fragment *fragment, uint32_t lanes); /* may remove the fragment */
/* The next pc ahead at which another fragment is: without a jump it is met there. INT32_MAX: none. */
int32_t fragment_meeting(const struct warp *warp, const struct fragment *fragment);
/* After a jump: whether `fragment` goes on, or another one is met or is behind it. */
bool fragment_continues(const struct warp *warp, const struct fragment *fragment, bool rotated);

/* barriers.c */
bool barrier_arrive(struct execution *execution, struct warp *warp, struct fragment *fragment, const struct op *op,
                    uint32_t active);
bool barrier_release(struct execution *execution); /* those that are complete */
bool barrier_stuck(struct execution *execution);   /* nothing can move; true when now something can */
void barrier_leftovers(struct execution *execution);

/* collectives.c: waits for lanes */
bool collective_run(struct execution *execution, struct warp *warp, struct fragment *fragment, const struct op *op,
                    uint32_t active);

/* copies.c */
void copies_end_lanes(struct execution *execution, struct warp *warp, uint32_t lanes, int32_t keep);
void copies_finish(struct execution *execution, struct warp *warp);

/* launch.c, machine.c */
struct machine_kernel *decode_kernel(struct machine *machine, struct machine_module *module,
                                     const struct ptx_kernel *source, char *error, size_t size);
void decode_free(struct machine_kernel *kernel);

#endif
