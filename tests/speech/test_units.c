/* The unit string both ways: sequences worked out by hand, and random streams against a plain second way of merging
 * (every unit sorted by its time, then collapsed). */
#include "support/test_support.h"

#include "speech/units.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const unsigned all_streams = 1u << STREAM_HUBERT | 1u << STREAM_PITCH | 1u << STREAM_STYLE;

static const struct unit_rates plain_rates = {{{25, 1}, {25, 2}, {1, 1}}};

static struct vocabulary expressive(void)
{
    struct vocabulary v;
    assert_ok(vocabulary_create(32000, 1, 2, 0, 501, 64, 100, false, &v));
    return v;
}

/* Merges a cut and compares its string. */
static void check_string(struct units *units, const struct unit_rates *rates, int64_t begin, int64_t end, unsigned mask,
                         const char *expected)
{
    struct merged_unit *merged;
    int64_t count;
    char *text;
    assert_ok(units_merge(units, rates, begin, end, mask, &merged, &count));
    assert_non_null(merged);
    assert_ok(merged_to_string(merged, count, &text));
    assert_string_equal(text, expected);
    free(merged);
    free(text);
}

/* Toy rates of ten per second over two seconds would hide the 2:1 grid, so: 25, 12.5 and 1 per second over 0.4 s and
 * 1.04 s. */
static void merges_by_hand(void **state)
{
    (void)state;
    uint16_t hubert[] = {99, 49, 38, 149, 149, 71, 423, 427, 427, 427};
    uint16_t pitch[] = {39, 39, 10, 10, 39};
    uint16_t style[] = {71};
    struct units units = {{hubert, pitch, style}, {10, 5, 1}};
    /* Times in ms: Hu 0 40 80 120(run of 2) 200 240 280(run of 3); Pi 0 (run) 160 (run) 320; St 0. */
    check_string(&units, &plain_rates, 0, -1, all_streams,
                 "[St71][Pi39][Hu99][Hu49][Hu38][Hu149][Pi10][Hu71][Hu423][Hu427][Pi39]");
    check_string(&units, &plain_rates, 0, -1, 1u << STREAM_HUBERT, "[Hu99][Hu49][Hu38][Hu149][Hu71][Hu423][Hu427]");
    check_string(&units, &plain_rates, 0, -1, 1u << STREAM_PITCH | 1u << STREAM_HUBERT,
                 "[Pi39][Hu99][Hu49][Hu38][Hu149][Pi10][Hu71][Hu423][Hu427][Pi39]");
    check_string(&units, &plain_rates, 0, -1, 1u << STREAM_STYLE, "[St71]");
    check_string(&units, &plain_rates, 0, -1, 0, "");

    struct merged_unit *merged;
    int64_t count;
    assert_ok(units_merge(&units, &plain_rates, 0, -1, all_streams, &merged, &count));
    static const struct merged_unit expected[] = {
        {STREAM_STYLE, 71, 0, 1},   {STREAM_PITCH, 39, 0, 2},   {STREAM_HUBERT, 99, 0, 1}, {STREAM_HUBERT, 49, 1, 1},
        {STREAM_HUBERT, 38, 2, 1},  {STREAM_HUBERT, 149, 3, 2}, {STREAM_PITCH, 10, 2, 2},  {STREAM_HUBERT, 71, 5, 1},
        {STREAM_HUBERT, 423, 6, 1}, {STREAM_HUBERT, 427, 7, 3}, {STREAM_PITCH, 39, 4, 1},
    };
    assert_int_equal(count, sizeof expected / sizeof *expected);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(merged[i].stream, expected[i].stream);
        assert_int_equal(merged[i].value, expected[i].value);
        assert_int_equal(merged[i].index, expected[i].index);
        assert_int_equal(merged[i].run, expected[i].run);
    }
    struct vocabulary v = expressive();
    int32_t ids[11];
    assert_ok(merged_to_ids(&v, merged, count, ids));
    assert_int_equal(ids[0], 32567 + 71);
    assert_int_equal(ids[1], 32503 + 39);
    assert_int_equal(ids[2], 32002 + 99);
    assert_int_equal(ids[10], 32503 + 39);
    free(merged);
}

/* Styles repeat although equal; and at 24.99/s the 50th unit starts 0.8 ms after second 2, not at it. */
static void styles_repeat_and_rates_are_exact(void **state)
{
    (void)state;
    enum { N = 52 };
    uint16_t hubert[N], style[] = {7, 7, 7};
    for (int i = 0; i < N; i++)
        hubert[i] = (uint16_t)(i < 25 ? 1 : i < 50 ? 2 : 3 + i - 50);
    struct units units = {{hubert, NULL, style}, {N, 0, 3}};
    check_string(&units, &plain_rates, 0, -1, all_streams, "[St7][Hu1][St7][Hu2][St7][Hu3][Hu4]");
    /* At 24.99/s, unit 25 starts at 1.0004 s and unit 50 at 2.0008 s: behind the styles as before. One hundredth faster
     * than 25 they start before them. */
    struct unit_rates slow = {{{2499, 100}, {25, 2}, {1, 1}}}, fast = {{{2501, 100}, {25, 2}, {1, 1}}};
    check_string(&units, &slow, 0, -1, all_streams, "[St7][Hu1][St7][Hu2][St7][Hu3][Hu4]");
    check_string(&units, &fast, 0, -1, all_streams, "[St7][Hu1][Hu2][St7][Hu3][St7][Hu4]");
    /* Cut at 2 s exactly: at 25/s unit 50 is inside, and so it is at 24.99/s; at 25.01/s it is not. */
    check_string(&units, &plain_rates, 32000, -1, all_streams, "[St7][Hu3][Hu4]");
    check_string(&units, &slow, 32000, -1, all_streams, "[St7][Hu3][Hu4]");
    check_string(&units, &fast, 32000, -1, all_streams, "[St7][Hu4]");
    check_string(&units, &slow, 0, 32000, all_streams, "[St7][Hu1][St7][Hu2]");
    /* Unit 50 at 24.99/s starts at sample 50 * 16000 * 100 / 2499 = 32012.8. */
    check_string(&units, &slow, 32012, 32013, all_streams, "[St7][Hu3]");
    check_string(&units, &slow, 32013, 32014, all_streams, "[St7]");
}

static void cuts_keep_what_is_in_force(void **state)
{
    (void)state;
    uint16_t hubert[60], pitch[30], style[] = {5, 6, 7};
    for (int i = 0; i < 60; i++)
        hubert[i] = (uint16_t)(100 + i);
    for (int i = 0; i < 30; i++)
        pitch[i] = (uint16_t)(i / 2);
    struct units units = {{hubert, pitch, style}, {60, 30, 3}};
    /* 0.2 s = sample 3200: Hu 5 starts there; Pi 2 (value 1, 160-240 ms) and St 0 are in force. The pitch run goes on
     * in unit 3 (same value), unit 4 at 320 ms is new. End 0.36 s: Hu 8 starts at 320 ms, Hu 9 at 360 ms is out. */
    check_string(&units, &plain_rates, 3200, 5760, all_streams, "[St5][Pi1][Hu105][Hu106][Hu107][Pi2][Hu108]");
    /* 1.02 s = 16320: St 1 (from 1 s) and Pi 12 (0.96-1.04 s) are in force; style first although pitch began before. */
    check_string(&units, &plain_rates, 16320, 17280, all_streams, "[St6][Pi6][Hu126]");
    /* Pi 13 (1.04 s) is in the same run as 12. A cut at its exact start keeps it, once. */
    check_string(&units, &plain_rates, 16640, 17280, all_streams, "[St6][Pi6][Hu126]");
    check_string(&units, &plain_rates, 16000, 16640, all_streams, "[St6][Pi6][Hu125]");
    check_string(&units, &plain_rates, 32000, 32640, all_streams, "[St7][Pi12][Hu150]");
    check_string(&units, &plain_rates, 16320, 17280, 1u << STREAM_HUBERT, "[Hu126]");
    /* Without any unit of its own a cut still names its state; an empty one, or one past the end, is empty. */
    check_string(&units, &plain_rates, 650, 700, all_streams, "[St5][Pi0]");
    check_string(&units, &plain_rates, 700, 700, all_streams, "");
    check_string(&units, &plain_rates, 900, 700, all_streams, "");
    check_string(&units, &plain_rates, 48000, -1, all_streams, ""); /* the styles end at 3 s */
    check_string(&units, &plain_rates, 47999, -1, all_streams, "[St7][Pi14]");
    check_string(&units, &plain_rates, INT64_MAX, -1, all_streams, "");
    check_string(&units, &plain_rates, 37760, INT64_MAX, all_streams, "[St7][Pi14][Hu159]");

    /* A pitch stream that ended (odd number of hubert units): the last one stays in force. */
    struct units odd = {{hubert, pitch, style}, {5, 2, 1}};
    check_string(&odd, &plain_rates, 2560, -1, all_streams, "[St5][Pi0][Hu104]");
    struct units nothing = {{NULL, NULL, NULL}, {0, 0, 0}};
    check_string(&nothing, &plain_rates, 0, -1, all_streams, "");
    check_string(&nothing, &plain_rates, 100, -1, all_streams, "");
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    uint16_t hubert[] = {1};
    struct units units = {{hubert, NULL, NULL}, {1, 0, 0}};
    struct merged_unit *merged;
    int64_t count;
    assert_fails(units_merge(&units, &plain_rates, -1, -1, all_streams, &merged, &count), STATUS_USAGE, "sample -1");
    assert_null(merged);
    assert_fails(units_merge(&units, &plain_rates, 0, -1, 8, &merged, &count), STATUS_USAGE, "stream mask");
    static const struct rational bad[] = {{0, 1}, {1, 0}, {-25, 1}, {25, -1}, {INT64_C(1) << 31, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct unit_rates rates = plain_rates;
        rates.rate[STREAM_HUBERT] = bad[i];
        assert_fails(units_merge(&units, &rates, 0, -1, all_streams, &merged, &count), STATUS_USAGE, "unit rate");
    }
    struct vocabulary v = expressive();
    struct merged_unit outside[] = {{STREAM_HUBERT, 500, 0, 1}, {STREAM_PITCH, 64, 0, 1}};
    int32_t ids[2];
    assert_fails(merged_to_ids(&v, outside, 2, ids), STATUS_CORRUPT, "unit 1: Pi64");
    assert_int_equal(ids[0], 32502);
}

static void strings_parse_or_name_the_position(void **state)
{
    (void)state;
    struct vocabulary v = expressive();
    struct merged_unit *merged;
    int64_t count;
    assert_ok(merged_from_string("[St71][Pi39][Hu99][Hu49]", &v, &merged, &count));
    assert_int_equal(count, 4);
    static const struct merged_unit expected[] = {
        {STREAM_STYLE, 71, 0, 1}, {STREAM_PITCH, 39, 0, 1}, {STREAM_HUBERT, 99, 0, 1}, {STREAM_HUBERT, 49, 0, 1}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(merged[i].stream, expected[i].stream);
        assert_int_equal(merged[i].value, expected[i].value);
        assert_int_equal(merged[i].index, 0);
        assert_int_equal(merged[i].run, 1);
    }
    free(merged);
    assert_ok(merged_from_string("", &v, &merged, &count));
    assert_int_equal(count, 0);
    free(merged);
    assert_ok(merged_from_string("[Hu0][Hu500][Pi63][St99]", &v, &merged, &count));
    assert_int_equal(count, 4);
    free(merged);

    static const struct {
        const char *text, *part;
    } bad[] = {
        {"[Hu501]", "byte 0: [Hu501], but there are 501"},
        {"[Hu1][Pi64]", "byte 5: [Pi64], but there are 64"},
        {"[Hu1][St100]", "byte 5: [St100]"},
        {"[Hu1] [Hu2]", "byte 5: expected [HuN], [PiN] or [StN], found \" [Hu2]\""},
        {"x", "byte 0"},
        {"[", "byte 0"},
        {"[H", "byte 0"},
        {"[Hu", "byte 0"},
        {"[Hu]", "byte 0"},
        {"[Hu1", "byte 0"},
        {"[Hu1][", "byte 5"},
        {"[Hu-1]", "byte 0"},
        {"[Hu+1]", "byte 0"},
        {"[Hu01]", "byte 0"},
        {"[Hu00]", "byte 0"},
        {"[Hu 1]", "byte 0"},
        {"[hu1]", "byte 0"},
        {"[Xu1]", "byte 0"},
        {"[Text][Hu1]", "byte 0: expected [HuN], [PiN] or [StN], found \"[Text][Hu1]\""},
        {"[Hu1]]", "byte 5"},
        {"[Hu65536]", "byte 0"},
        {"[Hu4294967297]", "byte 0"},
        {"[Hu99999999999999999999999999]", "byte 0"},
        {"[St71][Hu1\n]", "byte 6: expected [HuN], [PiN] or [StN], found \"[Hu1?]\""},
        {"<Hu1>", "byte 0"},
        {"[Hu1,Hu2]", "byte 0"},
        {"[Hu1a]", "byte 0"},
        {"[Hu1.0]", "byte 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(merged_from_string(bad[i].text, &v, &merged, &count), STATUS_CORRUPT, bad[i].part);
        assert_null(merged);
        assert_int_equal(count, 0);
    }
    struct vocabulary base;
    assert_ok(vocabulary_create(32000, 1, 2, 0, 501, 0, 0, false, &base));
    assert_fails(merged_from_string("[Pi0]", &base, &merged, &count), STATUS_CORRUPT, "there are 0");
}

/* Every byte string of a small alphabet: either refused, or written back as it was. */
static void random_strings_parse_only_when_they_are_written_so(void **state)
{
    (void)state;
    struct vocabulary v = expressive();
    struct rng rng = rng_make(test_seed(), RNG_TEST, 20, 1);
    static const char *const parts[] = {"[Hu", "[Pi", "[St", "[", "]", "0", "1", "9", "Hu", " ", "[Hu7]", "[St0]"};
    int accepted = 0;
    for (int round = 0; round < 200000; round++) {
        char text[64] = "";
        int pieces = (int)rng_below(&rng, 9);
        for (int i = 0; i < pieces; i++)
            strcat(text, parts[rng_below(&rng, sizeof parts / sizeof *parts)]);
        struct merged_unit *merged;
        int64_t count;
        if (merged_from_string(text, &v, &merged, &count) != STATUS_OK)
            continue;
        char *back;
        assert_ok(merged_to_string(merged, count, &back));
        assert_string_equal(text, back);
        free(back);
        free(merged);
        accepted += count > 0;
    }
    assert_true(accepted > 1000);
}

static void check_spoken(const char *text, int32_t default_style, struct unit_state *carried,
                         const struct spoken_unit *expected, int64_t expected_count)
{
    struct vocabulary v = expressive();
    struct merged_unit *merged;
    struct spoken_unit *spoken;
    int64_t count, spoken_count;
    assert_ok(merged_from_string(text, &v, &merged, &count));
    assert_ok(units_unmerge(merged, count, default_style, carried, &spoken, &spoken_count));
    assert_int_equal(spoken_count, expected_count);
    for (int64_t i = 0; i < spoken_count; i++) {
        assert_int_equal(spoken[i].hubert, expected[i].hubert);
        assert_int_equal(spoken[i].pitch, expected[i].pitch);
        assert_int_equal(spoken[i].style, expected[i].style);
    }
    free(spoken);
    free(merged);
}

static void unmerges_by_hand(void **state)
{
    (void)state;
    check_spoken("[St71][Pi39][Hu99][Hu49][Pi2][Hu1][St5][Hu2]", 68, NULL,
                 (struct spoken_unit[]){{99, 39, 71}, {49, 39, 71}, {1, 2, 71}, {2, 2, 5}}, 4);
    /* Hu before the first Pi and St take the first that follows. */
    check_spoken("[Hu1][Pi3][Hu2][St4][Hu3][Pi5][Hu4]", 68, NULL,
                 (struct spoken_unit[]){{1, 3, 4}, {2, 3, 4}, {3, 3, 4}, {4, 5, 4}}, 4);
    check_spoken("[Hu1][Hu2]", 68, NULL, (struct spoken_unit[]){{1, -1, -1}, {2, -1, -1}}, 2);    /* Base */
    check_spoken("[Hu1][Pi9][Hu2]", 68, NULL, (struct spoken_unit[]){{1, 9, 68}, {2, 9, 68}}, 2); /* no style */
    check_spoken("[St3][Hu1]", 68, NULL, (struct spoken_unit[]){{1, -1, 3}}, 1);
    check_spoken("[St3][Pi1]", 68, NULL, NULL, 0);
    check_spoken("", 68, NULL, NULL, 0);

    struct unit_state carried = {-1, -1};
    check_spoken("[St71][Pi39]", 68, &carried, NULL, 0);
    assert_int_equal(carried.pitch, 39);
    assert_int_equal(carried.style, 71);
    /* The carried state wins over what follows. */
    check_spoken("[Hu1][Pi4][Hu2][St5][Hu3]", 68, &carried, (struct spoken_unit[]){{1, 39, 71}, {2, 4, 71}, {3, 4, 5}},
                 3);
    assert_int_equal(carried.pitch, 4);
    assert_int_equal(carried.style, 5);
    check_spoken("[Hu1]", 68, &carried, (struct spoken_unit[]){{1, 4, 5}}, 1);
    struct unit_state pitch_only = {6, -1};
    check_spoken("[Hu1]", 98, &pitch_only, (struct spoken_unit[]){{1, 6, 98}}, 1);
    assert_int_equal(pitch_only.style, 98); /* the style that was used stays */
    struct unit_state empty = {-1, -1};
    check_spoken("[Hu1]", 98, &empty, (struct spoken_unit[]){{1, -1, -1}}, 1);
    assert_int_equal(empty.style, -1);
}

struct timed {
    enum unit_stream stream;
    uint16_t value;
    int64_t index, order;
    int64_t top; /* the time as top / (product of all numerators * 16000) */
};

static int by_time(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    if (x->top != y->top)
        return x->top < y->top ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The plain way: collapse each stream's cut, concatenate St, Pi, Hu, stable sort on time. `listed` receives it. */
static int64_t merge_plainly(const struct units *units, const struct unit_rates *rates, int64_t begin, int64_t end,
                             struct timed *listed)
{
    static const enum unit_stream order[] = {STREAM_STYLE, STREAM_PITCH, STREAM_HUBERT};
    int64_t all = 16000, count = 0;
    for (int s = 0; s < STREAM_COUNT; s++)
        all *= rates->rate[s].numerator;
    int64_t from = begin * (all / 16000), to = end * (all / 16000);
    for (int s = 0; s < STREAM_COUNT; s++) {
        enum unit_stream stream = order[s];
        int64_t scale = all / rates->rate[stream].numerator * rates->rate[stream].denominator;
        int64_t in_force = -1, previous = -2;
        for (int64_t i = 0; i < units->count[stream]; i++)
            if (i * scale <= from)
                in_force = i;
        for (int64_t i = 0; i < units->count[stream]; i++) {
            bool inside = i * scale >= from && i * scale < to;
            bool carried = stream != STREAM_HUBERT && i == in_force;
            if (!inside && !carried)
                continue;
            bool again = previous == i - 1 && units->values[stream][i] == units->values[stream][i - 1];
            previous = i;
            if (again && stream != STREAM_STYLE)
                continue;
            listed[count] = (struct timed){stream, units->values[stream][i], i, count, inside ? i * scale : from};
            count++;
        }
    }
    qsort(listed, (size_t)count, sizeof *listed, by_time);
    return count;
}

static void random_cuts_equal_the_plain_way(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 20, 2);
    static const struct rational hubert_rates[] = {{25, 1}, {2499, 100}, {50, 1}, {2501, 100}, {125, 4}};
    struct vocabulary v = expressive();
    for (int round = 0; round < 20000; round++) {
        uint16_t hubert[120], pitch[60], style[6];
        struct units units = {{hubert, pitch, style}, {0, 0, 0}};
        units.count[STREAM_HUBERT] = (int64_t)rng_below(&rng, 121);
        units.count[STREAM_PITCH] = (int64_t)rng_below(&rng, 61);
        units.count[STREAM_STYLE] = (int64_t)rng_below(&rng, 7);
        for (int64_t i = 0; i < units.count[STREAM_HUBERT]; i++)
            hubert[i] = (uint16_t)rng_below(&rng, 3);
        for (int64_t i = 0; i < units.count[STREAM_PITCH]; i++)
            pitch[i] = (uint16_t)rng_below(&rng, 2);
        for (int64_t i = 0; i < units.count[STREAM_STYLE]; i++)
            style[i] = (uint16_t)rng_below(&rng, 2);
        struct unit_rates rates = plain_rates;
        rates.rate[STREAM_HUBERT] = hubert_rates[rng_below(&rng, 5)];
        int64_t begin = (int64_t)rng_below(&rng, 3) ? (int64_t)rng_below(&rng, 125) * 640 : 0;
        begin = begin && rng_below(&rng, 2) ? (int64_t)rng_below(&rng, 80000) : begin;
        int64_t end = begin + 1 + (int64_t)rng_below(&rng, 48000);
        /* A cut at or past the end of all streams is empty. */
        bool past = true;
        for (int s = 0; s < STREAM_COUNT; s++)
            past &= units.count[s] * rates.rate[s].denominator * 16000 <= begin * rates.rate[s].numerator;

        struct timed plain[200];
        int64_t expected = past ? 0 : merge_plainly(&units, &rates, begin, end, plain);
        struct merged_unit *merged;
        int64_t count;
        assert_ok(units_merge(&units, &rates, begin, end, all_streams, &merged, &count));
        assert_int_equal(count, expected);
        for (int64_t i = 0; i < count; i++) {
            assert_int_equal(merged[i].stream, plain[i].stream);
            assert_int_equal(merged[i].value, plain[i].value);
            assert_int_equal(merged[i].index, plain[i].index);
        }
        char *text;
        struct merged_unit *read;
        int64_t read_count;
        assert_ok(merged_to_string(merged, count, &text));
        assert_ok(merged_from_string(text, &v, &read, &read_count));
        assert_int_equal(read_count, count);
        for (int64_t i = 0; i < count; i++)
            assert_true(read[i].stream == merged[i].stream && read[i].value == merged[i].value);
        free(text);
        free(read);
        free(merged);
    }
}

/* Merging the whole and taking it apart gives every hubert run the pitch and style that lie over its start, and the
 * runs together give the stream back. */
static void unmerging_gives_the_streams_back(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 20, 3);
    for (int round = 0; round < 2000; round++) {
        uint16_t hubert[200], pitch[100], style[8];
        int64_t n = 2 * (1 + (int64_t)rng_below(&rng, 100));
        for (int64_t i = 0; i < n; i++)
            hubert[i] = (uint16_t)rng_below(&rng, 3);
        for (int64_t i = 0; i < n / 2; i++)
            pitch[i] = (uint16_t)rng_below(&rng, 4);
        for (int64_t i = 0; i < (n + 24) / 25; i++)
            style[i] = (uint16_t)rng_below(&rng, 5);
        struct units units = {{hubert, pitch, style}, {n, n / 2, (n + 24) / 25}};
        struct merged_unit *merged;
        struct spoken_unit *spoken;
        int64_t count, spoken_count, unit = 0, at = 0;
        assert_ok(units_merge(&units, &plain_rates, 0, -1, all_streams, &merged, &count));
        assert_ok(units_unmerge(merged, count, 0, NULL, &spoken, &spoken_count));
        for (int64_t i = 0; i < count; i++) {
            if (merged[i].stream != STREAM_HUBERT)
                continue;
            assert_int_equal(merged[i].index, at);
            assert_int_equal(spoken[unit].hubert, hubert[at]);
            assert_int_equal(spoken[unit].pitch, pitch[at / 2]);
            assert_int_equal(spoken[unit].style, style[at / 25]);
            for (int64_t r = 0; r < merged[i].run; r++)
                assert_int_equal(hubert[at++], merged[i].value);
            unit++;
        }
        assert_int_equal(at, n);
        assert_int_equal(unit, spoken_count);
        free(spoken);
        free(merged);
    }
}

static void freeing_leaves_nothing(void **state)
{
    (void)state;
    struct units units = {{calloc(4, 2), NULL, calloc(1, 2)}, {4, 0, 1}};
    units_free(&units);
    assert_null(units.values[STREAM_HUBERT]);
    assert_int_equal(units.count[STREAM_HUBERT], 0);
    units_free(&units);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_by_hand),
        cmocka_unit_test(styles_repeat_and_rates_are_exact),
        cmocka_unit_test(cuts_keep_what_is_in_force),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(strings_parse_or_name_the_position),
        cmocka_unit_test(random_strings_parse_only_when_they_are_written_so),
        cmocka_unit_test(unmerges_by_hand),
        cmocka_unit_test(random_cuts_equal_the_plain_way),
        cmocka_unit_test(unmerging_gives_the_streams_back),
        cmocka_unit_test(freeing_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
