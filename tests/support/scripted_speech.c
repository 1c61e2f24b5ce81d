#include "support/scripted_speech.h"

#include <stdlib.h>
#include <string.h>

static int turns;

struct sha256 scripted_fingerprint(uint8_t mark)
{
    struct sha256 hash;
    memset(hash.bytes, mark, sizeof hash.bytes);
    return hash;
}

static void count_destruction(void *state)
{
    ((struct script *)state)->destroyed++;
}

struct shared_work {
    struct speech_analysis base;
    struct scripted_family *family;
};

static void destroy_work(struct speech_analysis *analysis)
{
    ((struct shared_work *)analysis)->family->destroyed++;
    free(analysis);
}

static enum status share_work(struct speech_utterance *utterance, struct scripted_family *family)
{
    if (!family || speech_utterance_find(utterance, family))
        return STATUS_OK;
    struct shared_work *work = calloc(1, sizeof *work);
    if (!work)
        return status_set(STATUS_INTERNAL, "out of memory");
    *work = (struct shared_work){.base = {.owner = family, .destroy = destroy_work}, .family = family};
    family->made++;
    speech_utterance_keep(utterance, &work->base);
    return STATUS_OK;
}

static enum status encode(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                          int64_t *count)
{
    struct script *script = self->state;
    script->calls++;
    script->turn = turns++;
    script->heard = utterance->speaker;
    *values = NULL;
    *count = utterance->count / script->hop;
    enum status result = share_work(utterance, script->family);
    if (result != STATUS_OK || *count == 0)
        return result;
    *values = malloc((size_t)*count * sizeof **values);
    if (!*values)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < *count; i++)
        (*values)[i] = (uint16_t)(i % script->size);
    if (script->lies)
        (*values)[*count - 1] = (uint16_t)script->size;
    return script->failure == STATUS_OK ? STATUS_OK : status_set(script->failure, "a scripted failure");
}

static bool knows_speaker(const struct speech_encoder *self, const char *speaker)
{
    const struct script *script = self->state;
    return script->speaker && strcmp(speaker, script->speaker) == 0;
}

struct speech_encoder scripted_encoder(enum unit_stream stream, struct script *script)
{
    return (struct speech_encoder){.stream = stream,
                                   .rate = {16000 / script->hop, 1},
                                   .size = script->size,
                                   .fingerprint = scripted_fingerprint(script->mark),
                                   .state = script,
                                   .encode = encode,
                                   .knows_speaker = knows_speaker,
                                   .destroy = count_destruction};
}

static enum status synthesise(const struct speech_vocoder *self, const struct spoken_unit *spoken,
                              const int32_t *durations, int64_t spoken_count, struct thread_pool *pool, float **samples,
                              int64_t *count)
{
    (void)pool;
    struct script *script = self->state;
    int64_t total = 0, at = 0;
    script->calls++;
    for (int64_t i = 0; i < spoken_count; i++)
        total += durations ? durations[i] : 1;
    *count = total * script->hop;
    *samples = malloc((size_t)(*count + 1) * sizeof **samples);
    if (!*samples)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < spoken_count; i++)
        for (int64_t s = (durations ? durations[i] : 1) * script->hop; s > 0; s--)
            (*samples)[at++] = (float)spoken[i].hubert / 100;
    return STATUS_OK;
}

struct speech_vocoder scripted_vocoder(struct script *script, struct sha256 units)
{
    return (struct speech_vocoder){.fingerprint = scripted_fingerprint(script->mark),
                                   .units = units,
                                   .state = script,
                                   .synthesise = synthesise,
                                   .destroy = count_destruction};
}
