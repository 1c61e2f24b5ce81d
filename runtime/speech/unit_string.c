/* The written form of merged units, and the way back from merged units to one triple per hubert unit. */
#include "speech/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status merged_to_string(const struct merged_unit *merged, int64_t count, char **text)
{
    enum { LONGEST = sizeof "[Hu65535]" - 1 };
    *text = NULL;
    size_t size = (size_t)count * LONGEST + 1;
    char *made = malloc(size);
    if (!made)
        return status_set(STATUS_INTERNAL, "no memory for a unit string of %" PRId64 " units", count);
    size_t used = 0;
    made[0] = 0;
    for (int64_t i = 0; i < count; i++)
        used += (size_t)snprintf(made + used, size - used, "[%s%d]", unit_stream_prefix(merged[i].stream),
                                 (int)merged[i].value);
    *text = made;
    return STATUS_OK;
}

/* Up to 12 bytes of text for an error message, with '?' for what cannot be printed. */
static const char *excerpt(const char *text, char buffer[16])
{
    size_t i = 0;
    for (; i < 12 && text[i]; i++)
        buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    buffer[i] = 0;
    return buffer;
}

/* The bytes of one "[HuN]" at text, 0 when there is none. Leading zeros are not written, so they are not read. */
static size_t parse_unit(const char *text, struct merged_unit *unit)
{
    if (text[0] != '[')
        return 0;
    int stream = 0;
    while (stream < STREAM_COUNT && strncmp(text + 1, unit_stream_prefix((enum unit_stream)stream), 2) != 0)
        stream++;
    if (stream == STREAM_COUNT)
        return 0;
    size_t at = 3;
    uint32_t value = 0;
    while (text[at] >= '0' && text[at] <= '9') {
        value = value * 10 + (uint32_t)(text[at++] - '0');
        if (value > UINT16_MAX)
            return 0;
    }
    if (at == 3 || (at > 4 && text[3] == '0') || text[at] != ']')
        return 0;
    *unit = (struct merged_unit){.stream = (enum unit_stream)stream, .value = (uint16_t)value, .run = 1};
    return at + 1;
}

enum status merged_from_string(const char *text, const struct vocabulary *vocabulary, struct merged_unit **merged,
                               int64_t *count)
{
    enum status result = STATUS_OK;
    *merged = NULL;
    *count = 0;
    const int32_t sizes[STREAM_COUNT] = {vocabulary->hubert_count, vocabulary->pitch_count, vocabulary->style_count};
    char found[16];
    struct merged_unit *list = calloc(strlen(text) / 5 + 1, sizeof *list); /* "[Hu0]": at least 5 bytes per unit */
    if (!list)
        FAIL(STATUS_INTERNAL, "no memory for the units of a string of %zu bytes", strlen(text));
    int64_t made = 0;
    for (const char *at = text; *at; made++) {
        size_t length = parse_unit(at, &list[made]);
        if (!length)
            FAIL(STATUS_CORRUPT, "unit string, byte %td: expected [HuN], [PiN] or [StN], found \"%s\"", at - text,
                 excerpt(at, found));
        if (list[made].value >= sizes[list[made].stream])
            FAIL(STATUS_CORRUPT, "unit string, byte %td: [%s%d], but there are %" PRId32 " units of that kind",
                 at - text, unit_stream_prefix(list[made].stream), (int)list[made].value, sizes[list[made].stream]);
        at += length;
    }
    *merged = list;
    *count = made;
    return STATUS_OK;
fail:
    free(list);
    return result;
}

/* The first value of a stream in the sequence, -1: none. */
static int32_t first_of(const struct merged_unit *merged, int64_t count, enum unit_stream stream)
{
    for (int64_t i = 0; i < count; i++)
        if (merged[i].stream == stream)
            return merged[i].value;
    return -1;
}

enum status units_unmerge(const struct merged_unit *merged, int64_t count, int32_t default_style,
                          struct unit_state *state, struct spoken_unit **spoken, int64_t *spoken_count)
{
    *spoken = NULL;
    *spoken_count = 0;
    size_t hubert_units = 0;
    for (int64_t i = 0; i < count; i++)
        hubert_units += merged[i].stream == STREAM_HUBERT;
    struct spoken_unit *list = calloc(hubert_units + 1, sizeof *list);
    if (!list)
        return status_set(STATUS_INTERNAL, "no memory for %zu spoken units", hubert_units);

    struct unit_state now = state ? *state : (struct unit_state){-1, -1};
    if (now.pitch < 0)
        now.pitch = first_of(merged, count, STREAM_PITCH);
    if (now.style < 0)
        now.style = first_of(merged, count, STREAM_STYLE);
    if (now.style < 0 && now.pitch >= 0)
        now.style = default_style;
    int64_t made = 0;
    for (int64_t i = 0; i < count; i++) {
        if (merged[i].stream == STREAM_PITCH)
            now.pitch = merged[i].value;
        else if (merged[i].stream == STREAM_STYLE)
            now.style = merged[i].value;
        else
            list[made++] = (struct spoken_unit){merged[i].value, now.pitch, now.style};
    }
    if (state)
        *state = now;
    *spoken = list;
    *spoken_count = made;
    return STATUS_OK;
}
