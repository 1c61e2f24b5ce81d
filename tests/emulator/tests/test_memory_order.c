/* The race checker against an oracle that was written without it: full vector clocks for every single thread, and for every
 * byte the list of all accesses since the launch began. Random programs run as long as the oracle finds them legal, which
 * must not be reported; now and then an access that it finds racing is let through, which must be, and ends the program. */
#include "emulator/machine/memory_internal.h"
#include "emulator/tests/memory_bench.h"

#include <stdlib.h>
#include <string.h>

enum {
    USED_WARPS = 5,
    THREADS = 32 * USED_WARPS - 20,
    ALL_THREADS = 32 * USED_WARPS,
    BYTES = 192,
    PROGRAMS = 3000,
    STEPS = 400
};

struct event {
    int32_t thread, block;
    uint32_t clock;
    enum access_action action;
};

struct history {
    struct event *events;
    int32_t count, capacity;
    bool written, cached; /* in the launch, by anything; through ld.global.nc */
};

struct oracle {
    uint32_t clocks[ALL_THREADS][ALL_THREADS];
    int32_t block;
    struct history shared[BYTES], global[BYTES];
};

struct verdict {
    bool race, block_race, read_only;
    int32_t conflicts; /* pairs of a byte of this access and an earlier access */
};

static bool writing(enum access_action action)
{
    return action == ACCESS_WRITE || action == ACCESS_ATOMIC;
}

static void forget(struct history *history)
{
    for (int32_t i = 0; i < BYTES; i++) {
        history[i].count = 0;
        history[i].written = history[i].cached = false;
    }
}

static void oracle_block(struct oracle *oracle, bool launch)
{
    memset(oracle->clocks, 0, sizeof oracle->clocks);
    for (int32_t thread = 0; thread < ALL_THREADS; thread++)
        oracle->clocks[thread][thread] = 1;
    forget(oracle->shared);
    if (launch)
        forget(oracle->global);
    oracle->block++;
}

/* Threads of a barrier learn all that any of them knows. */
static void oracle_join(struct oracle *oracle, const bool members[ALL_THREADS])
{
    uint32_t joint[ALL_THREADS] = {0};
    for (int32_t thread = 0; thread < ALL_THREADS; thread++)
        for (int32_t other = 0; members[thread] && other < ALL_THREADS; other++)
            if (oracle->clocks[thread][other] > joint[other])
                joint[other] = oracle->clocks[thread][other];
    for (int32_t thread = 0; thread < ALL_THREADS; thread++) {
        if (!members[thread])
            continue;
        memcpy(oracle->clocks[thread], joint, sizeof joint);
        oracle->clocks[thread][thread]++;
    }
}

struct instruction {
    enum access_action action;
    int32_t warp, bytes;
    uint32_t lanes;
    bool shared;
    uint32_t offsets[32];
};

static void judge_byte(const struct oracle *oracle, const struct instruction *instruction, int32_t thread,
                       const struct history *history, struct verdict *verdict)
{
    bool cached = instruction->action == ACCESS_READ_ONLY && !instruction->shared;
    if (!instruction->shared && ((cached && history->written) || (writing(instruction->action) && history->cached)))
        verdict->read_only = true;
    for (int32_t i = 0; i < history->count && !cached; i++) {
        const struct event *event = &history->events[i];
        bool conflict = (writing(event->action) || writing(instruction->action)) &&
                        !(event->action == ACCESS_ATOMIC && instruction->action == ACCESS_ATOMIC);
        bool earlier_block = event->block != oracle->block;
        if (!conflict ||
            (!earlier_block && (event->thread == thread || oracle->clocks[thread][event->thread] >= event->clock)))
            continue;
        verdict->block_race |= earlier_block;
        verdict->race |= !earlier_block;
        verdict->conflicts++;
    }
}

static struct verdict judge(struct oracle *oracle, const struct instruction *instruction)
{
    struct verdict verdict = {.conflicts = 0};
    struct history *memory = instruction->shared ? oracle->shared : oracle->global;
    int32_t writers[BYTES] = {0};
    for (int32_t lane = 0; lane < 32; lane++)
        for (int32_t i = 0; (instruction->lanes >> lane & 1) != 0 && i < instruction->bytes; i++) {
            uint32_t byte = instruction->offsets[lane] + (uint32_t)i;
            judge_byte(oracle, instruction, instruction->warp * 32 + lane, &memory[byte], &verdict);
            if (instruction->action == ACCESS_WRITE && ++writers[byte] > 1)
                verdict.race = true;
        }
    return verdict;
}

static void remember(struct oracle *oracle, const struct instruction *instruction)
{
    struct history *memory = instruction->shared ? oracle->shared : oracle->global;
    bool cached = instruction->action == ACCESS_READ_ONLY && !instruction->shared;
    for (int32_t lane = 0; lane < 32; lane++)
        for (int32_t i = 0; (instruction->lanes >> lane & 1) != 0 && i < instruction->bytes; i++) {
            struct history *history = &memory[instruction->offsets[lane] + (uint32_t)i];
            int32_t thread = instruction->warp * 32 + lane;
            history->written |= writing(instruction->action);
            history->cached |= cached;
            if (cached)
                continue;
            if (history->count == history->capacity) {
                history->capacity = history->capacity * 2 + 16;
                history->events = realloc(history->events, (size_t)history->capacity * sizeof *history->events);
                assert_non_null(history->events);
            }
            history->events[history->count++] =
                (struct event){thread, oracle->block, oracle->clocks[thread][thread], instruction->action};
        }
}

/* How closely the accesses of a program lie together. */
struct focus {
    uint32_t bytes, warps, lanes;
    uint64_t blocks, orders; /* of 100 steps: a new block, a barrier */
    bool plain, words;       /* no atomic operations; all accesses are of 4 bytes */
};

/* Rows, one element for all, elements at random; of all lanes also two rows of half a warp, and pairs of lanes. */
static struct instruction random_instruction(struct rng *rng, struct focus focus)
{
    static const enum access_action actions[] = {ACCESS_READ,  ACCESS_READ,  ACCESS_READ,   ACCESS_READ_ONLY,
                                                 ACCESS_WRITE, ACCESS_WRITE, ACCESS_ATOMIC, ACCESS_ATOMIC};
    struct instruction made = {.action = actions[rng_below(rng, focus.plain ? 6 : 8)],
                               .warp = (int32_t)rng_below(rng, focus.warps),
                               .bytes = focus.words ? 4 : 1 << rng_below(rng, rng_below(rng, 3) == 0 ? 5 : 3),
                               .shared = rng_below(rng, 2) == 0};
    uint32_t existing = made.warp == USED_WARPS - 1 ? UINT32_MAX >> 20 : UINT32_MAX,
             pattern = (uint32_t)rng_below(rng, 7);
    made.lanes = pattern == 0 || pattern > 3 ? UINT32_MAX : (uint32_t)rng_u64(rng) & (uint32_t)rng_u64(rng);
    if (pattern == 3)
        made.lanes = UINT32_C(1) << rng_below(rng, focus.lanes);
    made.lanes &= existing;
    uint32_t elements = focus.bytes / (uint32_t)made.bytes, first = (uint32_t)rng_below(rng, elements);
    uint32_t second = (uint32_t)rng_below(rng, elements);
    if (pattern > 3 && elements >= 32)
        first = second = (uint32_t)rng_below(rng, elements - 31);
    if (pattern == 4 && elements >= 32)
        second = (uint32_t)rng_below(rng, elements - 15);
    for (uint32_t lane = 0; lane < 32; lane++) {
        uint32_t element = first + lane;
        if (pattern == 1)
            element = first;
        if (pattern == 2 || pattern == 6)
            element = (uint32_t)rng_below(rng, elements);
        if (pattern == 4)
            element = lane < 16 ? first + lane : second + lane - 16;
        if (pattern == 5)
            element = first + lane / 2;
        made.offsets[lane] = element * (uint32_t)made.bytes;
        if (element >= elements)
            made.lanes &= ~(UINT32_C(1) << lane);
    }
    return made;
}

static void random_order(struct rng *rng, struct bench *bench, struct oracle *oracle)
{
    bool members[ALL_THREADS] = {false};
    uint32_t existing = UINT32_MAX >> 20;
    if (rng_below(rng, 3) == 0) { /* whole warps */
        uint32_t warps = rng_below(rng, 3) == 0 ? (1u << USED_WARPS) - 1 : (uint32_t)rng_below(rng, 1 << USED_WARPS);
        for (int32_t thread = 0; thread < THREADS; thread++)
            members[thread] = (warps >> (thread / 32) & 1) != 0;
        if (warps != 0)
            bench_barrier(bench, warps);
    } else { /* lanes of a warp */
        int32_t warp = (int32_t)rng_below(rng, USED_WARPS);
        uint32_t lanes = rng_below(rng, 3) == 0 ? UINT32_MAX : (uint32_t)rng_u64(rng);
        if (warp == USED_WARPS - 1)
            lanes &= existing;
        for (int32_t lane = 0; lane < 32; lane++)
            members[warp * 32 + lane] = (lanes >> lane & 1) != 0;
        memory_warp_barrier(bench->memory, warp, lanes);
    }
    oracle_join(oracle, members);
}

static struct verdict reported(struct bench *bench)
{
    struct verdict verdict = {.conflicts = 0};
    for (int64_t i = 0; i < machine_report_count(bench->machine); i++) {
        enum machine_check check = machine_report_at(bench->machine, i)->check;
        verdict.race |= check == CHECK_RACE;
        verdict.block_race |= check == CHECK_BLOCK_RACE;
        verdict.read_only |= check == CHECK_READ_ONLY;
    }
    machine_clear_reports(bench->machine);
    return verdict;
}

static void run_instruction(struct bench *bench, const struct instruction *instruction, uint64_t global)
{
    uint64_t addresses[32];
    for (int32_t lane = 0; lane < 32; lane++)
        addresses[lane] = (instruction->shared ? SHARED_WINDOW : global) + instruction->offsets[lane];
    assert_true(
        bench_access(bench, instruction->action, instruction->warp, instruction->lanes, instruction->bytes, addresses));
}

/* Returns how many accesses were made. */
static int run_program(struct rng *rng, struct bench *bench, struct oracle *oracle, uint64_t global, int program)
{
    int made = 0;
    struct instruction last = {.lanes = 0};
    struct focus focus = {.bytes = rng_below(rng, 2) == 0 ? BYTES : 16,
                          .warps = 1 + (uint32_t)rng_below(rng, USED_WARPS),
                          .lanes = 2 + (uint32_t)rng_below(rng, 11),
                          .blocks = rng_below(rng, 2) == 0 ? 1 : 10,
                          .orders = rng_below(rng, 2) == 0 ? 30 : 5,
                          .plain = rng_below(rng, 2) == 0,
                          .words = rng_below(rng, 2) == 0};
    if (program % 40 == 20) /* soon the clocks begin again at 0, which must make nothing of the past come back */
        bench->memory->order.top = INT32_MAX / 2 - 100;
    bench_launch(bench, THREADS, BYTES, 0);
    oracle_block(oracle, true);
    for (int step = 0; step < STEPS; step++) {
        uint64_t choice = rng_below(rng, 100);
        if (choice < focus.blocks) {
            bench_block(bench, step);
            oracle_block(oracle, false);
        } else if (choice < focus.blocks + focus.orders) {
            random_order(rng, bench, oracle);
        } else {
            struct instruction instruction = random_instruction(rng, focus);
            if (rng_below(rng, 8) == 0 && last.lanes != 0) { /* the same bytes by the same lanes, in another way */
                last.action = instruction.action;
                instruction = last;
            }
            last = instruction;
            if (instruction.lanes == 0)
                continue;
            struct verdict expected = judge(oracle, &instruction);
            bool bad = expected.race || expected.block_race || expected.read_only;
            /* One that conflicts with a single access is the hardest to find. */
            if (bad && rng_below(rng, expected.conflicts <= 4 ? 20 : 400) != 0)
                continue;
            run_instruction(bench, &instruction, global);
            made++;
            struct verdict found = reported(bench);
            if (found.race != expected.race || found.block_race != expected.block_race ||
                found.read_only != expected.read_only)
                fail_msg(
                    "program %d step %d: expected race %d, block race %d, read-only %d; found %d, %d, %d (action %d)",
                    program, step, expected.race, expected.block_race, expected.read_only, found.race, found.block_race,
                    found.read_only, (int)instruction.action);
            if (bad)
                break;
            remember(oracle, &instruction);
        }
    }
    bench_end(bench);
    return made;
}

static void reports_are_those_of_full_vector_clocks(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    struct oracle *oracle = calloc(1, sizeof *oracle);
    assert_non_null(oracle);
    int programs = test_is_long() ? 20 * PROGRAMS : PROGRAMS, accesses = 0;
    uint64_t global = 0;
    for (int program = 0; program < programs; program++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, 3, (uint64_t)program);
        /* The same bytes again and again: what earlier launches left behind must count for nothing. */
        if (program % 10 == 0)
            global = bench_allocate_defined(&bench, 4096 + BYTES) + 3840 - BYTES / 2;
        accesses += run_program(&rng, &bench, oracle, global, program);
    }
    print_message("%d programs, %d accesses\n", programs, accesses);
    for (int32_t i = 0; i < BYTES; i++) {
        free(oracle->shared[i].events);
        free(oracle->global[i].events);
    }
    free(oracle);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_those_of_full_vector_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
