/* The vocoders of the published layout against what the published implementation computed from the codes of real clips: waveforms
 * and durations, through every layout of files, in one piece and in chunks. Weights are made by their formula. The emulator speaks
 * some frames from the middle of a clip. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "io/json.h"
#include "models/hifigan/hifigan.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CLIPS = 3, CODES = 1024, STEP = 7 };
static const char *const clip_names[CLIPS] = {"goforward", "cards005", "austen0870"};
static const char base[] = "hifigan_spiritlm_base", expressive[] = "hifigan_spiritlm_expressive_w2v2";

struct world {
    struct thread_pool *pool;
    struct device_context context;
    struct safetensors *expected;
    json_t *clips;
};
static struct world world;

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &world.pool));
    assert_ok(device_context_create(test_kernels(), world.pool, 0, &world.context));
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_models/vocoder.safetensors", &world.expected));
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/speech_models/clips.json", &world.clips));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    json_decref(world.clips);
    safetensors_close(world.expected);
    device_context_destroy(test_kernels(), &world.context);
    thread_pool_destroy(world.pool);
    return 0;
}

/* ---- codes ---- */

struct parsed {
    int32_t units[CODES], pitch[CODES], style[CODES];
    int64_t units_count, pitch_count, style_count;
};

static const char *text_of(const char *clip, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(world.clips, clip), key));
    assert_non_null(text);
    return text;
}

/* "[St43][Pi32][Hu304]": each unit takes the latest of the others. */
static void parse_string(const char *text, struct parsed *codes)
{
    int32_t pitch = -1, style = -1;
    memset(codes, 0, sizeof *codes);
    while (*text) {
        char kind[3];
        int value = 0, length = 0;
        assert_int_equal(sscanf(text, "[%2[A-Za-z]%d]%n", kind, &value, &length), 2);
        text += length;
        if (strcmp(kind, "Pi") == 0)
            pitch = value;
        else if (strcmp(kind, "St") == 0)
            style = value;
        else {
            codes->units[codes->units_count++] = value;
            if (pitch >= 0)
                codes->pitch[codes->pitch_count++] = pitch;
            if (style >= 0)
                codes->style[codes->style_count++] = style;
        }
    }
}

static int64_t parse_list(const char *text, int32_t *codes)
{
    int64_t count = 0;
    for (char *end; *text; text = end) {
        codes[count++] = (int32_t)strtol(text, &end, 10);
        assert_true(end != text && count < CODES);
    }
    return count;
}

static struct hifigan_codes codes_of(const struct parsed *p, int32_t speaker)
{
    return (struct hifigan_codes){.units = p->units,
                                  .pitch = p->pitch,
                                  .style = p->style,
                                  .unit_count = p->units_count,
                                  .pitch_count = p->pitch_count,
                                  .style_count = p->style_count,
                                  .speaker = speaker,
                                  .style_row = 8};
}

/* ---- vocoders ---- */

/* A folder as the release has it. */
static const char *write_folder(const char *tag, const char *name)
{
    static const char *const files[] = {"config.json", "speakers.txt", "styles.txt"};
    const char *folder = test_path("%s", name);
    char from[PATH_BYTES], to[PATH_BYTES];
    struct checkpoint checkpoint;
    struct stat info;
    if (stat(folder, &info) == 0)
        return folder;
    assert_int_equal(mkdir(folder, 0777), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_ok(path_format(from, "%s/speech_models/%s/%s", TEST_GOLDEN_DIRECTORY, name, files[i]));
        assert_ok(path_format(to, "%s/%s", folder, files[i]));
        if (stat(from, &info) != 0)
            continue;
        assert_ok(path_format(from, "speech_models/%s/%s", name, files[i]));
        copy_golden(from, to);
    }
    assert_ok(path_format(to, "%s/generator.pt", folder));
    checkpoint_make(tag, &checkpoint);
    checkpoint_write_torch(&checkpoint, to, NULL, "generator");
    checkpoint_free(&checkpoint);
    return folder;
}

struct voice {
    struct hifigan *hifigan;
    struct hifigan_workspace *workspace;
};

static struct voice open_voice(const char *path, int64_t chunk)
{
    struct voice voice;
    assert_ok(hifigan_open(path, test_kernels(), &world.context, &voice.hifigan));
    assert_ok(hifigan_workspace_create(voice.hifigan, &world.context, chunk, &voice.workspace));
    return voice;
}

static void close_voice(struct voice *voice)
{
    hifigan_workspace_destroy(voice->workspace);
    hifigan_close(voice->hifigan);
}

/* Root of the mean square of the differences over that of what is expected, of every STEPth sample of the clip from `first` on. */
static double difference(const struct tensor_info *info, const float *samples, int64_t first, int64_t count)
{
    const float *expected = safetensors_data(world.expected, info);
    double error = 0, norm = 0;
    int64_t compared = 0;
    for (int64_t i = (first + STEP - 1) / STEP; i < info->shape[0] && i * STEP < first + count; i++, compared++) {
        error += pow((double)samples[i * STEP - first] - (double)expected[i], 2);
        norm += pow((double)expected[i], 2);
    }
    assert_true(compared >= count / STEP || (compared == info->shape[0] && first == 0));
    return isfinite(error) ? sqrt(error / norm) : INFINITY;
}

static void speak_and_compare(const struct voice *voice, const struct hifigan_codes *codes, const char *clip,
                              const char *what)
{
    struct hifigan_frames frames;
    char name[64];
    assert_ok(hifigan_arrange(voice->workspace, codes, &frames));
    bool beginning = strstr(what, "spk0"); /* of that one the golden file has no more */
    int64_t hop = hifigan_config(voice->hifigan)->frame_samples, first = beginning ? 0 : test_count(0, 40);
    int64_t spoken = test_count(frames.count, 3), count = spoken * hop;
    float *samples = guarded_allocate((size_t)count * sizeof *samples);
    assert_ok(hifigan_speak(voice->workspace, &frames, first, spoken, samples));
    snprintf(name, sizeof name, "%s.%s", clip, what);
    const struct tensor_info *info = safetensors_find(world.expected, name);
    assert_non_null(info);
    if (strcmp(clip, "goforward") == 0 && !beginning) /* kept whole */
        assert_int_equal(info->shape[0], (frames.count * hop + STEP - 1) / STEP);
    double error = difference(info, samples, first * hop, count);
    printf("%s: %ld samples, %.2e\n", name, (long)count, error);
    assert_true(error <= 1e-4);
    guarded_free(samples);
    hifigan_frames_free(&frames);
}

/* ---- tests ---- */

static void base_speaks_as_the_published_implementation(void **state)
{
    (void)state;
    struct voice voice = open_voice(write_folder("hifigan_base", base), 0);
    struct parsed parsed;
    for (int clip = 0; clip < test_count(CLIPS, 1); clip++) {
        parse_string(text_of(clip_names[clip], "string_base"), &parsed);
        const struct hifigan_codes codes = codes_of(&parsed, 2), other = codes_of(&parsed, 0);
        speak_and_compare(&voice, &codes, clip_names[clip], "base_string");
        if (clip == 0)
            speak_and_compare(&voice, &other, clip_names[clip], "base_string_spk0");
    }
    close_voice(&voice);
}

static void expressive_speaks_as_the_published_implementation(void **state)
{
    (void)state;
    struct voice voice = open_voice(write_folder("hifigan_expr", expressive), 37);
    struct parsed parsed;
    for (int clip = 0; clip < test_count(CLIPS, 1); clip++) {
        parse_string(text_of(clip_names[clip], "string_expressive"), &parsed);
        assert_int_equal(parsed.units_count, parsed.pitch_count);
        const struct hifigan_codes generated = codes_of(&parsed, 2);
        speak_and_compare(&voice, &generated, clip_names[clip], "expr_string");
        parsed.units_count = parse_list(text_of(clip_names[clip], "hubert"), parsed.units);
        parsed.pitch_count = parse_list(text_of(clip_names[clip], "pitch"), parsed.pitch);
        parsed.style_count = parse_list(text_of(clip_names[clip], "style"), parsed.style);
        const struct hifigan_codes measured = codes_of(&parsed, 2);
        speak_and_compare(&voice, &measured, clip_names[clip], "expr_units");
    }
    close_voice(&voice);
}

static void durations_are_those_of_the_published_implementation(void **state)
{
    (void)state;
    const char *const tags[] = {"hifigan_base", "hifigan_expr"}, *const names[] = {base, expressive};
    const char *const strings[] = {"string_base", "string_expressive"}, *const kinds[] = {"base", "expr"};
    for (int i = 0; i < 2; i++) {
        struct voice voice = open_voice(write_folder(tags[i], names[i]), 0);
        struct parsed parsed;
        int32_t durations[CODES];
        float found[CODES];
        char name[64];
        parse_string(text_of("goforward", strings[i]), &parsed);
        assert_ok(hifigan_durations(voice.workspace, parsed.units, parsed.units_count, durations, found));
        snprintf(name, sizeof name, "goforward.dur_log.%s", kinds[i]);
        const struct tensor_info *info = safetensors_find(world.expected, name);
        assert_non_null(info);
        assert_int_equal(info->shape[0], parsed.units_count);
        const float *expected = safetensors_data(world.expected, info);
        double worst = 0;
        for (int64_t k = 0; k < parsed.units_count; k++) {
            double error = fabs((double)found[k] - (double)expected[k]);
            if (!(error <= 1e-4))
                fail_msg("%s, unit %ld: expected %g, found %g", name, (long)k, (double)expected[k], (double)found[k]);
            worst = error > worst ? error : worst;
        }
        printf("%s: %.1e\n", name, worst);
        close_voice(&voice);
    }
}

/* All samples of the first clip, to the bit. */
static void chunks_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    if (test_kernels_slow())
        skip(); /* models.hifigan asks the same of small vocoders */
    static const int64_t chunks[] = {4096, 7, 50, 100};
    struct parsed parsed;
    float *whole = NULL;
    parse_string(text_of("goforward", "string_base"), &parsed);
    const struct hifigan_codes codes = codes_of(&parsed, 2);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct voice voice = open_voice(write_folder("hifigan_base", base), chunks[i]);
        struct hifigan_frames frames;
        assert_ok(hifigan_arrange(voice.workspace, &codes, &frames));
        size_t bytes = (size_t)(frames.count * hifigan_config(voice.hifigan)->frame_samples) * sizeof(float);
        float *samples = guarded_allocate(bytes);
        assert_ok(hifigan_speak(voice.workspace, &frames, 0, frames.count, samples));
        if (whole)
            assert_memory_equal(samples, whole, bytes);
        if (whole)
            guarded_free(samples);
        else
            whole = samples;
        hifigan_frames_free(&frames);
        close_voice(&voice);
    }
    guarded_free(whole);
}

/* The same weights as a file with X_config.json beside it, as a file of safetensors, and without the prefix. */
static void every_layout_holds_the_same_vocoder(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    const char *folder = write_folder("hifigan_base", base);
    const char *const paths[] = {test_path("vocoder_25hz.pt"), test_path("other.safetensors"), test_path("flat.pt")};
    struct voice first = open_voice(folder, 0);
    struct parsed parsed;
    parse_string(text_of("goforward", "string_base"), &parsed);
    const struct hifigan_codes codes = codes_of(&parsed, 2);
    checkpoint_make("hifigan_base", &checkpoint);
    checkpoint_write_torch(&checkpoint, paths[0], NULL, "generator");
    checkpoint_write_safetensors(&checkpoint, paths[1]);
    checkpoint_write_torch(&checkpoint, paths[2], NULL, NULL);
    checkpoint_free(&checkpoint);
    copy_golden("speech_models/hifigan_spiritlm_base/config.json", test_path("vocoder_25hz_config.json"));
    copy_golden("speech_models/hifigan_spiritlm_base/config.json", test_path("config.json"));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct voice voice = open_voice(paths[i], 0);
        assert_memory_equal(hifigan_fingerprint(voice.hifigan), hifigan_fingerprint(first.hifigan),
                            sizeof(struct sha256));
        if (!test_kernels_slow())
            speak_and_compare(&voice, &codes, "goforward", "base_string");
        close_voice(&voice);
    }
    close_voice(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(base_speaks_as_the_published_implementation),
                                       cmocka_unit_test(expressive_speaks_as_the_published_implementation),
                                       cmocka_unit_test(durations_are_those_of_the_published_implementation),
                                       cmocka_unit_test(chunks_give_the_bits_of_the_whole),
                                       cmocka_unit_test(every_layout_holds_the_same_vocoder)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
