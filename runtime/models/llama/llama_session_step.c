/* The host's side of a session: what is checked before anything is computed, the tables that say which rows go on, and
 * what comes back. A step of decoding puts all of its work into the queue and waits once. */
#include "models/llama/llama_session_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* ---- checks ---- */

enum status session_check_row(const struct llama_session *session, int64_t row)
{
    if (row < 0 || row >= session->rows)
        return status_set(STATUS_INTERNAL, "row %" PRId64 " of a session of %" PRId64, row, session->rows);
    return STATUS_OK;
}

enum status session_check_ids(const struct llama_session *session, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= session->model->config.vocabulary_size)
            return status_set(STATUS_INTERNAL, "token id %" PRId32 " is outside the model's %" PRId64 " rows", ids[i],
                              session->model->config.vocabulary_size);
    return STATUS_OK;
}

static enum status check_room(const struct llama_session *session, int64_t row, int64_t count)
{
    if (count > session->capacity - session->lengths[row])
        return status_set(STATUS_USAGE,
                          "%" PRId64 " more tokens after %" PRId64 " do not fit a session of %" PRId64 " tokens", count,
                          session->lengths[row], session->capacity);
    return STATUS_OK;
}

/* No row twice, and room in each for `more` tokens. */
static enum status check_rows(struct llama_session *session, const int64_t *rows, int64_t count, int64_t more)
{
    enum status result = STATUS_OK;
    memset(session->listed, 0, (size_t)session->rows * sizeof *session->listed);
    for (int64_t i = 0; i < count; i++) {
        TRY(session_check_row(session, rows[i]));
        TRY(check_room(session, rows[i], more));
        if (session->listed[rows[i]])
            FAIL(STATUS_INTERNAL, "row %" PRId64 " is listed twice", rows[i]);
        session->listed[rows[i]] = true;
    }
fail:
    return result;
}

static enum status check_draw(struct llama_session *session, const struct llama_draw *draw, int64_t more)
{
    enum status result = STATUS_OK;
    if (session->mask_count == 0)
        FAIL(STATUS_INTERNAL, "an id is to be drawn in a session without masks");
    TRY(check_rows(session, draw->rows, draw->count, more));
    for (int64_t i = 0; i < draw->count && draw->mask_rows; i++)
        if (draw->mask_rows[i] < 0 || draw->mask_rows[i] >= session->mask_count)
            FAIL(STATUS_INTERNAL, "mask %" PRId32 " of a session with %" PRId64, draw->mask_rows[i],
                 session->mask_count);
fail:
    return result;
}

/* ---- to the device and back ---- */

enum status session_wait(struct llama_session *session)
{
    const struct llama *model = session->model;
    enum status result = model->kernels->synchronize(model->context);
    if (result == STATUS_OK)
        session->prompt_in_flight = session->step_in_flight = false;
    return result;
}

enum status session_begin_step(struct llama_session *session)
{
    enum status result = session->step_in_flight ? session_wait(session) : STATUS_OK;
    session->step_in_flight = true;
    return result;
}

static enum status copy_out(struct llama_session *session, void *device, const void *staging, int64_t bytes)
{
    const struct llama *model = session->model;
    return model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, device, staging, (size_t)bytes);
}

/* The tables of a step, in the staging; `ids` NULL: it reads none. */
static void write_tables(struct llama_session *session, const struct llama_draw *draw, const int32_t *ids)
{
    struct session_tables *telling = &session->telling;
    for (int64_t i = 0; i < draw->count; i++) {
        telling->rows[i] = (int32_t)draw->rows[i];
        telling->positions[i] = (int32_t)session->lengths[draw->rows[i]];
        telling->lengths[i] = telling->positions[i] + 1;
        telling->mask_rows[i] = draw->mask_rows ? draw->mask_rows[i] : 0;
        telling->uniforms[i] = draw->uniforms ? draw->uniforms[i] : 0;
        telling->ids[i] = ids ? ids[i] : 0;
    }
}

/* Waits for the drawn ids. */
static enum status take_ids(struct llama_session *session, const struct llama_draw *draw)
{
    enum status result = session_wait(session);
    assert(draw->ids);
    if (result == STATUS_OK)
        memcpy(draw->ids, session->drawn, (size_t)draw->count * sizeof *draw->ids);
    return result;
}

static enum status bring_logits(struct llama_session *session, int64_t count, float *logits)
{
    const struct llama *model = session->model;
    return model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, logits,
                                        session_at(session, session->places.logits),
                                        (size_t)(count * model->config.vocabulary_size) * sizeof *logits);
}

/* ---- steps ---- */

enum status llama_session_prefill(struct llama_session *session, int64_t row, const int32_t *ids, int64_t count,
                                  float *logits)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    const int64_t size = sizeof *ids;
    void *prompt = session_at(session, session->places.prompt);
    TRY(session_check_row(session, row));
    if (count < 1)
        FAIL(STATUS_INTERNAL, "a prompt of %" PRId64 " tokens", count);
    TRY(check_room(session, row, count));
    TRY(session_check_ids(session, ids, count));
    TRY(session_begin_step(session));
    if (session->prompt_in_flight)
        TRY(model->kernels->event_wait(model->context, session->sent));
    session->prompt_in_flight = true;
    memcpy(session->prompt, ids, (size_t)(count * size));
    TRY(copy_out(session, prompt, session->prompt, count * size));
    TRY(model->kernels->event_record(model->context, QUEUE_COMPUTE, session->sent));
    session->prompt_end = -1;
    for (int64_t done = 0, tokens; done < count; done += tokens) {
        tokens = count - done < session->block ? count - done : session->block;
        TRY(session_run_pass(session, &(struct session_pass){.tokens = tokens,
                                                             .ids = element_at(prompt, DTYPE_I32, done),
                                                             .row = row,
                                                             .position = session->lengths[row] + done}));
        session->prompt_end = done + tokens == count ? tokens - 1 : -1;
    }
    if (logits) {
        TRY(session_make_logits(session, session->prompt_end, 1));
        TRY(bring_logits(session, 1, logits));
        TRY(session_wait(session));
    }
    session->lengths[row] += count;
    session->step_in_flight = false; /* of the prompt there is a mark */
fail:
    return result;
}

/* Checks and tables of a step that appends a token to each row. */
static enum status begin_decode(struct llama_session *session, const struct llama_draw *draw, const int32_t *ids)
{
    enum status result = STATUS_OK;
    TRY(session_check_ids(session, ids, draw->count));
    session->prompt_end = -1;
    TRY(session_begin_step(session));
    write_tables(session, draw, ids);
fail:
    return result;
}

static void end_decode(struct llama_session *session, const int64_t *rows, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        session->lengths[rows[i]]++;
}

enum status llama_session_decode(struct llama_session *session, const int64_t *rows, const int32_t *ids, int64_t count,
                                 float *logits)
{
    enum status result = STATUS_OK;
    const struct llama_draw draw = {.count = count, .rows = rows};
    TRY(check_rows(session, rows, count, 1));
    if (count == 0)
        return STATUS_OK;
    TRY(begin_decode(session, &draw, ids));
    TRY(session_send_tables(session));
    for (int64_t done = 0, tokens; done < count; done += tokens) {
        tokens = session_group_rows(count, done);
        TRY(session_run_pass(session, &(struct session_pass){.tokens = tokens,
                                                             .ids = element_at(session->told.ids, DTYPE_I32, done),
                                                             .decode = true,
                                                             .first = done}));
        TRY(session_make_logits(session, 0, tokens));
        TRY(bring_logits(session, tokens, logits + done * session->model->config.vocabulary_size));
    }
    TRY(session_wait(session));
    end_decode(session, rows, count);
fail:
    return result;
}

enum status llama_session_draw(struct llama_session *session, const struct llama_draw *draw)
{
    enum status result = STATUS_OK;
    TRY(check_draw(session, draw, 1));
    if (draw->count == 0)
        return STATUS_OK;
    TRY(begin_decode(session, draw, draw->ids));
    TRY(session_put_draw(session, draw));
    TRY(take_ids(session, draw));
    end_decode(session, draw->rows, draw->count);
fail:
    return result;
}

enum status llama_session_draw_first(struct llama_session *session, const struct llama_draw *draw)
{
    enum status result = STATUS_OK;
    const struct llama *model = session->model;
    int64_t vocabulary = model->config.vocabulary_size, copies = session_group_rows(draw->count, 0);
    float *logits = session_at(session, session->places.logits);
    if (session->prompt_end < 0)
        FAIL(STATUS_INTERNAL, "first ids are to be drawn, but the last step was no prompt");
    TRY(check_draw(session, draw, 0));
    if (draw->count == 0)
        return STATUS_OK;
    TRY(session_begin_step(session));
    write_tables(session, draw, NULL);
    TRY(session_send_tables(session));
    TRY(session_make_logits(session, session->prompt_end, 1));
    for (int64_t i = 1; i < copies; i++)
        TRY(model->kernels->copy(model->context, logits + i * vocabulary, logits, (size_t)vocabulary * sizeof *logits));
    for (int64_t done = 0; done < draw->count; done += DECODE_GROUP)
        TRY(session_sample(session, done, session_group_rows(draw->count, done), draw));
    TRY(session_bring_ids(session, draw->count));
    TRY(take_ids(session, draw));
fail:
    return result;
}
