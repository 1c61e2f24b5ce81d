/* Neural speech components on a table of kernels against the same on the host, through a whole set: small networks, so that the
 * emulator can. On the host the components are compared with the published implementation (speech.neural), and each network on every
 * table with references of its own (models.*). */
#include "package/speech_composed.h"
#include "support/files.h"
#include "support/kernel_harness.h"
#include "support/models/checkpoint_files.h"

#include "core/path.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/speech_models/"
enum { SAMPLES = 4000, CENTRES = 9, WIDTH = 24, UNITS = 11 };

static char root[PATH_BYTES];
static struct speech *on_host, *on_device;
static float samples[SAMPLES];

static void write_units(void)
{
    static float values[CENTRES * WIDTH];
    static char name[] = "cluster_centers";
    float *data = values;
    char path[PATH_BYTES];
    struct tensor_info info = {
        .name = name, .type = DTYPE_F32, .rank = 2, .shape = {CENTRES, WIDTH}, .bytes = sizeof values};
    const struct checkpoint checkpoint = {.tensors = &info, .values = &data, .count = 1};
    formula_fill("neural_device", name, CENTRES * WIDTH, 1, 0, values);
    assert_ok(path_format(path, "%s/kmeans.pt", root));
    checkpoint_write_torch(&checkpoint, path, NULL, NULL);
}

static void write_pitch(void)
{
    static const char config[] = "features: norm_f0_interp,vuv\nspeaker_norm: false\n"
                                 "encoder_params:\n  input_emb_width: 2\n  output_emb_width: 4\n  levels: 1\n"
                                 "  downs_t: [2]\n  strides_t: [3]\n  width: 4\n  depth: 1\n"
                                 "decoder_params:\n  input_emb_width: 2\n  output_emb_width: 4\n  levels: 1\n"
                                 "  downs_t: 2\n  strides_t: 3\n  width: 4\n  depth: 3\n  m_conv: 2.0\n"
                                 "  dilation_growth_rate: 2\n"
                                 "vq_params:\n  l_bins: 7\n  emb_width: 4\n  levels: 1\n";
    json_t *mel =
        json_pack("{s:{s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i},s:{s:s,s:i,s:i,s:i,s:b}}}", "config_dict", "mel", "sr", 16000,
                  "num_mels", 40, "n_fft", 1024, "win_size", 1024, "hop_size", 160, "fmin", 0, "fmax", 8000, "model",
                  "type", "CFNaiveMelPE", "out_dims", 90, "hidden_dims", 32, "n_layers", 2, "conv_only", 1);
    struct checkpoint checkpoint;
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/vqvae", root));
    assert_int_equal(mkdir(path, 0777), 0);
    write_text_in(path, "config.yaml", config);
    assert_ok(path_format(path, "%s/vqvae/model.pt", root));
    checkpoint_make("vqvae_odd", &checkpoint);
    checkpoint_write_torch(&checkpoint, path, NULL, "model");
    checkpoint_free(&checkpoint);
    assert_ok(path_format(path, "%s/fcpe.pt", root));
    checkpoint_make("fcpe_small", &checkpoint);
    checkpoint_write_torch(&checkpoint, path, mel, "model");
    checkpoint_free(&checkpoint);
    json_decref(mel);
}

/* The small vocoder says 8,000 Hz, which no set takes. */
static void write_vocoder(void)
{
    json_t *config;
    char path[PATH_BYTES], *text;
    assert_ok(path_format(path, "%s/vocoder", root));
    assert_int_equal(mkdir(path, 0777), 0);
    assert_ok(jdoc_read(GOLDEN "hifigan/full/config.json", &config));
    assert_int_equal(json_object_set_new(config, "sampling_rate", json_integer(16000)), 0);
    text = jdoc_text(config, 1);
    write_text_in(path, "config.json", text);
    free(text);
    json_decref(config);
    static const char *const files[] = {"generator.pt", "speakers.txt", "styles.txt"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[PATH_BYTES];
        assert_ok(path_format(from, "speech_models/hifigan/full/%s", files[i]));
        assert_ok(path_format(path, "%s/vocoder/%s", root, files[i]));
        copy_golden(from, path);
    }
}

static int set_up(void **state)
{
    (void)state;
    const struct speech_options options = {.checkpoints = root,
                                           .hubert = GOLDEN "small/plain/hf",
                                           .quantizer = "kmeans.pt",
                                           .layer = 2,
                                           .pitch = "vqvae",
                                           .f0 = "fcpe.pt",
                                           .style = "none",
                                           .vocoder = "vocoder"};
    assert_ok(path_format(root, "%s", test_path("files")));
    assert_int_equal(mkdir(root, 0777), 0);
    write_units();
    write_pitch();
    write_vocoder();
    formula_fill("neural_device", "samples", SAMPLES, 0.3f, 0, samples);
    assert_ok(speech_compose(&options, NULL, &(struct speech_compute){.networks = kernels_cpu()}, &on_host));
    assert_ok(speech_compose(&options, NULL, &(struct speech_compute){.networks = test_kernels()}, &on_device));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    speech_free(on_host);
    speech_free(on_device);
    return 0;
}

static void units_are_the_hosts(void **state)
{
    (void)state;
    struct units host, device;
    assert_ok(speech_encode(on_host, samples, SAMPLES, NULL, STREAMS_ALL, &host));
    assert_ok(speech_encode(on_device, samples, SAMPLES, NULL, STREAMS_ALL, &device));
    for (int s = STREAM_HUBERT; s <= STREAM_PITCH; s++) {
        assert_true(host.count[s] > 0);
        assert_int_equal(device.count[s], host.count[s]);
        assert_memory_equal(device.values[s], host.values[s], (size_t)host.count[s] * sizeof(uint16_t));
        assert_memory_equal(&on_device->encoder[s].fingerprint, &on_host->encoder[s].fingerprint,
                            sizeof(struct sha256));
    }
    units_free(&host);
    units_free(&device);
}

static void speech_is_the_hosts(void **state)
{
    (void)state;
    struct spoken_unit spoken[UNITS];
    float *host, *device;
    int64_t count, other;
    double error = 0, norm = 0;
    for (int32_t i = 0; i < UNITS; i++)
        spoken[i] = (struct spoken_unit){i % 7, i % 5, i % 3};
    assert_ok(speech_synthesise(on_host, spoken, NULL, UNITS, NULL, &host, &count));
    assert_ok(speech_synthesise(on_device, spoken, NULL, UNITS, NULL, &device, &other));
    assert_int_equal(other, count);
    for (int64_t i = 0; i < count; i++) {
        error += pow((double)device[i] - (double)host[i], 2);
        norm += pow((double)host[i], 2);
    }
    printf("%ld samples, %.2e of their size\n", (long)count, sqrt(error / norm));
    assert_true(norm > 0 && sqrt(error / norm) <= 1e-5);
    free(host);
    free(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(units_are_the_hosts), cmocka_unit_test(speech_is_the_hosts)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
