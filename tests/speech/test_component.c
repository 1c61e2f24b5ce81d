/* A set of speech components: what it guarantees whatever its components are, tested with scripted components. */
#include "support/scripted_speech.h"
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 4000 };

static float samples[COUNT];

/* Units and pitch of one family, no style, and a vocoder for these units. */
struct cast {
    struct scripted_family family;
    struct script units, pitch, vocoder;
};

static struct speech *new_set(struct cast *cast)
{
    *cast = (struct cast){.units = {.hop = 320, .size = 7, .mark = 1, .family = &cast->family},
                          .pitch = {.hop = 1000, .size = 2, .mark = 2, .family = &cast->family, .speaker = "ann"},
                          .vocoder = {.hop = 10, .mark = 3}};
    struct speech *speech = calloc(1, sizeof *speech);
    assert_non_null(speech);
    speech->encoder[STREAM_HUBERT] = scripted_encoder(STREAM_HUBERT, &cast->units);
    speech->encoder[STREAM_PITCH] = scripted_encoder(STREAM_PITCH, &cast->pitch);
    speech->vocoder = scripted_vocoder(&cast->vocoder, scripted_fingerprint(1));
    return speech;
}

static void expect_counting(const struct units *units, enum unit_stream stream, int64_t count, int32_t size)
{
    assert_int_equal(units->count[stream], count);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(units->values[stream][i], i % size);
    assert_true(count > 0 || !units->values[stream]);
}

static void a_set_answers_with_what_its_components_say(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    assert_ok(speech_check(speech));
    struct unit_rates rates = speech_rates(speech);
    const int64_t expected[STREAM_COUNT][2] = {{50, 1}, {16, 1}, {0, 1}};
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        assert_int_equal(rates.rate[stream].numerator, expected[stream][0]);
        assert_int_equal(rates.rate[stream].denominator, expected[stream][1]);
    }
    assert_true(speech_knows_speaker(speech, "ann"));
    assert_false(speech_knows_speaker(speech, "bob"));
    assert_false(speech_knows_speaker(speech, ""));
    assert_false(speech_knows_speaker(speech, NULL));
    struct units units;
    assert_ok(speech_encode(speech, samples, COUNT, "bob", STREAMS_ALL, &units));
    expect_counting(&units, STREAM_HUBERT, 12, 7);
    expect_counting(&units, STREAM_PITCH, 4, 2);
    expect_counting(&units, STREAM_STYLE, 0, 1);
    assert_string_equal(cast.pitch.heard, "bob");
    assert_int_equal(cast.pitch.turn, cast.units.turn + 1);
    units_free(&units);
    assert_ok(speech_encode(speech, samples, 999, NULL, STREAMS_ALL, &units));
    expect_counting(&units, STREAM_HUBERT, 3, 7);
    expect_counting(&units, STREAM_PITCH, 0, 2);
    units_free(&units);
    speech_free(speech);
}

static void a_stream_that_is_not_wanted_is_not_encoded(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    struct units units;
    assert_ok(speech_encode(speech, samples, COUNT, NULL, STREAMS_BASE, &units));
    expect_counting(&units, STREAM_HUBERT, 12, 7);
    expect_counting(&units, STREAM_PITCH, 0, 2);
    assert_int_equal(cast.pitch.calls, 0);
    units_free(&units);
    assert_ok(speech_encode(speech, samples, COUNT, NULL, 1 << STREAM_PITCH, &units));
    expect_counting(&units, STREAM_HUBERT, 0, 7);
    expect_counting(&units, STREAM_PITCH, 4, 2);
    assert_int_equal(cast.units.calls, 1);
    units_free(&units);
    speech_free(speech);
}

/* A family computes once per utterance; another's work is never taken for its own. */
static void shared_work_is_done_once_for_an_utterance(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    struct scripted_family other = {0};
    struct script style = {.hop = 500, .size = 3, .mark = 4, .family = &other};
    speech->encoder[STREAM_STYLE] = scripted_encoder(STREAM_STYLE, &style);
    for (int times = 1; times <= 3; times++) {
        struct units units;
        assert_ok(speech_encode(speech, samples, COUNT, NULL, STREAMS_ALL, &units));
        expect_counting(&units, STREAM_STYLE, 8, 3);
        assert_int_equal(cast.family.made, times);
        assert_int_equal(cast.family.destroyed, times);
        assert_int_equal(other.made, times);
        assert_int_equal(other.destroyed, times);
        units_free(&units);
    }
    speech_free(speech);
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    struct units units;
    cast.pitch.failure = STATUS_IO;
    assert_fails(speech_encode(speech, samples, COUNT, NULL, STREAMS_ALL, &units), STATUS_IO, "a scripted failure");
    assert_int_equal(cast.family.made, 1);
    assert_int_equal(cast.family.destroyed, 1);
    expect_counting(&units, STREAM_HUBERT, 0, 7);
    expect_counting(&units, STREAM_PITCH, 0, 2);
    cast.pitch.failure = STATUS_OK;
    cast.pitch.lies = true;
    assert_fails(speech_encode(speech, samples, COUNT, NULL, STREAMS_ALL, &units), STATUS_INTERNAL,
                 "the pitch encoder: expected a unit below 2, found 2");
    expect_counting(&units, STREAM_HUBERT, 0, 7);
    speech_free(speech);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    struct units units;
    float bad[COUNT] = {0}, *sound;
    int64_t count;
    const struct spoken_unit spoken = {3, -1, -1};
    bad[17] = -INFINITY;
    assert_fails(speech_encode(speech, bad, COUNT, NULL, STREAMS_ALL, &units), STATUS_CORRUPT, "sample 17 of 4000");
    bad[17] = NAN;
    assert_fails(speech_encode(speech, bad, COUNT, NULL, STREAMS_ALL, &units), STATUS_CORRUPT, "sample 17 of 4000");
    assert_int_equal(cast.units.calls, 0);
    assert_ok(speech_synthesise(speech, &spoken, NULL, 1, NULL, &sound, &count));
    assert_int_equal(count, 10);
    assert_true(sound[9] == 0.03f);
    free(sound);
    speech_vocoder_remove(&speech->vocoder);
    assert_fails(speech_synthesise(speech, &spoken, NULL, 1, NULL, &sound, &count), STATUS_USAGE, "no vocoder");
    assert_null(sound);
    speech_encoder_remove(&speech->encoder[STREAM_HUBERT]);
    assert_fails(speech_encode(speech, samples, COUNT, NULL, STREAMS_ALL, &units), STATUS_USAGE,
                 "no encoder of hubert units");
    assert_int_equal(cast.pitch.calls, 0);
    speech_free(speech);
}

static void components_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    struct speech_encoder *units = &speech->encoder[STREAM_HUBERT];
    units->stream = STREAM_STYLE;
    assert_fails(speech_check(speech), STATUS_INTERNAL, "the encoder in the place of hubert is for style");
    units->stream = STREAM_HUBERT;
    units->rate.numerator = 0;
    assert_fails(speech_check(speech), STATUS_INTERNAL,
                 "the hubert encoder: expected a positive rate, found 0/1 units per second");
    units->rate = (struct rational){50, 0};
    assert_fails(speech_check(speech), STATUS_INTERNAL, "50/0 units per second");
    units->rate = (struct rational){50, 1};
    units->size = 0;
    assert_fails(speech_check(speech), STATUS_INTERNAL, "the hubert encoder has 0 units, expected 1 to 65536");
    units->size = 65537;
    assert_fails(speech_check(speech), STATUS_INTERNAL, "the hubert encoder has 65537 units");
    units->size = 65536;
    assert_ok(speech_check(speech));
    speech->vocoder.units = scripted_fingerprint(0xab);
    assert_fails(speech_check(speech), STATUS_USAGE,
                 "encoder abababababababab, found units of encoder 0101010101010101");
    speech->vocoder.units = scripted_fingerprint(0); /* it is not known for whose units it was made */
    assert_ok(speech_check(speech));
    speech_free(speech);
}

static void every_component_is_destroyed_once(void **state)
{
    (void)state;
    struct cast cast;
    struct speech *speech = new_set(&cast);
    speech_encoder_remove(&speech->encoder[STREAM_PITCH]);
    assert_int_equal(cast.pitch.destroyed, 1);
    assert_null(speech->encoder[STREAM_PITCH].encode);
    assert_int_equal(speech->encoder[STREAM_PITCH].size, 0);
    speech_free(speech);
    assert_int_equal(cast.units.destroyed, 1);
    assert_int_equal(cast.pitch.destroyed, 1);
    assert_int_equal(cast.vocoder.destroyed, 1);
    speech_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_answers_with_what_its_components_say),
        cmocka_unit_test(a_stream_that_is_not_wanted_is_not_encoded),
        cmocka_unit_test(shared_work_is_done_once_for_an_utterance),
        cmocka_unit_test(failures_leave_nothing_behind),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(components_that_do_not_fit_are_refused),
        cmocka_unit_test(every_component_is_destroyed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
