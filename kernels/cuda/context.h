/* What the CUDA backend keeps behind a device context: streams, the fault word, the list of what is allocated, and the
 * library that multiplies matrices. device.c opens and closes it. */
#ifndef SPIRITLM_KERNELS_CUDA_CONTEXT_H
#define SPIRITLM_KERNELS_CUDA_CONTEXT_H

#include "kernels/check.h"
#include "kernels/cuda/cuda.h"

#include <stdbool.h>

struct cuda_products; /* products.h */
struct cuda_cudnn;    /* conv1d_cudnn.h */

struct cuda_libraries {
    int device, major, minor; /* compute capability major.minor */
    cudaStream_t streams[QUEUE_COUNT];
    cudaStream_t setup; /* zeros fresh memory, so that an allocation does not wait for the work in the queues */
    cudaEvent_t copied; /* the end of the copy queue, for which the compute queue waits before the host does */
    bool copying;       /* work was put into the copy queue since then */
    size_t shared_limit;
    struct cuda_fault *fault; /* device */
    struct cuda_fault *seen;  /* pinned: as the fault was at the latest synchronize */
    char fault_text[256];     /* "" while the host knows of none */
    bool recording;           /* a graph: between graph_begin and graph_end */
    struct cuda_products *products;
    struct cuda_cudnn *cudnn; /* NULL: our own convolutions */
    struct cuda_block {
        void *memory;
        size_t bytes;
    } * blocks; /* what is allocated */
    int64_t block_count, block_capacity;
    struct device_memory memory;
    char name[256]; /* of the device */
    char description[360];
};

static inline struct cuda_libraries *cuda_libraries_of(const struct device_context *context)
{
    return (struct cuda_libraries *)context->libraries;
}

/* Makes the context's device the calling thread's. STATUS_INTERNAL, naming the call, when device_context_create did not
 * make the context. Every function of the table begins with it. */
enum status cuda_enter(const struct device_context *context, const char *call);

/* Copies the fault word to `seen` (pinned), in the order of the compute queue. */
enum status cuda_fault_fetch(const struct cuda_libraries *libraries, struct cuda_fault *seen);
/* After the host has waited for that: STATUS_INTERNAL with the sentence of the context's first fault, else STATUS_OK. `seen`
 * may be NULL: then what the host knew before. */
enum status cuda_fault_status(struct cuda_libraries *libraries, const struct cuda_fault *seen);

/* device.c */
enum status cuda_open(struct device_context *context);
void cuda_close(struct device_context *context);
double cuda_peak_flops(const struct device_context *context, enum dtype type);
const char *cuda_describe(const struct device_context *context);

/* memory.c */
enum status cuda_allocate(const struct device_context *context, size_t bytes, void **memory);
void cuda_release(const struct device_context *context, void *memory);
enum status cuda_allocate_host(const struct device_context *context, size_t bytes, void **memory);
void cuda_release_host(const struct device_context *context, void *memory);
struct device_memory cuda_memory(const struct device_context *context);
enum status cuda_copy_to_device(const struct device_context *context, enum device_queue queue, void *device,
                                const void *host, size_t bytes);
enum status cuda_copy_to_host(const struct device_context *context, enum device_queue queue, void *host,
                              const void *device, size_t bytes);
enum status cuda_copy(const struct device_context *context, void *destination, const void *source, size_t bytes);
enum status cuda_fill_zero(const struct device_context *context, void *memory, size_t bytes);

/* events.c */
enum status cuda_event_create(const struct device_context *context, struct device_event **event);
void cuda_event_destroy(const struct device_context *context, struct device_event *event);
enum status cuda_event_record(const struct device_context *context, enum device_queue queue,
                              struct device_event *event);
enum status cuda_queue_wait(const struct device_context *context, enum device_queue queue, struct device_event *event);
enum status cuda_event_wait(const struct device_context *context, struct device_event *event);
enum status cuda_synchronize(const struct device_context *context);

/* graphs.c */
enum status cuda_graph_begin(const struct device_context *context);
enum status cuda_graph_end(const struct device_context *context, struct device_graph **graph);
enum status cuda_graph_launch(const struct device_context *context, struct device_graph *graph);
void cuda_graph_destroy(const struct device_context *context, struct device_graph *graph);

#endif
