/* Recordings come in the order of the archive. One that is whole is cut at the end of the context's last word, which forced
 * alignment finds; parts wait for each other until they can be joined, which in an archive of neighbours is not for long. */
#include "eval/story_clips.h"

#include "data/align/align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a member of the archive is. */
struct place {
    int64_t story; /* -1: nothing that is wanted */
    int part;
};

/* Samples of a part that waits for the others of its story. */
struct waiting {
    float *samples;
    int64_t count;
};

struct cutter {
    const struct components *components;
    struct unit_cache *cache;
    const struct story_list *list;
    char *const *texts;
    struct story_wants wants;
    struct story_clip *clips;
    struct place *places;    /* [members] */
    struct waiting *waiting; /* [stories][STORY_PARTS] */
    struct aligner *aligner; /* NULL: nothing is cut */
};

/* ---- whole recordings ---- */

static double energy(const float *samples, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)samples[i] * (double)samples[i];
    return sum;
}

/* The aligner ends a word with the last analysis window that still hears it, about 25 ms late, and the pause behind it may belong to
 * it too. So the end moves back over what is quiet: 5 ms at a time, 36 dB below the loudest 5 ms of the 300 ms before it. */
static int64_t trim_pause(const float *samples, int64_t end)
{
    enum { STEP = 80, HEARD = 4800, MOST = 2400 };
    double loudest = 0;
    int64_t first = end > HEARD ? end - HEARD : 0, limit = end > MOST ? end - MOST : 0;
    for (int64_t at = first; at + STEP <= end; at += STEP)
        loudest = fmax(loudest, energy(samples + at, STEP));
    while (end - STEP > limit && energy(samples + end - STEP, STEP) < 2.5e-4 * loudest)
        end -= STEP;
    return end;
}

enum status story_find_cut(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                           int64_t length, int64_t *cut, const char **reason)
{
    enum status result = STATUS_OK;
    struct alignment alignment = {0};
    *cut = -1;
    *reason = length > 0 ? NULL : "the two texts share no sentence";
    if (length <= 0)
        return STATUS_OK;
    TRY(aligner_align(aligner, samples, count, text, &alignment, reason));
    for (int64_t i = 0; !*reason && i < alignment.word_count; i++)
        if (alignment.words[i].text_end <= length)
            *cut = alignment.words[i].end;
    if (!*reason && *cut > 0)
        *cut = trim_pause(samples, *cut);
    if (!*reason && (*cut <= 0 || *cut >= count))
        *reason = "the context covers all of the recording, or nothing";
fail:
    alignment_free(&alignment);
    return result;
}

static enum status take_whole(const struct cutter *cutter, int64_t story, int part, const char *name,
                              const float *samples, int64_t count)
{
    enum status result = STATUS_OK;
    struct story_clip *clip = &cutter->clips[story];
    if (cutter->wants.whole)
        TRY(unit_ids_encode(cutter->components, cutter->cache, name, samples, count, &clip->whole[part]));
    if (!cutter->wants.parts || clip->failure)
        return STATUS_OK;
    char *const *texts = cutter->texts + story * STORY_PARTS;
    int64_t cut, length = story_shared_context(texts[STORY_CORRECT], texts[STORY_INCORRECT]);
    TRY(story_find_cut(cutter->aligner, samples, count, texts[part], length, &cut, &clip->failure));
    if (clip->failure)
        return STATUS_OK;
    TRY(unit_ids_encode(cutter->components, cutter->cache, name, samples + cut, count - cut, &clip->parts[part]));
    if (part == STORY_CORRECT)
        TRY(unit_ids_encode(cutter->components, cutter->cache, name, samples, cut, &clip->parts[STORY_CONTEXT]));
fail:
    return result;
}

/* ---- recordings in pieces ---- */

static enum status encode_joined(const struct cutter *cutter, int64_t story, int part, const char *name)
{
    enum status result = STATUS_OK;
    struct waiting *waiting = cutter->waiting + story * STORY_PARTS;
    const struct waiting *context = &waiting[STORY_CONTEXT];
    struct unit_ids *whole = &cutter->clips[story].whole[part];
    if (whole->ids || !context->samples || !waiting[part].samples)
        return STATUS_OK;
    float *joined = malloc((size_t)(context->count + waiting[part].count) * sizeof *joined);
    if (!joined)
        FAIL(STATUS_INTERNAL, "no memory for %s", name);
    memcpy(joined, context->samples, (size_t)context->count * sizeof *joined);
    memcpy(joined + context->count, waiting[part].samples, (size_t)waiting[part].count * sizeof *joined);
    TRY(unit_ids_encode(cutter->components, cutter->cache, name, joined, context->count + waiting[part].count, whole));
fail:
    free(joined);
    return result;
}

static void forget(struct waiting waiting[STORY_PARTS])
{
    for (int part = 0; part < STORY_PARTS; part++) {
        free(waiting[part].samples);
        waiting[part] = (struct waiting){0};
    }
}

static enum status take_piece(const struct cutter *cutter, int64_t story, int part, const char *name,
                              const float *samples, int64_t count)
{
    enum status result = STATUS_OK;
    struct waiting *waiting = cutter->waiting + story * STORY_PARTS;
    struct story_clip *clip = &cutter->clips[story];
    if (cutter->wants.parts)
        TRY(unit_ids_encode(cutter->components, cutter->cache, name, samples, count, &clip->parts[part]));
    if (!cutter->wants.whole)
        return STATUS_OK;
    waiting[part] = (struct waiting){malloc((size_t)(count + 1) * sizeof *samples), count};
    if (!waiting[part].samples)
        FAIL(STATUS_INTERNAL, "no memory for %s", name);
    memcpy(waiting[part].samples, samples, (size_t)count * sizeof *samples);
    TRY(encode_joined(cutter, story, STORY_CORRECT, name));
    TRY(encode_joined(cutter, story, STORY_INCORRECT, name));
    if (clip->whole[STORY_CORRECT].ids && clip->whole[STORY_INCORRECT].ids)
        forget(waiting);
fail:
    return result;
}

static enum status visit(void *context, int64_t index, const char *name, const float *samples, int64_t count)
{
    const struct cutter *cutter = context;
    const struct place *place = &cutter->places[index];
    return cutter->list->pieces ? take_piece(cutter, place->story, place->part, name, samples, count)
                                : take_whole(cutter, place->story, place->part, name, samples, count);
}

/* ---- all of them ---- */

static void place_members(const struct cutter *cutter, int64_t stories, bool *wanted)
{
    for (int64_t s = 0; s < stories; s++)
        for (int part = 0; part < STORY_PARTS; part++) {
            int64_t member = cutter->list->stories[s].members[part][STORY_AUDIO];
            if (member < 0)
                continue;
            cutter->places[member] = (struct place){s, part};
            wanted[member] = true;
        }
}

enum status story_clips_make(const struct components *components, struct unit_cache *cache, struct archive *archive,
                             const struct story_list *list, int64_t stories, char *const *texts,
                             struct story_wants wants, struct story_clip **out)
{
    enum status result = STATUS_OK;
    struct cutter cutter = {.components = components, .cache = cache, .list = list, .texts = texts, .wants = wants};
    size_t members = (size_t)archive_count(archive) + 1, count = (size_t)stories + 1;
    bool *wanted = calloc(members, sizeof *wanted);
    cutter.clips = *out = calloc(count, sizeof *cutter.clips);
    cutter.places = calloc(members, sizeof *cutter.places);
    cutter.waiting = calloc(count * STORY_PARTS, sizeof *cutter.waiting);
    if (!wanted || !cutter.clips || !cutter.places || !cutter.waiting)
        FAIL(STATUS_INTERNAL, "no memory for %lld stories", (long long)stories);
    if (wants.parts && !list->pieces)
        TRY(aligner_create(NULL, &cutter.aligner));
    place_members(&cutter, stories, wanted);
    TRY(recordings_stream(archive, wanted, visit, &cutter));
fail:
    for (int64_t s = 0; cutter.waiting && s < stories; s++)
        forget(cutter.waiting + s * STORY_PARTS);
    aligner_destroy(cutter.aligner);
    free(cutter.waiting);
    free(cutter.places);
    free(wanted);
    return result;
}

void story_clips_free(struct story_clip *clips, int64_t stories)
{
    for (int64_t s = 0; clips && s < stories; s++) {
        for (int side = 0; side < 2; side++)
            free(clips[s].whole[side].ids);
        for (int part = 0; part < STORY_PARTS; part++)
            free(clips[s].parts[part].ids);
    }
    free(clips);
}
