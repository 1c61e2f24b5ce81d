/* Synthetic speech: word times inside the sound and in order, prosody that differs as it should, the same sound for the
 * same text. */
#include "data/demo/synthesize.h"
#include "io/audio/audio.h"
#include "speech/f0/f0.h"
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
    "In the beginning, God created the heaven and the earth; and the LORD's people\n saw  it: yes!";
enum { WORDS = 17 };

static void times_are_in_order_and_inside(void **state)
{
    (void)state;
    for (int voice = 0; voice < SYNTHETIC_VOICES; voice++)
        for (int emotion = 0; emotion < SYNTHETIC_EMOTIONS; emotion++) {
            struct synthesis synthesis;
            assert_ok(synthesize(text, (enum synthetic_voice)voice, (enum synthetic_emotion)emotion, &synthesis));
            assert_int_equal(synthesis.word_count, WORDS);
            int32_t time = 0, byte = 0;
            for (int64_t i = 0; i < WORDS; i++) {
                const struct aligned_word *word = &synthesis.words[i];
                assert_true(word->start >= time && word->end > word->start && word->end <= synthesis.count);
                assert_true(word->text_begin >= byte && word->text_end > word->text_begin);
                for (int32_t k = byte; k < word->text_begin; k++) /* nothing but white space is left out */
                    assert_true(text[k] == ' ' || text[k] == '\n');
                time = word->end;
                byte = word->text_end;
            }
            assert_int_equal(byte, strlen(text));
            /* No word is silent: each is louder than the quietest tenth of the sound. */
            double all = 0;
            for (int64_t k = 0; k < synthesis.count; k++) {
                assert_true(isfinite(synthesis.samples[k]) && fabsf(synthesis.samples[k]) <= 1.0f);
                all += (double)synthesis.samples[k] * synthesis.samples[k];
            }
            for (int64_t i = 0; i < WORDS; i++) {
                double sum = 0;
                for (int32_t k = synthesis.words[i].start; k < synthesis.words[i].end; k++)
                    sum += (double)synthesis.samples[k] * synthesis.samples[k];
                double length = synthesis.words[i].end - synthesis.words[i].start;
                assert_true(sum / length > 0.05 * all / (double)synthesis.count);
            }
            synthesis_free(&synthesis);
        }
}

/* Mean and deviation of F0 over its pitched frames. */
static void measure_pitch(const struct synthesis *synthesis, double *mean, double *deviation)
{
    struct f0_track track;
    double sum = 0, squares = 0, count = 0;
    assert_ok(f0_extract(synthesis->samples, synthesis->count, &track));
    for (int64_t i = 0; i < track.count; i++)
        if (track.f0[i] > 0) {
            sum += track.f0[i];
            squares += (double)track.f0[i] * track.f0[i];
            count++;
        }
    *mean = sum / count;
    *deviation = sqrt(squares / count - *mean * *mean);
    f0_track_free(&track);
}

static void prosody_differs(void **state)
{
    (void)state;
    for (int voice = 0; voice < SYNTHETIC_VOICES; voice++) {
        double mean[SYNTHETIC_EMOTIONS], deviation[SYNTHETIC_EMOTIONS], seconds[SYNTHETIC_EMOTIONS];
        for (int emotion = 0; emotion < SYNTHETIC_EMOTIONS; emotion++) {
            struct synthesis synthesis;
            assert_ok(synthesize(text, (enum synthetic_voice)voice, (enum synthetic_emotion)emotion, &synthesis));
            measure_pitch(&synthesis, &mean[emotion], &deviation[emotion]);
            seconds[emotion] = (double)synthesis.count / AUDIO_RATE;
            print_message("%s %s: %.2f s, F0 %.0f Hz, deviation %.0f Hz\n", synthetic_voice_names[voice],
                          synthetic_emotion_names[emotion], seconds[emotion], mean[emotion], deviation[emotion]);
            synthesis_free(&synthesis);
        }
        assert_true(seconds[EMOTION_HAPPY] < 0.95 * seconds[EMOTION_NEUTRAL]);
        assert_true(seconds[EMOTION_SAD] > 1.1 * seconds[EMOTION_NEUTRAL]);
        assert_true(mean[EMOTION_HAPPY] > 1.15 * mean[EMOTION_NEUTRAL]);
        assert_true(mean[EMOTION_SAD] < 0.92 * mean[EMOTION_NEUTRAL]);
        assert_true(deviation[EMOTION_HAPPY] > deviation[EMOTION_SAD]);
    }
}

static void the_same_again(void **state)
{
    (void)state;
    struct synthesis first, second, other;
    assert_ok(synthesize(text, VOICE_AWB, EMOTION_SAD, &first));
    assert_ok(synthesize("something else in between", VOICE_AWB, EMOTION_HAPPY, &other));
    assert_ok(synthesize(text, VOICE_AWB, EMOTION_SAD, &second));
    assert_int_equal(first.count, second.count);
    assert_memory_equal(first.samples, second.samples, (size_t)first.count * sizeof *first.samples);
    assert_memory_equal(first.words, second.words, WORDS * sizeof *first.words);
    synthesis_free(&first);
    synthesis_free(&second);
    synthesis_free(&other);
}

static void refusals(void **state)
{
    (void)state;
    struct synthesis synthesis;
    assert_fails(synthesize("", VOICE_SLT, EMOTION_NEUTRAL, &synthesis), STATUS_USAGE, "nothing to say");
    assert_fails(synthesize("  \n ", VOICE_SLT, EMOTION_NEUTRAL, &synthesis), STATUS_USAGE, "nothing to say");
    assert_fails(synthesize("one - two", VOICE_SLT, EMOTION_NEUTRAL, &synthesis), STATUS_USAGE, "flite");
    assert_null(synthesis.samples);
    assert_null(synthesis.words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_in_order_and_inside),
        cmocka_unit_test(prosody_differs),
        cmocka_unit_test(the_same_again),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
