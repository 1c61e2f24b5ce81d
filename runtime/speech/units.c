/* Streams are merged by the time at which units start. Rates are fractions and times are compared as fractions, in
 * 128-bit integers: units that start at the same instant must tie exactly, even at the hundredth hour, which floating
 * point could not guarantee. */
#include "speech/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SAMPLE_RATE = 16000 };

/* Numerators and denominators stay below this, so that the products of merge_next fit 128 bits. */
static const int64_t rate_limit = INT64_C(1) << 31;

/* The order of equal times. */
static const enum unit_stream tie_order[STREAM_COUNT] = {STREAM_STYLE, STREAM_PITCH, STREAM_HUBERT};

void units_free(struct units *units)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        free(units->values[stream]);
    *units = (struct units){0};
}

/* The position in one stream while the streams are merged. */
struct cursor {
    const uint16_t *values;
    struct rational rate;
    int64_t next, end; /* indices; the stream is done at next == end */
    bool carried;      /* `next` started before the cut and counts as starting with it */
};

/* The first index whose time is not before `sample`: ceil(sample / 16000 * rate). */
static int64_t first_index(int64_t sample, struct rational rate, int64_t count)
{
    __int128 divisor = (__int128)SAMPLE_RATE * rate.denominator;
    __int128 index = ((__int128)sample * rate.numerator + divisor - 1) / divisor;
    return index < count ? (int64_t)index : count;
}

static bool starts_before(const struct cursor *a, const struct cursor *b, int64_t begin)
{
    /* Times as fractions of a second: index * denominator / numerator, or begin / 16000. */
    __int128 top_a = a->carried ? begin : (__int128)a->next * a->rate.denominator;
    __int128 top_b = b->carried ? begin : (__int128)b->next * b->rate.denominator;
    int64_t bottom_a = a->carried ? SAMPLE_RATE : a->rate.numerator;
    int64_t bottom_b = b->carried ? SAMPLE_RATE : b->rate.numerator;
    return top_a * bottom_b < top_b * bottom_a;
}

static enum status cursors_set(const struct units *units, const struct unit_rates *rates, int64_t begin, int64_t end,
                               unsigned streams_mask, struct cursor cursors[STREAM_COUNT])
{
    bool any = false;
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        struct cursor *cursor = &cursors[stream];
        *cursor = (struct cursor){.values = units->values[stream], .rate = rates->rate[stream]};
        int64_t count = units->count[stream];
        if (!(streams_mask & 1u << stream) || count == 0)
            continue;
        if (cursor->rate.numerator < 1 || cursor->rate.numerator >= rate_limit || cursor->rate.denominator < 1 ||
            cursor->rate.denominator >= rate_limit)
            return status_set(STATUS_USAGE, "unit rate %" PRId64 "/%" PRId64 " of stream %d, expected a positive ratio",
                              cursor->rate.numerator, cursor->rate.denominator, stream);
        cursor->next = first_index(begin, cursor->rate, count);
        cursor->end = end < 0 ? count : first_index(end, cursor->rate, count);
        /* The cut begins inside the stream unless the last unit's own end lies at or before `begin`. */
        __int128 stream_end = (__int128)count * cursor->rate.denominator * SAMPLE_RATE;
        any |= stream_end > (__int128)begin * cursor->rate.numerator;
    }
    for (int stream = 0; any && stream < STREAM_COUNT; stream++) {
        struct cursor *cursor = &cursors[stream];
        bool selected = streams_mask & 1u << stream && units->count[stream] > 0;
        if (!selected || stream == STREAM_HUBERT || cursor->next == 0)
            continue;
        /* What is in force at `begin` is the latest unit that starts at or before it. */
        __int128 start = (__int128)cursor->next * cursor->rate.denominator * SAMPLE_RATE;
        if (cursor->next == units->count[stream] || start != (__int128)begin * cursor->rate.numerator) {
            cursor->next--;
            cursor->carried = true;
        }
    }
    return STATUS_OK;
}

static struct merged_unit take_run(struct cursor *cursor, enum unit_stream stream)
{
    struct merged_unit unit = {.stream = stream, .value = cursor->values[cursor->next], .index = cursor->next};
    do {
        cursor->next++;
        unit.run++;
    } while (stream != STREAM_STYLE && cursor->next < cursor->end && cursor->values[cursor->next] == unit.value);
    cursor->carried = false;
    return unit;
}

enum status units_merge(const struct units *units, const struct unit_rates *rates, int64_t begin, int64_t end,
                        unsigned streams_mask, struct merged_unit **merged, int64_t *count)
{
    *merged = NULL;
    *count = 0;
    if (begin < 0)
        return status_set(STATUS_USAGE, "units: expected a cut that begins at sample 0 or later, found sample %" PRId64,
                          begin);
    if (streams_mask & ~(unsigned)STREAMS_ALL)
        return status_set(STATUS_USAGE, "units: stream mask %#x, expected bits below %#x", streams_mask,
                          (unsigned)STREAMS_ALL);
    struct cursor cursors[STREAM_COUNT] = {{0}};
    if (end < 0 || begin < end) {
        enum status status = cursors_set(units, rates, begin, end, streams_mask, cursors);
        if (status != STATUS_OK)
            return status;
    }
    size_t most = 1;
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (cursors[stream].end > cursors[stream].next)
            most += (size_t)(cursors[stream].end - cursors[stream].next);
    struct merged_unit *list = calloc(most, sizeof *list);
    if (!list)
        return status_set(STATUS_INTERNAL, "no memory for %zu merged units", most);

    int64_t made = 0;
    for (;;) {
        struct cursor *first = NULL;
        enum unit_stream stream = STREAM_HUBERT;
        for (int i = 0; i < STREAM_COUNT; i++) {
            struct cursor *candidate = &cursors[tie_order[i]];
            if (candidate->next < candidate->end && (!first || starts_before(candidate, first, begin))) {
                first = candidate;
                stream = tie_order[i];
            }
        }
        if (!first)
            break;
        list[made++] = take_run(first, stream);
    }
    *merged = list;
    *count = made;
    return STATUS_OK;
}

/* The vocabulary's block of a stream. */
static void stream_block(const struct vocabulary *vocabulary, enum unit_stream stream, int32_t *base, int32_t *size)
{
    *base = stream == STREAM_HUBERT  ? vocabulary->hubert_base
            : stream == STREAM_PITCH ? vocabulary->pitch_base
                                     : vocabulary->style_base;
    *size = stream == STREAM_HUBERT  ? vocabulary->hubert_count
            : stream == STREAM_PITCH ? vocabulary->pitch_count
                                     : vocabulary->style_count;
}

enum status merged_to_ids(const struct vocabulary *vocabulary, const struct merged_unit *merged, int64_t count,
                          int32_t *ids)
{
    for (int64_t i = 0; i < count; i++) {
        int32_t base, size;
        stream_block(vocabulary, merged[i].stream, &base, &size);
        if (merged[i].value >= size)
            return status_set(STATUS_CORRUPT,
                              "unit %" PRId64 ": %s%d, but the vocabulary has %" PRId32 " units of that kind", i,
                              unit_stream_prefix(merged[i].stream), (int)merged[i].value, size);
        ids[i] = base + merged[i].value;
    }
    return STATUS_OK;
}
