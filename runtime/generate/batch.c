/* Samples of many prompts in the rows of one cache. A prompt goes through the model once, by itself; the first ids of all its
 * samples are drawn from where it ends. What all prompts begin with goes through it once and is copied to every row, where
 * it stays: a row is cut back to it, never emptied. Then each sample takes a row as one becomes free, with a copy of the prompt's keys
 * and values from the row of the sample before it, which nobody has overwritten: samples take their rows in order, so what
 * came into that row since can only be this sample itself. A step appends one id to every row in use. Logits stay on the
 * device; the host sees ids alone, because it must know which samples end.
 *
 * A row's bits do not depend on the rows beside it (kernels/operations.h: row-stable operations), nor on the cache's
 * capacity as long as that is at most SHORT_CAPACITY; a backend may cut the keys of a larger cache by its capacity. So
 * what needs more has a cache with others of its size, whose capacity is the next power of two whatever else is asked for. */
#include "generate/batch.h"

#include "core/log.h"
#include "core/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_CAPACITY = 4096, MODALITIES = 3, MASKS = 2 * MODALITIES };
static const int64_t generous_cache = (int64_t)1 << 30;

/* A sample being decoded in a row of the session. */
struct place {
    int64_t request, sample; /* request -1: the row is free */
    int32_t id;              /* its latest */
    struct rng rng;
};

/* A request's samples: NULL until the first has a row. */
struct collected {
    struct generated *generated;
    int64_t finished; /* samples */
};

struct decoding {
    struct llama *model;
    const struct text_model *text;
    const struct vocabulary *vocabulary;
    const struct generation_request *requests;
    int64_t count;
    const struct generation_batch *batch;
    uint8_t *masks; /* [MASKS][rows of the vocabulary] */

    struct collected *collected; /* [count] */
    int64_t delivered;           /* requests that the caller has */
    int64_t tokens;              /* drawn so far */
    struct progress progress;

    /* Of the session in use. */
    struct llama_session *session;
    int64_t rows;
    struct place *places; /* [rows] */
    /* What the next draw is told, packed: of the rows in use, or of as many samples of a new prompt. */
    int64_t *active;
    int32_t *mask_rows, *ids;
    double *uniforms;

    /* Who is next: a sample of order[next]. */
    int64_t *order, order_count, next, next_sample;
    int32_t *first;     /* the first ids of that request's samples */
    int64_t source_row; /* of the sample before */
};

/* ---- requests ---- */

int64_t generation_limit(const struct llama *model, const struct generation_request *request)
{
    int64_t room = model->config.maximum_positions - request->count;
    return request->max_new_tokens < room ? request->max_new_tokens : room;
}

enum status generation_request_check(const struct llama *model, const struct generation_request *request)
{
    long long context = model->config.maximum_positions;
    if (request->samples < 1 || request->max_new_tokens < 1)
        return status_set(STATUS_USAGE, "nothing to generate: %lld samples of %lld tokens", (long long)request->samples,
                          (long long)request->max_new_tokens);
    if (request->count < 1)
        return status_set(STATUS_USAGE, "the prompt is empty, and the text model has no BOS to begin with");
    if (request->count >= context)
        return status_set(STATUS_USAGE, "the prompt has %lld tokens, the model's context %lld: shorten it",
                          (long long)request->count, context);
    if (request->min_new_tokens > request->max_new_tokens)
        return status_set(STATUS_USAGE, "at least %lld new tokens and at most %lld contradict each other",
                          (long long)request->min_new_tokens, (long long)request->max_new_tokens);
    if (request->min_new_tokens > generation_limit(model, request))
        return status_set(
            STATUS_USAGE,
            "after the prompt's %lld tokens the model's context of %lld has no room for at least %lld new "
            "tokens",
            (long long)request->count, context, (long long)request->min_new_tokens);
    return STATUS_OK;
}

static enum status check_shared(const struct generation_batch *batch, const struct generation_request *requests,
                                int64_t count)
{
    long long shared = batch->shared_count;
    if (shared < 0 || (shared > 0 && !batch->shared))
        return status_set(STATUS_INTERNAL, "%lld shared ids that are nowhere", shared);
    for (int64_t i = 0; i < count && shared > 0; i++)
        if (requests[i].count < shared || memcmp(requests[i].ids, batch->shared, (size_t)shared * sizeof(int32_t)) != 0)
            return status_set(STATUS_INTERNAL, "prompt %lld does not begin with the %lld ids that all are to share",
                              (long long)i, shared);
    return STATUS_OK;
}

static int64_t capacity_of(const struct decoding *decoding, int64_t request)
{
    return decoding->requests[request].count + generation_limit(decoding->model, &decoding->requests[request]);
}

/* ---- what a sample is told ---- */

/* Two masks per modality: EOS as the vocabulary has it, and EOS forbidden. */
static enum status make_masks(struct decoding *decoding)
{
    int64_t rows = decoding->model->config.vocabulary_size;
    /* output_mask writes the vocabulary's padded size, which may be larger than the model's rows. */
    int64_t size = rows > decoding->vocabulary->padded_size ? rows : decoding->vocabulary->padded_size;
    decoding->masks = calloc((size_t)(MASKS * rows + size - rows), 1);
    if (!decoding->masks)
        return status_set(STATUS_INTERNAL, "no memory for masks of %lld ids", (long long)rows);
    for (int mask = 0; mask < MASKS; mask++) {
        uint8_t *allowed = decoding->masks + mask * rows;
        output_mask(decoding->text, decoding->vocabulary, (enum output_modality)(mask / 2), allowed);
        if (mask % 2 == 1 && decoding->vocabulary->eos >= 0)
            allowed[decoding->vocabulary->eos] = 0;
    }
    return STATUS_OK;
}

static int32_t mask_row(const struct generation_request *request, int64_t new_tokens)
{
    return 2 * (int32_t)request->output + (new_tokens < request->min_new_tokens);
}

static struct llama_draw draw_of(const struct decoding *decoding, int64_t count)
{
    const struct sampling *sampling = &decoding->batch->sampling;
    return (struct llama_draw){.count = count,
                               .rows = decoding->active,
                               .mask_rows = decoding->mask_rows,
                               .uniforms = decoding->uniforms,
                               .temperature = sampling->temperature,
                               .top_k = sampling->top_k,
                               .top_p = sampling->top_p,
                               .ids = decoding->ids};
}

/* ---- what it gets ---- */

static enum status collect(struct decoding *decoding, int64_t request)
{
    int64_t samples = decoding->requests[request].samples;
    int64_t limit = generation_limit(decoding->model, &decoding->requests[request]);
    struct generated *generated = calloc((size_t)samples, sizeof *generated);
    decoding->collected[request].generated = generated;
    for (int64_t i = 0; generated && i < samples; i++)
        if (!(generated[i].ids = calloc((size_t)limit + 1, sizeof *generated[i].ids)))
            return status_set(STATUS_INTERNAL, "no memory to decode %lld tokens", (long long)limit);
    return generated ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory to decode %lld samples", (long long)samples);
}

static bool is_stopped(const struct decoding *decoding, int64_t request, const struct generated *generated)
{
    const struct generation_batch *batch = decoding->batch;
    return batch->stop && batch->stop(batch->argument, request, generated->ids, generated->count);
}

/* Notes what was drawn for a row; a sample that has ended leaves the row. */
static void take_id(struct decoding *decoding, struct place *place, int32_t id)
{
    const struct generation_request *request = &decoding->requests[place->request];
    struct collected *collected = &decoding->collected[place->request];
    struct generated *generated = &collected->generated[place->sample];
    generated->not_finite = id < 0;
    generated->ended = id >= 0 && id == decoding->vocabulary->eos;
    if (id >= 0 && !generated->ended) {
        generated->ids[generated->count++] = place->id = id;
        decoding->tokens++;
        generated->stopped = is_stopped(decoding, place->request, generated);
        if (!generated->stopped && generated->count < generation_limit(decoding->model, request))
            return;
    }
    collected->finished++;
    place->request = -1;
}

static void show_progress(struct decoding *decoding, bool last)
{
    char extra[96];
    if (decoding->batch->quiet)
        return;
    double seconds = clock_seconds() - decoding->progress.started;
    snprintf(extra, sizeof extra, "%lld tokens, %.1f tokens/s", (long long)decoding->tokens,
             seconds > 0 ? (double)decoding->tokens / seconds : 0);
    if (last)
        progress_finish(&decoding->progress, decoding->delivered, extra);
    else
        progress_update(&decoding->progress, decoding->delivered, extra);
}

static enum status deliver(struct decoding *decoding)
{
    while (decoding->delivered < decoding->count) {
        struct collected *next = &decoding->collected[decoding->delivered];
        if (!next->generated || next->finished < decoding->requests[decoding->delivered].samples)
            break;
        struct generated *generated = next->generated;
        next->generated = NULL;
        enum status result = decoding->batch->done(decoding->batch->argument, decoding->delivered++, generated);
        if (result != STATUS_OK)
            return result;
    }
    show_progress(decoding, false);
    return STATUS_OK;
}

/* ---- rows ---- */

/* How many tokens stay in every row: the last of a prompt must be computed for its logits, and a row that has computed one of
 * the shared tokens again, in another product, would not be like the others. */
static int64_t kept_tokens(const struct decoding *decoding)
{
    return decoding->batch->shared_count > 0 ? decoding->batch->shared_count - 1 : 0;
}

/* Takes what all prompts begin with through the model, and gives each row a copy. */
static enum status fill_shared(struct decoding *decoding)
{
    enum status result = STATUS_OK;
    if (kept_tokens(decoding) == 0)
        return STATUS_OK;
    TRY(llama_session_prefill(decoding->session, 0, decoding->batch->shared, kept_tokens(decoding), NULL));
    for (int64_t row = 1; row < decoding->rows; row++)
        TRY(llama_session_copy_row(decoding->session, row, 0));
fail:
    return result;
}

/* Takes the prompt of the next request through the model, into `row`, and draws the first ids of its samples. */
static enum status begin_request(struct decoding *decoding, int64_t row)
{
    enum status result = STATUS_OK;
    const int64_t index = decoding->order[decoding->next], kept = kept_tokens(decoding);
    const struct generation_request *request = &decoding->requests[index];
    TRY(collect(decoding, index));
    free(decoding->first);
    decoding->first = calloc((size_t)request->samples, sizeof *decoding->first);
    if (!decoding->first)
        FAIL(STATUS_INTERNAL, "no memory to decode %lld samples", (long long)request->samples);
    llama_session_truncate(decoding->session, row, kept);
    TRY(llama_session_prefill(decoding->session, row, request->ids + kept, request->count - kept, NULL));
    for (int64_t done = 0, count; done < request->samples; done += count) {
        count = request->samples - done < decoding->rows ? request->samples - done : decoding->rows;
        for (int64_t i = 0; i < count; i++) {
            struct rng rng = rng_make(request->seed, RNG_GENERATE, (uint64_t)(done + i), 0);
            decoding->active[i] = i; /* nothing is appended: any rows will do */
            decoding->mask_rows[i] = mask_row(request, 0);
            decoding->uniforms[i] = rng_uniform(&rng);
        }
        const struct llama_draw draw = draw_of(decoding, count);
        TRY(llama_session_draw_first(decoding->session, &draw));
        memcpy(decoding->first + done, decoding->ids, (size_t)count * sizeof *decoding->first);
    }
fail:
    return result;
}

/* Gives a free row to the next sample. */
static enum status admit(struct decoding *decoding, int64_t row)
{
    enum status result = STATUS_OK;
    int64_t index = decoding->order[decoding->next], sample = decoding->next_sample;
    const struct generation_request *request = &decoding->requests[index];
    if (sample == 0) {
        TRY(begin_request(decoding, row));
    } else {
        TRY(llama_session_copy_row(decoding->session, row, decoding->source_row));
        llama_session_truncate(decoding->session, row, request->count);
    }
    decoding->source_row = row;
    struct place *place = &decoding->places[row];
    *place = (struct place){
        .request = index, .sample = sample, .rng = rng_make(request->seed, RNG_GENERATE, (uint64_t)sample, 0)};
    (void)rng_uniform(&place->rng); /* drew the first id */
    if (++decoding->next_sample == request->samples) {
        decoding->next++;
        decoding->next_sample = 0;
    }
    take_id(decoding, place, decoding->first[sample]);
fail:
    return result;
}

static enum status fill_rows(struct decoding *decoding)
{
    enum status result = STATUS_OK;
    for (int64_t row = 0; row < decoding->rows; row++)
        while (decoding->places[row].request < 0 && decoding->next < decoding->order_count) {
            TRY(admit(decoding, row));
            TRY(deliver(decoding)); /* where its first id ended it */
        }
fail:
    return result;
}

/* Appends one id to each row in use. *count: how many there are. */
static enum status step(struct decoding *decoding, int64_t *count)
{
    int64_t used = 0;
    for (int64_t row = 0; row < decoding->rows; row++) {
        struct place *place = &decoding->places[row];
        if (place->request < 0)
            continue;
        const struct generation_request *request = &decoding->requests[place->request];
        const struct generated *generated = &decoding->collected[place->request].generated[place->sample];
        decoding->active[used] = row;
        decoding->mask_rows[used] = mask_row(request, generated->count);
        decoding->uniforms[used] = rng_uniform(&place->rng);
        decoding->ids[used++] = place->id;
    }
    *count = used;
    const struct llama_draw draw = draw_of(decoding, used);
    enum status result = llama_session_draw(decoding->session, &draw);
    for (int64_t i = 0; result == STATUS_OK && i < used; i++)
        take_id(decoding, &decoding->places[decoding->active[i]], decoding->ids[i]);
    return result;
}

/* ---- sessions ---- */

/* As many rows as were asked for and there are samples; where the number is ours, at most so many that the cache takes no
 * more memory than the weights or 1 GiB. */
static int64_t choose_rows(const struct decoding *decoding, int64_t capacity)
{
    const struct llama_config *config = &decoding->model->config;
    int64_t size = (int64_t)dtype_size(decoding->model->dtype), samples = 0;
    int64_t rows = decoding->batch->rows > 0 ? decoding->batch->rows : GENERATION_ROWS;
    for (int64_t i = 0; i < decoding->order_count && samples < rows; i++)
        samples += decoding->requests[decoding->order[i]].samples;
    rows = samples < rows ? samples : rows;
    if (decoding->batch->rows > 0)
        return rows;
    int64_t weights = decoding->model->layout.elements * size;
    int64_t row = config->layers * capacity * 2 * config->kv_heads * config->head_size * size;
    if (row < 1)
        return 1;
    int64_t most = (weights > generous_cache ? weights : generous_cache) / row;
    return most < 1 ? 1 : rows < most ? rows : most;
}

static void close_session(struct decoding *decoding)
{
    llama_session_destroy(decoding->session);
    free(decoding->places);
    free(decoding->active);
    free(decoding->mask_rows);
    free(decoding->uniforms);
    free(decoding->ids);
    decoding->session = NULL;
    decoding->places = NULL;
    decoding->active = NULL;
    decoding->mask_rows = decoding->ids = NULL;
    decoding->uniforms = NULL;
}

static enum status open_session(struct decoding *decoding, int64_t capacity)
{
    size_t rows = (size_t)(decoding->rows = choose_rows(decoding, capacity));
    decoding->places = calloc(rows, sizeof *decoding->places);
    decoding->active = calloc(rows, sizeof *decoding->active);
    decoding->mask_rows = calloc(rows, sizeof *decoding->mask_rows);
    decoding->uniforms = calloc(rows, sizeof *decoding->uniforms);
    decoding->ids = calloc(rows, sizeof *decoding->ids);
    if (!decoding->places || !decoding->active || !decoding->mask_rows || !decoding->uniforms || !decoding->ids)
        return status_set(STATUS_INTERNAL, "no memory to decode %zu rows", rows);
    for (size_t row = 0; row < rows; row++)
        decoding->places[row].request = -1;
    const struct llama_session_options options = {.rows = decoding->rows,
                                                  .capacity = capacity,
                                                  .prefill_tokens = decoding->batch->prefill_tokens,
                                                  .masks = decoding->masks,
                                                  .mask_count = MASKS};
    return llama_session_create(decoding->model, &options, &decoding->session);
}

/* The capacity of the cache that a request of so many tokens is decoded in: a power of two, or what the model has. It depends
 * on the request alone, and so do its bits. */
static int64_t cache_capacity(const struct decoding *decoding, int64_t needed)
{
    int64_t capacity = SHORT_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    int64_t most = decoding->model->config.maximum_positions;
    return capacity < most ? capacity : most;
}

/* Decodes the requests of caches of `capacity`; short ones get by with less. *larger: the next capacity; 0 when none is left. */
static enum status decode(struct decoding *decoding, int64_t capacity, int64_t *larger)
{
    enum status result = STATUS_OK;
    int64_t longest = 0;
    *larger = 0;
    decoding->order_count = decoding->next = decoding->next_sample = 0;
    for (int64_t i = 0; i < decoding->count; i++) {
        int64_t needed = capacity_of(decoding, i);
        int64_t own = cache_capacity(decoding, needed);
        if (own > capacity && (*larger == 0 || own < *larger))
            *larger = own;
        if (own != capacity)
            continue;
        decoding->order[decoding->order_count++] = i;
        longest = needed > longest ? needed : longest;
    }
    if (decoding->order_count == 0)
        return STATUS_OK;
    TRY(open_session(decoding, capacity <= SHORT_CAPACITY ? longest : capacity));
    TRY(fill_shared(decoding));
    for (int64_t used = 1; used > 0;) {
        TRY(fill_rows(decoding));
        TRY(step(decoding, &used));
        TRY(deliver(decoding));
    }
fail:
    close_session(decoding);
    return result;
}

enum status generate_batch(struct llama *model, const struct components *components,
                           const struct generation_request *requests, int64_t count,
                           const struct generation_batch *batch)
{
    enum status result = STATUS_OK;
    struct decoding decoding = {.model = model,
                                .text = components->text,
                                .vocabulary = &components->vocabulary,
                                .requests = requests,
                                .count = count,
                                .batch = batch};
    TRY(sampling_check(&batch->sampling));
    if (model->config.vocabulary_size < components->vocabulary.size)
        FAIL(STATUS_USAGE, "the model has %lld vocabulary rows, its vocabulary %d ids",
             (long long)model->config.vocabulary_size, (int)components->vocabulary.size);
    for (int64_t i = 0; i < count; i++)
        TRY(generation_request_check(model, &requests[i]));
    TRY(check_shared(batch, requests, count));
    if (count == 0)
        return STATUS_OK;
    decoding.collected = calloc((size_t)count, sizeof *decoding.collected);
    decoding.order = calloc((size_t)count, sizeof *decoding.order);
    if (!decoding.collected || !decoding.order)
        FAIL(STATUS_INTERNAL, "no memory for %lld prompts", (long long)count);
    TRY(make_masks(&decoding));
    if (!batch->quiet)
        progress_start(&decoding.progress, "generating", "prompts", count);
    for (int64_t capacity = cache_capacity(&decoding, 1), larger; capacity > 0; capacity = larger)
        TRY(decode(&decoding, capacity, &larger));
    show_progress(&decoding, true);
fail:
    for (int64_t i = 0; decoding.collected && i < count; i++)
        generated_free(decoding.collected[i].generated, requests[i].samples);
    free(decoding.collected);
    free(decoding.order);
    free(decoding.first);
    free(decoding.masks);
    return result;
}

void generated_free(struct generated *generated, int64_t samples)
{
    for (int64_t i = 0; generated && i < samples; i++)
        free(generated[i].ids);
    free(generated);
}
