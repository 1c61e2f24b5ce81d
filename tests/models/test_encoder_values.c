/* The encoder of the published layout against what the published implementation computed on real clips: features of every layer,
 * and the same weights through the other layouts. Weights are made by their formula, in the published widths with two layers. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "models/encoder/encoder.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = 3 };
static const char *const clip_names[CLIPS] = {"goforward", "cards005", "austen0870"};

struct world {
    struct thread_pool *pool;
    struct device_context context;
    struct safetensors *expected;
    struct encoder_clip clips[CLIPS];
    float *samples[CLIPS];
};
static struct world world;

static void load_clip(int clip)
{
    static const char folder[] = "/usr/share/pocketsphinx/test/data";
    const char *const files[CLIPS] = {"goforward.raw", "cards/005.wav",
                                      "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"};
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/%s", folder, files[clip]));
    int64_t count = 0;
    if (clip == 0) { /* 16-bit samples and nothing else */
        FILE *file = fopen(path, "rb");
        int16_t sample;
        assert_non_null(file);
        world.samples[clip] = malloc(1 << 20);
        assert_non_null(world.samples[clip]);
        while (count < 1 << 18 && fread(&sample, sizeof sample, 1, file) == 1)
            world.samples[clip][count++] = (float)sample / 32768;
        fclose(file);
    } else {
        assert_ok(audio_read(path, -1, &world.samples[clip], &count));
    }
    world.clips[clip] = (struct encoder_clip){.samples = world.samples[clip], .count = count};
}

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &world.pool));
    assert_ok(device_context_create(test_kernels(), world.pool, 0, &world.context));
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_models/encoder.safetensors", &world.expected));
    for (int clip = 0; clip < CLIPS; clip++)
        load_clip(clip);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    for (int clip = 0; clip < CLIPS; clip++)
        free(world.samples[clip]);
    safetensors_close(world.expected);
    device_context_destroy(test_kernels(), &world.context);
    thread_pool_destroy(world.pool);
    return 0;
}

static const char *write_published(void)
{
    struct checkpoint checkpoint;
    json_t *config;
    const char *path = test_path("mhubert_base_25hz.pt");
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/speech_models/mhubert_base_25hz.json", &config));
    checkpoint_make("hubert", &checkpoint);
    checkpoint_write_torch(&checkpoint, path, config, "model_weight");
    checkpoint_free(&checkpoint);
    json_decref(config);
    return path;
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
        int64_t stop;
    } stages[] = {{"conv", ENCODER_FEATURES},
                  {"projected", ENCODER_PROJECTED},
                  {"input", ENCODER_INPUT},
                  {"layer1", 1},
                  {"layer2", 2}};
    (void)state;
    struct encoder *encoder;
    struct encoder_workspace *workspace;
    struct encoder_output output;
    const struct encoder_options options = {.layer = 2};
    assert_ok(encoder_open(write_published(), &options, test_kernels(), &world.context, &encoder));
    assert_ok(encoder_workspace_create(encoder, &world.context, &workspace));
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
        assert_ok(encoder_run(workspace, world.clips, CLIPS, stages[s].stop, &output));
        for (int clip = 0; clip < CLIPS; clip++) {
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

int main(void)
{
    if (test_kernels_slow()) {
        printf("left out: the published widths take hours on the emulator\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layer_is_that_of_the_published_implementation)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
