/* Steps of drawing as graphs. All that changes from one step to the next lies in memory with fixed addresses: the tables go out
 * from the staging and the ids come back to it. So a step of one kind is the same list of calls each time, and the device is
 * given the whole list at once where its kernels have graphs. */
#include "models/llama/llama_session_internal.h"

enum status session_send_tables(const struct llama_session *session)
{
    const struct llama *model = session->model;
    return model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, session->told.uniforms, session->staging,
                                          (size_t)session_tables_bytes(session->rows));
}

enum status session_bring_ids(const struct llama_session *session, int64_t count)
{
    const struct llama *model = session->model;
    return model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, session->drawn, session->told.ids,
                                        (size_t)count * sizeof *session->drawn);
}

/* The calls of a step. */
static enum status call_step(const struct llama_session *session, const struct llama_draw *draw)
{
    enum status result = STATUS_OK;
    TRY(session_send_tables(session));
    for (int64_t done = 0, tokens; done < draw->count; done += tokens) {
        tokens = session_group_rows(draw->count, done);
        TRY(session_run_pass(session, &(struct session_pass){.tokens = tokens,
                                                             .ids = element_at(session->told.ids, DTYPE_I32, done),
                                                             .decode = true,
                                                             .first = done}));
        TRY(session_make_logits(session, 0, tokens));
        TRY(session_sample(session, done, tokens, draw));
    }
    TRY(session_bring_ids(session, draw->count));
fail:
    return result;
}

/* ---- which graph ---- */

static bool same_step(const struct session_step *a, const struct session_step *b)
{
    return a->count == b->count && a->top_k == b->top_k && a->temperature == b->temperature && a->top_p == b->top_p &&
           a->scratch == b->scratch;
}

static void forget(const struct llama_session *session, struct session_graph *kept)
{
    const struct llama *model = session->model;
    if (kept->graph)
        model->kernels->graph_destroy(model->context, kept->graph);
    *kept = (struct session_graph){0};
}

/* The entry of this kind of step, or an empty one in place of the one used longest ago. */
static struct session_graph *entry_of(struct llama_session *session, const struct session_step *step)
{
    struct session_graph *oldest = &session->graphs[0];
    for (int i = 0; i < SESSION_GRAPHS; i++) {
        struct session_graph *kept = &session->graphs[i];
        if (same_step(&kept->step, step))
            return kept;
        if (kept->last_use < oldest->last_use)
            oldest = kept;
    }
    forget(session, oldest);
    return oldest;
}

static enum status record(const struct llama_session *session, const struct llama_draw *draw,
                          struct device_graph **graph)
{
    const struct llama *model = session->model;
    enum status result = model->kernels->graph_begin(model->context);
    if (result != STATUS_OK)
        return result;
    result = call_step(session, draw);
    if (result != STATUS_OK) {
        (void)model->kernels->graph_end(model->context, NULL);
        return result;
    }
    return model->kernels->graph_end(model->context, graph);
}

enum status session_put_draw(struct llama_session *session, const struct llama_draw *draw)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    const struct session_step step = {draw->count, draw->top_k, draw->temperature, draw->top_p,
                                      model->context->scratch};
    if (session->eager)
        return call_step(session, draw);
    struct session_graph *kept = entry_of(session, &step);
    bool first = kept->step.count == 0;
    kept->step = step;
    kept->last_use = ++session->graph_uses;
    if (first)
        return call_step(session, draw);
    if (!kept->graph)
        TRY(record(session, draw, &kept->graph));
    TRY(model->kernels->graph_launch(model->context, kept->graph));
fail:
    return result;
}

void session_free_graphs(struct llama_session *session)
{
    for (int i = 0; i < SESSION_GRAPHS; i++)
        forget(session, &session->graphs[i]);
}
