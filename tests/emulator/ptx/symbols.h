/* Names and what they stand for, block by block: an inner block {} may declare a name anew, and its meaning ends with
 * the block. Every name is kept once, however many kernels use it. */
#ifndef SPIRITLM_EMULATOR_SYMBOLS_H
#define SPIRITLM_EMULATOR_SYMBOLS_H

#include "emulator/ptx/arena.h"

#include <stdbool.h>

enum binding_kind {
    BINDING_KERNEL,
    BINDING_MODULE_VARIABLE,
    BINDING_PARAMETER,
    BINDING_KERNEL_VARIABLE,
    BINDING_REGISTER,
    BINDING_LABEL,
    BINDING_TABLE
};

struct symbol;
struct binding {
    enum binding_kind kind;
    int32_t index; /* into the tree's array of its kind; LABEL: the instruction's number */
    int32_t depth; /* 0: the module, 1: a kernel, 2 and more: blocks */
    struct symbol *symbol;
    struct binding *outer;   /* what the name means outside this block */
    struct binding *sibling; /* of the same block */
};

struct symbol {
    char *name;
    size_t length;
    uint64_t hash;
    struct binding *binding; /* the innermost meaning, or NULL */
    struct symbol *next;
};

struct symbols {
    struct arena *names;  /* outlives the table: the tree points at the names */
    struct arena scratch; /* of the table itself */
    struct symbol **buckets;
    size_t bucket_count, symbol_count;
    struct binding **blocks; /* the bindings of each open block; [depth] is the innermost */
    struct binding *unused;  /* of closed blocks */
    int32_t depth;
};

bool symbols_create(struct symbols *symbols, struct arena *names); /* false: no memory; destroy all the same */
void symbols_destroy(struct symbols *symbols);

/* The symbol of a name, entered when it is new; NULL: no memory. */
struct symbol *symbols_intern(struct symbols *symbols, const char *name, size_t length);
/* Gives the name a meaning in the innermost block; NULL: no memory. That the block has none yet is for the caller to
 * check. */
struct binding *symbols_bind(struct symbols *symbols, struct symbol *symbol, enum binding_kind kind, int32_t index);
bool symbols_open(struct symbols *symbols); /* false: no memory */
void symbols_close(struct symbols *symbols);

#endif
