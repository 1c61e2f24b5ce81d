/* The VQ-VAE of pitch: vectors and codes of the published implementation on real tracks; small models with listed and with odd
 * strides, doubled vectors, scaled blocks and cycles of dilations, encoder and decoder, against the definition in torch; and files that
 * do not fit. Weights come from a formula. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "io/json.h"
#include "models/vqvae/vqvae.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PUBLISHED TEST_GOLDEN_DIRECTORY "/speech_models/"
enum { MOST_FRAMES = 1500, MOST_NUMBERS = 1 << 16 };

/* config.yaml of the small models; the second and the third name every key that changes something. */
static const char list_config[] = "features: norm_f0_interp,vuv\nspeaker_norm: false\nspeaker_stats: null\n"
                                  "encoder_params:\n  input_emb_width: 2\n  output_emb_width: 16\n  levels: 1\n"
                                  "  downs_t: [[1, 2]]\n  strides_t: [[3, 2]]\n  width: 6\n  depth: 3\n  m_conv: 0.6\n"
                                  "  dilation_growth_rate: 3\n  dilation_cycle: 2\n  res_scale: true\n"
                                  "  reverse_decoder_dilation: true\n  zero_out: false\n"
                                  "decoder_params:\n  input_emb_width: 2\n  output_emb_width: 8\n  levels: 1\n"
                                  "  downs_t: [[2, 1]]\n  strides_t: [[2, 3]]\n  width: 5\n  depth: 2\n  m_conv: 1.0\n"
                                  "  dilation_growth_rate: 3\n  dilation_cycle: ~\n  reverse_decoder_dilation: True\n"
                                  "vq_params: {l_bins: 11, emb_width: 8, mu: 0.99, levels: 1}\n";
static const char odd_config[] = "features:\n- f0_interp\n- vuv\nspeaker_norm: true\nlr: 0.0002\n"
                                 "encoder_params:\n  input_emb_width: 2\n  output_emb_width: 4\n  levels: 1\n"
                                 "  downs_t: [2]\n  strides_t: [3]\n  width: 4\n  depth: 1\n"
                                 "decoder_params:\n  input_emb_width: 2\n  output_emb_width: 4\n  levels: 1\n"
                                 "  downs_t: 2\n  strides_t: 3\n  width: 4\n  depth: 3\n  m_conv: 2.0\n"
                                 "  dilation_growth_rate: 2\n"
                                 "vq_params:\n  l_bins: 7\n  emb_width: 4\n  levels: 1\n";

static struct device_context context;
static struct safetensors *golden;

static int open_world(void **state)
{
    (void)state;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    assert_ok(safetensors_open(PUBLISHED "pitch_small.safetensors", &golden));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    safetensors_close(golden);
    device_context_destroy(test_kernels(), &context);
    return 0;
}

/* ---- models in folders ---- */

static const char *make_folder(const char *tag, const char *config)
{
    static int count;
    const char *folder = test_path("%s.%d", tag, count++);
    char path[PATH_BYTES];
    struct checkpoint checkpoint;
    assert_int_equal(mkdir(folder, 0777), 0);
    if (config) {
        write_text_in(folder, "config.yaml", config);
    } else {
        assert_ok(path_format(path, "%s/config.yaml", folder));
        copy_golden("speech_models/vqvae_f0_quantizer/config.yaml", path);
    }
    checkpoint_make(tag, &checkpoint);
    assert_ok(path_format(path, "%s/model.pt", folder));
    checkpoint_write_torch(&checkpoint, path, NULL, "model");
    checkpoint_free(&checkpoint);
    return folder;
}

struct model {
    struct vqvae *vqvae;
    struct vqvae_workspace *workspace;
};

static struct model open_model(const char *folder, bool decoder)
{
    struct model model;
    assert_ok(vqvae_open(folder, decoder, test_kernels(), &context, &model.vqvae));
    assert_ok(vqvae_workspace_create(model.vqvae, &context, &model.workspace));
    return model;
}

static void close_model(const struct model *model)
{
    vqvae_workspace_destroy(model->workspace);
    vqvae_close(model->vqvae);
}

/* *count numbers of 4 bytes; NULL: the file has no such tensor. */
static const void *find(const struct safetensors *file, const char *tag, const char *what, int64_t *count)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", tag, what);
    const struct tensor_info *info = safetensors_find(file, name);
    *count = info ? info->bytes / 4 : 0;
    return info ? safetensors_data(file, info) : NULL;
}

/* ||actual - expected|| / ||expected||, for the channels 0, step, 2 step... of `width`. */
static double difference(const float *actual, const float *expected, int64_t rows, int64_t width, int64_t step)
{
    double error = 0, norm = 0;
    for (int64_t n = 0; n < rows; n++)
        for (int64_t c = 0; c < width; c += step) {
            double wanted = (double)*expected++, found = (double)actual[n * width + c];
            error += (found - wanted) * (found - wanted);
            norm += wanted * wanted;
        }
    return isfinite(error) ? sqrt(error / norm) : INFINITY;
}

/* ---- against the published implementation ---- */

static void same_codes(const json_t *clips, const char *clip, const int32_t *codes, int64_t count)
{
    const char *text = json_string_value(json_object_get(json_object_get(clips, clip), "pitch"));
    assert_non_null(text);
    for (int64_t i = 0; i < count; i++) {
        char *end;
        long expected = strtol(text, &end, 10);
        assert_true(end != text);
        if (codes[i] != expected)
            fail_msg("%s: pitch code %ld: expected %ld, found %d", clip, (long)i, expected, codes[i]);
        text = end;
    }
    assert_string_equal(text, "");
}

static void codes_are_those_of_the_published_implementation(void **state)
{
    (void)state;
    static const char *const names[] = {"goforward", "cards005", "austen0870"};
    struct safetensors *file;
    json_t *clips;
    const struct model model = open_model(make_folder("vqvae", NULL), false);
    assert_ok(safetensors_open(PUBLISHED "pitch.safetensors", &file));
    assert_ok(jdoc_read(PUBLISHED "clips.json", &clips));
    assert_int_equal(vqvae_config(model.vqvae)->codes, 64);
    assert_true(vqvae_config(model.vqvae)->speaker_norm);
    for (int i = 0; i < 3; i++) {
        int64_t frames, numbers, count;
        const float *f0 = find(file, names[i], "f0", &frames);
        const float *expected = find(file, names[i], "vectors", &numbers);
        char name[64];
        snprintf(name, sizeof name, "%s.voiced", names[i]);
        const struct tensor_info *voiced = safetensors_find(file, name);
        assert_true(f0 && expected && voiced && voiced->bytes == frames);
        count = vqvae_codes(model.vqvae, frames);
        assert_int_equal(count, frames / 16);
        assert_int_equal(numbers, count * 32);
        int32_t *codes = malloc((size_t)count * sizeof *codes);
        float *vectors = malloc((size_t)(count * 128) * sizeof *vectors);
        assert_true(codes && vectors);
        assert_ok(vqvae_encode(model.workspace, f0, safetensors_data(file, voiced), frames, NULL, codes, vectors));
        double error = difference(vectors, expected, count, 128, 4);
        printf("%s vectors: %.2e\n", names[i], error);
        assert_true(error <= 1e-4);
        same_codes(clips, names[i], codes, count);
        free(codes);
        free(vectors);
    }
    json_decref(clips);
    safetensors_close(file);
    close_model(&model);
}

/* ---- small models against the definition ---- */

static void make_track(const char *tag, int64_t frames, float *f0, uint8_t *voiced)
{
    float signs[MOST_FRAMES];
    formula_fill(tag, "f0", frames, 80, 160, f0);
    formula_fill(tag, "voiced", frames, 1, 0, signs);
    for (int64_t t = 0; t < frames; t++)
        voiced[t] = signs[t] > 0;
}

static void check_encoder(const char *tag, const struct model *model)
{
    static const int64_t lengths[] = {1, 11, 12, 25, 97, 301};
    int64_t width = vqvae_config(model->vqvae)->width;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        float f0[MOST_FRAMES], vectors[MOST_FRAMES];
        uint8_t voiced[MOST_FRAMES];
        int32_t codes[MOST_FRAMES];
        char name[64];
        int64_t count, numbers;
        snprintf(name, sizeof name, "%ld.codes", (long)lengths[i]);
        const int32_t *expected_codes = find(golden, tag, name, &count);
        snprintf(name, sizeof name, "%ld.vectors", (long)lengths[i]);
        const float *expected = find(golden, tag, name, &numbers);
        assert_int_equal(vqvae_codes(model->vqvae, lengths[i]), count);
        assert_int_equal(numbers, count * width);
        make_track(tag, lengths[i], f0, voiced);
        assert_ok(vqvae_encode(model->workspace, f0, voiced, lengths[i], NULL, codes, vectors));
        if (count == 0)
            continue;
        assert_memory_equal(codes, expected_codes, (size_t)count * sizeof *codes);
        assert_true(difference(vectors, expected, count, width, 1) <= 1e-5);
    }
}

static void check_decoder(const char *tag, const struct model *model)
{
    float channels[MOST_NUMBERS];
    int64_t count, numbers;
    const int32_t *codes = find(golden, tag, "decoder.codes", &count);
    const float *expected = find(golden, tag, "decoder.channels", &numbers);
    assert_true(codes && expected);
    assert_int_equal(vqvae_decoded_frames(model->vqvae, count) * VQVAE_CHANNELS, numbers);
    assert_ok(vqvae_decode(model->workspace, codes, count, channels));
    double error = difference(channels, expected, numbers / VQVAE_CHANNELS, VQVAE_CHANNELS, 1);
    printf("%s decoder: %.2e\n", tag, error);
    assert_true(error <= 1e-5);
    const int32_t beyond = (int32_t)vqvae_config(model->vqvae)->codes;
    assert_fails(vqvae_decode(model->workspace, &beyond, 1, channels), STATUS_USAGE, "pitch code 0: expected 0 to");
    assert_ok(vqvae_decode(model->workspace, codes, 0, channels));
}

static void every_kind_of_network_is_that_of_the_definition(void **state)
{
    (void)state;
    static const struct {
        const char *tag, *config;
    } cases[] = {{"vqvae_list", list_config}, {"vqvae_odd", odd_config}, {"vqvae", NULL}};
    for (int i = 0; i < 3; i++) {
        const struct model model = open_model(make_folder(cases[i].tag, cases[i].config), true);
        if (cases[i].config)
            check_encoder(cases[i].tag, &model);
        check_decoder(cases[i].tag, &model);
        if (cases[i].config)
            check_encoder(cases[i].tag, &model);
        close_model(&model);
    }
}

static void threads_and_earlier_clips_change_no_bit(void **state)
{
    (void)state;
    enum { FRAMES = 301 };
    const char *folder = make_folder("vqvae_list", list_config);
    float f0[MOST_FRAMES], first[MOST_FRAMES], vectors[MOST_FRAMES];
    uint8_t voiced[MOST_FRAMES];
    int32_t codes[MOST_FRAMES];
    make_track("vqvae_list", FRAMES, f0, voiced);
    for (int threads = 1; threads <= test_repeats(3); threads++) {
        struct thread_pool *pool;
        struct device_context own;
        struct model model;
        assert_ok(thread_pool_create(threads, &pool));
        assert_ok(device_context_create(test_kernels(), pool, 0, &own));
        assert_ok(vqvae_open(folder, false, test_kernels(), &own, &model.vqvae));
        assert_ok(vqvae_workspace_create(model.vqvae, &own, &model.workspace));
        for (int round = 0; round < 2; round++) {
            size_t bytes = (size_t)(vqvae_codes(model.vqvae, FRAMES) * 8) * sizeof(float);
            assert_ok(vqvae_encode(model.workspace, f0, voiced, FRAMES, NULL, codes, vectors));
            if (threads == 1 && round == 0)
                memcpy(first, vectors, bytes);
            assert_memory_equal(vectors, first, bytes);
            assert_ok(vqvae_encode(model.workspace, f0, voiced, 97, NULL, codes, NULL));
        }
        assert_fails(vqvae_decode(model.workspace, codes, 1, vectors), STATUS_INTERNAL, "without its decoder");
        close_model(&model);
        device_context_destroy(test_kernels(), &own);
        thread_pool_destroy(pool);
    }
}

/* ---- the channels ---- */

static void the_mean_is_that_of_voiced_frames_or_the_speakers(void **state)
{
    (void)state;
    const float f0[] = {100, 0, 200, 300, 50};
    const uint8_t voiced[] = {1, 0, 0, 1, 0}, none[5] = {0};
    const float own[] = {-100, 1, 0, 0, 0, 0, 100, 1, -150, 0};
    const float speakers[] = {-20, 1, 0, 0, 80, 0, 180, 1, -70, 0};
    const float raw[] = {100, 1, 0, 0, 200, 0, 300, 1, 50, 0};
    const double mean = 120;
    struct vqvae_config config = {.speaker_norm = true};
    float channels[10];
    vqvae_prepare(&config, f0, voiced, 5, NULL, channels);
    assert_memory_equal(channels, own, sizeof own);
    vqvae_prepare(&config, f0, voiced, 5, &mean, channels);
    assert_memory_equal(channels, speakers, sizeof speakers);
    config.speaker_norm = false;
    vqvae_prepare(&config, f0, voiced, 5, &mean, channels);
    assert_memory_equal(channels, raw, sizeof raw);
    config.speaker_norm = true;
    const float silence[5] = {0}, zeros[10] = {0};
    vqvae_prepare(&config, silence, none, 5, NULL, channels);
    assert_memory_equal(channels, zeros, sizeof zeros);
}

/* ---- refusals ---- */

/* The list's configuration with one piece of text replaced. */
static void refused(const char *old, const char *new, const char *text)
{
    struct vqvae *vqvae;
    char config[2048];
    const char *place = strstr(list_config, old);
    assert_non_null(place);
    snprintf(config, sizeof config, "%.*s%s%s", (int)(place - list_config), list_config, new, place + strlen(old));
    enum status status = vqvae_open(make_folder("vqvae_list", config), true, test_kernels(), &context, &vqvae);
    assert_true(status == STATUS_CORRUPT || status == STATUS_USAGE);
    if (!strstr(status_text(), text))
        fail_msg("expected '%s' in '%s'", text, status_text());
    assert_null(vqvae);
}

static void what_is_not_computed_is_refused(void **state)
{
    (void)state;
    refused("levels: 1\n  downs_t: [[1", "levels: 2\n  downs_t: [[1",
            "encoder_params.levels is \"2\"; expected an integer from 1 to 1");
    refused("input_emb_width: 2", "input_emb_width: 1", "encoder_params.input_emb_width is \"1\"");
    refused("features: norm_f0_interp,vuv", "features: f0,vuv", "features is \"f0,vuv\"; only");
    refused("speaker_stats: null", "speaker_stats: stats.pth", "speaker_stats is not supported");
    refused("  zero_out: false\n", "  use_bn: true\n", "encoder_params.use_bn is not supported");
    refused("mu: 0.99", "ema: true", "vq_params.ema is not supported");
    refused("[[3, 2]]", "[[3, 2], [2]]", "strides_t: expected the values of one level");
    refused("[[3, 2]]", "[3, 2]", "strides_t: expected the values of one level");
    refused("[[3, 2]]", "[[3, 2, 2]]", "strides_t and downs_t have different numbers of values");
    refused("[[3, 2]]", "[[3, 0]]", "encoder_params.strides_t.0 is \"0\"; expected an integer from 1 to 1024");
    refused("[[3, 2]]", "[[3, [2]]]", "a list holds values and lists");
    refused("[[1, 2]]", "[[1, 16]]", "more than 16 steps");
    refused("depth: 3", "depth: 33", "encoder_params.depth is \"33\"");
    refused("dilation_growth_rate: 3\n  dilation_cycle: 2", "dilation_growth_rate: 91\n  dilation_cycle: 3",
            "dilations above 8191 are not supported");
    refused("res_scale: true", "res_scale: 1", "encoder_params.res_scale is neither true nor false");
    refused("m_conv: 0.6", "m_conv: 0.1", "m_conv: 0.1 times a width of 6");
    refused("m_conv: 0.6", "m_conv: half", "encoder_params.m_conv is not a number above 0");
    refused("output_emb_width: 16", "output_emb_width: 12", "output_emb_width 12 is neither vq_params.emb_width 8");
    refused("output_emb_width: 8\n", "output_emb_width: 16\n", "decoder_params.output_emb_width 16 is not");
    refused("l_bins: 11", "l_bins: 12", "tensor model.vq.level_blocks.0.k: expected shape [12, 8], found [11, 8]");
    refused("width: 6", "width: 7", "tensor model.encoder.level_blocks.0.model.0.0.weight: expected shape [7, 2, 7]");
    refused("  width: 5\n", "", "decoder_params.width is missing");
    refused("decoder_params:", "other_params:", "decoder_params is missing");
}

static void missing_tensors_are_named(void **state)
{
    (void)state;
    static const char *const names[] = {"encoder.level_blocks.0.model.1.1.model.2.model.3.bias", "vq.level_blocks.0.k",
                                        "decoder.out.weight"};
    struct vqvae *vqvae;
    char path[PATH_BYTES], text[128];
    const char *folder = make_folder("vqvae_list", list_config);
    assert_ok(path_format(path, "%s/model.pt", folder));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct checkpoint lacking;
        checkpoint_make("vqvae_list", &lacking);
        checkpoint_rename(&lacking, names[i], NULL);
        checkpoint_write_torch(&lacking, path, NULL, "model");
        snprintf(text, sizeof text, "tensor model.%s is missing", names[i]);
        assert_fails(vqvae_open(folder, true, test_kernels(), &context, &vqvae), STATUS_CORRUPT, text);
        checkpoint_free(&lacking);
    }
    /* One number that is repeated for all elements, as PyTorch saves an expanded tensor. */
    copy_golden("speech_models/expanded.pt", path);
    assert_fails(vqvae_open(folder, true, test_kernels(), &context, &vqvae), STATUS_CORRUPT,
                 "model.0.0.weight: several of its elements are one number of the file");
    struct checkpoint lacking;
    checkpoint_make("vqvae_list", &lacking);
    checkpoint_rename(&lacking, names[2], NULL);
    checkpoint_write_torch(&lacking, path, NULL, "model");
    checkpoint_free(&lacking);
    /* This one is the decoder's: without it the encoder still works. */
    assert_ok(vqvae_open(folder, false, test_kernels(), &context, &vqvae));
    vqvae_close(vqvae);
    assert_int_equal(remove(path), 0);
    assert_fails(vqvae_open(folder, false, test_kernels(), &context, &vqvae), STATUS_USAGE, "model.pt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(codes_are_those_of_the_published_implementation),
                                       cmocka_unit_test(every_kind_of_network_is_that_of_the_definition),
                                       cmocka_unit_test(threads_and_earlier_clips_change_no_bit),
                                       cmocka_unit_test(the_mean_is_that_of_voiced_frames_or_the_speakers),
                                       cmocka_unit_test(what_is_not_computed_is_refused),
                                       cmocka_unit_test(missing_tensors_are_named)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
