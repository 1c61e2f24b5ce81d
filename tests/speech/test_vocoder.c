/* Does resynthesised speech have the same units? The tokenizer is fitted on some of the real recordings of Debian's
 * asterisk-core-sounds-en-g722 and evaluated on others: encode, vocode, encode again, compare frame by frame. */
#include "io/audio/audio.h"
#include "package/speech_folder.h"
#include "speech/embedded/fit.h"
#include "speech/embedded/griffin_lim.h"

#include "support/test_support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SOUNDS[] = "/usr/share/asterisk/sounds/en";
enum { FIT_SECONDS = 240, HELD_OUT_CLIPS = 20 };

static struct speech *speech;

static int wanted(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && !strcmp(entry->d_name + length - 5, ".g722") && !strstr(entry->d_name, "tone") &&
           !strstr(entry->d_name, "beep") && !strstr(entry->d_name, "silence");
}

static int by_bytes(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

struct clips {
    struct dirent **entries;
    int count, next;
};

static void clips_open(struct clips *clips)
{
    clips->next = 0;
    clips->count = scandir(SOUNDS, &clips->entries, wanted, by_bytes);
    if (clips->count < 300)
        fail_msg("%s holds %d recordings; install asterisk-core-sounds-en-g722", SOUNDS, clips->count);
}

/* The next clip of a second or more: every fourth is held out. */
static bool clips_next(struct clips *clips, bool held_out, float **samples, int64_t *count)
{
    for (; clips->next < clips->count; clips->next++) {
        if ((clips->next % 4 == 3) != held_out)
            continue;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", SOUNDS, clips->entries[clips->next]->d_name);
        assert_ok(audio_read(path, -1, samples, count));
        if (*count >= AUDIO_RATE) {
            clips->next++;
            return true;
        }
        free(*samples);
    }
    return false;
}

static void clips_close(struct clips *clips)
{
    for (int i = 0; i < clips->count; i++)
        free(clips->entries[i]);
    free(clips->entries);
}

static int fit_tokenizer(void **state)
{
    (void)state;
    struct speech_fit_options options = {
        .units = 100, .pitch_codes = 64, .style_codes = 10, .iterations = 20, .seed = 1};
    struct speech_fit *fit;
    struct clips clips;
    char path[1024];
    float *samples;
    int64_t count, total = 0;
    assert_ok(speech_fit_begin(&options, &fit));
    clips_open(&clips);
    while (total < (int64_t)FIT_SECONDS * AUDIO_RATE && clips_next(&clips, false, &samples, &count)) {
        assert_ok(speech_fit_add(fit, samples, count, "allison"));
        total += count;
        free(samples);
    }
    clips_close(&clips);
    assert_true(total >= (int64_t)FIT_SECONDS * AUDIO_RATE);
    snprintf(path, sizeof path, "%s/tokenizer", test_directory());
    assert_ok(speech_fit_finish(fit, NULL, path, false));
    speech_fit_free(fit);
    assert_ok(speech_folder_open(path, &speech));
    return 0;
}

static int free_tokenizer(void **state)
{
    (void)state;
    speech_free(speech);
    return 0;
}

/* Frames that keep their unit when `spoken` units are vocoded, each 40 ms, after `shift` was added to each. */
static int64_t count_agreeing(const struct units *units, int shift)
{
    int64_t n = units->count[STREAM_HUBERT], count, agree = 0;
    struct spoken_unit *spoken = malloc((size_t)n * sizeof *spoken);
    int32_t *durations = malloc((size_t)n * sizeof *durations);
    float *samples;
    struct units again;
    for (int64_t i = 0; i < n; i++) {
        spoken[i] = (struct spoken_unit){(units->values[STREAM_HUBERT][i] + shift) % 100, -1, -1};
        durations[i] = 1;
    }
    assert_ok(speech_synthesise(speech, spoken, durations, n, NULL, &samples, &count));
    assert_int_equal(count, n * 640);
    assert_ok(speech_encode(speech, samples, count, NULL, STREAMS_ALL, &again));
    assert_int_equal(again.count[STREAM_HUBERT], n);
    for (int64_t i = 0; i < n; i++)
        agree += again.values[STREAM_HUBERT][i] == units->values[STREAM_HUBERT][i];
    units_free(&again);
    free(samples);
    free(spoken);
    free(durations);
    return agree;
}

static void test_agreement(void **state)
{
    (void)state;
    struct clips clips;
    float *samples;
    int64_t count, agree = 0, broken = 0, frames = 0, broken_frames = 0, clip = 0;
    int64_t used[100] = {0};
    clips_open(&clips);
    for (; clip < HELD_OUT_CLIPS && clips_next(&clips, true, &samples, &count); clip++) {
        struct units units;
        assert_ok(speech_encode(speech, samples, count, NULL, STREAMS_ALL, &units));
        int64_t n = units.count[STREAM_HUBERT];
        assert_int_equal(n, count / 640);
        for (int64_t i = 0; i < n; i++)
            used[units.values[STREAM_HUBERT][i]]++;
        agree += count_agreeing(&units, 0);
        frames += n;
        if (clip < 4) {
            broken += count_agreeing(&units, 1); /* a vocoder that synthesises other units than it is given */
            broken_frames += n;
        }
        units_free(&units);
        free(samples);
    }
    clips_close(&clips);
    assert_int_equal(clip, HELD_OUT_CLIPS);
    int distinct = 0;
    for (int u = 0; u < 100; u++)
        distinct += used[u] > 0;
    double share = (double)agree / (double)frames, broken_share = (double)broken / (double)broken_frames;
    printf("units that agree after resynthesis: %.1f %% of %lld held-out frames (%d units in use); of a vocoder with "
           "wrong units: %.1f %%\n",
           100 * share, (long long)frames, distinct, 100 * broken_share);
    assert_true(distinct >= 50); /* few units would agree easily */
    assert_true(share >= 0.70);
    assert_true(broken_share <= 0.30);
}

static double level(const float *samples, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)samples[i] * (double)samples[i];
    return 10 * log10(sum / (double)count);
}

/* Sections are 20 s long: where two meet, one long unit is as loud as elsewhere. */
static void test_seam(void **state)
{
    (void)state;
    struct spoken_unit spoken = {17, -1, -1};
    int32_t duration = 520;
    float *samples;
    int64_t count;
    assert_ok(speech_synthesise(speech, &spoken, &duration, 1, NULL, &samples, &count));
    assert_int_equal(count, 520 * 640);
    double all = level(samples, count), seam = level(samples + 500 * 640 - 320, 640);
    printf("level %.2f dB, at the seam %.2f dB\n", all, seam);
    assert_true(fabs(seam - all) <= 3);
    free(samples);
}

/* Run lengths where no durations are given; the same bits for any number of threads. */
static void test_durations_and_threads(void **state)
{
    (void)state;
    enum { COUNT = 420 };
    static struct spoken_unit spoken[COUNT];
    static int32_t durations[COUNT];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    int64_t total = 0, count, again_count;
    float *samples, *again;
    for (int i = 0; i < COUNT; i++) {
        spoken[i] = (struct spoken_unit){(int32_t)rng_below(&rng, 100), -1, -1};
        durations[i] = 1 + (int32_t)rng_below(&rng, 2);
        total += durations[i];
    }
    assert_ok(speech_synthesise(speech, spoken, durations, COUNT, NULL, &samples, &count));
    assert_int_equal(count, 640 * total);
    for (int threads = 1; threads <= 3; threads += 2) {
        struct thread_pool *pool;
        assert_ok(thread_pool_create(threads, &pool));
        assert_ok(speech_synthesise(speech, spoken, durations, COUNT, pool, &again, &again_count));
        assert_int_equal(again_count, count);
        assert_memory_equal(again, samples, (size_t)count * sizeof *samples);
        free(again);
        thread_pool_destroy(pool);
    }
    struct units units;
    int64_t agree = 0, position = 0;
    assert_ok(speech_encode(speech, samples, count, NULL, STREAMS_ALL, &units));
    assert_int_equal(units.count[STREAM_HUBERT], total);
    for (int i = 0; i < COUNT; i++)
        for (int r = 0; r < durations[i]; r++, position++)
            agree += units.values[STREAM_HUBERT][position] == spoken[i].hubert;
    printf("random units that come back: %.1f %%\n", 100 * (double)agree / (double)total);
    units_free(&units);
    free(samples);
    assert_ok(speech_synthesise(speech, spoken, NULL, 50, NULL, &samples, &count));
    assert_true(count % 640 == 0 && count >= 50 * 640);
    free(samples);
    assert_ok(speech_synthesise(speech, spoken, NULL, 0, NULL, &samples, &count));
    assert_true(count == 0 && !samples);
}

static void test_refusals(void **state)
{
    (void)state;
    struct spoken_unit spoken[2] = {{0, -1, -1}, {100, -1, -1}};
    int32_t durations[2] = {1, 1};
    float *samples;
    int64_t count;
    assert_fails(speech_synthesise(speech, spoken, durations, 2, NULL, &samples, &count), STATUS_USAGE,
                 "unit 1 of 2 to synthesise: expected a unit below 100, found [Hu100]");
    spoken[1].hubert = -1;
    assert_fails(speech_synthesise(speech, spoken, durations, 2, NULL, &samples, &count), STATUS_USAGE, "found [Hu-1]");
    spoken[1].hubert = 5;
    durations[0] = 0;
    assert_fails(speech_synthesise(speech, spoken, durations, 2, NULL, &samples, &count), STATUS_USAGE,
                 "found 0 times 40 ms");
    durations[0] = INT32_MAX;
    assert_fails(speech_synthesise(speech, spoken, durations, 2, NULL, &samples, &count), STATUS_USAGE,
                 "at most 12 hours");
    assert_null(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agreement), cmocka_unit_test(test_seam),
                                       cmocka_unit_test(test_durations_and_threads), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, fit_tokenizer, free_tokenizer);
}
