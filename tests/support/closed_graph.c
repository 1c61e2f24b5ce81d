/* Graphs of the closed table: a list of calls, each with a copy of its parameters, as a GPU keeps them. A launch makes the
 * calls, so that whatever is checked about a call is checked at each launch: memory that was released since, waits that are
 * missing, host memory that is still in use. */
#include "support/closed_internal.h"

#include "kernels/check.h"

#include <stdlib.h>
#include <string.h>

struct recorded_call {
    struct recorded_call *next;
    closed_replay *run;
    _Alignas(16) char parameters[];
};

struct device_graph {
    struct recorded_call *first, *last;
    const void *scratch; /* where the context's scratch was */
};

static void free_graph(struct device_graph *graph)
{
    for (struct recorded_call *call = graph ? graph->first : NULL, *next; call; call = next) {
        next = call->next;
        free(call);
    }
    free(graph);
}

enum status closed_graph_add(const struct closed_context *context, closed_replay *run, const void *parameters,
                             size_t bytes)
{
    struct device_graph *graph = context->recording;
    struct recorded_call *call = malloc(sizeof *call + bytes);
    CHECK(call, "closed kernels: no memory for a graph");
    call->next = NULL;
    call->run = run;
    memcpy(call->parameters, parameters, bytes);
    if (graph->last)
        graph->last->next = call;
    else
        graph->first = call;
    graph->last = call;
    return STATUS_OK;
}

enum status closed_graph_begin(const struct device_context *context)
{
    CHECK(context && context->libraries, "graph_begin: the context was not made by device_context_create");
    struct closed_context *state = context->libraries;
    CHECK(!state->recording, "graph_begin: a graph is being recorded already");
    state->recording = calloc(1, sizeof *state->recording);
    CHECK(state->recording, "closed kernels: no memory for a graph");
    state->recording->scratch = context->scratch;
    return STATUS_OK;
}

enum status closed_graph_end(const struct device_context *context, struct device_graph **graph)
{
    if (graph)
        *graph = NULL;
    CHECK(context && context->libraries, "graph_end: the context was not made by device_context_create");
    struct closed_context *state = context->libraries;
    CHECK(state->recording, "graph_end: no graph is being recorded");
    if (graph)
        *graph = state->recording;
    else
        free_graph(state->recording);
    state->recording = NULL;
    return STATUS_OK;
}

enum status closed_graph_launch(const struct device_context *context, struct device_graph *graph)
{
    CHECK(context && graph, "graph_launch: a null pointer");
    struct closed_context *state = context->libraries;
    CHECK(state && !state->recording, "graph_launch: while a graph is recorded");
    CHECK(context->scratch == graph->scratch, "graph_launch: the context's scratch is not the one that was recorded");
    state->counters.graph_launches++;
    enum status result = STATUS_OK;
    for (const struct recorded_call *call = graph->first; call && result == STATUS_OK; call = call->next)
        result = call->run(context, call->parameters);
    return result;
}

void closed_graph_destroy(const struct device_context *context, struct device_graph *graph)
{
    (void)context;
    free_graph(graph);
}
