/* Stream capture and graphs. A capture is a list of work and waits on branches: branch 0 is the stream in which it began,
 * every stream that comes in by waiting for a captured event is another. Launching a graph puts the same list into the
 * launch's stream and into one hidden stream per further branch, with the same waits, so that a replay is checked like
 * the calls themselves: a wait that was forgotten between branches is found. */
#include "emulator/runtime/runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct graph_node {
    struct work *work; /* NULL: wait until branch `awaited` has passed its node number `position` */
    int32_t branch, awaited, position;
};
struct node_list {
    struct graph_node *nodes;
    int64_t count, capacity;
    int32_t branches;
    int32_t lengths[CAPTURE_BRANCHES]; /* pieces of work per branch */
};

struct capture {
    struct capture *next;
    unsigned long long id;
    struct CUstream_st *origin;
    enum cudaStreamCaptureMode mode;
    pthread_t thread;
    bool lost;
    struct node_list list;
    int32_t passed[CAPTURE_BRANCHES][CAPTURE_BRANCHES]; /* [b]: how much of each branch b has waited for */
};

struct CUgraph_st {
    struct CUgraph_st *next;
    struct node_list list;
    struct device *device;
};
struct CUgraphExec_st {
    struct CUgraphExec_st *next;
    struct node_list list;
    struct device *device;
    struct CUstream_st *hidden[CAPTURE_BRANCHES];
    bool launched;
    struct stream_mark last; /* one launch of a graph at a time */
};

static struct capture *captures;
static struct CUgraph_st *graphs;
static struct CUgraphExec_st *executables;
static unsigned long long captures_begun;

/* ---- lists ---- */

static void list_add(struct node_list *list, struct graph_node node)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 32;
        list->nodes = realloc(list->nodes, (size_t)list->capacity * sizeof *list->nodes);
        if (!list->nodes)
            runtime_fatal("no host memory for a graph");
    }
    list->nodes[list->count++] = node;
}

static void list_free(struct node_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        free(list->nodes[i].work);
    free(list->nodes);
    memset(list, 0, sizeof *list);
}

static void list_copy(struct node_list *copy, const struct node_list *list)
{
    *copy = *list;
    copy->nodes = NULL;
    copy->count = copy->capacity = 0;
    for (int64_t i = 0; i < list->count; i++) {
        struct graph_node node = list->nodes[i];
        node.work = node.work ? work_clone(node.work) : NULL;
        list_add(copy, node);
    }
}

/* ---- capturing ---- */

static cudaError_t lose(struct capture *capture, cudaError_t error)
{
    capture->lost = true;
    return error;
}

cudaError_t capture_put(struct CUstream_st *stream, struct work *work)
{
    struct capture *capture = stream->capture;
    if (capture->lost) {
        free(work);
        return cudaErrorStreamCaptureInvalidated;
    }
    list_add(&capture->list, (struct graph_node){.work = work, .branch = stream->branch});
    capture->passed[stream->branch][stream->branch] = ++capture->list.lengths[stream->branch];
    return cudaSuccess;
}

cudaError_t capture_record(struct CUstream_st *stream, struct CUevent_st *event)
{
    struct capture *capture = stream->capture;
    if (capture->lost)
        return cudaErrorStreamCaptureInvalidated;
    event->recorded = false;
    event->capture_id = capture->id;
    event->branch = stream->branch;
    memcpy(event->passed, capture->passed[stream->branch], sizeof event->passed);
    return cudaSuccess;
}

static struct capture *capture_with_id(unsigned long long id)
{
    struct capture *capture = captures;
    while (capture && capture->id != id)
        capture = capture->next;
    return capture;
}

cudaError_t capture_wait(struct CUstream_st *stream, const struct CUevent_st *event)
{
    struct capture *capture = capture_with_id(event->capture_id);
    if (!event->capture_id || !capture) {
        if (!stream->capture)
            return cudaErrorInvalidValue; /* an event of a capture that is over */
        if (!event->recorded && !event->capture_id)
            return cudaSuccess;
        return lose(stream->capture, cudaErrorStreamCaptureIsolation);
    }
    if (capture->lost)
        return cudaErrorStreamCaptureInvalidated;
    if (stream->capture && stream->capture != capture)
        return lose(capture, cudaErrorStreamCaptureMerge);
    if (!stream->capture) {
        if (stream->legacy)
            return lose(capture, cudaErrorStreamCaptureImplicit);
        if (capture->list.branches == CAPTURE_BRANCHES)
            runtime_fatal("a capture of more than %d streams", CAPTURE_BRANCHES);
        stream->capture = capture;
        stream->branch = capture->list.branches++;
    }
    struct graph_node node = {
        .branch = stream->branch, .awaited = event->branch, .position = event->passed[event->branch]};
    if (node.awaited != node.branch)
        list_add(&capture->list, node);
    for (int32_t i = 0; i < CAPTURE_BRANCHES; i++)
        if (capture->passed[stream->branch][i] < event->passed[i])
            capture->passed[stream->branch][i] = event->passed[i];
    return cudaSuccess;
}

cudaError_t capture_forbids(struct CUstream_st *stream)
{
    if (stream)
        return lose(stream->capture, cudaErrorStreamCaptureUnsupported);
    cudaError_t error = cudaSuccess;
    for (struct capture *capture = captures; capture; capture = capture->next) {
        bool concerns =
            capture->mode == cudaStreamCaptureModeGlobal ||
            (capture->mode == cudaStreamCaptureModeThreadLocal && pthread_equal(capture->thread, pthread_self()));
        if (concerns)
            error = lose(capture, cudaErrorStreamCaptureUnsupported);
    }
    return error;
}

cudaError_t captures_forbid_legacy(const struct CUstream_st *legacy)
{
    for (struct capture *capture = captures; capture; capture = capture->next)
        if (capture->origin->device == legacy->device && !(capture->origin->flags & cudaStreamNonBlocking))
            return lose(capture, cudaErrorStreamCaptureImplicit);
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && stream->legacy)
        error = cudaErrorStreamCaptureUnsupported;
    if (!error && (stream->capture || mode > cudaStreamCaptureModeRelaxed))
        error = stream->capture ? cudaErrorIllegalState : cudaErrorInvalidValue;
    if (!error) {
        struct capture *capture = calloc(1, sizeof *capture);
        if (!capture)
            runtime_fatal("no host memory for a capture");
        *capture = (struct capture){
            .next = captures, .id = ++captures_begun, .origin = stream, .mode = mode, .thread = pthread_self()};
        capture->list.branches = 1;
        captures = capture;
        stream->capture = capture;
        stream->branch = 0;
    }
    return runtime_leave(error);
}

static bool everything_joined(const struct capture *capture)
{
    for (int32_t i = 0; i < capture->list.branches; i++)
        if (capture->passed[0][i] < capture->list.lengths[i])
            return false;
    return true;
}

static void end_capture(struct capture *capture)
{
    for (int32_t i = 0; i < STREAM_SLOTS; i++) {
        struct CUstream_st *stream = stream_in_slot(i);
        if (stream && stream->capture == capture)
            stream->capture = NULL;
    }
    struct capture **link = &captures;
    while (*link != capture)
        link = &(*link)->next;
    *link = capture->next;
    list_free(&capture->list);
    free(capture);
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = graph ? stream_resolve(handle, &stream) : cudaErrorInvalidValue;
    if (!error && !stream->capture)
        error = cudaErrorIllegalState;
    if (error)
        return runtime_leave(error);
    struct capture *capture = stream->capture;
    *graph = NULL;
    if (capture->origin != stream)
        return runtime_leave(lose(capture, cudaErrorStreamCaptureUnmatched));
    if (capture->mode != cudaStreamCaptureModeRelaxed && !pthread_equal(capture->thread, pthread_self()))
        return runtime_leave(cudaErrorStreamCaptureWrongThread);
    if (capture->lost)
        error = cudaErrorStreamCaptureInvalidated;
    else if (!everything_joined(capture))
        error = cudaErrorStreamCaptureUnjoined;
    if (!error) {
        struct CUgraph_st *made = calloc(1, sizeof *made);
        if (!made)
            runtime_fatal("no host memory for a graph");
        made->next = graphs;
        made->device = stream->device;
        made->list = capture->list;
        memset(&capture->list, 0, sizeof capture->list);
        graphs = made;
        *graph = made;
    }
    end_capture(capture);
    return runtime_leave(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *status)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = status ? stream_resolve(handle, &stream) : cudaErrorInvalidValue;
    if (!error && !stream->capture)
        *status = cudaStreamCaptureStatusNone;
    else if (!error)
        *status = stream->capture->lost ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
    return runtime_leave(error);
}

/* ---- graphs ---- */

static cudaError_t resolve_graph(cudaGraph_t graph)
{
    for (const struct CUgraph_st *known = graphs; known; known = known->next)
        if (known == graph)
            return cudaSuccess;
    return cudaErrorInvalidValue;
}

static cudaError_t resolve_executable(cudaGraphExec_t executable)
{
    for (const struct CUgraphExec_st *known = executables; known; known = known->next)
        if (known == executable)
            return cudaSuccess;
    return cudaErrorInvalidValue;
}

/* The number of nodes; the nodes themselves have no handles here. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = nodes ? cudaErrorNotSupported : count ? resolve_graph(graph) : cudaErrorInvalidValue;
    if (!error) {
        *count = 0;
        for (int64_t i = 0; i < graph->list.count; i++)
            *count += graph->list.nodes[i].work != NULL;
    }
    return runtime_leave(error);
}

static void free_graph(struct CUgraph_st *graph)
{
    struct CUgraph_st **link = &graphs;
    while (*link != graph)
        link = &(*link)->next;
    *link = graph->next;
    list_free(&graph->list);
    free(graph);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = resolve_graph(graph);
    if (!error)
        free_graph(graph);
    return runtime_leave(error);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = executable ? resolve_graph(graph) : cudaErrorInvalidValue;
    if (!error && flags)
        error = cudaErrorNotSupported;
    if (!error) {
        struct CUgraphExec_st *made = calloc(1, sizeof *made);
        if (!made)
            runtime_fatal("no host memory for a graph");
        list_copy(&made->list, &graph->list);
        made->device = graph->device;
        for (int32_t i = 1; i < made->list.branches; i++) {
            made->hidden[i] = stream_create(made->device, cudaStreamNonBlocking, 0);
            made->hidden[i]->hidden = true;
        }
        made->next = executables;
        executables = made;
        *executable = made;
    }
    return runtime_leave(error);
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags)
{
    return cudaGraphInstantiate(executable, graph, flags);
}

static void free_executable(struct CUgraphExec_st *executable)
{
    for (int32_t i = 1; i < executable->list.branches; i++)
        if (executable->hidden[i])
            executable->hidden[i]->destroyed = true;
    struct CUgraphExec_st **link = &executables;
    while (*link != executable)
        link = &(*link)->next;
    *link = executable->next;
    list_free(&executable->list);
    free(executable);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = resolve_executable(executable);
    if (!error)
        free_executable(executable);
    return runtime_leave(error);
}

/* Takes the graph's work where it has the same nodes in the same places. */
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = info ? resolve_executable(executable) : cudaErrorInvalidValue;
    if (!error)
        error = resolve_graph(graph);
    if (error)
        return runtime_leave(error);
    memset(info, 0, sizeof *info);
    bool same = executable->list.count == graph->list.count && executable->list.branches == graph->list.branches;
    for (int64_t i = 0; same && i < graph->list.count; i++) {
        const struct graph_node *old = &executable->list.nodes[i], *new = &graph->list.nodes[i];
        same = old->branch == new->branch && old->awaited == new->awaited && old->position == new->position &&
               !old->work == !new->work;
        if (same && old->work && old->work->run != new->work->run) {
            info->result = cudaGraphExecUpdateErrorNodeTypeChanged;
            return runtime_leave(cudaErrorGraphExecUpdateFailure);
        }
    }
    if (!same) {
        info->result = cudaGraphExecUpdateErrorTopologyChanged;
        return runtime_leave(cudaErrorGraphExecUpdateFailure);
    }
    list_free(&executable->list);
    list_copy(&executable->list, &graph->list);
    return runtime_leave(cudaSuccess);
}

/* ---- launching ---- */

static cudaError_t replay(struct CUgraphExec_st *executable, struct CUstream_st *stream)
{
    const struct node_list *list = &executable->list;
    struct CUstream_st *branches[CAPTURE_BRANCHES];
    struct stream_mark *marks[CAPTURE_BRANCHES] = {NULL}; /* [branch][number of work passed] */
    int32_t passed[CAPTURE_BRANCHES] = {0};
    cudaError_t error = cudaSuccess;
    for (int32_t i = 0; i < list->branches; i++) {
        branches[i] = i ? executable->hidden[i] : stream;
        marks[i] = malloc((size_t)(list->lengths[i] + 1) * sizeof *marks[i]);
        if (!marks[i])
            runtime_fatal("no host memory to launch a graph");
    }
    if (executable->launched)
        queue_put_wait(stream, &executable->last);
    /* A mark in the launch's stream, so that the branches come after what is there. */
    error = queue_put(stream, work_create("cudaGraphLaunch", NULL, 0));
    for (int32_t i = 0; i < list->branches; i++) {
        struct stream_mark start = queue_mark(stream);
        if (i)
            queue_put_wait(branches[i], &start);
        marks[i][0] = start;
    }
    for (int64_t i = 0; !error && i < list->count; i++) {
        const struct graph_node *node = &list->nodes[i];
        if (node->work) {
            error = queue_put(branches[node->branch], work_clone(node->work));
            marks[node->branch][++passed[node->branch]] = queue_mark(branches[node->branch]);
        } else {
            queue_put_wait(branches[node->branch], &marks[node->awaited][node->position]);
        }
    }
    for (int32_t i = 0; i < list->branches; i++)
        free(marks[i]);
    if (!error)
        error = queue_put(stream, work_create("cudaGraphLaunch", NULL, 0));
    executable->last = queue_mark(stream);
    executable->launched = true;
    return error;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = resolve_executable(executable);
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && stream->device != executable->device)
        error = cudaErrorInvalidResourceHandle;
    if (!error && stream->capture)
        error = capture_forbids(stream); /* child graphs are not emulated */
    if (!error) {
        runtime_counters.graph_launches++;
        error = replay(executable, stream);
    }
    return runtime_leave(error);
}

void captures_drop(const struct device *device)
{
    for (struct capture *capture = captures, *next; capture; capture = next) {
        next = capture->next;
        if (capture->origin->device == device)
            end_capture(capture);
    }
    for (struct CUgraphExec_st *executable = executables, *next; executable; executable = next) {
        next = executable->next;
        if (executable->device == device)
            free_executable(executable);
    }
    for (struct CUgraph_st *graph = graphs, *next; graph; graph = next) {
        next = graph->next;
        if (graph->device == device)
            free_graph(graph);
    }
}
