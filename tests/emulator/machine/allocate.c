/* Registers to slots. nvcc writes thousands of virtual registers, and a slot of each would be a register file of megabytes
 * that no cache holds; so registers whose lives do not overlap share a slot. Lives come from the usual backward data flow
 * over basic blocks, and a register's interval is the hull of the instructions where it lives: one that a loop carries
 * keeps its slot through the whole loop. Divergence changes nothing in that: lanes write only their own part of a slot,
 * and each lane for itself runs through the instructions as a thread does. A write under a guard does not end the life of
 * the old value. Two registers never share within one instruction, so that no destination overwrites another's source. */
#include "emulator/machine/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flow_block {
    int32_t first, last;
    uint64_t *used, *defined, *live_in, *live_out;
};

struct flow {
    struct machine_kernel *kernel;
    struct flow_block *blocks;
    int32_t *block_of; /* of an op */
    uint64_t *sets;
    uint32_t *start, *end; /* of each register; start > end: it never lives */
    int32_t block_count, words, registers;
};

static bool ends_block(const struct op *op)
{
    return op->kind == OP_BRANCH || op->kind == OP_TABLE || op->kind == OP_EXIT;
}

static void find_blocks(struct flow *flow)
{
    const struct machine_kernel *kernel = flow->kernel;
    for (int32_t i = 0; i < kernel->op_count; i++) {
        const struct op *op = &kernel->ops[i];
        if (op->kind == OP_BRANCH)
            flow->block_of[op->target] = 1;
        if (op->kind == OP_TABLE) {
            for (int32_t t = kernel->table_start[op->target]; t < kernel->table_start[op->target + 1]; t++)
                flow->block_of[kernel->targets[t]] = 1;
        }
        if (ends_block(op) && i + 1 < kernel->op_count)
            flow->block_of[i + 1] = 1;
    }
    flow->block_of[0] = 1;
    for (int32_t i = 0; i < kernel->op_count; i++) {
        if (flow->block_of[i] != 0)
            flow->blocks[flow->block_count++].first = i;
        flow->blocks[flow->block_count - 1].last = i;
        flow->block_of[i] = flow->block_count - 1;
    }
}

static bool has(const uint64_t *set, int32_t i)
{
    return (set[i >> 6] >> (i & 63) & 1) != 0;
}

static void put(uint64_t *set, int32_t i)
{
    set[i >> 6] |= UINT64_C(1) << (i & 63);
}

static void cover(struct flow *flow, int32_t number, uint32_t op)
{
    if (op < flow->start[number])
        flow->start[number] = op;
    if (op > flow->end[number])
        flow->end[number] = op;
}

static void scan_block(struct flow *flow, struct flow_block *block)
{
    const struct machine_kernel *kernel = flow->kernel;
    for (int32_t i = block->first; i <= block->last; i++) {
        const struct op *op = &kernel->ops[i];
        for (int32_t k = 0; k < op->read_count; k++) {
            int32_t number = kernel->touched[op->reads + k];
            cover(flow, number, (uint32_t)i);
            if (!has(block->defined, number))
                put(block->used, number);
        }
        for (int32_t k = 0; k < op->write_count; k++) {
            int32_t number = kernel->touched[op->writes + k];
            cover(flow, number, (uint32_t)i);
            if (op->guard == SLOT_NONE)
                put(block->defined, number);
            else if (!has(block->defined, number))
                put(block->used, number);
        }
    }
}

static void join(struct flow *flow, struct flow_block *block, int32_t successor)
{
    const struct flow_block *next = &flow->blocks[flow->block_of[successor]];
    for (int32_t w = 0; w < flow->words; w++)
        block->live_out[w] |= next->live_in[w];
}

static bool flow_step(struct flow *flow, struct flow_block *block)
{
    const struct machine_kernel *kernel = flow->kernel;
    const struct op *op = &kernel->ops[block->last];
    if (op->kind == OP_BRANCH)
        join(flow, block, op->target);
    if (op->kind == OP_TABLE) {
        for (int32_t t = kernel->table_start[op->target]; t < kernel->table_start[op->target + 1]; t++)
            join(flow, block, kernel->targets[t]);
    }
    if ((!ends_block(op) || op->guard != SLOT_NONE) && block->last + 1 < kernel->op_count)
        join(flow, block, block->last + 1);
    bool changed = false;
    for (int32_t w = 0; w < flow->words; w++) {
        uint64_t in = block->used[w] | (block->live_out[w] & ~block->defined[w]);
        changed |= in != block->live_in[w];
        block->live_in[w] = in;
    }
    return changed;
}

static void find_lives(struct flow *flow)
{
    for (int32_t b = 0; b < flow->block_count; b++)
        scan_block(flow, &flow->blocks[b]);
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t b = flow->block_count - 1; b >= 0; b--)
            changed |= flow_step(flow, &flow->blocks[b]);
    }
    for (int32_t b = 0; b < flow->block_count; b++) {
        const struct flow_block *block = &flow->blocks[b];
        for (int32_t number = 0; number < flow->registers; number++) {
            if (has(block->live_in, number))
                cover(flow, number, (uint32_t)block->first);
            if (has(block->live_out, number))
                cover(flow, number, (uint32_t)block->last);
        }
    }
}

struct life {
    uint32_t start;
    int32_t number;
};

static int compare_lives(const void *a, const void *b)
{
    const struct life *first = a, *second = b;
    if (first->start != second->start)
        return first->start < second->start ? -1 : 1;
    return first->number < second->number ? -1 : 1;
}

/* `lives` is sorted by start; `places` gets the number of the slot within the class. */
static int32_t scan_class(const struct flow *flow, const struct life *lives, int32_t count, int held, uint32_t *places,
                          uint32_t *busy)
{
    int32_t slots = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t number = lives[i].number;
        if (alu_held_bytes(flow->kernel->source->registers[number].type) != held)
            continue;
        int32_t slot = 0;
        while (slot < slots && busy[slot] >= lives[i].start)
            slot++;
        slots += slot == slots;
        busy[slot] = flow->end[number];
        places[number] = (uint32_t)slot;
    }
    return slots;
}

static void patch(uint32_t *slot, const uint32_t *places)
{
    if ((*slot & SLOT_SHARED) == 0 && (*slot & SLOT_REGISTER) != 0)
        *slot = places[*slot & ~SLOT_REGISTER];
}

static void patch_ops(struct machine_kernel *kernel, const uint32_t *places)
{
    for (int32_t i = 0; i < kernel->op_count; i++) {
        struct op *op = &kernel->ops[i];
        patch(&op->guard, places);
        for (int k = 0; k < op->destination_count + op->source_count; k++)
            patch(&op->slots[k], places);
        if (op->kind == OP_COLLECTIVE || op->kind == OP_BARRIER) {
            patch(&op->warp.member, places);
            patch(&op->warp.count, places);
        }
    }
}

/* Which registers need a mask of the lanes that have written them: those that live at the kernel's entry, since some path
 * leads from there to a use and to no certain write before it, and results of shuffles, which may be of no lane at all.
 * Every other one is written before it is used on every path, and an op forgets that it touches it. */
static void keep_doubtful(struct flow *flow)
{
    struct machine_kernel *kernel = flow->kernel;
    uint64_t *doubtful = flow->blocks[0].live_in;
    for (int32_t i = 0; i < kernel->op_count; i++)
        if (kernel->ops[i].kind == OP_COLLECTIVE && kernel->ops[i].warp.has_value)
            put(doubtful, kernel->touched[kernel->ops[i].writes]);
    for (int32_t i = 0; i < kernel->op_count; i++) {
        struct op *op = &kernel->ops[i];
        int32_t reads = 0, writes = 0;
        for (int32_t k = 0; k < op->read_count; k++)
            if (has(doubtful, kernel->touched[op->reads + k]))
                kernel->touched[op->reads + reads++] = kernel->touched[op->reads + k];
        for (int32_t k = 0; k < op->write_count; k++)
            if (has(doubtful, kernel->touched[op->writes + k]))
                kernel->touched[op->writes + writes++] = kernel->touched[op->writes + k];
        op->read_count = reads;
        op->write_count = writes;
        op->doubtful_reads = reads > 0;
        op->doubtful_writes = writes > 0;
    }
}

static bool place_registers(struct flow *flow)
{
    struct machine_kernel *kernel = flow->kernel;
    size_t count = (size_t)flow->registers + 1;
    struct life *lives = malloc(count * sizeof *lives);
    uint32_t *places = calloc(count, sizeof *places), *busy = malloc(count * sizeof *busy);
    bool good = lives != NULL && places != NULL && busy != NULL;
    if (good) {
        int32_t alive = 0;
        for (int32_t i = 0; i < flow->registers; i++) {
            if (flow->start[i] <= flow->end[i])
                lives[alive++] = (struct life){flow->start[i], i};
        }
        qsort(lives, (size_t)alive, sizeof *lives, compare_lives);
        uint32_t at = WARP_SLOTS * 128;
        static const int classes[] = {256, 128, 4};
        for (int c = 0; c < 3; c++) {
            int32_t slots = scan_class(flow, lives, alive, classes[c], places, busy);
            for (int32_t i = 0; i < alive; i++) {
                int32_t number = lives[i].number;
                if (alu_held_bytes(kernel->source->registers[number].type) == classes[c])
                    places[number] = at + places[number] * (uint32_t)classes[c];
            }
            at += (uint32_t)(slots * classes[c]);
        }
        kernel->warp_file_bytes = (at + 63) / 64 * 64;
        patch_ops(kernel, places);
    }
    free(lives);
    free(places);
    free(busy);
    return good;
}

bool allocate_registers(struct machine_kernel *kernel, char *error, size_t size)
{
    struct flow flow = {.kernel = kernel, .registers = kernel->source->register_count};
    flow.words = flow.registers / 64 + 1;
    size_t ops = (size_t)kernel->op_count, registers = (size_t)flow.registers + 1;
    flow.blocks = calloc(ops, sizeof *flow.blocks);
    flow.block_of = calloc(ops, sizeof *flow.block_of);
    flow.start = malloc(registers * sizeof *flow.start);
    flow.end = calloc(registers, sizeof *flow.end);
    bool good = flow.blocks != NULL && flow.block_of != NULL && flow.start != NULL && flow.end != NULL;
    if (good) {
        memset(flow.start, 0xFF, registers * sizeof *flow.start);
        find_blocks(&flow);
        flow.sets = calloc((size_t)flow.block_count * 4 * (size_t)flow.words, sizeof *flow.sets);
        good = flow.sets != NULL;
    }
    if (good) {
        for (int32_t b = 0; b < flow.block_count; b++) {
            uint64_t *sets = flow.sets + (size_t)b * 4 * (size_t)flow.words;
            struct flow_block *block = &flow.blocks[b];
            block->used = sets;
            block->defined = sets + flow.words;
            block->live_in = sets + 2 * flow.words;
            block->live_out = sets + 3 * flow.words;
        }
        find_lives(&flow);
        good = place_registers(&flow);
        keep_doubtful(&flow);
    }
    free(flow.blocks);
    free(flow.block_of);
    free(flow.start);
    free(flow.end);
    free(flow.sets);
    if (!good)
        snprintf(error, size, "kernel %s: no memory is left", kernel->source->name);
    return good;
}
