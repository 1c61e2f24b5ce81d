/* What the files of the closed table share. closed_memory.c keeps allocations and pinned memory, closed_order.c queues,
 * clocks and open copies, closed_kernels.c is the table. Functions that say "locked" are called between closed_lock and
 * closed_unlock. */
#ifndef SPIRITLM_TESTS_CLOSED_INTERNAL_H
#define SPIRITLM_TESTS_CLOSED_INTERNAL_H

#include "support/closed_kernels.h"

#include <stdint.h>

/* Behind device_context.libraries. */
struct closed_context {
    void *inner;             /* the cpu's libraries */
    int queues[QUEUE_COUNT]; /* their numbers among those of all contexts */
    struct closed_counters counters;
    struct device_memory memory;
    int64_t live;                   /* allocations */
    struct device_graph *recording; /* between graph_begin and graph_end, else NULL */
    char fault[512];
    bool reported;
};

/* One use of device memory that others may have to wait for. */
struct closed_use {
    uintptr_t begin, end;
    const char *operation; /* a literal */
    int queue;
    int64_t number; /* of the work in its queue */
    bool write;
};

struct closed_allocation {
    uintptr_t begin; /* in the mapping that callers see */
    size_t bytes, page_bytes;
    struct closed_context *owner; /* NULL once it is released */
    struct closed_use *uses;
    int64_t use_count, use_capacity;
};

void closed_lock(void);
void closed_unlock(void);

/* Keeps the first fault of a context. Locked. */
__attribute__((format(printf, 2, 3))) void closed_fault(struct closed_context *context, const char *format, ...);

/* Prints the text and aborts: for what no status and no context can carry. */
__attribute__((format(printf, 1, 2))) _Noreturn void closed_abort(const char *format, ...);

/* ---- closed_memory.c ---- */

enum status closed_memory_allocate(struct closed_context *owner, size_t bytes, void **memory); /* locked */
void closed_memory_release(struct closed_context *owner, void *memory);                        /* locked */

/* The live allocation that holds [address, address + bytes), else NULL and in `why` the reason. Locked. */
struct closed_allocation *closed_memory_find(const void *address, size_t bytes, char why[128]);

bool closed_memory_is_device(const void *address);
void *closed_memory_inner(const void *address); /* the same place in the mapping that the cpu works on */

enum status closed_pinned_allocate(size_t bytes, void **memory); /* locked */
size_t closed_pinned_release(void *memory);                      /* locked; its bytes + 1, 0: not pinned memory */
bool closed_is_pinned(const void *memory, size_t bytes);         /* locked */

/* ---- closed_order.c; all locked ---- */

void closed_queues_open(struct closed_context *context);
void closed_queues_close(struct closed_context *context); /* open copies are dropped */

/* One piece of work in the making: its operands are noted, and when none is refused it takes its place in the queue. */
enum { CLOSED_OPERANDS = 20 };
struct closed_work {
    struct closed_context *context;
    const char *operation;
    int queue;
    int64_t number;
    struct closed_operand {
        const char *member;
        const void *address;
        size_t bytes;
        int access;
        struct closed_allocation *allocation;
        uint64_t hash;
    } operands[CLOSED_OPERANDS];
    int count;
};
struct closed_work closed_work(struct closed_context *context, enum device_queue queue, const char *operation);
void closed_note(struct closed_work *work, const char *member, const void *address, size_t bytes, int access);
enum status closed_enqueue(struct closed_work *work);

/* A copy between host and device whose device side is the only operand of `work`, which is in its queue. */
enum status closed_check_host(const struct closed_work *work, const void *host, size_t bytes, bool to_host);
enum status closed_copy_begin(const struct closed_work *work, void *host, size_t bytes, bool to_host);

/* A fault when a copy that is not over uses [memory, memory + bytes); the copy is dropped. */
void closed_host_released(struct closed_context *context, const void *memory, size_t bytes);

/* ---- closed_graph.c ---- */

/* A recorded call: `run` makes it again from the copy of its `parameters`. */
typedef enum status closed_replay(const struct device_context *context, const void *parameters);
enum status closed_graph_add(const struct closed_context *context, closed_replay *run, const void *parameters,
                             size_t bytes);
enum status closed_graph_begin(const struct device_context *context);
enum status closed_graph_end(const struct device_context *context, struct device_graph **graph);
enum status closed_graph_launch(const struct device_context *context, struct device_graph *graph);
void closed_graph_destroy(const struct device_context *context, struct device_graph *graph);

/* ---- events ---- */

struct device_event;
struct device_event *closed_event_create(void);
void closed_event_record(const struct closed_context *context, enum device_queue queue, struct device_event *event);
void closed_queue_wait(const struct closed_context *context, enum device_queue queue, const struct device_event *event);
/* The host has waited: copies up to the mark are over. NULL: all of the context's queues. */
void closed_host_waits(const struct closed_context *context, const struct device_event *event);

#endif
