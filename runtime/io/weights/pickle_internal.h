/* The state of the machine that pickle.c runs, for the files that hold its operations. */
#ifndef SPIRITLM_IO_WEIGHTS_PICKLE_INTERNAL_H
#define SPIRITLM_IO_WEIGHTS_PICKLE_INTERNAL_H

#include "io/weights/pickle.h"

enum { MEMO_CHUNK = 1024, MEMO_CHUNKS = 1024, PICKLE_STACK_LIMIT = 1 << 18 };

struct pickle {
    struct pickle_memory *memory;
    const struct pickle_meaning *meaning;
    const unsigned char *bytes;
    int64_t size, at;
    struct torch_value *stack;
    int64_t depth, stack_capacity;
    int64_t *marks; /* depths of the stack */
    int64_t mark_count, mark_capacity;
    struct torch_value *memo[MEMO_CHUNKS]; /* chunks that are in use */
    int64_t memo_next;                     /* where MEMOIZE puts */
    bool stopped;
};

typedef enum status (*pickle_operation)(struct pickle *pickle, int opcode);

/* Errors of the machine; pickle_read adds the file and the place. */
#define PICKLE_REFUSE(...) status_set(STATUS_CORRUPT, __VA_ARGS__)

enum status pickle_bytes(struct pickle *pickle, uint64_t count, const unsigned char **bytes);
/* The rest of the line, of at most `limit` characters and without its end. */
enum status pickle_line(struct pickle *pickle, int64_t limit, const char **text, int64_t *length);
/* An unsigned number of `bytes` bytes, the lowest first. */
enum status pickle_number(struct pickle *pickle, int bytes, uint64_t *number);
enum status pickle_stack_start(struct pickle *pickle); /* makes room for the first values */
enum status pickle_push(struct pickle *pickle, struct torch_value value);
enum status pickle_pop(struct pickle *pickle, struct torch_value *value);
/* The topmost value, which stays; NULL and an error set when there is none. */
struct torch_value *pickle_top(struct pickle *pickle);

/* Values above the last mark: those below it are out of reach until it is taken away. */
int64_t pickle_reachable(const struct pickle *pickle);

/* The operations that push numbers and texts (pickle_constants.c); NULL for others. */
pickle_operation pickle_constant(int opcode);

#endif
