/* The aligner's small cases: what it refuses and why, words outside the dictionary, readings, threads. The measured
 * rates are in test_align_corpus.c. */
#include "data/align/align.h"
#include "data/align/pronounce.h"
#include "data/demo/demo_sources.h"
#include "data/demo/synthesize.h"
#include "io/audio/audio.h"
#include "support/test_support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct aligner *aligner;

static int create_aligner(void **state)
{
    (void)state;
    return aligner_create(NULL, &aligner) == STATUS_OK ? 0 : -1;
}

static int destroy_aligner(void **state)
{
    (void)state;
    aligner_destroy(aligner);
    return 0;
}

static void check_words(const struct alignment *alignment, const char *text, int64_t samples)
{
    int32_t time = 0, byte = 0;
    for (int64_t i = 0; i < alignment->word_count; i++) {
        const struct aligned_word *word = &alignment->words[i];
        assert_true(word->start >= time && word->end > word->start && word->end <= samples);
        assert_true(word->text_begin >= byte && word->text_end > word->text_begin);
        time = word->end;
        byte = word->text_end;
    }
    assert_true(byte <= (int32_t)strlen(text));
    assert_true(isfinite(alignment->score));
}

/* ---- refusals ---- */

static void refusals(void **state)
{
    (void)state;
    float *samples = calloc(32000, sizeof *samples);
    assert_non_null(samples);
    for (int i = 0; i < 32000; i++)
        samples[i] = 0.1f * (float)sin(0.05 * i);
    static const struct {
        const char *text, *reason;
        int64_t count;
    } cases[] = {
        {"", "no words", 16000},
        {"  ... -- !", "no words", 16000},
        {"hello", "audio too short", 0},
        {"hello", "audio too short", 1},
        {"hello", "audio too short", 1599},
        {"one two three four five six seven eight nine ten eleven", "audio too short", 3200},
        {"hello \xD0\xBC\xD0\xB8\xD1\x80", "a word without pronunciation", 16000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct alignment alignment;
        const char *reason = "untouched";
        assert_ok(aligner_align(aligner, samples, cases[i].count, cases[i].text, &alignment, &reason));
        assert_non_null(reason);
        assert_string_equal(reason, cases[i].reason);
        assert_null(alignment.words);
        assert_int_equal(alignment.word_count, 0);
    }
    free(samples);
}

/* Digital silence, a constant, full-scale noise and clipped samples: always an answer, never a crash, never
 * accepted. */
static void no_speech_is_not_accepted(void **state)
{
    (void)state;
    enum { COUNT = 48000 };
    float *samples = calloc(COUNT, sizeof *samples);
    assert_non_null(samples);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 72, 0);
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < COUNT; i++)
            samples[i] = kind == 0   ? 0.0f
                         : kind == 1 ? 1.0f
                         : kind == 2 ? (float)(2 * rng_uniform(&rng) - 1)
                                     : (float)(i % 160 < 80 ? 3 : -3);
        struct alignment alignment;
        const char *reason;
        assert_ok(aligner_align(aligner, samples, COUNT, "please enter your password", &alignment, &reason));
        print_message("no speech %d: %s %.2f\n", kind, reason == NULL ? "score" : reason, alignment.score);
        assert_true(reason != NULL || alignment.score < ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
        alignment_free(&alignment);
    }
    free(samples);
}

/* ---- what is spoken ---- */

/* Words that are in no dictionary, digits, initialisms and punctuation: every written word has a time. */
static void words_of_all_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *spoken, *written;
        int64_t words;
    } cases[] = {
        {"he was born in nineteen eighty four", "He was born in 1984.", 5},
        {"please dial five oh oh now", "Please dial 500 now!", 4},
        {"press pound for the p b x", "press # for the PBX", 5},
        {"two dollars and fifty cents please", "$2.50 please", 2},
        {"the zorbulator and the zorbulator's fribnick", "The zorbulator and the zorbulator's fribnick", 6},
        {"the well known people no one knows", "The well-known people\xE2\x80\x94no one knows", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct synthesis synthesis;
        struct alignment alignment;
        const char *reason;
        assert_ok(synthesize(cases[i].spoken, VOICE_SLT, EMOTION_NEUTRAL, &synthesis));
        assert_ok(aligner_align(aligner, synthesis.samples, synthesis.count, cases[i].written, &alignment, &reason));
        assert_null(reason);
        assert_int_equal(alignment.word_count, cases[i].words);
        check_words(&alignment, cases[i].written, synthesis.count);
        print_message("\"%s\": %.2f\n", cases[i].written, alignment.score);
        alignment_free(&alignment);
        synthesis_free(&synthesis);
    }
}

/* The audio decides between the readings: the written number ends where its spoken form ends. */
static void audio_chooses_the_reading(void **state)
{
    (void)state;
    static const char *const spoken[] = {"extension twelve thirty four please", "extension one two three four please",
                                         "extension one thousand two hundred thirty four please"};
    for (size_t i = 0; i < 3; i++) {
        struct synthesis synthesis;
        struct alignment alignment;
        const char *reason;
        assert_ok(synthesize(spoken[i], VOICE_SLT, EMOTION_NEUTRAL, &synthesis));
        assert_ok(
            aligner_align(aligner, synthesis.samples, synthesis.count, "Extension 1234, please.", &alignment, &reason));
        assert_null(reason);
        assert_int_equal(alignment.word_count, 3);
        int64_t next = synthesis.word_count - 1;
        double error = (double)(alignment.words[2].start - synthesis.words[next].start) / AUDIO_RATE;
        double begin_error = (double)(alignment.words[1].start - synthesis.words[1].start) / AUDIO_RATE;
        assert_true(fabs(error) <= 0.06 && fabs(begin_error) <= 0.06);
        assert_true(alignment.score >= ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
        alignment_free(&alignment);
        synthesis_free(&synthesis);
    }
}

/* The bytes of a word include the punctuation that touches it, and together the words cover all but white space. */
static void bytes_cover_the_text(void **state)
{
    (void)state;
    static const char text[] = "(Hello,) world \xE2\x80\x94 \"good\" bye--now...";
    static const char *const expected[] = {"(Hello,)", "world", "\"good\"", "bye--", "now..."};
    struct synthesis synthesis;
    struct alignment alignment;
    const char *reason;
    assert_ok(synthesize("hello world good bye now", VOICE_SLT, EMOTION_NEUTRAL, &synthesis));
    assert_ok(aligner_align(aligner, synthesis.samples, synthesis.count, text, &alignment, &reason));
    assert_null(reason);
    assert_int_equal(alignment.word_count, 5);
    for (int i = 0; i < 5; i++) {
        const struct aligned_word *word = &alignment.words[i];
        assert_int_equal(word->text_end - word->text_begin, strlen(expected[i]));
        assert_memory_equal(text + word->text_begin, expected[i], strlen(expected[i]));
    }
    alignment_free(&alignment);
    synthesis_free(&synthesis);
}

/* ---- repetition and threads ---- */

static const char *const sentences[] = {
    "the quick brown fox jumps over the lazy dog", "in the beginning god created the heaven and the earth",
    "to be or not to be that is the question", "four score and seven years ago our fathers brought forth"};

struct work {
    struct synthesis syntheses[4];
    struct alignment alignments[4];
    int order; /* 1: backwards, twice */
    struct aligner *own;
    enum status status;
};

static void *align_all(void *argument)
{
    struct work *work = argument;
    work->status = aligner_create(NULL, &work->own);
    for (int i = 0; i < 4 * (work->order + 1) && work->status == STATUS_OK; i++) {
        int which = work->order ? 3 - i % 4 : i;
        const char *reason;
        alignment_free(&work->alignments[which]);
        work->status = aligner_align(work->own, work->syntheses[which].samples, work->syntheses[which].count,
                                     sentences[which], &work->alignments[which], &reason);
    }
    aligner_destroy(work->own);
    return NULL;
}

static void threads_and_order_change_nothing(void **state)
{
    (void)state;
    struct work works[3] = {0};
    pthread_t threads[3];
    for (int w = 0; w < 3; w++) {
        works[w].order = w == 2;
        for (int i = 0; i < 4; i++)
            assert_ok(synthesize(sentences[i], VOICE_RMS, EMOTION_NEUTRAL, &works[w].syntheses[i]));
    }
    for (int w = 0; w < 3; w++)
        assert_int_equal(pthread_create(&threads[w], NULL, align_all, &works[w]), 0);
    for (int w = 0; w < 3; w++)
        pthread_join(threads[w], NULL);
    for (int w = 0; w < 3; w++) {
        assert_int_equal(works[w].status, STATUS_OK);
        for (int i = 0; i < 4; i++) {
            const struct alignment *first = &works[0].alignments[i], *other = &works[w].alignments[i];
            assert_true(first->word_count > 0);
            assert_int_equal(first->word_count, other->word_count);
            assert_memory_equal(first->words, other->words, (size_t)first->word_count * sizeof *first->words);
            assert_memory_equal(&first->score, &other->score, sizeof first->score);
        }
    }
    for (int w = 0; w < 3; w++)
        for (int i = 0; i < 4; i++) {
            /* The synthesiser is repeatable too. */
            assert_int_equal(works[0].syntheses[i].count, works[w].syntheses[i].count);
            if (w > 0)
                assert_memory_equal(works[0].syntheses[i].samples, works[w].syntheses[i].samples,
                                    (size_t)works[0].syntheses[i].count * sizeof(float));
        }
    for (int w = 0; w < 3; w++)
        for (int i = 0; i < 4; i++) {
            alignment_free(&works[w].alignments[i]);
            synthesis_free(&works[w].syntheses[i]);
        }
}

/* Sentences read by several readers, with pauses before and after the words. */
static void read_sentences_are_accepted(void **state)
{
    (void)state;
    struct demo_clips clips = {0};
    assert_ok(demo_recordings_read(&clips));
    assert_int_equal(clips.count, 10);
    for (int64_t i = 0; i < clips.count; i++) {
        float *samples;
        int64_t count;
        struct alignment alignment;
        const char *reason;
        assert_ok(audio_read(clips.list[i].path, -1, &samples, &count));
        assert_ok(aligner_align(aligner, samples, count, clips.list[i].text, &alignment, &reason));
        assert_null(reason);
        check_words(&alignment, clips.list[i].text, count);
        print_message("%s: %.2f\n", clips.list[i].id, alignment.score);
        assert_true(alignment.score >= ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
        /* The wrong sentence. */
        alignment_free(&alignment);
        const char *wrong = clips.list[(i + (i % 5 == 4 ? 5 : 1)) % clips.count].text;
        assert_ok(aligner_align(aligner, samples, count, wrong, &alignment, &reason));
        assert_true(reason != NULL || alignment.score < ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
        alignment_free(&alignment);
        free(samples);
    }
    demo_clips_free(&clips);
}

/* ---- letter to sound ---- */

static void pronunciations(void **state)
{
    (void)state;
    static const char *const phones[] = {"AA", "AE", "AH", "AO", "AW", "AY", "B",  "CH", "D", "DH", "EH", "ER", "EY",
                                         "F",  "G",  "HH", "IH", "IY", "JH", "K",  "L",  "M", "N",  "NG", "OW", "OY",
                                         "P",  "R",  "S",  "SH", "T",  "TH", "UH", "UW", "V", "W",  "Y",  "Z",  "ZH"};
    static const char *const words[] = {"blixering", "vorpal",    "asterisk",  "thought",
                                        "quux",      "judgement", "zzz",       "a",
                                        "bourgeois", "measure",   "xylophone", "pneumonoultramicroscopic"};
    char text[512];
    /* These two are the CMU dictionary's own entries. */
    assert_true(pronounce("hello", text, sizeof text));
    assert_true(strcmp(text, "HH AH L OW") == 0 || strcmp(text, "HH EH L OW") == 0);
    assert_true(pronounce("cat", text, sizeof text));
    assert_string_equal(text, "K AE T");
    assert_true(pronounce_genitive(text, sizeof text));
    assert_string_equal(text, "K AE T S");
    strcpy(text, "D AO G");
    assert_true(pronounce_genitive(text, sizeof text));
    assert_string_equal(text, "D AO G Z");
    strcpy(text, "B AH S");
    assert_true(pronounce_genitive(text, sizeof text));
    assert_string_equal(text, "B AH S AH Z");
    assert_false(pronounce("", text, sizeof text));
    assert_false(pronounce("\xD0\xBC\xD0\xB8\xD1\x80", text, sizeof text));
    assert_false(pronounce("hello", text, 8));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char *rest = NULL;
        assert_true(pronounce(words[i], text, sizeof text));
        for (char *phone = strtok_r(text, " ", &rest); phone != NULL; phone = strtok_r(NULL, " ", &rest)) {
            bool known = false;
            for (size_t k = 0; k < sizeof phones / sizeof phones[0]; k++)
                known = known || strcmp(phone, phones[k]) == 0;
            if (!known)
                fail_msg("%s has the phone %s, which the dictionary does not know", words[i], phone);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(no_speech_is_not_accepted),
        cmocka_unit_test(words_of_all_kinds),
        cmocka_unit_test(audio_chooses_the_reading),
        cmocka_unit_test(bytes_cover_the_text),
        cmocka_unit_test(threads_and_order_change_nothing),
        cmocka_unit_test(read_sentences_are_accepted),
        cmocka_unit_test(pronunciations),
    };
    return cmocka_run_group_tests(tests, create_aligner, destroy_aligner);
}
