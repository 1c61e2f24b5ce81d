/* Neural components in a set: what the published implementation gives for real clips, with weights of a formula; sets of neural,
 * embedded and absent components; folders that know their files by name and fingerprint; chunks of long audio; callers side by side;
 * voices; and files that are not where they should be. SPIRITLM_TEST_FCPE=fcpe_c_v001.pt (from torchfcpe's wheel) adds the pitch of
 * FCPE, and with it the expressive unit strings. */
#include "support/test_support.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "package/speech_folder.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/models/published_tree.h"
#include "support/speech_clips.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    STEP = 7, /* every 7th sample is in the golden file of waveforms */
    SHORT_CLIP = 16000
};

static struct published_clip clips[PUBLISHED_CLIPS];
static char root[PATH_BYTES], embedded[700];
static struct speech_compute compute;
static struct thread_pool *pool;

static int set_up(void **state)
{
    (void)state;
    const struct speech_fit_options fit = {.units = 12, .pitch_codes = 8, .style_codes = 4, .iterations = 3, .seed = 5};
    struct speech_clip recordings[SPEECH_CLIPS];
    unsetenv("SPIRITLM_CHECKPOINTS_DIR");
    assert_ok(path_format(root, "%s", test_path("checkpoints")));
    published_tree_write(root);
    published_clips_load(clips);
    speech_clips_load(recordings);
    speech_clips_fit(recordings, 0, SPEECH_CLIPS, &fit, 0, "embedded", embedded);
    speech_clips_free(recordings);
    assert_ok(thread_pool_create(0, &pool));
    compute = (struct speech_compute){.networks = kernels_cpu(), .pool = pool};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    published_clips_free(clips);
    thread_pool_destroy(pool);
    return 0;
}

static struct speech *compose(const struct speech_options *options)
{
    struct speech *speech;
    assert_ok(speech_compose(options, speech_options_need_fit(options) ? embedded : NULL, &compute, &speech));
    assert_string_equal(speech->kind, "components");
    return speech;
}

static void expect_values(const char *clip, const char *stream, const uint16_t *values, int64_t count)
{
    const char *text = published_value(clip, stream);
    for (int64_t i = 0; i < count; i++) {
        char *end;
        long expected = strtol(text, &end, 10);
        if (end == text || values[i] != expected)
            fail_msg("%s: %s %ld of %ld: expected %ld, found %d", clip, stream, (long)i, (long)count, expected,
                     values[i]);
        text = end;
    }
    assert_string_equal(text, "");
}

static void expect_unit_string(const struct speech *speech, const char *clip, const struct units *units,
                               unsigned streams, const char *key)
{
    const struct unit_rates rates = speech_rates(speech);
    struct merged_unit *merged;
    int64_t count;
    char *text;
    assert_ok(units_merge(units, &rates, 0, -1, streams, &merged, &count));
    assert_ok(merged_to_string(merged, count, &text));
    assert_string_equal(text, published_value(clip, key));
    free(text);
    free(merged);
}

/* ---- what the published implementation gives ---- */

static void expect_encoder(const struct speech_encoder *encoder, int32_t size, int64_t numerator, int64_t denominator)
{
    assert_int_equal(encoder->size, size);
    assert_int_equal(encoder->rate.numerator, numerator);
    assert_int_equal(encoder->rate.denominator, denominator);
}

static void units_and_styles_are_the_published_ones(void **state)
{
    (void)state;
    const char *fcpe = getenv("SPIRITLM_TEST_FCPE");
    const struct speech_options options = published_options(root, true, fcpe ? fcpe : "");
    struct speech *speech = compose(&options);
    expect_encoder(&speech->encoder[STREAM_HUBERT], 501, 2499, 100);
    expect_encoder(&speech->encoder[STREAM_PITCH], 64, 25, 2);
    expect_encoder(&speech->encoder[STREAM_STYLE], 100, 1, 1);
    for (int i = 0; i < PUBLISHED_CLIPS; i++) {
        struct units units;
        assert_ok(speech_encode(speech, clips[i].samples, clips[i].count, NULL, STREAMS_ALL, &units));
        expect_values(clips[i].name, "hubert", units.values[STREAM_HUBERT], units.count[STREAM_HUBERT]);
        expect_values(clips[i].name, "style", units.values[STREAM_STYLE], units.count[STREAM_STYLE]);
        expect_unit_string(speech, clips[i].name, &units, STREAMS_BASE, "string_base");
        /* floor(n / 80) frames of pYAAPT, one more of FCPE; 16 of them a code */
        assert_int_equal(units.count[STREAM_PITCH], (clips[i].count / 80 + (fcpe ? 1 : 0)) / 16);
        if (fcpe) {
            expect_values(clips[i].name, "pitch", units.values[STREAM_PITCH], units.count[STREAM_PITCH]);
            expect_unit_string(speech, clips[i].name, &units, STREAMS_ALL, "string_expressive");
        }
        units_free(&units);
    }
    printf("pitch of FCPE: %s\n", fcpe ? "compared" : "left out, SPIRITLM_TEST_FCPE is not set");
    speech_free(speech);
}

/* A unit string as the vocoder gets it. */
static struct spoken_unit *spoken_of(const char *text, int64_t *count)
{
    struct vocabulary vocabulary;
    struct merged_unit *merged;
    struct spoken_unit *spoken;
    int64_t merged_count;
    assert_ok(vocabulary_create(3, 1, 2, 0, 501, 64, 100, false, &vocabulary));
    assert_ok(merged_from_string(text, &vocabulary, &merged, &merged_count));
    assert_ok(units_unmerge(merged, merged_count, 0, NULL, &spoken, count));
    free(merged);
    return spoken;
}

/* Root of the mean square of the differences over that of what is expected. */
static double difference(const char *name, const float *samples, int64_t count)
{
    struct safetensors *file;
    double error = 0, norm = 0;
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_models/vocoder.safetensors", &file));
    const struct tensor_info *info = safetensors_find(file, name);
    assert_non_null(info);
    const float *expected = safetensors_data(file, info);
    assert_true((info->shape[0] - 1) * STEP < count);
    for (int64_t i = 0; i < info->shape[0]; i++) {
        error += pow((double)samples[i * STEP] - (double)expected[i], 2);
        norm += pow((double)expected[i], 2);
    }
    safetensors_close(file);
    return isfinite(error) ? sqrt(error / norm) : INFINITY;
}

static void speak(const struct speech *speech, const char *string, const char *golden)
{
    int64_t count, spoken_count;
    struct spoken_unit *spoken = spoken_of(published_value("goforward", string), &spoken_count);
    float *samples;
    assert_ok(speech_synthesise(speech, spoken, NULL, spoken_count, pool, &samples, &count));
    double error = difference(golden, samples, count);
    printf("%s: %ld samples, %.2e\n", golden, (long)count, error);
    assert_true(error <= 1e-4);
    free(samples);
    free(spoken);
}

static void vocoders_speak_as_published(void **state)
{
    (void)state;
    const struct speech_options options[2] = {published_options(root, false, ""), published_options(root, true, "")};
    struct speech *base = compose(&options[0]), *expressive = compose(&options[1]);
    int64_t count, spoken_count;
    float *samples;
    speak(base, "string_base", "goforward.base_string"); /* speaker 2, style 8 */
    speak(expressive, "string_expressive", "goforward.expr_string");
    assert_ok(speech_choose_voice(base, "ex01", NULL)); /* row 0 */
    speak(base, "string_base", "goforward.base_string_spk0");
    assert_ok(speech_choose_voice(base, "2", "8"));
    speak(base, "string_base", "goforward.base_string");
    assert_fails(speech_choose_voice(base, "nobody", NULL), STATUS_USAGE, "ex01");
    assert_fails(speech_choose_voice(expressive, NULL, "8"), STATUS_USAGE, "has no style");
    struct spoken_unit *spoken = spoken_of(published_value("goforward", "string_base"), &spoken_count);
    assert_fails(speech_synthesise(expressive, spoken, NULL, spoken_count, pool, &samples, &count), STATUS_USAGE,
                 "has no pitch");
    assert_null(samples);
    spoken[3].hubert = 501;
    assert_fails(speech_synthesise(base, spoken, NULL, spoken_count, pool, &samples, &count), STATUS_USAGE,
                 "units below 501, found [Hu501]");
    free(spoken);
    speech_free(base);
    speech_free(expressive);
}

/* ---- sets of several kinds ---- */

/* The beginning of a clip. */
static void encode_with(const struct speech *speech, struct units *units)
{
    assert_ok(speech_encode(speech, clips[0].samples, SHORT_CLIP, NULL, STREAMS_ALL, units));
}

static void expect_same_stream(const struct units *a, const struct units *b, enum unit_stream stream)
{
    assert_int_equal(a->count[stream], b->count[stream]);
    assert_true(a->count[stream] > 0);
    assert_memory_equal(a->values[stream], b->values[stream], (size_t)a->count[stream] * sizeof(uint16_t));
}

static void any_mix_gives_each_components_own_units(void **state)
{
    (void)state;
    const struct speech_options neural = published_options(root, true, "");
    struct speech *all = compose(&neural), *none;
    struct units from_neural, from_embedded;
    assert_ok(speech_folder_open(embedded, &none));
    encode_with(all, &from_neural);
    encode_with(none, &from_embedded);
    for (unsigned mask = 1; mask < STREAMS_ALL; mask++) { /* neural where the bit is set */
        struct speech_options options = neural;
        struct units units;
        options.hubert = mask & 1u << STREAM_HUBERT ? options.hubert : "";
        options.pitch = mask & 1u << STREAM_PITCH ? options.pitch : "";
        options.style = mask & 1u << STREAM_STYLE ? options.style : "";
        options.vocoder = "";
        struct speech *mixed = compose(&options);
        assert_true((mixed->vocoder.synthesise != NULL) == !(mask & 1u << STREAM_HUBERT));
        encode_with(mixed, &units);
        for (int stream = 0; stream < STREAM_COUNT; stream++) {
            expect_same_stream(&units, mask & 1u << stream ? &from_neural : &from_embedded, (enum unit_stream)stream);
            assert_memory_equal(&mixed->encoder[stream].fingerprint,
                                &(mask & 1u << stream ? all : none)->encoder[stream].fingerprint,
                                sizeof(struct sha256));
        }
        units_free(&units);
        speech_free(mixed);
    }
    units_free(&from_neural);
    units_free(&from_embedded);
    speech_free(all);
    speech_free(none);
}

static void options_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct speech_options options = published_options(root, false, "");
    struct speech *speech;
    options.quantizer = "";
    assert_fails(speech_compose(&options, NULL, &compute, &speech), STATUS_USAGE, "speech.quantizer");
    options = published_options(root, false, "");
    options.pitch = "";
    assert_fails(speech_compose(&options, NULL, &compute, &speech), STATUS_USAGE, "prepare --stage fit");
    options = published_options(root, false, "");
    options.layer = 3;
    assert_fails(speech_compose(&options, NULL, &compute, &speech), STATUS_USAGE, "layer");
    options = (struct speech_options){.checkpoints = root, .hubert = "none", .vocoder = options.vocoder};
    assert_fails(speech_compose(&options, embedded, &compute, &speech), STATUS_USAGE, "speech.hubert is none");
    assert_null(speech);
}

/* ---- folders ---- */

static void a_folder_knows_its_files_by_name_and_fingerprint(void **state)
{
    (void)state;
    struct speech_options options = published_options(root, false, "");
    const char *folder = test_path("composed");
    struct speech *speech, *made = compose(&options);
    struct units units, expected;
    options.pitch = ""; /* embedded */
    options.checkpoints = "";
    setenv("SPIRITLM_CHECKPOINTS_DIR", root, 1);
    assert_ok(speech_compose_folder(&options, embedded, &compute, folder));
    assert_ok(speech_options_match(&options, folder));
    setenv("SPIRITLM_CHECKPOINTS_DIR", "/nowhere", 1);
    assert_ok(speech_folder_open(folder, &speech)); /* no file is read */
    assert_ok(speech_compute_on(speech, &compute));
    expect_encoder(&speech->encoder[STREAM_HUBERT], 501, 2499, 100);
    assert_memory_equal(&speech->encoder[STREAM_HUBERT].fingerprint, &made->encoder[STREAM_HUBERT].fingerprint,
                        sizeof(struct sha256));
    assert_memory_equal(&speech->vocoder.fingerprint, &made->vocoder.fingerprint, sizeof(struct sha256));
    assert_int_equal(speech->encoder[STREAM_PITCH].size, 8);
    assert_null(speech->encoder[STREAM_STYLE].encode);
    assert_int_equal(speech->file_count, 3);
    assert_fails(speech_encode(speech, clips[0].samples, clips[0].count, NULL, STREAMS_BASE, &units), STATUS_USAGE,
                 "/nowhere/speech_tokenizer/hubert_25hz/mhubert_base_25hz.pt: no such file");
    speech_free(speech);
    setenv("SPIRITLM_CHECKPOINTS_DIR", root, 1);
    assert_ok(speech_folder_open(folder, &speech));
    assert_ok(speech_compute_on(speech, &compute));
    encode_with(speech, &units);
    encode_with(made, &expected);
    expect_same_stream(&units, &expected, STREAM_HUBERT);
    units_free(&units);
    units_free(&expected);
    speech_free(speech);
    speech_free(made);
    unsetenv("SPIRITLM_CHECKPOINTS_DIR");
}

/* The tree with the quantizer of other weights: k-means of the same width. */
static void write_other_quantizer(const char *path)
{
    enum { CENTRES = 501, WIDTH = 768 };
    float *values = malloc((size_t)CENTRES * WIDTH * sizeof *values);
    char name[] = "cluster_centers";
    struct tensor_info info = {.name = name,
                               .type = DTYPE_F32,
                               .rank = 2,
                               .shape = {CENTRES, WIDTH},
                               .bytes = CENTRES * WIDTH * (int64_t)sizeof *values};
    const struct checkpoint checkpoint = {.tensors = &info, .values = &values, .count = 1};
    assert_non_null(values);
    formula_fill("other", name, CENTRES * WIDTH, 1, 0, values);
    checkpoint_write_torch(&checkpoint, path, NULL, NULL);
    free(values);
}

static void other_files_under_the_same_names_are_refused(void **state)
{
    (void)state;
    char tree[PATH_BYTES], path[PATH_BYTES];
    const char *folder = test_path("changing");
    struct units units;
    struct speech *speech;
    assert_ok(path_format(tree, "%s", test_path("changing_checkpoints")));
    published_tree_write(tree);
    struct speech_options options = published_options(tree, false, "");
    assert_ok(speech_compose_folder(&options, NULL, &compute, folder));
    assert_ok(path_format(path, "%s/%s", tree, options.quantizer));
    write_other_quantizer(path);
    assert_ok(speech_folder_open(folder, &speech));
    assert_ok(speech_compute_on(speech, &compute));
    assert_fails(speech_encode(speech, clips[0].samples, clips[0].count, NULL, STREAMS_BASE, &units), STATUS_USAGE,
                 "the files give another component");
    speech_free(speech);
    options.layer = 1;
    assert_fails(speech_options_match(&options, folder), STATUS_USAGE, "hubert component is another");
    options = (struct speech_options){.layer = 11};
    assert_fails(speech_options_match(&options, folder), STATUS_USAGE, "hubert component is another");
    assert_ok(speech_options_match(&options, embedded));
    options.style = "speech_tokenizer/style_encoder_w2v2";
    assert_fails(speech_options_match(&options, embedded), STATUS_USAGE, "style component is another");
    assert_ok(remove_tree(tree));
}

static void a_missing_file_is_named_with_where_it_is(void **state)
{
    (void)state;
    char nested[PATH_BYTES], tree[PATH_BYTES], wanted[PATH_BYTES], inner[PATH_BYTES];
    struct speech *speech;
    assert_ok(path_format(nested, "%s", test_path("nested")));
    assert_ok(path_format(tree, "%s/checkpoints", nested));
    assert_ok(path_format(inner, "%s/speech_tokenizer/hubert_25hz", tree));
    assert_ok(make_directories(inner));
    write_text_in(inner, "mhubert_base_25hz.pt", "not read");
    const struct speech_options options = published_options(nested, false, "");
    assert_ok(path_format(wanted, "speech.hubert: %s/speech_tokenizer/hubert_25hz/mhubert_base_25hz.pt: no such file",
                          nested));
    assert_fails(speech_compose(&options, NULL, &compute, &speech), STATUS_USAGE, wanted);
    assert_fails(speech_compose(&options, NULL, &compute, &speech), STATUS_USAGE, inner);
    const struct speech_options below = published_options(inner, false, "");
    assert_fails(speech_compose(&below, NULL, &compute, &speech), STATUS_USAGE, "one of its name is at");
    const struct speech_options without = published_options(root, true, "speech_tokenizer/fcpe/fcpe_c_v001.pt");
    assert_fails(speech_compose(&without, NULL, &compute, &speech), STATUS_USAGE, "scripts/fetch-fcpe");
    const struct speech_options nowhere = published_options("", false, "");
    assert_fails(speech_compose(&nowhere, NULL, &compute, &speech), STATUS_USAGE, "set SPIRITLM_CHECKPOINTS_DIR");
}

/* ---- long audio, and callers side by side ---- */

static void a_long_file_is_its_chunks(void **state)
{
    (void)state;
    enum { CHUNK = 1600000, REST = 20000, SHORT = 1279, LONG = 1 << STREAM_HUBERT | 1 << STREAM_PITCH };
    const struct speech_options options = published_options(root, true, "");
    struct speech *speech = compose(&options);
    struct units first, second, whole;
    float *samples = malloc((size_t)(CHUNK + REST) * sizeof *samples);
    assert_non_null(samples);
    for (int64_t i = 0; i < CHUNK + REST; i++)
        samples[i] = clips[2].samples[i % clips[2].count] * (float)(1 + i / clips[2].count % 3) * 0.3f;
    /* What is left is too short for a unit in the first, and a chunk of its own in the second. */
    assert_ok(speech_encode(speech, samples, CHUNK + SHORT, NULL, LONG, &first));
    assert_ok(speech_encode(speech, samples + CHUNK, REST, NULL, LONG, &second));
    assert_ok(speech_encode(speech, samples, CHUNK + REST, NULL, LONG, &whole));
    assert_int_equal(first.count[STREAM_HUBERT], 2499);
    assert_int_equal(first.count[STREAM_PITCH], 1250);
    for (int s = STREAM_HUBERT; s <= STREAM_PITCH; s++) {
        size_t bytes = (size_t)first.count[s] * sizeof(uint16_t);
        assert_int_equal(whole.count[s], first.count[s] + second.count[s]);
        assert_memory_equal(whole.values[s], first.values[s], bytes);
        assert_memory_equal(whole.values[s] + first.count[s], second.values[s],
                            (size_t)second.count[s] * sizeof(uint16_t));
    }
    units_free(&whole);
    assert_ok(speech_encode(speech, samples, SHORT, NULL, STREAMS_ALL, &whole));
    for (int s = 0; s < STREAM_COUNT; s++)
        assert_int_equal(whole.count[s], 0);
    assert_ok(speech_encode(speech, samples, SHORT + 1, NULL, STREAMS_ALL, &whole));
    for (int s = 0; s < STREAM_COUNT; s++)
        assert_int_equal(whole.count[s], 1);
    units_free(&whole);
    units_free(&first);
    units_free(&second);
    speech_free(speech);
    free(samples);
}

struct caller {
    pthread_t thread;
    const struct speech *speech;
    int clip;
    struct units units;
    enum status status;
};

static void *call(void *argument)
{
    struct caller *caller = argument;
    const struct published_clip *clip = &clips[caller->clip];
    caller->status = speech_encode(caller->speech, clip->samples, clip->count, NULL, STREAMS_ALL, &caller->units);
    return NULL;
}

static void callers_side_by_side_do_not_notice_each_other(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    const struct speech_options options = published_options(root, true, "");
    const char *folder = test_path("shared");
    const struct speech_compute own = {.networks = kernels_cpu()};
    struct speech *speech;
    struct caller callers[CALLERS];
    assert_ok(speech_compose_folder(&options, NULL, &own, folder));
    assert_ok(speech_folder_open(folder, &speech)); /* so that they all come to files that nobody has read */
    assert_ok(speech_compute_on(speech, &own));
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.speech = speech, .clip = i % 2};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].status, STATUS_OK);
        for (int s = 0; s < STREAM_COUNT; s++)
            if (s != STREAM_PITCH)
                expect_values(clips[callers[i].clip].name, unit_stream_name((enum unit_stream)s),
                              callers[i].units.values[s], callers[i].units.count[s]);
        expect_same_stream(&callers[i].units, &callers[i % 2].units, STREAM_PITCH);
    }
    for (int i = 0; i < CALLERS; i++)
        units_free(&callers[i].units);
    speech_free(speech);
}

static void padding_gives_the_units_of_longer_audio(void **state)
{
    (void)state;
    struct speech_options options = published_options(root, false, "");
    struct speech *plain = compose(&options), *padded;
    struct units units, expected;
    float *longer = calloc((size_t)SHORT_CLIP + 80, sizeof *longer);
    assert_non_null(longer);
    memcpy(longer + 40, clips[0].samples, (size_t)SHORT_CLIP * sizeof *longer);
    options.pad = true;
    padded = compose(&options);
    expect_encoder(&padded->encoder[STREAM_HUBERT], 501, 25, 1);
    assert_memory_not_equal(&padded->encoder[STREAM_HUBERT].fingerprint, &plain->encoder[STREAM_HUBERT].fingerprint,
                            sizeof(struct sha256));
    encode_with(padded, &units);
    assert_ok(speech_encode(plain, longer, SHORT_CLIP + 80, NULL, STREAMS_BASE, &expected));
    expect_same_stream(&units, &expected, STREAM_HUBERT);
    units_free(&units);
    units_free(&expected);
    speech_free(plain);
    speech_free(padded);
    free(longer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(units_and_styles_are_the_published_ones),
                                       cmocka_unit_test(vocoders_speak_as_published),
                                       cmocka_unit_test(any_mix_gives_each_components_own_units),
                                       cmocka_unit_test(options_that_contradict_each_other_are_refused),
                                       cmocka_unit_test(a_folder_knows_its_files_by_name_and_fingerprint),
                                       cmocka_unit_test(other_files_under_the_same_names_are_refused),
                                       cmocka_unit_test(a_missing_file_is_named_with_where_it_is),
                                       cmocka_unit_test(a_long_file_is_its_chunks),
                                       cmocka_unit_test(callers_side_by_side_do_not_notice_each_other),
                                       cmocka_unit_test(padding_gives_the_units_of_longer_audio)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
