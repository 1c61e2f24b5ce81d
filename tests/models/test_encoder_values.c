/* The encoder of the published layout against what the published implementation computed on real clips: features of every layer,
 * and the same weights through the other layouts. Weights are made by their formula, in the published widths with two layers. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "io/json.h"
#include "models/encoder/quantizer.h"
#include "models/encoder/style_classifier.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/models/published_tree.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CLIPS = PUBLISHED_CLIPS };
static const char *const clip_names[CLIPS] = {"goforward", "cards005", "austen0870"};

struct world {
    struct thread_pool *pool;
    struct device_context context;
    struct safetensors *expected;
    struct encoder_clip clips[CLIPS];
    struct published_clip recordings[CLIPS];
};
static struct world world;

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &world.pool));
    assert_ok(device_context_create(test_kernels(), world.pool, 0, &world.context));
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_models/encoder.safetensors", &world.expected));
    published_tree_write(test_path("tree"));
    published_clips_load(world.recordings);
    for (int clip = 0; clip < CLIPS; clip++)
        world.clips[clip] =
            (struct encoder_clip){.samples = world.recordings[clip].samples, .count = world.recordings[clip].count};
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    published_clips_free(world.recordings);
    safetensors_close(world.expected);
    device_context_destroy(test_kernels(), &world.context);
    thread_pool_destroy(world.pool);
    return 0;
}

/* A file or folder of the published tree. */
static const char *published(const char *name)
{
    return test_path("tree/speech_tokenizer/%s", name);
}

/* ||actual - expected|| / ||expected|| over the frames and channels that are in the golden file. */
static double difference(const char *clip, const char *what, const float *actual, int64_t frames, int64_t width)
{
    char name[100];
    int64_t frame_step = 0, channel_step = 0;
    snprintf(name, sizeof name, "%s.%s", clip, what);
    const struct tensor_info *info = safetensors_find(world.expected, name);
    assert_non_null(info);
    const char *steps = safetensors_metadata(world.expected, name);
    assert_non_null(steps);
    assert_int_equal(sscanf(steps, "%ld %ld", &frame_step, &channel_step), 2);
    const float *expected = safetensors_data(world.expected, info);
    int64_t rows = info->shape[0], columns = info->shape[1];
    double error = 0, norm = 0;
    assert_true(rows >= frames / frame_step && columns == (width + channel_step - 1) / channel_step);
    for (int64_t i = 0; i < rows && i * frame_step < frames; i++) /* padded to an even number there */
        for (int64_t j = 0; j < columns; j++) {
            double wanted = (double)expected[i * columns + j];
            double found = (double)actual[i * frame_step * width + j * channel_step];
            error += (found - wanted) * (found - wanted);
            norm += wanted * wanted;
        }
    return isfinite(error) ? sqrt(error / norm) : INFINITY;
}

static void every_layer_is_that_of_the_published_implementation(void **state)
{
    static const struct {
        const char *name;
        int64_t stop, clips; /* the golden file holds one clip whole and a part of the others */
    } stages[] = {{"conv", ENCODER_FEATURES, 2},
                  {"projected", ENCODER_PROJECTED, 1},
                  {"input", ENCODER_INPUT, 1},
                  {"layer1", 1, 2},
                  {"layer2", 2, CLIPS}};
    (void)state;
    struct encoder *encoder;
    struct encoder_workspace *workspace;
    struct encoder_output output;
    const struct encoder_options options = {.layer = 2};
    assert_ok(encoder_open(published("hubert_25hz/mhubert_base_25hz.pt"), &options, test_kernels(), &world.context,
                           &encoder));
    assert_ok(encoder_workspace_create(encoder, &world.context, &workspace));
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
        assert_ok(encoder_run(workspace, world.clips, stages[s].clips, stages[s].stop, &output));
        for (int clip = 0; clip < stages[s].clips; clip++) {
            int64_t frames = output.frames[clip];
            float *values = malloc((size_t)(frames * output.width) * sizeof *values);
            assert_non_null(values);
            assert_ok(encoder_copy(workspace, &output, clip, 0, frames, values));
            double error = difference(clip_names[clip], stages[s].name, values, frames, output.width);
            printf("%s %s: %.2e\n", clip_names[clip], stages[s].name, error);
            assert_true(error <= 1e-5);
            free(values);
        }
    }
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
}

static void name_as_hugging_face(struct checkpoint *checkpoint)
{
    static const char *const names[][2] = {
        {"feature_extractor.conv_layers.0.2.", "feature_extractor.conv_layers.0.layer_norm."},
        {"layer_norm.", "feature_projection.layer_norm."},
        {"post_extract_proj.", "feature_projection.projection."},
        {"encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"},
        {"encoder.pos_conv.0.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"},
        {"encoder.pos_conv.0.", "encoder.pos_conv_embed.conv."},
        {".0.weight", ".conv.weight"}, /* behind feature_extractor.conv_layers.i */
        {".self_attn.", ".attention."},
        {".self_attn_layer_norm.", ".layer_norm."},
        {".fc1.", ".feed_forward.intermediate_dense."},
        {".fc2.", ".feed_forward.output_dense."},
    };
    for (int64_t i = 0; i < checkpoint->count; i++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            const char *name = checkpoint->tensors[i].name, *at = strstr(name, names[n][0]);
            char renamed[200];
            if (!at || (names[n][0][0] != '.' && at != name))
                continue;
            snprintf(renamed, sizeof renamed, "%.*s%s%s", (int)(at - name), name, names[n][1],
                     at + strlen(names[n][0]));
            checkpoint_rename(checkpoint, name, renamed);
            break;
        }
}

static void hugging_face_has_the_same_encoder(void **state)
{
    static const char config[] = "{\"model_type\": \"hubert\", \"num_hidden_layers\": 2, \"conv_dim\": [512, 512, 512, "
                                 "512, 512, 512, 512, 512], \"conv_kernel\": [10, 3, 3, 3, 3, 2, 2, 2], "
                                 "\"conv_stride\": [5, 2, 2, 2, 2, 2, 2, 2]}";
    (void)state;
    struct encoder *encoder, *other;
    struct checkpoint checkpoint;
    const char *folder = test_path("hugging_face");
    char path[PATH_BYTES];
    const struct encoder_options options = {.layer = 2};
    assert_int_equal(mkdir(folder, 0777), 0);
    write_text_in(folder, "config.json", config);
    checkpoint_make("hubert", &checkpoint);
    name_as_hugging_face(&checkpoint);
    assert_ok(path_format(path, "%s/model.safetensors", folder));
    checkpoint_write_safetensors(&checkpoint, path);
    checkpoint_free(&checkpoint);
    assert_ok(encoder_open(published("hubert_25hz/mhubert_base_25hz.pt"), &options, test_kernels(), &world.context,
                           &encoder));
    assert_ok(encoder_open(folder, &options, test_kernels(), &world.context, &other));
    assert_memory_equal(encoder_fingerprint(encoder), encoder_fingerprint(other), sizeof(struct sha256));
    encoder_close(other);
    encoder_close(encoder);
}

/* "304 327 269" */
static void same_units(const json_t *clips, const char *clip, const char *stream, const int32_t *units, int64_t count)
{
    const json_t *entry = json_object_get(json_object_get(clips, clip), stream);
    const char *text = json_string_value(entry);
    assert_non_null(text);
    for (int64_t i = 0; i < count; i++) {
        char *end;
        long expected = strtol(text, &end, 10);
        assert_true(end != text);
        if (units[i] != expected)
            fail_msg("%s: %s %ld: expected %ld, found %d", clip, stream, (long)i, expected, units[i]);
        text = end;
    }
    assert_string_equal(text, "");
}

static void units_are_those_of_the_published_implementation(void **state)
{
    (void)state;
    struct encoder *encoder;
    struct encoder_workspace *workspace;
    struct encoder_output output;
    struct quantizer *quantizer;
    json_t *clips;
    const struct encoder_options options = {.layer = 2};
    int32_t *units[CLIPS];
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/speech_models/clips.json", &clips));
    assert_ok(encoder_open(published("hubert_25hz/mhubert_base_25hz.pt"), &options, test_kernels(), &world.context,
                           &encoder));
    assert_ok(encoder_workspace_create(encoder, &world.context, &workspace));
    assert_ok(
        quantizer_open(published("hubert_25hz/L11_quantizer_500.pt"), 768, test_kernels(), &world.context, &quantizer));
    assert_int_equal(quantizer_size(quantizer), 501);
    assert_ok(encoder_run(workspace, world.clips, CLIPS, 2, &output));
    for (int clip = 0; clip < CLIPS; clip++) {
        units[clip] = calloc((size_t)output.frames[clip], sizeof *units[clip]);
        assert_non_null(units[clip]);
    }
    assert_ok(quantizer_run(quantizer, &world.context, &output, units));
    for (int clip = 0; clip < CLIPS; clip++) {
        same_units(clips, clip_names[clip], "hubert", units[clip], output.frames[clip]);
        free(units[clip]);
    }
    quantizer_close(quantizer);
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
    json_decref(clips);
}

static void styles_are_those_of_the_published_implementation(void **state)
{
    (void)state;
    struct style_classifier *classifier;
    struct encoder_workspace *workspace;
    struct encoder_output output;
    json_t *clips;
    int32_t styles[CLIPS][16], *rows[CLIPS];
    double logits[CLIPS * 16 * 100];
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/speech_models/clips.json", &clips));
    assert_ok(style_classifier_open(published("style_encoder_w2v2"), test_kernels(), &world.context, &classifier));
    assert_int_equal(style_classifier_size(classifier), 100);
    assert_ok(encoder_workspace_create(style_classifier_encoder(classifier), &world.context, &workspace));
    for (int clip = 0; clip < CLIPS; clip++)
        rows[clip] = styles[clip];
    assert_ok(style_classifier_run(classifier, workspace, world.clips, CLIPS, rows, logits));
    const double *own = logits;
    for (int clip = 0; clip < CLIPS; clip++) {
        int64_t count = style_classifier_count(classifier, world.clips[clip].count);
        char name[64];
        same_units(clips, clip_names[clip], "style", styles[clip], count);
        snprintf(name, sizeof name, "%s.style_logits", clip_names[clip]);
        const struct tensor_info *info = safetensors_find(world.expected, name);
        assert_non_null(info);
        assert_int_equal(info->bytes, count * 100 * (int64_t)sizeof(float));
        const float *expected = safetensors_data(world.expected, info);
        double error = 0, norm = 0;
        for (int64_t i = 0; i < count * 100; i++) {
            error += (own[i] - (double)expected[i]) * (own[i] - (double)expected[i]);
            norm += (double)expected[i] * (double)expected[i];
        }
        printf("%s style logits: %.2e\n", clip_names[clip], sqrt(error / norm));
        assert_true(sqrt(error / norm) <= 1e-4);
        own += count * 100;
    }
    assert_ok(encoder_run(workspace, world.clips, CLIPS, ENCODER_LAST, &output));
    for (int clip = 0; clip < CLIPS; clip++) {
        int64_t frames = output.frames[clip];
        float *values = malloc((size_t)(frames * output.width) * sizeof *values);
        assert_non_null(values);
        assert_ok(encoder_copy(workspace, &output, clip, 0, frames, values));
        double error = difference(clip_names[clip], "style_hidden", values, frames, output.width);
        printf("%s style hidden: %.2e\n", clip_names[clip], error);
        assert_true(error <= 1e-5);
        free(values);
    }
    encoder_workspace_destroy(workspace);
    style_classifier_close(classifier);
    json_decref(clips);
}

int main(void)
{
    if (test_kernels_slow()) {
        printf("left out: the published widths take hours on the emulator\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layer_is_that_of_the_published_implementation),
                                       cmocka_unit_test(hugging_face_has_the_same_encoder),
                                       cmocka_unit_test(units_are_those_of_the_published_implementation),
                                       cmocka_unit_test(styles_are_those_of_the_published_implementation)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
