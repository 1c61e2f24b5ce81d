/* The vocoder: a unit HiFi-GAN. Units last as long as it is told, or as long as its own predictor says. */
#include "models/hifigan/hifigan.h"
#include "speech/neural/neural_internal.h"

#include <stdlib.h>
#include <string.h>

/* Raise it when the same units and weights would sound otherwise. */
#define VOCODER_VERSION "neural vocoder 1"

/* The voice of Spirit LM's release, where nobody chooses another one and the vocoder has as many. */
enum { SPEAKER = 2, STYLE = 8 };

static const int64_t LONGEST = (int64_t)12 * 3600 * 25; /* units */

struct vocoder_part {
    struct neural_part base;
    char *name;
    struct hifigan *hifigan;
    int32_t speaker, style; /* rows; -1: the release's */
};

static enum status open_vocoder(struct neural_part *base, struct neural_promise *found)
{
    enum status result = STATUS_OK;
    struct vocoder_part *part = (struct vocoder_part *)base;
    char path[PATH_BYTES];
    TRY(neural_file_find(base->base, "speech.vocoder", part->name, path));
    TRY(hifigan_open(path, base->base->kernels, &base->context, &part->hifigan));
    const int64_t rate = hifigan_config(part->hifigan)->sample_rate;
    if (rate != NEURAL_RATE)
        FAIL(STATUS_CORRUPT, "%s: a vocoder of audio at %lld Hz, expected %d Hz", path, (long long)rate, NEURAL_RATE);
    const struct sha256 *const parts[] = {hifigan_fingerprint(part->hifigan), NULL};
    found->fingerprint = neural_fingerprint(VOCODER_VERSION, parts);
fail:
    return result;
}

static enum status workspace_create(struct neural_part *base, struct device_context *context, void **workspace)
{
    return hifigan_workspace_create(((struct vocoder_part *)base)->hifigan, context, 0,
                                    (struct hifigan_workspace **)workspace);
}

static void workspace_destroy(void *workspace)
{
    hifigan_workspace_destroy(workspace);
}

static void close_vocoder(struct neural_part *base)
{
    struct vocoder_part *part = (struct vocoder_part *)base;
    hifigan_close(part->hifigan);
    part->hifigan = NULL;
}

static void destroy(struct neural_part *base)
{
    struct vocoder_part *part = (struct vocoder_part *)base;
    free(part->name);
    free(part);
}

static const struct neural_kind kind = {open_vocoder, workspace_create, workspace_destroy, close_vocoder, destroy};

/* ---- the voice ---- */

static enum status choose_row(struct vocoder_part *part, enum hifigan_table table, const char *what, const char *name,
                              int32_t *row)
{
    if (!name)
        return STATUS_OK;
    if (hifigan_config(part->hifigan)->rows[table] == 0)
        return status_set(STATUS_USAGE, "%s %s: the vocoder %s has no %ss to choose from", what, name, part->name,
                          what);
    return hifigan_find(part->hifigan, table, name, row);
}

static enum status choose_voice(const struct speech_vocoder *self, const char *speaker, const char *style)
{
    enum status result = STATUS_OK;
    struct vocoder_part *part = self->state;
    TRY(neural_part_open(&part->base));
    TRY(choose_row(part, HIFIGAN_SPEAKER, "speaker", speaker, &part->speaker));
    TRY(choose_row(part, HIFIGAN_STYLE, "style", style, &part->style));
fail:
    return result;
}

static int32_t row_of(const struct vocoder_part *part, enum hifigan_table table, int32_t chosen, int32_t usual)
{
    if (chosen >= 0)
        return chosen;
    return usual < hifigan_config(part->hifigan)->rows[table] ? usual : 0;
}

/* ---- synthesis ---- */

/* The three streams of `spoken` as lists, each NULL where the vocoder was not made for it. */
static enum status take_codes(const struct vocoder_part *part, const struct spoken_unit *spoken, int64_t count,
                              int32_t *room, struct hifigan_codes *codes)
{
    const struct hifigan_config *config = hifigan_config(part->hifigan);
    const bool pitched = config->rows[HIFIGAN_PITCH] > 0, styled = config->rows[HIFIGAN_STYLE_CODE] > 0;
    for (int64_t i = 0; i < count; i++) {
        if (spoken[i].hubert < 0 || spoken[i].hubert >= config->rows[HIFIGAN_UNIT])
            return status_set(STATUS_USAGE,
                              "unit %lld of %lld to synthesise: the vocoder %s has units below %lld, found [Hu%d]",
                              (long long)i, (long long)count, part->name, (long long)config->rows[HIFIGAN_UNIT],
                              (int)spoken[i].hubert);
        if ((pitched && spoken[i].pitch < 0) || (styled && spoken[i].style < 0))
            return status_set(STATUS_USAGE, "unit %lld of %lld to synthesise has no %s, which the vocoder %s needs",
                              (long long)i, (long long)count, pitched && spoken[i].pitch < 0 ? "pitch" : "style",
                              part->name);
        room[i] = spoken[i].hubert;
        room[count + i] = spoken[i].pitch;
        room[2 * count + i] = spoken[i].style;
    }
    codes->units = room;
    codes->pitch = pitched ? room + count : NULL;
    codes->style = styled ? room + 2 * count : NULL;
    codes->unit_count = count;
    codes->pitch_count = pitched ? count : 0;
    codes->style_count = styled ? count : 0;
    codes->speaker = row_of(part, HIFIGAN_SPEAKER, part->speaker, SPEAKER);
    codes->style_row = row_of(part, HIFIGAN_STYLE, part->style, STYLE);
    return STATUS_OK;
}

static enum status check_durations(const int32_t *durations, int64_t count)
{
    int64_t total = 0;
    for (int64_t i = 0; durations && i < count; i++) {
        if (durations[i] < 1 || durations[i] > LONGEST - total)
            return status_set(STATUS_USAGE,
                              "unit %lld of %lld to synthesise: expected a duration of at least 1 and at most 12 "
                              "hours in total, found %lld times 40 ms",
                              (long long)i, (long long)count, (long long)durations[i]);
        total += durations[i];
    }
    return STATUS_OK;
}

static enum status speak(struct neural_seat *seat, const struct vocoder_part *part, const struct hifigan_codes *codes,
                         float **samples, int64_t *count)
{
    enum status result = STATUS_OK;
    struct hifigan_frames frames = {0};
    const int64_t hop = hifigan_config(part->hifigan)->frame_samples;
    float *output = NULL;
    TRY(hifigan_arrange(seat->workspace, codes, &frames));
    if (frames.count > LONGEST)
        FAIL(STATUS_USAGE, "%lld frames of speech are more than 12 hours", (long long)frames.count);
    if (!(output = malloc((size_t)(frames.count * hop) * sizeof *output)))
        FAIL(STATUS_INTERNAL, "no memory to synthesise %lld units of speech", (long long)frames.count);
    TRY(hifigan_speak(seat->workspace, &frames, 0, frames.count, output));
    *samples = output;
    *count = frames.count * hop;
    output = NULL;
fail:
    free(output);
    hifigan_frames_free(&frames);
    return result;
}

static enum status synthesise(const struct speech_vocoder *self, const struct spoken_unit *spoken,
                              const int32_t *durations, int64_t spoken_count, struct thread_pool *pool, float **samples,
                              int64_t *count)
{
    enum status result = STATUS_OK;
    struct vocoder_part *part = self->state;
    struct neural_seat *seat = NULL;
    struct hifigan_codes codes = {.durations = durations};
    int32_t *room = NULL;
    *samples = NULL;
    *count = 0;
    if (spoken_count == 0)
        return STATUS_OK;
    TRY(neural_part_open(&part->base));
    TRY(check_durations(durations, spoken_count));
    if (!(room = malloc((size_t)spoken_count * 3 * sizeof *room)))
        FAIL(STATUS_INTERNAL, "no memory to synthesise %lld units of speech", (long long)spoken_count);
    TRY(take_codes(part, spoken, spoken_count, room, &codes));
    TRY(neural_part_take(&part->base, pool, &seat));
    TRY(speak(seat, part, &codes, samples, count));
fail:
    neural_part_give(&part->base, seat);
    free(room);
    return result;
}

enum status neural_vocoder_units(const struct speech_vocoder *vocoder, int64_t *units)
{
    struct vocoder_part *part = vocoder->state;
    enum status result = neural_part_open(&part->base);
    if (result == STATUS_OK)
        *units = hifigan_config(part->hifigan)->rows[HIFIGAN_UNIT];
    return result;
}

enum status neural_vocoder_open(const struct neural_vocoder *options, struct neural_base *base,
                                const struct neural_promise *promise, struct speech_vocoder *vocoder)
{
    enum status result = STATUS_OK;
    struct vocoder_part *part = calloc(1, sizeof *part);
    *vocoder = (struct speech_vocoder){0};
    if (!part || !(part->name = strdup(options->vocoder))) {
        free(part);
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    }
    part->speaker = part->style = -1;
    TRY(neural_part_start(&part->base, &kind, base, promise));
    *vocoder = (struct speech_vocoder){.fingerprint = part->base.promise.fingerprint,
                                       .state = part,
                                       .synthesise = synthesise,
                                       .choose_voice = choose_voice,
                                       .destroy = neural_part_destroy};
    return STATUS_OK;
fail:
    neural_part_destroy(part);
    return result;
}
