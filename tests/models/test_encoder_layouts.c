/* Small random encoders of every kind, through every layout of files (tests/oracles/speech_encoder_layouts.py): every layer is that
 * of transformers, whatever clips are computed together, and what is missing or not supported is refused by name.
 *
 *     test_models_encoder_layouts --model MODEL EXPECTED     one model of any size (tests/oracles/hubert_check.py) */
#include "support/test_support.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "models/encoder/encoder.h"
#include "support/files.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CLIPS = 3 };
#define SMALL TEST_GOLDEN_DIRECTORY "/speech_models/small"

static struct thread_pool *pool;
static struct device_context context;
static struct safetensors *expected;
static struct encoder_clip clips[CLIPS];

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &context));
    assert_ok(safetensors_open(SMALL "/expected.safetensors", &expected));
    for (int clip = 0; clip < CLIPS; clip++) {
        char name[16];
        snprintf(name, sizeof name, "wave.%d", clip);
        const struct tensor_info *info = safetensors_find(expected, name);
        assert_non_null(info);
        clips[clip] = (struct encoder_clip){.samples = safetensors_data(expected, info), .count = info->shape[0]};
    }
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    safetensors_close(expected);
    device_context_destroy(test_kernels(), &context);
    thread_pool_destroy(pool);
    return 0;
}

static struct encoder *open_encoder(const char *path)
{
    struct encoder *encoder;
    const struct encoder_options options = {.layer = ENCODER_LAST};
    assert_ok(encoder_open(path, &options, test_kernels(), &context, &encoder));
    return encoder;
}

static struct encoder_workspace *open_workspace(const struct encoder *encoder)
{
    struct encoder_workspace *workspace;
    assert_ok(encoder_workspace_create(encoder, &context, &workspace));
    return workspace;
}

/* A clip's frames; the caller frees. */
static float *copy_clip(const struct encoder_workspace *workspace, const struct encoder_output *output, int64_t clip)
{
    float *values = malloc((size_t)(output->frames[clip] * output->width + 1) * sizeof *values);
    assert_non_null(values);
    assert_ok(encoder_copy(workspace, output, clip, 0, output->frames[clip], values));
    return values;
}

static void same_as_expected(const struct encoder_workspace *workspace, const struct encoder_output *output, int clip,
                             const char *model, const char *stage)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d.%s", model, clip, stage);
    const struct tensor_info *info = safetensors_find(expected, name);
    if (!info)
        fail_msg("no %s in expected.safetensors", name);
    int64_t count = info->shape[0] * info->shape[1];
    assert_int_equal(info->shape[0], output->frames[clip]);
    assert_int_equal(info->shape[1], output->width);
    const float *wanted = safetensors_data(expected, info);
    float *values = copy_clip(workspace, output, clip);
    double *doubled = malloc((size_t)count * sizeof *doubled);
    assert_non_null(doubled);
    for (int64_t i = 0; i < count; i++)
        doubled[i] = (double)wanted[i];
    double error = relative_difference(values, doubled, count);
    if (!(error <= 1e-5))
        fail_msg("%s: relative error %.2e", name, error);
    free(doubled);
    free(values);
}

static void every_layer(const char *path, const char *model)
{
    static const struct {
        const char *name;
        int64_t stop;
    } stages[] = {{"features", ENCODER_FEATURES}, {"0", ENCODER_INPUT}, {"1", 1}, {"last", ENCODER_LAST}};
    struct encoder *encoder = open_encoder(path);
    struct encoder_workspace *workspace = open_workspace(encoder);
    struct encoder_output output;
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
        assert_ok(encoder_run(workspace, clips, CLIPS, stages[s].stop, &output));
        for (int clip = 0; clip < CLIPS; clip++)
            same_as_expected(workspace, &output, clip, model, stages[s].name);
    }
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
}

static void norms_after_each_part(void **state)
{
    (void)state;
    every_layer(SMALL "/post/hf_bin", "post");
}

static void norms_before_each_part_and_layer_norms_between_convolutions(void **state)
{
    (void)state;
    every_layer(SMALL "/first/hf", "first");
}

static void biases_an_odd_kernel_and_no_norm_before_the_projection(void **state)
{
    (void)state;
    every_layer(SMALL "/plain/hf", "plain");
}

static void layouts_of_the_same_weights_are_the_same_encoder(void **state)
{
    static const char *const layouts[] = {SMALL "/post/hf_bin", SMALL "/post/hf_safetensors", SMALL "/post/release.pt",
                                          SMALL "/post/fairseq_cfg.pt", SMALL "/post/fairseq_args.pt"};
    enum { LAYOUTS = sizeof layouts / sizeof *layouts };
    (void)state;
    struct encoder *first = open_encoder(layouts[0]);
    for (int i = 1; i < LAYOUTS; i++) {
        struct encoder *other = open_encoder(layouts[i]);
        assert_memory_equal(encoder_fingerprint(first), encoder_fingerprint(other), sizeof(struct sha256));
        assert_memory_equal(encoder_config(first)->convolutions, encoder_config(other)->convolutions,
                            sizeof encoder_config(first)->convolutions);
        encoder_close(other);
    }
    struct encoder *other = open_encoder(SMALL "/plain/hf");
    assert_memory_not_equal(encoder_fingerprint(first), encoder_fingerprint(other), sizeof(struct sha256));
    encoder_close(other);
    encoder_close(first);
}

/* fairseq normalises with another epsilon, and stores no last norm behind a layer that is asked for by number. */
static void fairseq_normalises_the_waveform_its_own_way(void **state)
{
    (void)state;
    struct encoder *encoder = open_encoder(SMALL "/first/fairseq_cfg.pt");
    struct encoder_workspace *workspace = open_workspace(encoder);
    struct encoder_output output;
    assert_true(encoder_config(encoder)->normalize && encoder_config(encoder)->norm_first);
    assert_ok(encoder_run(workspace, clips, 1, ENCODER_LAST, &output));
    same_as_expected(workspace, &output, 0, "first.fairseq", "last");
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
}

/* A clip's bits are those of the clip alone: in any order, beside longer and shorter ones, and after other batches. */
static void neighbours_and_padding_change_no_bit(void **state)
{
    (void)state;
    static const char *const models[] = {SMALL "/post/hf_bin", SMALL "/first/hf"};
    static const float nothing[4] = {0};
    enum { BATCH = 5, BATCHES = 3 };
    static const int orders[BATCHES][BATCH] = {{0, 1, 2, 3, 1}, {2, 3, 2, 1, 2}, {3, 1, 0, 0, 2}};
    for (int m = 0; m < 2; m++) {
        struct encoder *encoder = open_encoder(models[m]);
        struct encoder_workspace *workspace = open_workspace(encoder);
        struct encoder_output output;
        float *alone[CLIPS];
        int64_t frames[CLIPS];
        for (int clip = 0; clip < CLIPS; clip++) {
            assert_ok(encoder_run(workspace, &clips[clip], 1, ENCODER_LAST, &output));
            frames[clip] = output.frames[0];
            alone[clip] = copy_clip(workspace, &output, 0);
        }
        for (int64_t b = 0; b < test_count(BATCHES, 1); b++) {
            struct encoder_clip batch[BATCH];
            for (int i = 0; i < BATCH; i++)
                batch[i] = orders[b][i] < CLIPS ? clips[orders[b][i]] : (struct encoder_clip){nothing, 4};
            assert_ok(encoder_run(workspace, batch, BATCH, ENCODER_LAST, &output));
            for (int i = 0; i < BATCH; i++) {
                int clip = orders[b][i];
                assert_int_equal(output.frames[i], clip < CLIPS ? frames[clip] : 0);
                float *values = copy_clip(workspace, &output, i);
                if (clip < CLIPS)
                    assert_memory_equal(values, alone[clip], (size_t)(frames[clip] * output.width) * sizeof *values);
                free(values);
            }
        }
        for (int clip = 0; clip < CLIPS; clip++)
            free(alone[clip]);
        encoder_workspace_destroy(workspace);
        encoder_close(encoder);
    }
}

static void batches_without_a_frame_give_none(void **state)
{
    (void)state;
    struct encoder *encoder = open_encoder(SMALL "/post/hf_bin");
    struct encoder_workspace *workspace = open_workspace(encoder);
    struct encoder_output output;
    const struct encoder_config *config = encoder_config(encoder);
    int64_t least = encoder_config_samples(config, 1);
    assert_int_equal(encoder_config_hop(config), 20);
    assert_int_equal(encoder_config_frames(config, least), 1);
    assert_int_equal(encoder_config_frames(config, least - 1), 0);
    assert_ok(encoder_run(workspace, NULL, 0, ENCODER_LAST, &output));
    assert_int_equal(output.clips, 0);
    struct encoder_clip clip = clips[0];
    for (clip.count = 0; clip.count < least; clip.count += least - 1) {
        assert_ok(encoder_run(workspace, &clip, 1, ENCODER_LAST, &output));
        assert_int_equal(output.frames[0], 0);
    }
    clip.count = least;
    assert_ok(encoder_run(workspace, &clip, 1, ENCODER_LAST, &output));
    assert_int_equal(output.frames[0], 1);
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
}

/* ---- refusals ---- */

/* The text of a file of tests/golden; the caller frees. */
static char *read_golden(const char *name, int64_t *size)
{
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/%s", SMALL, name));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = calloc(1, 1 << 17);
    assert_non_null(bytes);
    *size = (int64_t)fread(bytes, 1, (1 << 17) - 1, file);
    fclose(file);
    return bytes;
}

static void replace(char *bytes, int64_t *size, const char *old, const char *new)
{
    char *at = memmem(bytes, (size_t)*size, old, strlen(old));
    if (!at)
        fail_msg("no %s", old);
    memmove(at + strlen(new), at + strlen(old), (size_t)(bytes + *size - at) - strlen(old));
    memcpy(at, new, strlen(new));
    *size += (int64_t)strlen(new) - (int64_t)strlen(old);
}

/* A folder whose config.json and weights have one text each in place of another. */
static const char *changed_folder(const char *old_setting, const char *new_setting, const char *old_name,
                                  const char *new_name)
{
    static int count;
    const char *folder = test_path("changed%d", count++);
    char path[PATH_BYTES];
    int64_t size;
    assert_int_equal(mkdir(folder, 0777), 0);
    char *bytes = read_golden("plain/hf/config.json", &size);
    if (old_setting)
        replace(bytes, &size, old_setting, new_setting);
    assert_ok(path_format(path, "%s/config.json", folder));
    write_plainly(path, bytes, size);
    free(bytes);
    bytes = read_golden("plain/hf/model.safetensors", &size);
    if (old_name)
        replace(bytes, &size, old_name, new_name);
    assert_ok(path_format(path, "%s/model.safetensors", folder));
    write_plainly(path, bytes, size);
    free(bytes);
    return folder;
}

static void missing_tensors_are_refused_by_name(void **state)
{
    static const char *const names[][2] = {
        {"feature_extractor.conv_layers.0.conv.weight", "feature_extractor.conv_layers.0.conv.wieght"},
        {"feature_extractor.conv_layers.2.conv.bias", "feature_extractor.conv_layers.2.conv.bais"},
        {"feature_extractor.conv_layers.0.layer_norm.bias", "feature_extractor.conv_layers.0.layer_norm.bais"},
        {"feature_projection.projection.weight", "feature_projection.projection.wieght"},
        {"encoder.pos_conv_embed.conv.weight_g", "encoder.pos_conv_embed.conv.weight_h"},
        {"encoder.pos_conv_embed.conv.weight_v", "encoder.pos_conv_embed.conv.weight_w"},
        {"encoder.layer_norm.weight", "encoder.layer_norm.wieght"},
        {"encoder.layers.0.attention.k_proj.bias", "encoder.layers.0.attention.k_proj.bais"},
        {"encoder.layers.1.final_layer_norm.bias", "encoder.layers.1.final_layer_norm.bais"},
    };
    (void)state;
    const struct encoder_options options = {.layer = ENCODER_LAST};
    struct encoder *encoder;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *folder = changed_folder(NULL, NULL, names[i][0], names[i][1]);
        assert_fails(encoder_open(folder, &options, test_kernels(), &context, &encoder), STATUS_CORRUPT, names[i][0]);
        assert_null(encoder);
    }
    /* What a pass to layer 1 does not use is not needed. */
    const struct encoder_options first = {.layer = 1};
    const char *folder = changed_folder(NULL, NULL, names[8][0], names[8][1]);
    assert_ok(encoder_open(folder, &first, test_kernels(), &context, &encoder));
    encoder_close(encoder);
}

static void unsupported_settings_are_refused_by_name(void **state)
{
    static const char *const changes[][3] = {
        {"\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", "hidden_act is \"relu\""},
        {"\"feat_extract_activation\": \"gelu\"", "\"feat_extract_activation\": \"tanh\"", "feat_extract_activation"},
        {"\"conv_bias\": true", "\"conv_pos_batch_norm\": true", "conv_pos_batch_norm is not supported"},
        {"\"conv_bias\": true", "\"add_adapter\": true", "add_adapter is not supported"},
        {"\"conv_bias\": true", "\"adapter_attn_dim\": 16", "adapter_attn_dim is not supported"},
        {"\"feat_extract_norm\": \"group\"", "\"feat_extract_norm\": \"batch\"", "feat_extract_norm is \"batch\""},
        {"\"conv_bias\": true", "\"conv_bias\": 1", "conv_bias"},
        {"\"model_type\": \"hubert\"", "\"model_type\": \"wavlm\"", "model_type is \"wavlm\""},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "cannot be cut into 5 heads"},
        {"\"hidden_size\": 24", "\"hidden_size\": 48", "expected shape [48, 16], found [24, 16]"},
        {"\"layer_norm_eps\": 0.001", "\"layer_norm_eps\": -1", "epsilon"},
        {"  10,\n", "  10,\n  2,\n", "conv_dim and conv_kernel have different lengths"},
        {"  10,\n", "  0,\n", "convolution 0"},
    };
    (void)state;
    const struct encoder_options options = {.layer = ENCODER_LAST};
    struct encoder *encoder;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        assert_fails(encoder_open(changed_folder(changes[i][0], changes[i][1], NULL, NULL), &options, test_kernels(),
                                  &context, &encoder),
                     STATUS_CORRUPT, changes[i][2]);
    const struct encoder_options third = {.layer = 3};
    assert_fails(encoder_open(SMALL "/plain/hf", &third, test_kernels(), &context, &encoder), STATUS_USAGE, "layer 3");
    assert_fails(encoder_open(SMALL "/none", &options, test_kernels(), &context, &encoder), STATUS_USAGE, "none");
    assert_fails(encoder_open(SMALL "/plain", &options, test_kernels(), &context, &encoder), STATUS_USAGE,
                 "neither model.safetensors nor pytorch_model.bin");
    assert_fails(encoder_open(SMALL "/expected.safetensors", &options, test_kernels(), &context, &encoder),
                 STATUS_CORRUPT, "model_cfg");
}

/* ---- the notation of convolutions ---- */

static void convolutions_are_read_as_python_would(void **state)
{
    static const struct {
        const char *text, *error;
        int64_t count, last_stride;
    } cases[] = {
        {"[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 3", NULL, 8, 2},
        {"[(512, 10, 5)]+[(512,3,2)]*4+[(512,2,2)]*2", NULL, 7, 2},
        {" 2 * [(1,2,1),(1,3,3),] * 2 ", NULL, 8, 3},
        {"[]*1000000+[(8,4,4,)]", NULL, 1, 4},
        {"[(8,4,4)]*0 + [(9,5,5)]", NULL, 1, 5},
        {"", "expected '['", 0, 0},
        {"[(512,10,5)] +", "the end of the text", 0, 0},
        {"[(512,10)]", "expected ','", 0, 0},
        {"[(512,10,5,6)]", "expected ')'", 0, 0},
        {"[(512,-10,5)]", "expected a number", 0, 0},
        {"[(512,10,5)] * 17", "more than 16", 0, 0},
        {"[(512,99999999999999999999,5)]", "larger than", 0, 0},
        {"[(512,10,5)] * __import__('os')", "expected a number", 0, 0},
        {"__import__('os').system('true')", "expected '['", 0, 0},
        {"[(512,10,5)] - [(1,1,1)]", "expected '+' or '*'", 0, 0},
        {"[(512,10,5)] # comment", "expected '+' or '*'", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct encoder_convolution convolutions[ENCODER_MAXIMUM_CONVOLUTIONS];
        int64_t count = -1, length = (int64_t)strlen(cases[i].text);
        if (cases[i].error) {
            assert_fails(encoder_convolutions_parse(cases[i].text, length, convolutions, &count), STATUS_CORRUPT,
                         cases[i].error);
            continue;
        }
        assert_ok(encoder_convolutions_parse(cases[i].text, length, convolutions, &count));
        assert_int_equal(count, cases[i].count);
        assert_int_equal(convolutions[count - 1].stride, cases[i].last_stride);
    }
}

/* ---- one model of any size ---- */

/* Every clip of EXPECTED ("wave.0" and so on) alone and all in one batch: the last layers within 1e-5, and no bit of difference. */
static int check_model(const char *model, const char *expected_file)
{
    enum { MOST = 16 };
    assert_ok(thread_pool_create(0, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &context));
    assert_ok(safetensors_open(expected_file, &expected));
    struct encoder *encoder = open_encoder(model);
    struct encoder_workspace *workspace = open_workspace(encoder);
    struct encoder_output output;
    struct encoder_clip batch[MOST];
    float *alone[MOST];
    char name[64];
    int count = 0, different = 0, failed = 0;
    double worst = 0;
    for (; count < MOST; count++) {
        snprintf(name, sizeof name, "wave.%d", count);
        const struct tensor_info *info = safetensors_find(expected, name);
        if (!info)
            break;
        batch[count] = (struct encoder_clip){safetensors_data(expected, info), info->shape[0]};
        assert_ok(encoder_run(workspace, &batch[count], 1, ENCODER_LAST, &output));
        alone[count] = copy_clip(workspace, &output, 0);
    }
    assert_ok(encoder_run(workspace, batch, count, ENCODER_LAST, &output));
    for (int clip = 0; clip < count; clip++) {
        int64_t elements = output.frames[clip] * output.width;
        snprintf(name, sizeof name, "last.%d", clip);
        const float *wanted = safetensors_data(expected, safetensors_find(expected, name));
        float *values = copy_clip(workspace, &output, clip);
        double error = 0, norm = 0;
        for (int64_t i = 0; i < elements; i++) {
            error += ((double)values[i] - (double)wanted[i]) * ((double)values[i] - (double)wanted[i]);
            norm += (double)wanted[i] * (double)wanted[i];
        }
        different += memcmp(values, alone[clip], (size_t)elements * sizeof *values) != 0;
        worst = fmax(worst, sqrt(error / norm));
        failed += !(sqrt(error / norm) <= 1e-5);
        printf("clip %d, %ld frames: relative error %.2e\n", clip, (long)output.frames[clip], sqrt(error / norm));
        free(values);
        free(alone[clip]);
    }
    printf("%d clips: largest relative error %.2e, %d differ from themselves alone\n", count, worst, different);
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
    close_world(NULL);
    return count > 0 && failed == 0 && different == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--model") == 0)
        return check_model(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_after_each_part),
        cmocka_unit_test(norms_before_each_part_and_layer_norms_between_convolutions),
        cmocka_unit_test(biases_an_odd_kernel_and_no_norm_before_the_projection),
        cmocka_unit_test(layouts_of_the_same_weights_are_the_same_encoder),
        cmocka_unit_test(fairseq_normalises_the_waveform_its_own_way),
        cmocka_unit_test(neighbours_and_padding_change_no_bit),
        cmocka_unit_test(batches_without_a_frame_give_none),
        cmocka_unit_test(missing_tensors_are_refused_by_name),
        cmocka_unit_test(unsupported_settings_are_refused_by_name),
        cmocka_unit_test(convolutions_are_read_as_python_would),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
