/* Graphs: what goes to the compute stream between begin and end is captured by the driver, which then can put all of it into
 * the stream with one call of a few microseconds, where a step of generation is hundreds of launches. The capture concerns
 * this thread alone, so that other threads, each with a context of its own, may allocate meanwhile. */
#include "kernels/cuda/context.h"

#include <stdlib.h>

struct device_graph {
    cudaGraphExec_t executable;
};

enum status cuda_graph_begin(const struct device_context *context)
{
    enum status result = cuda_enter(context, "graph_begin");
    if (result != STATUS_OK)
        return result;
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    CHECK(!libraries->recording, "graph_begin: a graph is being recorded already");
    result =
        cuda_checked(cudaStreamBeginCapture(cuda_stream(context), cudaStreamCaptureModeThreadLocal), "graph_begin");
    libraries->recording = result == STATUS_OK;
    return result;
}

enum status cuda_graph_end(const struct device_context *context, struct device_graph **graph)
{
    cudaGraph_t captured = NULL;
    struct device_graph *made = NULL;
    if (graph)
        *graph = NULL;
    enum status result = cuda_enter(context, "graph_end");
    if (result != STATUS_OK)
        return result;
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    CHECK(libraries->recording, "graph_end: no graph is being recorded");
    libraries->recording = false;
    cudaError_t error = cudaStreamEndCapture(cuda_stream(context), &captured);
    if (!graph) { /* what a failed call has left may be no graph at all */
        (void)cudaGetLastError();
        goto fail;
    }
    TRY(cuda_checked(error, "graph_end"));
    made = calloc(1, sizeof *made);
    if (!made)
        FAIL(STATUS_INTERNAL, "no memory for a graph");
    TRY(cuda_checked(cudaGraphInstantiateWithFlags(&made->executable, captured, 0), "graph_end"));
    *graph = made;
    made = NULL;
fail:
    if (captured)
        (void)cudaGraphDestroy(captured);
    free(made);
    return result;
}

enum status cuda_graph_launch(const struct device_context *context, struct device_graph *graph)
{
    CHECK(context && graph, "graph_launch: a null pointer");
    enum status result = cuda_enter(context, "graph_launch");
    if (result != STATUS_OK)
        return result;
    CHECK(!cuda_libraries_of(context)->recording, "graph_launch: while a graph is recorded");
    return cuda_checked(cudaGraphLaunch(graph->executable, cuda_stream(context)), "graph_launch");
}

void cuda_graph_destroy(const struct device_context *context, struct device_graph *graph)
{
    if (!graph)
        return;
    if (cuda_enter(context, "graph_destroy") == STATUS_OK) {
        (void)cudaStreamSynchronize(cuda_stream(context)); /* a launch may be under way */
        (void)cudaGraphExecDestroy(graph->executable);
    }
    free(graph);
}
