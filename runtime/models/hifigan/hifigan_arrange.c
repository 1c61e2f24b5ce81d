/* From codes to frames. Codes of pitch and style come in one of two ways. As many as units: each lasts as long as its unit, which is
 * what a language model writes, whose units are merged where they repeat. Or at the rates at which they were found in speech, to say
 * it again: then units are not merged, each is one frame, and codes last whole numbers of frames. */
#include "models/hifigan/hifigan_internal.h"

#include <stdlib.h>
#include <string.h>

/* One kind of code without those below 0. */
struct stream {
    enum hifigan_table table;
    const char *name;
    const int32_t *codes;
    int64_t count;
    int32_t *kept;
    int64_t kept_count;
};

enum { STREAMS = HIFIGAN_STYLE_CODE + 1 };

static enum status keep_codes(const struct hifigan_config *config, struct stream *stream)
{
    int64_t rows = config->rows[stream->table];
    if (rows == 0 && stream->count > 0)
        return status_set(STATUS_USAGE, "the vocoder was made for no %s codes; there are %lld", stream->name,
                          (long long)stream->count);
    stream->kept = malloc(((size_t)stream->count + 1) * sizeof *stream->kept);
    if (!stream->kept)
        return status_set(STATUS_INTERNAL, "no memory for %lld codes", (long long)stream->count);
    for (int64_t i = 0; i < stream->count; i++) {
        if (stream->codes[i] >= rows)
            return status_set(STATUS_USAGE, "%s code %lld is %d; the vocoder has 0 to %lld", stream->name, (long long)i,
                              (int)stream->codes[i], (long long)rows - 1);
        if (stream->codes[i] >= 0)
            stream->kept[stream->kept_count++] = stream->codes[i];
    }
    if (rows > 0 && stream->kept_count == 0)
        return status_set(STATUS_USAGE, "the vocoder needs %s codes; there are none", stream->name);
    return STATUS_OK;
}

/* Durations of the units that were kept; NULL: each is one frame. */
static enum status find_durations(struct hifigan_workspace *workspace, const struct hifigan_codes *codes,
                                  const struct stream *units, int32_t *durations)
{
    if (!codes->durations)
        return hifigan_durations(workspace, units->kept, units->kept_count, durations, NULL);
    for (int64_t i = 0, kept = 0; i < codes->unit_count; i++) {
        if (codes->durations[i] < 1)
            return status_set(STATUS_USAGE, "unit %lld lasts %d frames; expected at least 1", (long long)i,
                              (int)codes->durations[i]);
        if (codes->units[i] >= 0)
            durations[kept++] = codes->durations[i];
    }
    return STATUS_OK;
}

static enum status allocate_frames(const struct hifigan_config *config, struct hifigan_frames *frames)
{
    for (int table = 0; table < STREAMS; table++)
        if (config->rows[table] > 0 &&
            !(frames->ids[table] = malloc((size_t)frames->count * sizeof *frames->ids[table])))
            return status_set(STATUS_INTERNAL, "no memory for %lld frames", (long long)frames->count);
    return STATUS_OK;
}

/* Every stream has as many codes as there are units. */
static enum status arrange_by_unit(const struct hifigan_config *config, const struct stream *streams,
                                   const int32_t *durations, struct hifigan_frames *frames)
{
    for (int64_t i = 0; i < streams[HIFIGAN_UNIT].kept_count; i++)
        frames->count += durations[i];
    if (frames->count > INT32_MAX)
        return status_set(STATUS_USAGE, "%lld frames are too many", (long long)frames->count);
    enum status result = allocate_frames(config, frames);
    for (int table = 0; table < STREAMS && result == STATUS_OK; table++) {
        int32_t *to = frames->ids[table];
        for (int64_t i = 0; to && i < streams[table].kept_count; i++)
            for (int32_t repeated = 0; repeated < durations[i]; repeated++)
                *to++ = streams[table].kept[i];
    }
    return result;
}

/* Codes at rates of their own: each lasts `repetition` frames, the last one up to the end. */
static enum status arrange_by_rate(const struct hifigan_config *config, const struct stream *streams,
                                   struct hifigan_frames *frames)
{
    const int64_t repetitions[STREAMS] = {1, config->pitch_repetition, config->style_repetition};
    frames->count = streams[HIFIGAN_UNIT].kept_count;
    enum status result = allocate_frames(config, frames);
    for (int table = 0; table < STREAMS && result == STATUS_OK; table++) {
        const struct stream *stream = &streams[table];
        int64_t repetition = repetitions[table], covered = stream->kept_count * repetition;
        if (!frames->ids[table])
            continue;
        if (covered > frames->count + repetition || covered + repetition < frames->count)
            return status_set(STATUS_USAGE, "%lld %s codes of %lld frames each do not fit %lld units of one frame",
                              (long long)stream->kept_count, stream->name, (long long)repetition,
                              (long long)frames->count);
        for (int64_t t = 0; t < frames->count; t++) {
            int64_t i = t / repetition;
            frames->ids[table][t] = stream->kept[i < stream->kept_count ? i : stream->kept_count - 1];
        }
    }
    return result;
}

static enum status check_row(const struct hifigan_config *config, enum hifigan_table table, const char *name,
                             int32_t row)
{
    if (config->rows[table] > 0 && (row < 0 || row >= config->rows[table]))
        return status_set(STATUS_USAGE, "%s %d is not one of the vocoder's, 0 to %lld", name, (int)row,
                          (long long)config->rows[table] - 1);
    return STATUS_OK;
}

/* Which of the two ways it is: the first stream of codes that the vocoder has decides. */
static enum status arrange(struct hifigan_workspace *workspace, const struct hifigan_codes *codes,
                           const struct stream *streams, struct hifigan_frames *frames)
{
    const struct hifigan_config *config = &workspace->hifigan->config;
    int64_t units = streams[HIFIGAN_UNIT].kept_count;
    int first = config->rows[HIFIGAN_PITCH] > 0 ? HIFIGAN_PITCH : HIFIGAN_STYLE_CODE;
    if (config->rows[first] > 0 && streams[first].kept_count != units) {
        if (codes->durations)
            return status_set(STATUS_USAGE, "with durations, expected as many %s codes as units, %lld; found %lld",
                              streams[first].name, (long long)units, (long long)streams[first].kept_count);
        return arrange_by_rate(config, streams, frames);
    }
    if (config->rows[HIFIGAN_STYLE_CODE] > 0 && streams[HIFIGAN_STYLE_CODE].kept_count != units)
        return status_set(STATUS_USAGE, "there are as many pitch codes as units, %lld, but %lld style codes",
                          (long long)units, (long long)streams[HIFIGAN_STYLE_CODE].kept_count);
    int32_t *durations = malloc(((size_t)units + 1) * sizeof *durations);
    if (!durations)
        return status_set(STATUS_INTERNAL, "no memory for the durations of %lld units", (long long)units);
    enum status result = find_durations(workspace, codes, &streams[HIFIGAN_UNIT], durations);
    if (result == STATUS_OK)
        result = arrange_by_unit(config, streams, durations, frames);
    free(durations);
    return result;
}

enum status hifigan_arrange(struct hifigan_workspace *workspace, const struct hifigan_codes *codes,
                            struct hifigan_frames *frames)
{
    enum status result = STATUS_OK;
    const struct hifigan_config *config = &workspace->hifigan->config;
    struct stream streams[STREAMS] = {
        {.table = HIFIGAN_UNIT, .name = "unit", .codes = codes->units, .count = codes->unit_count},
        {.table = HIFIGAN_PITCH, .name = "pitch", .codes = codes->pitch, .count = codes->pitch_count},
        {.table = HIFIGAN_STYLE_CODE, .name = "style", .codes = codes->style, .count = codes->style_count}};
    *frames = (struct hifigan_frames){.speaker = codes->speaker, .style_row = codes->style_row};
    TRY(check_row(config, HIFIGAN_SPEAKER, "speaker", codes->speaker));
    TRY(check_row(config, HIFIGAN_STYLE, "style", codes->style_row));
    for (int table = 0; table < STREAMS; table++)
        TRY(keep_codes(config, &streams[table]));
    TRY(arrange(workspace, codes, streams, frames));
fail:
    for (int table = 0; table < STREAMS; table++)
        free(streams[table].kept);
    if (result != STATUS_OK)
        hifigan_frames_free(frames);
    return result;
}

void hifigan_frames_free(struct hifigan_frames *frames)
{
    for (int table = 0; table < STREAMS; table++)
        free(frames->ids[table]);
    memset(frames, 0, sizeof *frames);
}
