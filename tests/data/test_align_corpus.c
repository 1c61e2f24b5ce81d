/* The aligner measured, at its one threshold:
 * - all usable prompts of asterisk-core-sounds-en (551 clips, 24 minutes, one speaker; rule in
 * data/demo/demo_sources.h) with their own text: >= 95 % accepted; with the text of another clip: >= 95 % rejected. The
 * other clip is the next one in the order of text length (letters; equal lengths in the order of the list) whose spoken
 * words differ.
 * - with one word left out (every third clip of three words or more; the seed chooses the word): the rate is printed.
 * - at least 4,000 words of flite's speech (three voices, three prosodies) against flite's own times: the median start
 * error is <= 15 ms, the 95th percentile <= 50 ms. */
#include "core/hash.h"
#include "data/align/align.h"
#include "data/demo/demo_sources.h"
#include "data/demo/demo_split.h"
#include "data/demo/synthesize.h"
#include "io/audio/audio.h"
#include "support/test_support.h"
#include "support/usage.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 2, WORDS_NEEDED = 4000 };

/* ---- clips ---- */

struct trial {
    const char *path, *own, *other;
    char *shortened;  /* NULL: not tried */
    double scores[3]; /* own, other, shortened; -INFINITY: not aligned */
};

struct trials {
    struct trial *list;
    int64_t count, next;
    pthread_mutex_t mutex;
    enum status status;
    double audio_seconds;
};

static enum status score_text(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                              double *score)
{
    struct alignment alignment;
    const char *reason;
    enum status result = aligner_align(aligner, samples, count, text, &alignment, &reason);
    *score = result == STATUS_OK && reason == NULL ? alignment.score : -INFINITY;
    alignment_free(&alignment);
    return result;
}

static void *try_clips(void *argument)
{
    struct trials *trials = argument;
    struct aligner *aligner = NULL;
    enum status result = aligner_create(NULL, &aligner);
    while (result == STATUS_OK) {
        pthread_mutex_lock(&trials->mutex);
        int64_t index = trials->next++;
        pthread_mutex_unlock(&trials->mutex);
        if (index >= trials->count)
            break;
        struct trial *trial = &trials->list[index];
        float *samples = NULL;
        int64_t count = 0;
        TRY(audio_read(trial->path, -1, &samples, &count));
        const char *const texts[3] = {trial->own, trial->other, trial->shortened};
        for (int i = 0; i < 3 && result == STATUS_OK; i++)
            if (texts[i] != NULL)
                result = score_text(aligner, samples, count, texts[i], &trial->scores[i]);
        free(samples);
        pthread_mutex_lock(&trials->mutex);
        trials->audio_seconds += (double)count / AUDIO_RATE;
        pthread_mutex_unlock(&trials->mutex);
    }
fail:
    if (result != STATUS_OK) {
        print_error("%s\n", status_text());
        pthread_mutex_lock(&trials->mutex);
        trials->status = result;
        pthread_mutex_unlock(&trials->mutex);
    }
    aligner_destroy(aligner);
    return NULL;
}

static char *spoken(const char *text)
{
    char *form;
    assert_ok(spoken_form(text, (int64_t)strlen(text), &form));
    return form;
}

struct text_order {
    const char *text;
    char *form;
    struct sha256 hash; /* of the clip's name */
    int64_t index;
};

static int compare_texts(const void *a, const void *b)
{
    const struct text_order *left = a, *right = b;
    size_t left_length = strlen(left->form), right_length = strlen(right->form);
    if (left_length != right_length)
        return left_length < right_length ? -1 : 1;
    return memcmp(&left->hash, &right->hash, sizeof left->hash);
}

/* Without one word; NULL when there are fewer than three. */
static char *leave_out_a_word(const char *text, uint64_t index)
{
    int64_t words = 0;
    const char *begins[512];
    for (const char *at = text + strspn(text, " "); *at != '\0' && words < 512;
         at += strcspn(at, " "), at += strspn(at, " "))
        begins[words++] = at;
    if (words < 3)
        return NULL;
    struct rng rng = rng_make(1, RNG_TEST, 73, index);
    int64_t out = (int64_t)rng_below(&rng, (uint64_t)words);
    char *shorter = strdup(text);
    assert_non_null(shorter);
    const char *after = out + 1 < words ? begins[out + 1] : text + strlen(text);
    memmove(shorter + (begins[out] - text), after, strlen(after) + 1);
    return shorter;
}

static double share(const struct trials *trials, int which, bool accepted, int64_t *count)
{
    int64_t hits = 0;
    *count = 0;
    for (int64_t i = 0; i < trials->count; i++) {
        if (which == 2 && trials->list[i].shortened == NULL)
            continue;
        (*count)++;
        hits += (trials->list[i].scores[which] >= ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]) == accepted;
    }
    return 100.0 * (double)hits / (double)*count;
}

static void right_and_wrong_texts(void **state)
{
    (void)state;
    struct demo_clips clips = {0};
    assert_ok(demo_prompts_read(&clips));
    struct trials trials = {.count = clips.count, .mutex = PTHREAD_MUTEX_INITIALIZER};
    struct text_order *order = calloc((size_t)clips.count, sizeof *order);
    trials.list = calloc((size_t)clips.count, sizeof *trials.list);
    assert_true(order != NULL && trials.list != NULL);
    for (int64_t i = 0; i < clips.count; i++)
        order[i] = (struct text_order){clips.list[i].text, spoken(clips.list[i].text),
                                       sha256_of(clips.list[i].id, strlen(clips.list[i].id)), i};
    qsort(order, (size_t)clips.count, sizeof *order, compare_texts);
    for (int64_t i = 0; i < clips.count; i++) {
        int64_t other = i + 1;
        while (other < clips.count && strcmp(order[other].form, order[i].form) == 0)
            other++;
        if (other == clips.count) /* the longest text: take the one before */
            other = i - 1;
        trials.list[order[i].index] =
            (struct trial){.path = clips.list[order[i].index].path, .own = order[i].text, .other = order[other].text};
    }
    for (int64_t i = 0; i < clips.count; i += 3)
        trials.list[i].shortened = leave_out_a_word(trials.list[i].own, (uint64_t)i);
    double begin = processor_seconds();
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, try_clips, &trials), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(trials.status, STATUS_OK);
    int64_t own_count, other_count, short_count;
    double accepted = share(&trials, 0, true, &own_count), rejected = share(&trials, 1, false, &other_count);
    double short_rejected = share(&trials, 2, false, &short_count);
    print_message(
        "threshold %.2f, %lld clips, %.1f minutes: accepted with their own text %.1f %%, rejected with another "
        "clip's text %.1f %%\n",
        ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX], (long long)own_count, trials.audio_seconds / 60, accepted,
        rejected);
    print_message("rejected with one word left out: %.1f %% of %lld\n", short_rejected, (long long)short_count);
    print_message("%.1f s of processor time\n", processor_seconds() - begin);
    assert_true(own_count >= 544);
    assert_true(accepted >= 95.0);
    assert_true(rejected >= 95.0);
    for (int64_t i = 0; i < clips.count; i++) {
        free(order[i].form);
        free(trials.list[i].shortened);
    }
    free(order);
    free(trials.list);
    demo_clips_free(&clips);
}

/* ---- times ---- */

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* A verse that flite and we divide into the same words: letters and plain punctuation, 12 to 40 words. */
static bool is_plain_verse(const char *text)
{
    int words = 1;
    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(" ,.;:?!'", *c) == NULL && !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
            return false;
        words += *c == ' ';
    }
    return words >= 12 && words <= 40;
}

static void times_of_synthetic_speech(void **state)
{
    (void)state;
    struct demo_book book;
    struct aligner *aligner = NULL;
    double *errors = calloc(WORDS_NEEDED + 100, sizeof *errors);
    assert_non_null(errors);
    assert_ok(demo_book_read(&book));
    assert_ok(aligner_create(NULL, &aligner));
    struct rng rng = rng_make(2, RNG_TEST, 74, 0);
    int64_t words = 0, verses = 0, accepted = 0;
    double begin = processor_seconds(), seconds = 0;
    while (words < WORDS_NEEDED) {
        const char *text = book.verses[rng_below(&rng, (uint64_t)book.count)].text;
        struct synthesis synthesis;
        struct alignment alignment;
        const char *reason;
        if (!is_plain_verse(text))
            continue;
        enum synthetic_voice voice = (enum synthetic_voice)(verses % SYNTHETIC_VOICES);
        enum synthetic_emotion emotion = (enum synthetic_emotion)(verses / SYNTHETIC_VOICES % SYNTHETIC_EMOTIONS);
        assert_ok(synthesize(text, voice, emotion, &synthesis));
        assert_ok(aligner_align(aligner, synthesis.samples, synthesis.count, text, &alignment, &reason));
        verses++;
        seconds += (double)synthesis.count / AUDIO_RATE;
        if (reason == NULL) { /* the times of all texts that were aligned, whatever their score */
            accepted += alignment.score >= ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX];
            assert_int_equal(alignment.word_count, synthesis.word_count);
            for (int64_t i = 0; i < alignment.word_count; i++)
                errors[words++] =
                    1000.0 * fabs((double)(alignment.words[i].start - synthesis.words[i].start)) / AUDIO_RATE;
        }
        alignment_free(&alignment);
        synthesis_free(&synthesis);
    }
    qsort(errors, (size_t)words, sizeof *errors, compare_doubles);
    double median = errors[words / 2], high = errors[words * 95 / 100];
    print_message("start error on %lld words of %lld verses (%.1f minutes): median %.1f ms, 95th percentile %.1f ms; "
                  "accepted %.1f %% of the verses; %.1f s of processor time\n",
                  (long long)words, (long long)verses, seconds / 60, median, high,
                  100.0 * (double)accepted / (double)verses, processor_seconds() - begin);
    assert_true(words >= WORDS_NEEDED);
    assert_true(median <= 15.0);
    assert_true(high <= 50.0);
    aligner_destroy(aligner);
    demo_book_free(&book);
    free(errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_and_wrong_texts),
        cmocka_unit_test(times_of_synthetic_speech),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
