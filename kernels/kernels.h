/* The one table of functions that a backend (cpu/, later cuda/) fills: models call through it and never ask which backend
 * it is. Kernels know no model, no file and no configuration.
 *
 * Memory. What `allocate` returns is device memory: its address may be computed with, but only operations and copies of
 * the table reach what lies there. Host memory that takes part in copies is best pinned (`allocate_host`): a copy from
 * other memory may cost a second copy and a wait.
 *
 * Queues. Every call below but `allocate`, `release`, `event_wait` and `synchronize` puts work into a queue and may return
 * before it is done. Work of one queue runs in order; operations belong to the compute queue, copies to the queue that
 * they name. An event marks a place in a queue.
 *   - The host memory of a copy belongs to the queue until an event recorded after it has been waited for, or until
 *     synchronize: a source stays untouched, a destination holds nothing yet.
 *   - Device memory may be released, and a parameter struct reused, at once.
 * No operation returns a host scalar: what is computed stays in device memory until a copy brings it.
 *
 * Errors. Arguments that a host can check are checked when an operation is called: STATUS_INTERNAL with a text, and nothing
 * is enqueued. What only the device can see (an id outside its table, a failed launch) is a fault: the first one is kept,
 * and from then on synchronize and event_wait return STATUS_INTERNAL naming the operation, the index and the value; what
 * was computed after it is undefined, but no memory outside an operation's operands is touched. */
#ifndef SPIRITLM_KERNELS_KERNELS_H
#define SPIRITLM_KERNELS_KERNELS_H

#include "core/status.h"
#include "kernels/operations.h"

#ifdef __cplusplus
extern "C" {
#endif

struct thread_pool;
struct device_event; /* a backend's own */
struct device_graph; /* likewise */

/* One device as one thread of the host uses it: its queues, and what operations need. */
struct device_context {
    struct thread_pool *pool; /* cpu: where tasks run; NULL runs them in the caller's thread */
    void *stream;             /* cuda: the compute queue's stream */
    void *libraries;          /* the backend's handles and state (oneDNN engine, cuBLAS, faults) */
    void *scratch;            /* device memory for operations, as large as the largest *_scratch_size asked for */
    size_t scratch_bytes;
};

/* Operations run on COMPUTE. COPY is for transfers that go on beside them. */
enum device_queue { QUEUE_COMPUTE, QUEUE_COPY, QUEUE_COUNT };

/* Bytes of device memory: what this context has allocated now, and at most so far; the size of the latest allocation that
 * was refused (0: none); and what the device has in all (0: it shares the host's memory). */
struct device_memory {
    int64_t allocated, peak, refused, capacity;
};

struct kernels {
    const char *name; /* "cpu" */
    /* How much a caller who may choose should compute at a time, so that the device is occupied; 0: no wish. */
    int64_t block_rows;     /* of a product */
    int64_t block_elements; /* of a large intermediate matrix */
    /* Device memory is host memory: operations also read, and never write, what lies elsewhere in it, such as a mapped
     * file. No more than the alignment of their elements is asked of it. */
    bool reads_host_memory;
    /* Whether columns of a product of so many rows, B transposed, have the same bits whatever columns are computed with
     * them: then a product may be cut by columns as it suits. NULL: not promised. */
    bool (*stable_columns)(const struct device_context *, enum dtype type, int64_t rows);
    /* Device memory beside what is asked for, for plans: what a context allocates for itself, each piece rounded up to 256
     * bytes, and an estimate of what the driver and its libraries take. */
    int64_t context_bytes, driver_bytes;

    /* Fills context->libraries from context->pool, and the reverse, when all that the context allocated has been
     * released: device_context_create and _destroy call them. */
    enum status (*open)(struct device_context *);
    void (*close)(struct device_context *);

    enum status (*allocate)(const struct device_context *, size_t bytes, void **memory); /* zeroed, 256-byte aligned */
    void (*release)(const struct device_context *, void *memory);                        /* NULL is fine */
    enum status (*allocate_host)(const struct device_context *, size_t bytes, void **memory); /* pinned, zeroed */
    void (*release_host)(const struct device_context *, void *memory); /* NULL is fine; its copies must be over */
    struct device_memory (*memory)(const struct device_context *);
    /* FLOP/s of dense products of this type, as the device's maker states them; 0: not known. NULL: of no device. */
    double (*peak_flops)(const struct device_context *, enum dtype type);

    enum status (*copy_to_device)(const struct device_context *, enum device_queue, void *device, const void *host,
                                  size_t bytes);
    enum status (*copy_to_host)(const struct device_context *, enum device_queue, void *host, const void *device,
                                size_t bytes);
    /* Between places in device memory, and zeros: compute queue. Source and destination do not overlap. */
    enum status (*copy)(const struct device_context *, void *destination, const void *source, size_t bytes);
    enum status (*fill_zero)(const struct device_context *, void *memory, size_t bytes);

    enum status (*event_create)(const struct device_context *, struct device_event **event);
    void (*event_destroy)(const struct device_context *, struct device_event *event); /* NULL is fine */
    /* Marks the end of all work that is in the queue now; a second record moves the mark. */
    enum status (*event_record)(const struct device_context *, enum device_queue, struct device_event *event);
    /* Work put into the queue from now on begins after the mark. An event never recorded marks the past. */
    enum status (*queue_wait)(const struct device_context *, enum device_queue, struct device_event *event);
    /* The host waits until the queue has passed the mark. */
    enum status (*event_wait)(const struct device_context *, struct device_event *event);
    /* The host waits for all queues. */
    enum status (*synchronize)(const struct device_context *);

    /* Graphs: work that is repeated, recorded once. All four are NULL in a table whose queues gain nothing by it.
     * After graph_begin, what is put into the compute queue (operations, copies, fills) is recorded and not run; no other
     * call that takes the context is allowed. graph_end ends that; `graph` NULL drops the recording, which is also what
     * remains after a call in between has failed. graph_launch puts all of it into the compute queue with one call, as often
     * as wanted: the same operations on the same addresses, the context's scratch included, with what lies there when they
     * run. Host memory of recorded copies is pinned, and in use as if the copies were called at each launch. What a graph
     * uses must outlive its launches; a second launch may begin before the first has ended. */
    enum status (*graph_begin)(const struct device_context *);
    enum status (*graph_end)(const struct device_context *, struct device_graph **graph);
    enum status (*graph_launch)(const struct device_context *, struct device_graph *graph);
    void (*graph_destroy)(const struct device_context *, struct device_graph *graph); /* NULL is fine */

#define KERNEL_MEMBER(name)                                                                                            \
    enum status (*name)(const struct device_context *, const struct name *);                                           \
    size_t (*name##_scratch_size)(const struct name *); /* bytes of context->scratch; from sizes and types alone */
    KERNEL_OPERATIONS(KERNEL_MEMBER)
#undef KERNEL_MEMBER

    /* "x86-64-v3 kernels, f32: own tiles, bf16: oneDNN tiles": what decides the bits; kept in run.json. */
    const char *(*describe)(const struct device_context *);
};

/* The CPU's table (kernels/cpu). Its queues are empty whenever a call returns. OpenBLAS and oneDNN run on one thread
 * per call: tasks come from the context's pool. */
const struct kernels *kernels_cpu(void);

/* A context on `pool` (borrowed) with `scratch_bytes` of scratch. */
enum status device_context_create(const struct kernels *kernels, struct thread_pool *pool, size_t scratch_bytes,
                                  struct device_context *context);
/* Makes the scratch at least this large. Whoever plans work (a workspace, a session, an optimizer) reserves what all of
 * its operations need, so that none of them finds it too small and nothing is allocated while work goes on. */
enum status device_context_reserve(const struct kernels *kernels, struct device_context *context, size_t bytes);
void device_context_destroy(const struct kernels *kernels, struct device_context *context);

#ifdef __cplusplus
}
#endif
#endif
