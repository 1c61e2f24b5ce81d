/* F0 against AMFM_decompy 1.0.12 on real speech (tests/oracles/pyaapt_golden.py made the golden file), and the edges.
 * With an argument it compares with that golden file instead, and does nothing else. */
#include "support/test_support.h"

#include "core/hash.h"
#include "io/audio/audio.h"
#include "io/safetensors.h"
#include "speech/f0/f0.h"
#include "speech/f0/f0_stages.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden_path = TEST_GOLDEN_DIRECTORY "/speech/pyaapt.safetensors";
static const char *const speech_path = "/usr/share/pocketsphinx/test/data/cards/001.wav";

struct sound {
    float *samples;
    int64_t count;
};

static struct sound allocate(int64_t count)
{
    struct sound sound = {.samples = calloc((size_t)count + 1, sizeof(float)), .count = count};
    assert_non_null(sound.samples);
    return sound;
}

static struct sound read_sound(const char *path)
{
    struct sound sound;
    assert_ok(audio_read(path, -1, &sound.samples, &sound.count));
    return sound;
}

/* The i-th 16-bit value of a made sound; `speech` is the one recording that some are derived from. */
static long made_value(const char *name, const struct sound *speech, int64_t i, uint32_t *random)
{
    long value = speech && i < speech->count ? lrintf(speech->samples[i] * 32768) : 0;
    if (strcmp(name, "tone") == 0)
        return lrint(12000 * sin(2 * M_PI * 120 * (double)i / 16000));
    if (strcmp(name, "harmonics") == 0) {
        double sum = 0;
        for (int h = 1; h <= 10; h++)
            sum += sin(2 * M_PI * 120 * h * (double)i / 16000);
        return lrint(2500 * sum);
    }
    if (strcmp(name, "noise") == 0) {
        *random = *random * 1664525u + 1013904223u;
        return (long)(*random >> 18) - 8192;
    }
    if (strcmp(name, "click") == 0)
        return i == 8000 ? 20000 : 0;
    if (strcmp(name, "constant") == 0)
        return 10000;
    if (strcmp(name, "clipped") == 0)
        return value > 500 ? 500 : value < -500 ? -500 : value;
    if (strcmp(name, "gap") == 0)
        return i >= 6000 && i < 12000 ? 0 : value;
    if (strcmp(name, "quiet") == 0)
        return value / 256;
    return value;
}

static struct sound make_sound(const char *name)
{
    struct sound speech = read_sound(speech_path);
    bool derived = strstr("clipped gap quiet", name) != NULL;
    int64_t count = derived ? speech.count : strcmp(name, "noise") == 0 ? 16037 : 16000, first = 0;
    if (strcmp(name, "four_frames") == 0 || strcmp(name, "five_frames") == 0) {
        count = name[1] == 'o' ? 320 : 479;
        first = 8000;
    }
    struct sound sound = allocate(count);
    uint32_t random = 1;
    for (int64_t i = 0; i < count; i++)
        sound.samples[i] = (float)made_value(name, &speech, first + i, &random) / 32768.0f;
    free(speech.samples);
    return sound;
}

enum { LONG = 1600041 };

/* All G.722 clips of the golden file, one after the other, up to 100 s. */
static struct sound join_clips(const struct safetensors *golden, int64_t clips)
{
    struct sound joined = allocate(LONG);
    int64_t filled = 0;
    for (int64_t c = 0; c < clips && filled < LONG; c++) {
        char key[32], path[400];
        snprintf(key, sizeof key, "clip.%lld", (long long)c);
        const char *text = safetensors_metadata(golden, key);
        if (!text || sscanf(text, "file:%399s", path) != 1 || !strstr(path, ".g722"))
            continue;
        struct sound clip = read_sound(path);
        int64_t taken = clip.count < LONG - filled ? clip.count : LONG - filled;
        memcpy(joined.samples + filled, clip.samples, (size_t)taken * sizeof(float));
        filled += taken;
        free(clip.samples);
    }
    joined.count = filled;
    return joined;
}

struct tally {
    int64_t frames, voicing_differs, pitch_differs, both, gross, moved, line_moved;
};

static bool moved(float actual, float expected)
{
    return !(fabs((double)actual - expected) <= 1e-6 * fabs((double)expected));
}

static struct tally compare(const struct f0_track *track, const float *f0, const float *line, const uint8_t *bits)
{
    struct tally tally = {.frames = track->count};
    for (int64_t f = 0; f < track->count; f++) {
        assert_true(isfinite(track->f0[f]) && isfinite(track->interpolated[f]));
        tally.voicing_differs += track->voiced[f] != (bits[f / 8] >> f % 8 & 1);
        tally.pitch_differs += (track->f0[f] > 0) != (f0[f] > 0);
        tally.line_moved += moved(track->interpolated[f], line[f]);
        if (track->f0[f] > 0 && f0[f] > 0) {
            tally.both++;
            tally.gross += !(fabs((double)track->f0[f] / f0[f] - 1) <= 0.2);
            tally.moved += moved(track->f0[f], f0[f]);
        }
    }
    return tally;
}

static void add(struct tally *sum, const struct tally *tally)
{
    sum->frames += tally->frames;
    sum->voicing_differs += tally->voicing_differs;
    sum->pitch_differs += tally->pitch_differs;
    sum->both += tally->both;
    sum->gross += tally->gross;
    sum->moved += tally->moved;
    sum->line_moved += tally->line_moved;
}

/* The required bounds, and the tighter ones that hold. The frames that differ are those where several paths have the
 * same cost and the last bit of a sum decides: scaling its input by 1 + 1e-12 moves such frames in the reference
 * too. */
static void check(const char *what, const struct tally *t)
{
    printf("%s: %lld frames; energy voicing differs in %lld, F0 > 0 differs in %lld; of %lld frames voiced in both "
           "F0 is off by > 20 %% in %lld, by > 1e-6 in %lld; the interpolated line in %lld\n",
           what, (long long)t->frames, (long long)t->voicing_differs, (long long)t->pitch_differs, (long long)t->both,
           (long long)t->gross, (long long)t->moved, (long long)t->line_moved);
    assert_true(t->frames > 0 && (double)t->voicing_differs <= 0.001 * (double)t->frames);
    assert_true((double)t->pitch_differs <= 0.05 * (double)t->frames);
    assert_true((double)t->gross <= 0.03 * (double)t->both);
    assert_int_equal(t->voicing_differs, 0);
    assert_true((double)t->pitch_differs <= 0.0005 * (double)t->frames);
    assert_true((double)t->gross <= 0.0001 * (double)t->both);
    assert_true((double)t->moved <= 0.004 * (double)t->both);
    assert_true((double)t->line_moved <= 0.004 * (double)t->frames);
}

static const void *tensor(const struct safetensors *golden, const char *name, int64_t *bytes)
{
    const struct tensor_info *info = safetensors_find(golden, name);
    assert_non_null(info);
    *bytes = info->bytes;
    return safetensors_data(golden, info);
}

static struct sound golden_sound(const struct safetensors *golden, int64_t clips, int64_t number, bool *made,
                                 char name[400])
{
    char key[32], kind[8], hash[65], found[65];
    snprintf(key, sizeof key, "clip.%lld", (long long)number);
    const char *text = safetensors_metadata(golden, key);
    assert_non_null(text);
    assert_int_equal(sscanf(text, "%7[^:]:%399s %64s", kind, name, hash), 3);
    *made = strcmp(kind, "made") == 0;
    struct sound sound = !*made                                 ? read_sound(name)
                         : strcmp(name, "hundred_seconds") == 0 ? join_clips(golden, clips)
                                                                : make_sound(name);
    struct sha256 digest = sha256_of(sound.samples, (size_t)sound.count * sizeof(float));
    sha256_hex(&digest, found);
    if (strcmp(hash, found) != 0)
        fail_msg("%s: the samples are not those that the golden file was made from", name);
    return sound;
}

static void agrees_with_the_reference(void **state)
{
    (void)state;
    struct safetensors *golden;
    assert_ok(safetensors_open(golden_path, &golden));
    int64_t bytes, bits_left, values, unused;
    const int64_t *frames = tensor(golden, "frames", &bytes);
    const uint8_t *bits = tensor(golden, "voiced", &bits_left);
    const float *f0 = tensor(golden, "f0", &values), *line = tensor(golden, "interpolated", &unused);
    int64_t clips = bytes / (int64_t)sizeof *frames;
    struct tally real = {0}, edges = {0};
    for (int64_t c = 0; c < clips; c++) {
        char name[400];
        bool made;
        struct sound sound = golden_sound(golden, clips, c, &made, name);
        struct f0_track track;
        assert_ok(f0_extract(sound.samples, sound.count, &track));
        assert_int_equal(track.count, frames[c]);
        struct tally tally = compare(&track, f0, line, bits);
        if (made)
            printf("%-16s %6lld frames: %lld, %lld, %lld of %lld, %lld\n", name, (long long)tally.frames,
                   (long long)tally.voicing_differs, (long long)tally.pitch_differs, (long long)tally.moved,
                   (long long)tally.both, (long long)tally.line_moved);
        add(made ? &edges : &real, &tally);
        f0 += frames[c];
        line += frames[c];
        bits += (frames[c] + 7) / 8;
        f0_track_free(&track);
        free(sound.samples);
    }
    check("real speech", &real);
    if (edges.frames > 0)
        check("made sounds", &edges);
    safetensors_close(golden);
}

/* A period of 16000/120 = 133.3 samples: the reference calls lag 133 "134", so it gives 16000/134 Hz. */
static void harmonics_of_120_hertz_give_119_4(void **state)
{
    (void)state;
    struct sound sound = make_sound("harmonics");
    struct f0_track track;
    assert_ok(f0_extract(sound.samples, sound.count, &track));
    for (int64_t f = 10; f < track.count - 10; f++) {
        assert_true(track.f0[f] == (float)(16000.0 / 134) && track.voiced[f]);
        assert_true(track.interpolated[f] == track.f0[f]);
    }
    free(sound.samples);
    f0_track_free(&track);
}

static void silence_has_no_pitch(void **state)
{
    (void)state;
    const int64_t counts[] = {0, 1, 79, 80, 81, 319, 320, 16000, 1600000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct sound sound = allocate(counts[i]);
        struct f0_track track;
        assert_ok(f0_extract(sound.samples, sound.count, &track));
        assert_int_equal(track.count, counts[i] / F0_HOP);
        for (int64_t f = 0; f < track.count; f++)
            assert_true(track.f0[f] == 0 && track.interpolated[f] == 0 && !track.voiced[f]);
        f0_track_free(&track);
        free(sound.samples);
    }
}

/* The reference fails on fewer than four frames; here they give something finite and in range. */
static void short_sounds_are_handled(void **state)
{
    (void)state;
    struct sound speech = read_sound(speech_path);
    for (int64_t count = 0; count < 700; count += count % 80 == 79 || count % 80 < 2 ? 1 : 13) {
        float *exact = guarded_allocate((size_t)(count > 0 ? count : 1) * sizeof(float));
        memcpy(exact, speech.samples + 8000, (size_t)count * sizeof(float));
        struct f0_track track;
        assert_ok(f0_extract(exact, count, &track));
        assert_int_equal(track.count, count / F0_HOP);
        for (int64_t f = 0; f < track.count; f++)
            assert_true((track.f0[f] == 0 || (track.f0[f] >= 55 && track.f0[f] <= 420)) && track.voiced[f] <= 1 &&
                        isfinite(track.interpolated[f]));
        f0_track_free(&track);
        guarded_free(exact);
    }
    free(speech.samples);
}

static void scale_and_tail_do_not_matter(void **state)
{
    (void)state;
    struct sound speech = read_sound(speech_path);
    struct f0_track a, b;
    assert_ok(f0_extract(speech.samples, speech.count, &a));
    int64_t whole = speech.count / F0_HOP * F0_HOP;
    float *copy = malloc((size_t)whole * sizeof *copy);
    for (int64_t i = 0; i < whole; i++)
        copy[i] = speech.samples[i] / 4;
    assert_ok(f0_extract(copy, whole, &b));
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.f0, b.f0, (size_t)a.count * sizeof(float));
    assert_memory_equal(a.voiced, b.voiced, (size_t)a.count);
    f0_track_free(&b);
    copy[777] = NAN;
    assert_fails(f0_extract(copy, whole, &b), STATUS_CORRUPT, "sample 777");
    assert_null(b.f0);
    free(copy);
    f0_track_free(&a);
    free(speech.samples);
}

static void *extract_again(void *argument)
{
    struct sound *speech = argument;
    struct f0_track *track = malloc(sizeof *track);
    if (!track || f0_extract(speech->samples, speech->count, track) != STATUS_OK) {
        free(track);
        return NULL;
    }
    return track;
}

static void threads_agree_to_the_bit(void **state)
{
    (void)state;
    struct sound speech = read_sound(speech_path);
    pthread_t threads[4];
    struct f0_track *tracks[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, extract_again, &speech), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_non_null(result);
        tracks[i] = result;
        assert_memory_equal(tracks[i]->f0, tracks[0]->f0, (size_t)tracks[0]->count * sizeof(float));
    }
    for (int i = 0; i < 4; i++) {
        f0_track_free(tracks[i]);
        free(tracks[i]);
    }
    free(speech.samples);
}

/* Values of scipy.signal.medfilt([3, 1, 2, 5, 4, 9, 0, 7], 5) and (..., 7). */
static void median_pads_with_zeros(void **state)
{
    (void)state;
    const double x[8] = {3, 1, 2, 5, 4, 9, 0, 7}, five[8] = {1, 2, 3, 4, 4, 5, 4, 0},
                 seven[8] = {1, 2, 3, 3, 4, 4, 4, 0};
    double y[8];
    f0_median(x, 8, 5, y);
    assert_memory_equal(y, five, sizeof y);
    f0_median(x, 8, 7, y);
    assert_memory_equal(y, seven, sizeof y);
}

/* scipy.interpolate.pchip([0, 1, 4, 5, 9], [100, 120, 120, 90, 200])(range(10)) of scipy 1.17.1. */
static void cubic_keeps_to_scipy(void **state)
{
    (void)state;
    double values[10] = {100, 120, 0, 0, 120, 90, 0, 0, 0, 200};
    const double expected[10] = {100.0, 120.0, 120.0, 120.0, 120.0, 90.0, 93.40625, 108.25, 141.46875, 200.0};
    assert_ok(f0_pchip(values, 10));
    for (int i = 0; i < 10; i++)
        assert_true(fabs(values[i] - expected[i]) <= 1e-12 * expected[i]);
    double two[5] = {100, 0, 0, 0, 140};
    assert_ok(f0_pchip(two, 5));
    for (int i = 0; i < 5; i++)
        assert_true(fabs(two[i] - (100 + 10 * i)) <= 1e-12);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),    cmocka_unit_test(harmonics_of_120_hertz_give_119_4),
        cmocka_unit_test(silence_has_no_pitch),         cmocka_unit_test(short_sounds_are_handled),
        cmocka_unit_test(scale_and_tail_do_not_matter), cmocka_unit_test(threads_agree_to_the_bit),
        cmocka_unit_test(median_pads_with_zeros),       cmocka_unit_test(cubic_keeps_to_scipy),
    };
    if (argc == 2) {
        golden_path = argv[1];
        const struct CMUnitTest only[] = {cmocka_unit_test(agrees_with_the_reference)};
        return cmocka_run_group_tests(only, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
