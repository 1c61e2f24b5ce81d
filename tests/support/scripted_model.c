/* It keeps the promises of generate/batch.h: one id after the other, each shown to `stop`; requests in their order; and it requires
 * those of its callers: every prompt begins with what is shared and has room in the context. */
#include "support/scripted_model.h"

#include "support/test_support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct {
    scripted_model *model;
    void *argument;
    int64_t requests;
} script;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void scripted_model_set(scripted_model *model, void *argument)
{
    script.model = model;
    script.argument = argument;
    script.requests = 0;
}

int64_t scripted_model_requests(void)
{
    return script.requests;
}

int32_t *scripted_ids(const struct components *components, const char *text, int64_t *count)
{
    const struct vocabulary *vocabulary = &components->vocabulary;
    int32_t *ids = calloc(strlen(text) + 1, sizeof *ids);
    assert_non_null(ids);
    *count = 0;
    while (*text) {
        int64_t length, size = 0, pieces;
        int32_t id = vocabulary_find_token(vocabulary, text, &length), *own;
        if (id >= 0) {
            ids[(*count)++] = id;
            text += length;
            continue;
        }
        while (text[size] && vocabulary_find_token(vocabulary, text + size, &length) < 0)
            size++;
        assert_ok(text_model_encode(components->text, text, size, false, &own, &pieces));
        memcpy(ids + *count, own, (size_t)pieces * sizeof *ids);
        *count += pieces;
        free(own);
        text += size;
    }
    return ids;
}

static struct scripted_reply ask(const struct generation_request *request)
{
    pthread_mutex_lock(&mutex);
    assert_non_null(script.model);
    script.requests++;
    struct scripted_reply reply = script.model(script.argument, request);
    pthread_mutex_unlock(&mutex);
    return reply;
}

static void write_reply(const struct generation_batch *batch, int64_t index, int64_t limit,
                        const struct scripted_reply *reply, struct generated *generated)
{
    generated->ids = calloc((size_t)limit + 1, sizeof *generated->ids);
    assert_non_null(generated->ids);
    generated->not_finite = reply->not_finite;
    while (!reply->not_finite && !generated->stopped && generated->count < limit) {
        if (generated->count >= reply->count && !reply->endless) {
            generated->ended = true;
            break;
        }
        int64_t next = generated->count < reply->count ? generated->count : reply->count - 1;
        generated->ids[generated->count++] = reply->ids[next];
        generated->stopped = batch->stop && batch->stop(batch->argument, index, generated->ids, generated->count);
    }
}

enum status __wrap_generate_batch(struct llama *model, const struct components *components,
                                  const struct generation_request *requests, int64_t count,
                                  const struct generation_batch *batch);

enum status __wrap_generate_batch(struct llama *model, const struct components *components,
                                  const struct generation_request *requests, int64_t count,
                                  const struct generation_batch *batch)
{
    enum status result = STATUS_OK;
    (void)components;
    for (int64_t i = 0; i < count && result == STATUS_OK; i++) {
        const struct generation_request *request = &requests[i];
        assert_true(request->samples == 1 && request->count >= batch->shared_count && request->max_new_tokens > 0);
        assert_true(request->count + request->max_new_tokens <= model->config.maximum_positions);
        assert_true(batch->shared_count == 0 ||
                    memcmp(request->ids, batch->shared, (size_t)batch->shared_count * sizeof *request->ids) == 0);
        struct scripted_reply reply = ask(request);
        struct generated *generated = calloc(1, sizeof *generated);
        assert_non_null(generated);
        write_reply(batch, i, request->max_new_tokens, &reply, generated);
        free(reply.ids);
        result = batch->done(batch->argument, i, generated);
    }
    return result;
}
