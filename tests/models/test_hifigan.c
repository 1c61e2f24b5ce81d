/* Small random vocoders: equal to PyTorch's float64 through every layout of files; the same bits whatever chunks, ranges, threads and
 * earlier work; rules for codes; and what does not fit is refused by name. */
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
#include <unistd.h>

#define SMALL TEST_GOLDEN_DIRECTORY "/speech_models/hifigan/"

static struct device_context context;
static struct safetensors *expected;

static int open_world(void **state)
{
    (void)state;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    assert_ok(safetensors_open(SMALL "expected.safetensors", &expected));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    safetensors_close(expected);
    device_context_destroy(test_kernels(), &context);
    return 0;
}

struct voice {
    struct hifigan *hifigan;
    struct hifigan_workspace *workspace;
};

static struct voice open_voice(const char *path, struct device_context *where, int64_t chunk)
{
    struct voice voice;
    assert_ok(hifigan_open(path, test_kernels(), where, &voice.hifigan));
    assert_ok(hifigan_workspace_create(voice.hifigan, where, chunk, &voice.workspace));
    return voice;
}

static void close_voice(struct voice *voice)
{
    hifigan_workspace_destroy(voice->workspace);
    hifigan_close(voice->hifigan);
}

static const void *golden(const char *name, int64_t *count)
{
    const struct tensor_info *info = safetensors_find(expected, name);
    if (!info)
        fail_msg("no tensor %s", name);
    *count = info->shape[0];
    return safetensors_data(expected, info);
}

/* All samples of the codes; the caller frees. */
static float *speak(const struct voice *voice, const struct hifigan_codes *codes, int64_t *count)
{
    struct hifigan_frames frames;
    assert_ok(hifigan_arrange(voice->workspace, codes, &frames));
    *count = frames.count * hifigan_config(voice->hifigan)->frame_samples;
    float *samples = guarded_allocate((size_t)*count * sizeof *samples);
    assert_ok(hifigan_speak(voice->workspace, &frames, 0, frames.count, samples));
    hifigan_frames_free(&frames);
    return samples;
}

static void same_wave(const struct voice *voice, const struct hifigan_codes *codes, const char *name)
{
    int64_t wanted, count;
    const float *wave = golden(name, &wanted);
    float *samples = speak(voice, codes, &count);
    double *reference = malloc((size_t)wanted * sizeof *reference);
    assert_non_null(reference);
    assert_int_equal(count, wanted);
    for (int64_t i = 0; i < wanted; i++)
        reference[i] = (double)wave[i];
    double error = relative_difference(samples, reference, count);
    printf("%s: %ld samples, %.1e\n", name, (long)count, error);
    assert_true(error <= 3e-6);
    free(reference);
    guarded_free(samples);
}

/* ---- equal to PyTorch ---- */

static void units_alone_speak_as_in_pytorch(void **state)
{
    (void)state;
    static const char *const paths[] = {SMALL "plain/small.pt", SMALL "plain/folded.pt",
                                        SMALL "safetensors/small.safetensors"};
    static const int lengths[] = {1, 2, 7, 33};
    struct sha256 first;
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
        struct voice voice = open_voice(paths[p], &context, 0);
        for (int64_t i = 0; i < test_count(4, p == 0 ? 4 : 2); i++) { /* the same weights: the fingerprints say so */
            char name[64];
            int64_t count, same;
            int32_t durations[64];
            float logarithms[64];
            snprintf(name, sizeof name, "plain.%d.units", lengths[i]);
            const int32_t *units = golden(name, &count);
            snprintf(name, sizeof name, "plain.%d.durations", lengths[i]);
            const int32_t *wanted = golden(name, &same);
            snprintf(name, sizeof name, "plain.%d.logs", lengths[i]);
            const float *logs = golden(name, &same);
            assert_ok(hifigan_durations(voice.workspace, units, count, durations, logarithms));
            assert_memory_equal(durations, wanted, (size_t)count * sizeof *durations);
            for (int64_t k = 0; k < count; k++)
                assert_true(fabsf(logarithms[k] - logs[k]) <= 2e-6f);
            snprintf(name, sizeof name, "plain.%d.wave", lengths[i]);
            struct hifigan_codes codes = {.units = units, .unit_count = count};
            same_wave(&voice, &codes, name);
            codes.durations = wanted; /* given by the caller */
            same_wave(&voice, &codes, name);
        }
        if (p == 0)
            first = *hifigan_fingerprint(voice.hifigan);
        assert_memory_equal(hifigan_fingerprint(voice.hifigan), &first, sizeof first);
        assert_int_equal(hifigan_config(voice.hifigan)->sample_rate, 8000);
        close_voice(&voice);
    }
}

static const int32_t full_units[] = {0, 3, 7, 7, 10, 1, 2, 2, 9};
static const int32_t full_pitch[] = {4, 0, 1, 3}, full_style[] = {5, 2};

static struct hifigan_codes full_codes(void)
{
    return (struct hifigan_codes){.units = full_units,
                                  .pitch = full_pitch,
                                  .style = full_style,
                                  .unit_count = 9,
                                  .pitch_count = 4,
                                  .style_count = 2,
                                  .speaker = 1,
                                  .style_row = 3};
}

/* f0_hop_size 13 and style_hop_size 24 over code_hop_size 6: two and four frames. */
static void codes_of_pitch_and_style_speak_as_in_pytorch(void **state)
{
    (void)state;
    static const char *const folders[] = {SMALL "full", SMALL "parametrized"};
    static const int32_t pitch[] = {4, 4, 0, 0, 1, 1, 3, 3, 3}, style[] = {5, 5, 5, 5, 2, 2, 2, 2, 2};
    for (int i = 0; i < 2; i++) {
        struct voice voice = open_voice(folders[i], &context, i == 0 ? 0 : 2);
        struct hifigan_codes codes = full_codes();
        same_wave(&voice, &codes, "full.rate.wave");
        codes.pitch = pitch;
        codes.style = style;
        codes.pitch_count = codes.style_count = 9;
        assert_ok(hifigan_find(voice.hifigan, HIFIGAN_SPEAKER, "carl", &codes.speaker));
        assert_ok(hifigan_find(voice.hifigan, HIFIGAN_STYLE, "default", &codes.style_row));
        same_wave(&voice, &codes, "full.unit.wave");
        close_voice(&voice);
    }
}

static void negative_codes_are_dropped(void **state)
{
    (void)state;
    static const int32_t units[] = {-1, 0, 3, 7, -2, 7, 10, 1, 2, 2, 9}, pitch[] = {4, -1, 0, 1, 3};
    struct voice voice = open_voice(SMALL "full", &context, 0);
    struct hifigan_codes codes = full_codes();
    codes.units = units;
    codes.unit_count = 11;
    codes.pitch = pitch;
    codes.pitch_count = 5;
    same_wave(&voice, &codes, "full.rate.wave");
    close_voice(&voice);
}

/* Without a predictor every unit is a frame; num_speakers is 200 unless it is said; a stage of rate 1; kernels of 1. */
static void a_vocoder_without_durations_speaks_as_in_pytorch(void **state)
{
    (void)state;
    static const int32_t units[] = {0, 0, 4, 10, 3};
    struct hifigan_codes codes = {.units = units, .unit_count = 5};
    const int64_t chunks[] = {0, 1, 2};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct voice voice = open_voice(SMALL "named/vocoder.bin.pt", &context, chunks[i]);
        assert_ok(hifigan_find(voice.hifigan, HIFIGAN_SPEAKER, "199", &codes.speaker));
        same_wave(&voice, &codes, "named.wave");
        close_voice(&voice);
    }
}

/* ---- the same bits ---- */

enum { LONG_UNITS = 601 }; /* more than durations are found at a time */

static void draw_units(int32_t *units, int64_t count)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, 3);
    for (int64_t i = 0; i < count; i++)
        units[i] = (int32_t)rng_below(&rng, 11);
}

/* To the bit on the cpu; a GPU may choose another kernel for few frames. */
static void same_samples(const float *found, const float *wanted, int64_t count, const char *what)
{
    for (int64_t i = 0; i < count; i++)
        if (test_kernels_cpu() ? memcmp(&found[i], &wanted[i], sizeof *found) != 0
                               : !(fabsf(found[i] - wanted[i]) <= 2e-6f))
            fail_msg("%s: sample %ld of %ld is %.9g, not %.9g", what, (long)i, (long)count, (double)found[i],
                     (double)wanted[i]);
}

static void chunks_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    static const int64_t chunks[] = {1, 2, 3, 5, 8, 13, 31, 64, 100};
    static const int64_t lengths[] = {1, 2, 3, 17, 61};
    int32_t units[61];
    draw_units(units, 61);
    struct voice whole = open_voice(SMALL "plain/small.pt", &context, 4096);
    for (int64_t c = 0; c < test_count(sizeof chunks / sizeof *chunks, 4); c++) {
        struct voice voice = open_voice(SMALL "plain/small.pt", &context, chunks[c]);
        for (int64_t l = 0; l < test_count(5, 3); l++) {
            int64_t count, other;
            const struct hifigan_codes codes = {.units = units, .unit_count = lengths[l]};
            float *samples = speak(&whole, &codes, &count), *parts = speak(&voice, &codes, &other);
            assert_int_equal(count, other);
            char what[64];
            snprintf(what, sizeof what, "%ld units in chunks of %ld", (long)lengths[l], (long)chunks[c]);
            same_samples(parts, samples, count, what);
            guarded_free(samples);
            guarded_free(parts);
        }
        close_voice(&voice);
    }
    close_voice(&whole);
}

static void any_range_has_the_bits_of_the_whole(void **state)
{
    (void)state;
    int32_t units[29];
    int64_t count;
    struct hifigan_frames frames;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 5, 6);
    draw_units(units, 29);
    const struct hifigan_codes codes = {.units = units, .unit_count = 29};
    struct voice voice = open_voice(SMALL "plain/small.pt", &context, 7);
    float *samples = speak(&voice, &codes, &count);
    int64_t hop = hifigan_config(voice.hifigan)->frame_samples;
    assert_ok(hifigan_arrange(voice.workspace, &codes, &frames));
    for (int64_t i = 0; i < test_count(40, 4); i++) {
        int64_t first = (int64_t)rng_below(&rng, (uint64_t)frames.count);
        int64_t some = (int64_t)rng_below(&rng, (uint64_t)(frames.count - first) + 1);
        float *part = guarded_allocate((size_t)(some * hop) * sizeof *part);
        assert_ok(hifigan_speak(voice.workspace, &frames, first, some, part));
        same_samples(part, samples + first * hop, some * hop, "a range");
        guarded_free(part);
    }
    struct hifigan_workspace *endless;
    assert_fails(hifigan_workspace_create(voice.hifigan, &context, 1 << 20, &endless), STATUS_USAGE,
                 "chunks of 1048576 frames; expected at most");
    assert_fails(hifigan_speak(voice.workspace, &frames, 1, frames.count, samples), STATUS_INTERNAL, "frames 1 to");
    hifigan_frames_free(&frames);
    guarded_free(samples);
    close_voice(&voice);
}

static void threads_and_earlier_work_do_not_matter(void **state)
{
    (void)state;
    int32_t *units = malloc(LONG_UNITS * sizeof *units);
    float *logarithms = malloc(LONG_UNITS * sizeof *logarithms);
    int32_t *durations = malloc(LONG_UNITS * sizeof *durations);
    struct voice voice = open_voice(SMALL "plain/small.pt", &context, 0);
    int64_t count, other, few = test_count(90, 12);
    assert_true(units && logarithms && durations);
    draw_units(units, LONG_UNITS);
    struct hifigan_codes codes = {.units = units, .unit_count = few};
    float *samples = speak(&voice, &codes, &count);
    codes.unit_count = 2;
    guarded_free(speak(&voice, &codes, &other));
    codes.unit_count = few;
    for (int threads = 1; threads <= test_repeats(4); threads++) {
        struct thread_pool *pool;
        struct device_context mine;
        assert_ok(thread_pool_create(threads, &pool));
        assert_ok(device_context_create(test_kernels(), pool, 0, &mine));
        struct voice again = open_voice(SMALL "plain/small.pt", &mine, 0);
        float *same = speak(&again, &codes, &other);
        assert_int_equal(count, other);
        assert_memory_equal(samples, same, (size_t)count * sizeof *same);
        guarded_free(same);
        close_voice(&again);
        device_context_destroy(test_kernels(), &mine);
        thread_pool_destroy(pool);
    }
    float *same = speak(&voice, &codes, &other); /* after shorter speech in the same workspace */
    assert_memory_equal(samples, same, (size_t)count * sizeof *same);
    /* Durations of many units at once are those of some of them, where both their neighbours are there. */
    assert_ok(hifigan_durations(voice.workspace, units, LONG_UNITS, durations, logarithms));
    for (int64_t first = 500; first < 520; first++) {
        float five[5];
        int32_t frames[5];
        assert_ok(hifigan_durations(voice.workspace, units + first, 5, frames, five));
        same_samples(&five[2], &logarithms[first + 2], 1, "a logarithm");
    }
    guarded_free(same);
    guarded_free(samples);
    close_voice(&voice);
    free(units);
    free(logarithms);
    free(durations);
}

/* ---- rules ---- */

static void refuse(struct voice *voice, const struct hifigan_codes *codes, const char *part)
{
    struct hifigan_frames frames;
    assert_fails(hifigan_arrange(voice->workspace, codes, &frames), STATUS_USAGE, part);
    assert_null(frames.ids[0]);
}

static void codes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const int32_t wrong[] = {0, 11}, dropped[] = {-1}, durations[] = {1, 1, 1, 0, 1, 1, 1, 1, 1};
    struct voice voice = open_voice(SMALL "full", &context, 0), plain = open_voice(SMALL "plain/small.pt", &context, 0);
    struct hifigan_codes codes = full_codes();
    codes.pitch_count = 3; /* 6 frames of 9 */
    refuse(&voice, &codes, "3 pitch codes of 2 frames each do not fit 9 units of one frame");
    codes = full_codes();
    codes.unit_count = 5; /* 8 frames for 5: more than one too many */
    codes.style_count = 1;
    refuse(&voice, &codes, "4 pitch codes of 2 frames each do not fit 5 units");
    codes.unit_count = 6; /* one too many is cut off */
    struct hifigan_frames frames;
    assert_ok(hifigan_arrange(voice.workspace, &codes, &frames));
    assert_int_equal(frames.count, 6);
    assert_int_equal(frames.ids[HIFIGAN_PITCH][5], 1);
    assert_int_equal(frames.ids[HIFIGAN_STYLE_CODE][5], 5);
    hifigan_frames_free(&frames);
    codes = full_codes();
    codes.unit_count = 4; /* as many pitch codes as units */
    refuse(&voice, &codes, "as many pitch codes as units, 4, but 2 style codes");
    codes = full_codes();
    codes.durations = durations;
    refuse(&voice, &codes, "with durations, expected as many pitch codes as units, 9; found 4");
    codes.pitch = codes.style = full_units;
    codes.pitch_count = codes.style_count = codes.unit_count = 2;
    codes.durations = durations + 2;
    refuse(&voice, &codes, "unit 1 lasts 0 frames; expected at least 1");
    codes = full_codes();
    codes.units = wrong;
    codes.unit_count = 2;
    refuse(&voice, &codes, "unit code 1 is 11; the vocoder has 0 to 10");
    codes = full_codes();
    codes.style_count = 0;
    refuse(&voice, &codes, "the vocoder needs style codes; there are none");
    codes = full_codes();
    codes.units = dropped;
    codes.unit_count = 1;
    refuse(&voice, &codes, "the vocoder needs unit codes; there are none");
    codes = full_codes();
    codes.speaker = 3;
    refuse(&voice, &codes, "speaker 3 is not one of the vocoder's, 0 to 2");
    codes.speaker = 0;
    codes.style_row = -1;
    refuse(&voice, &codes, "style -1 is not one of the vocoder's, 0 to 3");
    codes = full_codes();
    refuse(&plain, &codes, "the vocoder was made for no pitch codes; there are 4");
    close_voice(&plain);
    close_voice(&voice);
}

static void names_are_found_or_listed(void **state)
{
    (void)state;
    struct voice voice = open_voice(SMALL "full", &context, 0), plain = open_voice(SMALL "plain/small.pt", &context, 0);
    int32_t row;
    assert_ok(hifigan_find(voice.hifigan, HIFIGAN_SPEAKER, "bert", &row));
    assert_int_equal(row, 1);
    assert_ok(hifigan_find(voice.hifigan, HIFIGAN_STYLE, "happy", &row)); /* a last line without an end */
    assert_int_equal(row, 1);
    assert_ok(hifigan_find(voice.hifigan, HIFIGAN_STYLE, "3", &row)); /* a row without a name */
    assert_int_equal(row, 3);
    assert_string_equal(hifigan_name(voice.hifigan, HIFIGAN_SPEAKER, 2), "carl");
    assert_null(hifigan_name(voice.hifigan, HIFIGAN_STYLE, 2));
    assert_fails(hifigan_find(voice.hifigan, HIFIGAN_SPEAKER, "dora", &row), STATUS_USAGE, "anna, bert, carl");
    assert_fails(hifigan_find(voice.hifigan, HIFIGAN_STYLE, "4", &row), STATUS_USAGE, "it has 0 to 3");
    assert_fails(hifigan_find(plain.hifigan, HIFIGAN_SPEAKER, "anna", &row), STATUS_USAGE, "has no speakers");
    close_voice(&plain);
    close_voice(&voice);
}

/* ---- files ---- */

static void copy_folder(const char *from, const char *folder)
{
    static const char *const files[] = {"generator.pt", "config.json", "speakers.txt", "styles.txt"};
    char text[256];
    if (access(folder, F_OK) != 0)
        assert_int_equal(mkdir(folder, 0777), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(text, sizeof text, "speech_models/hifigan/%s/%s", from, files[i]);
        char path[PATH_BYTES];
        assert_ok(path_format(path, "%s/%s", folder, files[i]));
        copy_golden(text, path);
    }
}

/* The config with one key of another value (JSON; NULL: without the key). */
static void edit_config(const char *folder, const char *key, const char *value)
{
    json_t *root;
    char path[PATH_BYTES];
    assert_ok(jdoc_read(SMALL "full/config.json", &root));
    if (value) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, NULL);
        assert_non_null(parsed);
        json_object_set_new(root, key, parsed);
    } else {
        json_object_del(root, key);
    }
    char *text = json_dumps(root, 0);
    assert_ok(path_format(path, "%s/config.json", folder));
    write_text(path, text);
    free(text);
    json_decref(root);
}

static void settings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *part;
    } cases[] = {
        {"embedder_params", "{\"a\": 1}", "embedder_params is not supported"},
        {"f0", "true", "f0 is not supported"},
        {"f0_quant_num_bin", "20", "f0_quant_num_bin is not supported"},
        {"resblock", "\"2\"", "resblock is not \"1\""},
        {"upsample_rates", NULL, "upsample_rates: expected a list"},
        {"upsample_rates", "[3]", "upsample_rates has 1 entries, upsample_kernel_sizes 2"},
        {"upsample_rates", "[3, 0]", "upsample_rates: entry 1 is not an integer from 1"},
        {"upsample_rates", "[4, 2]", "their difference must be even"},
        {"upsample_kernel_sizes", "[7, 4.5]", "upsample_kernel_sizes: entry 1"},
        {"upsample_initial_channel", "26", "cannot be halved 2 times"},
        {"resblock_kernel_sizes", "[3, 4]", "4 is even"},
        {"resblock_dilation_sizes", "[[1, 2, 4]]", "expected a list of 2 lists"},
        {"resblock_dilation_sizes", "[[1, 2, 4], [1, 3]]", "list 1 has 2 dilations; 3 are supported"},
        {"model_in_dim", "40", "model_in_dim is 40, but 5 embeddings of 10 channels are 50"},
        {"num_f0_tokens", "0", "model_in_dim is 50, but 4 embeddings"},
        {"f0_hop_size", "2", "less than half of code_hop_size"},
        {"style_hop_size", NULL, "style_hop_size"},
        {"dur_predictor_params", "{\"encoder_embed_dim\": 10, \"var_pred_hidden_dim\": 9, \"var_pred_kernel_size\": 5}",
         "var_pred_kernel_size is 5; only 3"},
        {"dur_predictor_params", "{\"encoder_embed_dim\": 11, \"var_pred_hidden_dim\": 9, \"var_pred_kernel_size\": 3}",
         "encoder_embed_dim is 11, embedding_dim 10"},
        {"num_embeddings", "1000000", "dict.weight: expected shape [1000000, 10], found [11, 10]"},
        {"upsample_initial_channel", "32", "expected shape [32, 1, 1], found [24, 1, 1]"},
        {"dur_predictor_params", NULL, "dur_predictor.conv1.0.bias has no place"},
        {"num_speakers", "2", "3 names, but the vocoder has 2 rows"},
    };
    const char *folder = test_path("edited");
    struct hifigan *hifigan;
    copy_folder("full", folder);
    assert_ok(hifigan_open(folder, test_kernels(), &context, &hifigan));
    hifigan_close(hifigan);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        edit_config(folder, cases[i].key, cases[i].value);
        assert_fails(hifigan_open(folder, test_kernels(), &context, &hifigan), STATUS_CORRUPT, cases[i].part);
        assert_null(hifigan);
    }
    /* What Python takes for false leaves a part out. */
    edit_config(folder, "f0", "\"\"");
    assert_ok(hifigan_open(folder, test_kernels(), &context, &hifigan));
    hifigan_close(hifigan);
}

static void files_that_are_missing_or_damaged_are_named(void **state)
{
    (void)state;
    const char *folder = test_path("damaged"), *alone = test_path("alone/x.pt");
    char path[PATH_BYTES];
    struct hifigan *hifigan;
    struct checkpoint checkpoint;
    assert_fails(hifigan_open(test_path("nowhere"), test_kernels(), &context, &hifigan), STATUS_USAGE, "nowhere");
    copy_folder("full", folder);
    assert_ok(path_format(path, "%s/generator.pt", folder));
    assert_int_equal(truncate(path, 5000), 0);
    assert_fails(hifigan_open(folder, test_kernels(), &context, &hifigan), STATUS_CORRUPT, "generator.pt");
    assert_int_equal(unlink(path), 0);
    assert_fails(hifigan_open(folder, test_kernels(), &context, &hifigan), STATUS_USAGE,
                 "generator.pt: not in this folder of a vocoder");
    assert_int_equal(mkdir(test_path("alone"), 0777), 0);
    copy_golden("speech_models/hifigan/plain/small.pt", alone);
    assert_fails(hifigan_open(alone, test_kernels(), &context, &hifigan), STATUS_USAGE, "x_config.json");
    copy_golden("speech_models/hifigan/plain/small_config.json", test_path("alone/x_config.json"));
    assert_ok(hifigan_open(alone, test_kernels(), &context, &hifigan));
    hifigan_close(hifigan);
    /* Tensors. */
    static const char name[] = "resblocks.4.convs2.1.weight_v";
    const char *release = test_path("release");
    assert_int_equal(mkdir(release, 0777), 0);
    copy_golden("speech_models/hifigan_spiritlm_base/config.json", test_path("release/config.json"));
    checkpoint_make("hifigan_base", &checkpoint);
    float *zeros = checkpoint_find(&checkpoint, name);
    memset(zeros + 3 * 16 * 7, 0, 16 * 7 * sizeof *zeros);
    checkpoint_write_torch(&checkpoint, test_path("release/generator.pt"), NULL, "generator");
    assert_fails(hifigan_open(release, test_kernels(), &context, &hifigan), STATUS_CORRUPT,
                 "resblocks.4.convs2.1.weight_v: row 3 is zero and has no direction");
    zeros[3 * 16 * 7] = NAN;
    checkpoint_write_torch(&checkpoint, test_path("release/generator.pt"), NULL, "generator");
    assert_fails(hifigan_open(release, test_kernels(), &context, &hifigan), STATUS_CORRUPT, "is not finite");
    checkpoint_rename(&checkpoint, name, NULL);
    checkpoint_write_torch(&checkpoint, test_path("release/generator.pt"), NULL, "generator");
    assert_fails(hifigan_open(release, test_kernels(), &context, &hifigan), STATUS_CORRUPT,
                 "tensor generator.resblocks.4.convs2.1.weight_v is missing");
    checkpoint_write_torch(&checkpoint, test_path("release/generator.pt"), NULL, "model");
    assert_fails(hifigan_open(release, test_kernels(), &context, &hifigan), STATUS_CORRUPT,
                 "generator.conv_pre.bias is missing: not a HiFi-GAN vocoder");
    checkpoint_free(&checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(units_alone_speak_as_in_pytorch),
                                       cmocka_unit_test(codes_of_pitch_and_style_speak_as_in_pytorch),
                                       cmocka_unit_test(negative_codes_are_dropped),
                                       cmocka_unit_test(a_vocoder_without_durations_speaks_as_in_pytorch),
                                       cmocka_unit_test(chunks_give_the_bits_of_the_whole),
                                       cmocka_unit_test(any_range_has_the_bits_of_the_whole),
                                       cmocka_unit_test(threads_and_earlier_work_do_not_matter),
                                       cmocka_unit_test(codes_that_do_not_fit_are_refused),
                                       cmocka_unit_test(names_are_found_or_listed),
                                       cmocka_unit_test(settings_that_do_not_fit_are_refused),
                                       cmocka_unit_test(files_that_are_missing_or_damaged_are_named)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
