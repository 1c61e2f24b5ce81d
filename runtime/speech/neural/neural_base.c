/* The life of a neural component: files that are read at the first use, seats for its callers, chunks of long audio. */
#include "speech/neural/neural_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the base ---- */

enum status neural_base_create(const char *root, struct neural_base **out)
{
    struct neural_base *base = calloc(1, sizeof *base);
    *out = NULL;
    if (!root || !*root)
        root = getenv("SPIRITLM_CHECKPOINTS_DIR");
    if (!base || !(base->root = strdup(root ? root : ""))) {
        free(base);
        return status_set(STATUS_INTERNAL, "no memory for a speech tokenizer");
    }
    pthread_mutex_init(&base->lock, NULL);
    base->shares = 1;
    *out = base;
    return STATUS_OK;
}

struct neural_base *neural_base_share(struct neural_base *base)
{
    pthread_mutex_lock(&base->lock);
    base->shares++;
    pthread_mutex_unlock(&base->lock);
    return base;
}

void neural_base_release(struct neural_base *base)
{
    if (!base)
        return;
    pthread_mutex_lock(&base->lock);
    bool last = --base->shares == 0;
    pthread_mutex_unlock(&base->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&base->lock);
    free(base->root);
    free(base);
}

void neural_base_compute_on(struct neural_base *base, const struct speech_compute *compute)
{
    base->kernels = compute->networks;
    base->pool = compute->pool;
}

/* ---- a part ---- */

enum status neural_part_start(struct neural_part *part, const struct neural_kind *kind, struct neural_base *base,
                              const struct neural_promise *promise)
{
    part->kind = kind;
    part->base = neural_base_share(base);
    pthread_mutex_init(&part->lock, NULL);
    if (promise) {
        part->promised = true;
        part->promise = *promise;
        return STATUS_OK;
    }
    return neural_part_open(part);
}

static enum status context_create(struct neural_base *base, struct thread_pool *pool, struct device_context *context)
{
    if (!base->kernels)
        return status_set(STATUS_INTERNAL, "a neural speech component is used before it is told where to compute");
    pthread_mutex_lock(&base->lock);
    enum status result = device_context_create(base->kernels, pool, 0, context);
    pthread_mutex_unlock(&base->lock);
    return result;
}

static void context_destroy(struct neural_base *base, struct device_context *context)
{
    pthread_mutex_lock(&base->lock);
    device_context_destroy(base->kernels, context);
    pthread_mutex_unlock(&base->lock);
}

static void seat_destroy(struct neural_part *part, struct neural_seat *seat)
{
    if (seat->workspace)
        part->kind->workspace_destroy(seat->workspace);
    context_destroy(part->base, &seat->context);
    free(seat);
}

void neural_part_destroy(void *state)
{
    struct neural_part *part = state;
    struct neural_base *base = part->base;
    while (part->idle) {
        struct neural_seat *seat = part->idle;
        part->idle = seat->next;
        seat_destroy(part, seat);
    }
    part->kind->close(part);
    if (part->context_open)
        context_destroy(base, &part->context);
    pthread_mutex_destroy(&part->lock);
    part->kind->destroy(part);
    neural_base_release(base);
}

struct speech_encoder neural_part_encoder(struct neural_part *part, enum unit_stream stream,
                                          enum status (*encode)(const struct speech_encoder *,
                                                                struct speech_utterance *, uint16_t **, int64_t *))
{
    return (struct speech_encoder){.stream = stream,
                                   .rate = part->promise.rate,
                                   .size = part->promise.size,
                                   .fingerprint = part->promise.fingerprint,
                                   .state = part,
                                   .encode = encode,
                                   .destroy = neural_part_destroy};
}

/* The same size, rate and numbers as when the component was chosen. */
static enum status check_promise(const struct neural_promise *promise, const struct neural_promise *found)
{
    static const struct sha256 unknown;
    char wanted[65], other[65];
    if (memcmp(&promise->fingerprint, &unknown, sizeof unknown) != 0 &&
        memcmp(&promise->fingerprint, &found->fingerprint, sizeof found->fingerprint) != 0) {
        sha256_hex(&promise->fingerprint, wanted);
        sha256_hex(&found->fingerprint, other);
        return status_set(STATUS_USAGE,
                          "the files give another component, %.16s, than the speech tokenizer was made with, %.16s",
                          other, wanted);
    }
    if (promise->size != found->size ||
        promise->rate.numerator * found->rate.denominator != found->rate.numerator * promise->rate.denominator)
        return status_set(STATUS_CORRUPT,
                          "%d units at %lld/%lld per second are expected, the files give %d at %lld/%lld",
                          (int)promise->size, (long long)promise->rate.numerator, (long long)promise->rate.denominator,
                          (int)found->size, (long long)found->rate.numerator, (long long)found->rate.denominator);
    return STATUS_OK;
}

static enum status open_locked(struct neural_part *part)
{
    enum status result = STATUS_OK;
    struct neural_promise found = {.rate = {0, 1}};
    if (part->open)
        return STATUS_OK;
    if (!part->context_open)
        TRY(context_create(part->base, part->base->pool, &part->context));
    part->context_open = true;
    TRY(part->kind->open(part, &found));
    if (part->promised)
        TRY(check_promise(&part->promise, &found));
    part->promise = found;
    part->open = true;
fail:
    if (result != STATUS_OK && part->context_open)
        part->kind->close(part);
    return result;
}

enum status neural_part_open(struct neural_part *part)
{
    pthread_mutex_lock(&part->lock);
    enum status result = open_locked(part);
    pthread_mutex_unlock(&part->lock);
    return result;
}

/* ---- seats ---- */

static struct neural_seat *find_idle(struct neural_part *part, const struct thread_pool *pool)
{
    for (struct neural_seat **place = &part->idle; *place; place = &(*place)->next)
        if ((*place)->pool == pool) {
            struct neural_seat *seat = *place;
            *place = seat->next;
            return seat;
        }
    return NULL;
}

enum status neural_part_take(struct neural_part *part, struct thread_pool *pool, struct neural_seat **out)
{
    enum status result = STATUS_OK;
    struct neural_seat *seat = NULL;
    bool context_open = false;
    *out = NULL;
    pthread_mutex_lock(&part->lock);
    result = open_locked(part);
    if (result == STATUS_OK)
        seat = find_idle(part, pool);
    pthread_mutex_unlock(&part->lock);
    if (result != STATUS_OK || seat) {
        *out = seat;
        return result;
    }
    if (!(seat = calloc(1, sizeof *seat)))
        FAIL(STATUS_INTERNAL, "no memory for a speech component");
    seat->pool = pool;
    TRY(context_create(part->base, pool, &seat->context));
    context_open = true;
    TRY(part->kind->workspace_create(part, &seat->context, &seat->workspace));
    *out = seat;
    return STATUS_OK;
fail:
    if (context_open)
        context_destroy(part->base, &seat->context);
    free(seat);
    return result;
}

void neural_part_give(struct neural_part *part, struct neural_seat *seat)
{
    if (!seat)
        return;
    pthread_mutex_lock(&part->lock);
    seat->next = part->idle;
    part->idle = seat;
    pthread_mutex_unlock(&part->lock);
}

/* ---- chunks ---- */

struct rational neural_chunk_rate(int64_t units)
{
    int64_t a = units, b = NEURAL_CHUNK_SECONDS;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return (struct rational){units / a, NEURAL_CHUNK_SECONDS / a};
}

/* Samples of the chunk at `begin`; 0 when it is too short. */
static int64_t chunk_samples(int64_t total, int64_t begin)
{
    int64_t left = total - begin < NEURAL_CHUNK ? total - begin : NEURAL_CHUNK;
    return left < NEURAL_MINIMUM ? 0 : left;
}

static enum status encode_in_seat(struct neural_part *part, struct neural_seat *seat,
                                  const struct neural_chunks *chunks, const struct speech_utterance *utterance,
                                  uint16_t **values, int64_t *count)
{
    enum status result = STATUS_OK;
    int32_t *units = NULL;
    int64_t total = 0, longest = 0;
    for (int64_t begin = 0; begin < utterance->count; begin += NEURAL_CHUNK) {
        int64_t samples = chunk_samples(utterance->count, begin), gives = samples ? chunks->count(part, samples) : 0;
        total += gives;
        longest = gives > longest ? gives : longest;
    }
    if (total == 0)
        return STATUS_OK;
    units = malloc((size_t)longest * sizeof *units);
    if (!units || !(*values = malloc((size_t)total * sizeof **values)))
        FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)total);
    for (int64_t begin = 0; begin < utterance->count; begin += NEURAL_CHUNK) {
        int64_t samples = chunk_samples(utterance->count, begin), gives = samples ? chunks->count(part, samples) : 0;
        if (gives == 0)
            continue;
        TRY(chunks->encode(part, seat, utterance->samples + begin, samples, units));
        for (int64_t i = 0; i < gives; i++)
            (*values)[(*count)++] = (uint16_t)units[i];
    }
fail:
    free(units);
    return result;
}

enum status neural_encode_chunks(struct neural_part *part, const struct neural_chunks *chunks,
                                 const struct speech_utterance *utterance, uint16_t **values, int64_t *count)
{
    struct neural_seat *seat;
    *values = NULL;
    *count = 0;
    enum status result = neural_part_take(part, part->base->pool, &seat);
    if (result != STATUS_OK)
        return result;
    result = encode_in_seat(part, seat, chunks, utterance, values, count);
    neural_part_give(part, seat);
    return result;
}

struct sha256 neural_fingerprint(const char *version, const struct sha256 *const *parts)
{
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, version, strlen(version) + 1);
    for (; *parts; parts++)
        sha256_add(stream, *parts, sizeof **parts);
    return sha256_finish(stream);
}
