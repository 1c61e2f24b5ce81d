/* Configurations of speech models that lie: each key of a good one is left out or given a value that no model has, at random, beside
 * tensors that are whole. A model of such a file is refused in words, or it is opened and computes; it never crashes, hangs, or takes
 * memory for sizes that its tensors do not have. SPIRITLM_TEST_LONG=1: 50,000 changes of each kind instead of 500. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/rng.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "models/encoder/clip_classifier.h"
#include "models/encoder/ctc_model.h"
#include "models/encoder/style_classifier.h"
#include "models/fcpe/fcpe.h"
#include "models/hifigan/hifigan.h"
#include "models/roberta/roberta.h"
#include "models/vqvae/vqvae.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_kernels.h"
#include "support/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL TEST_GOLDEN_DIRECTORY "/speech_models/small/plain/hf"
#define FULL TEST_GOLDEN_DIRECTORY "/speech_models/hifigan/full"
#define ROBERTA TEST_GOLDEN_DIRECTORY "/judges/text"
#define CLIPS TEST_GOLDEN_DIRECTORY "/judges/hubert"
#define CTC TEST_GOLDEN_DIRECTORY "/ctc_model"

enum { SAMPLES = 2000, MEMORY_KILOBYTES = 64 * 1024, SLOW_SECONDS = 1, ALLOWED_SECONDS = 20 };

static struct device_context context;
static float samples[SAMPLES];

static int open_world(void **state)
{
    (void)state;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    formula_fill("hostile", "samples", SAMPLES, 0.3f, 0, samples);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    device_context_destroy(test_kernels(), &context);
    return 0;
}

/* ---- changes ---- */

static json_t *hostile_value(struct rng *rng)
{
    static const json_int_t integers[] = {-1,
                                          0,
                                          1,
                                          2,
                                          3,
                                          5,
                                          8,
                                          16,
                                          64,
                                          129,
                                          65537,
                                          2147483647,
                                          4294967296,
                                          9007199254740993,
                                          4611686018427387904,
                                          -4611686018427387904};
    static const double reals[] = {0.5, -0.0, 1e-300, 1e300, 2.0};
    static const char *const texts[] = {"",
                                        "gelu",
                                        "relu",
                                        "nothing",
                                        "None",
                                        "[(512,10,5)] * 100000",
                                        "[(1,1,1)] * 17",
                                        "[(4611686018427387904,3,2)]",
                                        "[(16,3,0)]",
                                        "((",
                                        "from_input_file"};
    json_t *list;
    switch (rng_below(rng, 7)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(rng_below(rng, 2));
    case 2:
        return json_real(reals[rng_below(rng, sizeof reals / sizeof *reals)]);
    case 3:
        return json_string(texts[rng_below(rng, sizeof texts / sizeof *texts)]);
    case 4:
        list = json_array();
        for (uint64_t left = rng_below(rng, 40); left > 0; left--)
            json_array_append_new(list, json_integer(integers[rng_below(rng, sizeof integers / sizeof *integers)]));
        return list;
    default:
        return json_integer(integers[rng_below(rng, sizeof integers / sizeof *integers)]);
    }
}

/* Somewhere in the value, which is an object or a list with members. */
static void change(json_t *value, struct rng *rng)
{
    const bool object = json_is_object(value);
    const size_t count = object ? json_object_size(value) : json_array_size(value);
    if (count == 0) /* an earlier change has emptied it */
        return;
    const size_t chosen = (size_t)rng_below(rng, count);
    void *place = object ? json_object_iter(value) : NULL;
    for (size_t i = 0; object && i < chosen; i++)
        place = json_object_iter_next(value, place);
    json_t *member = object ? json_object_iter_value(place) : json_array_get(value, chosen);
    const bool deeper =
        (json_is_object(member) && json_object_size(member)) || (json_is_array(member) && json_array_size(member));
    if (deeper && rng_below(rng, 4) > 0)
        change(member, rng);
    else if (object && rng_below(rng, 5) == 0)
        json_object_del(value, json_object_iter_key(place));
    else if (object)
        json_object_iter_set_new(value, place, hostile_value(rng));
    else
        json_array_set_new(value, chosen, hostile_value(rng));
}

/* ---- kinds ---- */

/* Opens what lies in the folder and computes with it if it is accepted. */
struct kind {
    const char *name;
    json_t *(*start)(const char *folder); /* writes all but the configuration, which it returns */
    void (*write)(const char *folder, const json_t *config);
    enum status (*use)(const char *folder);
};

static json_t *read_config(const char *from, const char *name)
{
    char path[PATH_BYTES];
    json_t *config;
    assert_ok(path_format(path, "%s/%s", from, name));
    assert_ok(jdoc_read(path, &config));
    return config;
}

static void copy_file(const char *from, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    void *data;
    int64_t size;
    assert_ok(path_format(path, "%s/%s", from, name));
    assert_ok(file_read(path, 1 << 26, &data, &size));
    assert_ok(path_format(path, "%s/%s", folder, name));
    write_plainly(path, data, size);
    free(data);
}

static void write_config(const char *folder, const json_t *config)
{
    char *text = jdoc_text(config, 1);
    assert_non_null(text);
    write_text_in(folder, "config.json", text);
    free(text);
}

static json_t *start_encoder(const char *folder)
{
    copy_file(SMALL, folder, "model.safetensors");
    copy_file(SMALL, folder, "preprocessor_config.json");
    return read_config(SMALL, "config.json");
}

static enum status use_encoder(const char *folder)
{
    enum status result = STATUS_OK;
    const struct encoder_options options = {.layer = ENCODER_LAST};
    struct encoder *encoder = NULL;
    struct encoder_workspace *workspace = NULL;
    struct encoder_output output;
    const struct encoder_clip clip = {samples, SAMPLES};
    TRY(encoder_open(folder, &options, test_kernels(), &context, &encoder));
    TRY(encoder_workspace_create(encoder, &context, &workspace));
    TRY(encoder_run(workspace, &clip, 1, ENCODER_LAST, &output));
fail:
    encoder_workspace_destroy(workspace);
    encoder_close(encoder);
    return result;
}

static json_t *start_ctc(const char *folder)
{
    copy_file(CTC, folder, "model.safetensors");
    copy_file(CTC, folder, "preprocessor_config.json");
    return read_config(CTC, "config.json");
}

static enum status use_ctc(const char *folder)
{
    struct ctc_model *model;
    enum status result = ctc_model_open(folder, test_kernels(), &context, &model);
    ctc_model_close(model);
    return result;
}

static json_t *start_roberta(const char *folder)
{
    copy_file(ROBERTA, folder, "model.safetensors");
    return read_config(ROBERTA, "config.json");
}

static enum status use_roberta(const char *folder)
{
    static const int32_t ids[] = {0, 1, 2};
    enum status result = STATUS_OK;
    struct roberta *roberta = NULL;
    struct roberta_workspace *workspace = NULL;
    double logits[16];
    TRY(roberta_open(folder, test_kernels(), &context, &roberta));
    assert_int_equal(roberta_classes(roberta), 7);
    TRY(roberta_workspace_create(roberta, &context, &workspace));
    TRY(roberta_run(workspace, &(struct roberta_text){ids, 3}, 1, logits));
fail:
    roberta_workspace_destroy(workspace);
    roberta_close(roberta);
    return result;
}

static json_t *start_clips(const char *folder)
{
    copy_file(CLIPS, folder, "model.safetensors");
    copy_file(CLIPS, folder, "preprocessor_config.json");
    return read_config(CLIPS, "config.json");
}

static enum status use_clips(const char *folder)
{
    enum status result = STATUS_OK;
    struct clip_classifier *classifier = NULL;
    struct encoder_workspace *workspace = NULL;
    const struct encoder_clip clip = {samples, SAMPLES};
    double logits[16];
    int64_t frames;
    TRY(clip_classifier_open(folder, test_kernels(), &context, &classifier));
    assert_int_equal(clip_classifier_size(classifier), 4);
    TRY(encoder_workspace_create(clip_classifier_encoder(classifier), &context, &workspace));
    TRY(clip_classifier_run(classifier, workspace, &clip, logits, &frames));
fail:
    encoder_workspace_destroy(workspace);
    clip_classifier_close(classifier);
    return result;
}

static json_t *start_vocoder(const char *folder)
{
    copy_file(FULL, folder, "generator.pt");
    copy_file(FULL, folder, "speakers.txt");
    copy_file(FULL, folder, "styles.txt");
    return read_config(FULL, "config.json");
}

static enum status use_vocoder(const char *folder)
{
    static const int32_t units[] = {0, 1, 2}, other[] = {0, 0, 0};
    enum status result = STATUS_OK;
    struct hifigan *hifigan = NULL;
    struct hifigan_workspace *workspace = NULL;
    struct hifigan_frames frames = {0};
    float *wave = NULL;
    TRY(hifigan_open(folder, test_kernels(), &context, &hifigan));
    TRY(hifigan_workspace_create(hifigan, &context, 0, &workspace));
    const struct hifigan_config *config = hifigan_config(hifigan);
    const struct hifigan_codes codes = {.units = units,
                                        .pitch = other,
                                        .style = other,
                                        .unit_count = 3,
                                        .pitch_count = config->rows[HIFIGAN_PITCH] ? 3 : 0,
                                        .style_count = config->rows[HIFIGAN_STYLE_CODE] ? 3 : 0};
    TRY(hifigan_arrange(workspace, &codes, &frames));
    wave = malloc((size_t)(frames.count * config->frame_samples) * sizeof *wave);
    assert_non_null(wave);
    TRY(hifigan_speak(workspace, &frames, 0, frames.count, wave));
fail:
    free(wave);
    hifigan_frames_free(&frames);
    hifigan_workspace_destroy(workspace);
    hifigan_close(hifigan);
    return result;
}

/* JSON is YAML. */
static json_t *start_vqvae(const char *folder)
{
    struct checkpoint checkpoint;
    char path[PATH_BYTES];
    checkpoint_make("vqvae", &checkpoint);
    assert_ok(path_format(path, "%s/model.pt", folder));
    checkpoint_write_torch(&checkpoint, path, NULL, "model");
    checkpoint_free(&checkpoint);
    json_t *coder =
        json_pack("{s:i,s:i,s:i,s:[i],s:[i],s:i,s:i,s:f,s:i}", "input_emb_width", 2, "output_emb_width", 128, "levels",
                  1, "downs_t", 4, "strides_t", 2, "width", 32, "depth", 4, "m_conv", 1.0, "dilation_growth_rate", 3);
    json_t *config = json_pack("{s:s,s:b,s:O,s:O,s:{s:i,s:i,s:f,s:i}}", "features", "norm_f0_interp,vuv",
                               "speaker_norm", 0, "encoder_params", coder, "decoder_params", coder, "vq_params",
                               "l_bins", 64, "emb_width", 128, "mu", 0.99, "levels", 1);
    json_decref(coder);
    assert_non_null(config);
    return config;
}

/* One member a line, as YAML of one level below another. */
static void write_yaml(const char *folder, const json_t *config)
{
    char text[1 << 14] = "";
    size_t used = 0;
    const char *key, *inner;
    json_t *value, *member;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        char *line = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (!json_is_object(value))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s: %s\n", key, line);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%s:\n", key);
        free(line);
        if (json_is_object(value))
            json_object_foreach(value, inner, member)
            {
                line = json_dumps(member, JSON_ENCODE_ANY | JSON_COMPACT);
                used += (size_t)snprintf(text + used, sizeof text - used, "  %s: %s\n", inner, line);
                free(line);
            }
    }
    assert_true(used < sizeof text);
    write_text_in(folder, "config.yaml", text);
}

static enum status use_vqvae(const char *folder)
{
    enum { FRAMES = 100 };
    static const float f0[FRAMES];
    static const uint8_t voiced[FRAMES];
    enum status result = STATUS_OK;
    struct vqvae *vqvae = NULL;
    struct vqvae_workspace *workspace = NULL;
    int32_t *codes = NULL;
    TRY(vqvae_open(folder, true, test_kernels(), &context, &vqvae));
    TRY(vqvae_workspace_create(vqvae, &context, &workspace));
    codes = malloc((size_t)vqvae_codes(vqvae, FRAMES) * sizeof *codes + 1);
    assert_non_null(codes);
    TRY(vqvae_encode(workspace, f0, voiced, FRAMES, NULL, codes, NULL));
fail:
    free(codes);
    vqvae_workspace_destroy(workspace);
    vqvae_close(vqvae);
    return result;
}

static json_t *start_fcpe(const char *folder)
{
    (void)folder;
    json_t *config =
        json_pack("{s:{s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i},s:{s:s,s:i,s:i,s:i,s:b}}}", "config_dict", "mel", "sr", 16000,
                  "num_mels", 40, "n_fft", 1024, "win_size", 1024, "hop_size", 160, "fmin", 0, "fmax", 8000, "model",
                  "type", "CFNaiveMelPE", "out_dims", 90, "hidden_dims", 32, "n_layers", 2, "conv_only", 1);
    assert_non_null(config);
    return config;
}

static void write_fcpe(const char *folder, const json_t *config)
{
    static struct checkpoint checkpoint;
    char path[PATH_BYTES];
    if (!checkpoint.tensors)
        checkpoint_make("fcpe_small", &checkpoint); /* to the test's end */
    assert_ok(path_format(path, "%s/fcpe.pt", folder));
    checkpoint_write_torch(&checkpoint, path, config, "model");
}

static enum status use_fcpe(const char *folder)
{
    enum status result = STATUS_OK;
    struct fcpe *fcpe = NULL;
    struct fcpe_workspace *workspace = NULL;
    char path[PATH_BYTES];
    float f0[SAMPLES / FCPE_TRACK_HOP + 1];
    uint8_t voiced[SAMPLES / FCPE_TRACK_HOP + 1];
    TRY(path_format(path, "%s/fcpe.pt", folder));
    TRY(fcpe_open(path, test_kernels(), &context, &fcpe));
    TRY(fcpe_workspace_create(fcpe, &context, &workspace));
    TRY(fcpe_track(workspace, samples, SAMPLES, f0, voiced));
fail:
    fcpe_workspace_destroy(workspace);
    fcpe_close(fcpe);
    return result;
}

/* ---- the test ---- */

static void try_changes(const struct kind *kind)
{
    const int64_t rounds = test_is_long() ? 50000 : 500;
    const char *folder = test_path("%s", kind->name);
    int64_t accepted = 0, before = 0;
    double slowest = 0;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 11, 0);
    assert_int_equal(mkdir(folder, 0777), 0);
    json_t *good = kind->start(folder);
    kind->write(folder, good);
    assert_ok(kind->use(folder));
    before = peak_kilobytes();
    for (int64_t n = 0; n < rounds; n++) {
        json_t *config = json_deep_copy(good);
        for (uint64_t left = 1 + rng_below(&rng, 2); left > 0; left--)
            change(config, &rng);
        kind->write(folder, config);
        double start = processor_seconds();
        enum status status = kind->use(folder);
        double seconds = processor_seconds() - start;
        slowest = seconds > slowest ? seconds : slowest;
        char *text = jdoc_text(config, 0);
        if (status != STATUS_OK && status != STATUS_CORRUPT && status != STATUS_USAGE)
            fail_msg("%s: status %d, \"%s\" for %s", kind->name, (int)status, status_text(), text);
        if (status != STATUS_OK && !strstr(status_text(), folder))
            fail_msg("%s: no file in \"%s\" for %s", kind->name, status_text(), text);
        free(text);
        accepted += status == STATUS_OK;
        json_decref(config);
    }
    print_message("%s: %lld of %lld accepted, the slowest in %.3f s of the processor\n", kind->name,
                  (long long)accepted, (long long)rounds, slowest);
    assert_true(accepted > 0 && accepted < rounds);
    assert_true(slowest < (test_kernels_slow() ? ALLOWED_SECONDS : SLOW_SECONDS));
    assert_true(peak_kilobytes() - before < MEMORY_KILOBYTES);
    json_decref(good);
}

static void lies_are_refused_or_compute(void **state)
{
    (void)state;
    static const struct kind kinds[] = {{"encoder", start_encoder, write_config, use_encoder},
                                        {"ctc", start_ctc, write_config, use_ctc},
                                        {"roberta", start_roberta, write_config, use_roberta},
                                        {"clips", start_clips, write_config, use_clips},
                                        {"vocoder", start_vocoder, write_config, use_vocoder},
                                        {"vqvae", start_vqvae, write_yaml, use_vqvae},
                                        {"fcpe", start_fcpe, write_fcpe, use_fcpe}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        try_changes(&kinds[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_refused_or_compute)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
