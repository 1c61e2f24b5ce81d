/* FCPE against torchfcpe 0.0.4: a small model whose weights come from a formula, at lengths around every boundary of padding and
 * frames; the track's interpolation and resampling; files that do not fit. With arguments this program works for
 * tests/oracles/fcpe_check.py, which compares the published weights on hours of speech. */
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "models/fcpe/fcpe.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONGEST = 5000, SHIFTED = 365185 };
static const int64_t lengths[] = {160, 799, 433, 0, 1360, LONGEST, 1, 159, 432, 1199, 1280, 1359};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

struct world {
    struct device_context context;
    struct safetensors *expected;
    struct checkpoint checkpoint;
    json_t *config;
    float samples[LONGEST];
};
static struct world world;

static int open_world(void **state)
{
    (void)state;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &world.context));
    assert_ok(safetensors_open(TEST_GOLDEN_DIRECTORY "/speech_models/pitch_small.safetensors", &world.expected));
    checkpoint_make("fcpe_small", &world.checkpoint);
    world.config =
        json_pack("{s:{s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i},s:{s:s,s:i,s:i,s:i,s:b}}}", "config_dict", "mel", "sr", 16000,
                  "num_mels", 40, "n_fft", 1024, "win_size", 1024, "hop_size", 160, "fmin", 0, "fmax", 8000, "model",
                  "type", "CFNaiveMelPE", "out_dims", 90, "hidden_dims", 32, "n_layers", 2, "conv_only", 1);
    assert_non_null(world.config);
    formula_fill("fcpe_small", "samples", LONGEST, 0.3f, 0, world.samples);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    json_decref(world.config);
    checkpoint_free(&world.checkpoint);
    safetensors_close(world.expected);
    device_context_destroy(test_kernels(), &world.context);
    return 0;
}

static const char *write_model(void)
{
    const char *path = test_path("fcpe.pt");
    checkpoint_write_torch(&world.checkpoint, path, world.config, "model");
    return path;
}

static const void *expected(int64_t length, const char *what, int64_t count)
{
    char name[64];
    snprintf(name, sizeof name, "fcpe.%ld.%s", (long)length, what);
    const struct tensor_info *info = safetensors_find(world.expected, name);
    assert_non_null(info);
    assert_int_equal(info->bytes, count * (int64_t)sizeof(float));
    return safetensors_data(world.expected, info);
}

static void assert_near(const char *what, int64_t length, const float *actual, const float *wanted, int64_t count,
                        double tolerance)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)actual[i] - (double)wanted[i]) <= tolerance * fmax(1, fabs((double)wanted[i]))))
            fail_msg("%ld samples, %s %ld: expected %.9g, found %.9g", (long)length, what, (long)i, (double)wanted[i],
                     (double)actual[i]);
}

/* What a model gives for a prefix of the samples. */
struct outcome {
    float frequency[LONGEST], confidence[LONGEST], f0[LONGEST];
    uint8_t voiced[LONGEST];
};

static void run(struct fcpe_workspace *workspace, const struct fcpe *fcpe, int64_t length, struct outcome *outcome)
{
    memset(outcome, 0xff, sizeof *outcome);
    assert_ok(fcpe_run(workspace, world.samples, length, outcome->frequency, outcome->confidence));
    assert_ok(fcpe_track(workspace, world.samples, length, outcome->f0, outcome->voiced));
    assert_int_equal(fcpe_frames(fcpe, length), length / 160 + 1);
}

static void every_length_gives_what_torchfcpe_gives(void **state)
{
    (void)state;
    struct fcpe *fcpe;
    struct fcpe_workspace *workspace;
    struct outcome *found = malloc(sizeof *found);
    assert_non_null(found);
    assert_ok(fcpe_open(write_model(), test_kernels(), &world.context, &fcpe));
    assert_ok(fcpe_workspace_create(fcpe, &world.context, &workspace));
    for (int i = 0; i < LENGTHS; i++) {
        int64_t frames = lengths[i] / 160 + 1, track = lengths[i] / 80 + 1;
        run(workspace, fcpe, lengths[i], found);
        assert_near("confidence", lengths[i], found->confidence, expected(lengths[i], "confidence", frames), frames,
                    1e-5);
        assert_near("frequency", lengths[i], found->frequency, expected(lengths[i], "frequency", frames), frames, 1e-5);
        assert_near("f0", lengths[i], found->f0, expected(lengths[i], "f0", track), track, 1e-5);
        const float *unvoiced = expected(lengths[i], "unvoiced", track);
        for (int64_t t = 0; t < track; t++)
            assert_int_equal(found->voiced[t], unvoiced[t] < 0.5f);
    }
    free(found);
    fcpe_workspace_destroy(workspace);
    fcpe_close(fcpe);
}

static void earlier_clips_change_no_bit(void **state)
{
    (void)state;
    static const int64_t order[] = {433, 1, 799, LONGEST, 1360, 1359, 0, LONGEST};
    struct outcome *alone = malloc(sizeof *alone), *found = malloc(sizeof *found);
    struct fcpe *fcpe;
    struct fcpe_workspace *used, *fresh;
    assert_true(alone && found);
    assert_ok(fcpe_open(write_model(), test_kernels(), &world.context, &fcpe));
    assert_ok(fcpe_workspace_create(fcpe, &world.context, &used));
    for (int64_t i = 0; i < test_count(sizeof order / sizeof *order, 3); i++) {
        assert_ok(fcpe_workspace_create(fcpe, &world.context, &fresh));
        run(fresh, fcpe, order[i], alone);
        run(used, fcpe, order[i], found);
        assert_memory_equal(found, alone, sizeof *found);
        fcpe_workspace_destroy(fresh);
    }
    fcpe_workspace_destroy(used);
    fcpe_close(fcpe);
    free(alone);
    free(found);
}

static void thread_counts_give_the_same_bits(void **state)
{
    (void)state;
    struct outcome *first = malloc(sizeof *first), *found = malloc(sizeof *found);
    const char *path = write_model();
    assert_true(first && found);
    for (int threads = 1; threads <= test_repeats(3); threads++) {
        struct thread_pool *pool;
        struct device_context context;
        struct fcpe *fcpe;
        struct fcpe_workspace *workspace;
        assert_ok(thread_pool_create(threads, &pool));
        assert_ok(device_context_create(test_kernels(), pool, 0, &context));
        assert_ok(fcpe_open(path, test_kernels(), &context, &fcpe));
        assert_ok(fcpe_workspace_create(fcpe, &context, &workspace));
        run(workspace, fcpe, test_count(LONGEST, 799), found);
        if (threads == 1)
            *first = *found;
        assert_memory_equal(found, first, sizeof *found);
        fcpe_workspace_destroy(workspace);
        fcpe_close(fcpe);
        device_context_destroy(test_kernels(), &context);
        thread_pool_destroy(pool);
    }
    free(first);
    free(found);
}

/* ---- tracks ---- */

static void places_are_those_of_float32(void **state)
{
    (void)state;
    enum { FRAMES = SHIFTED / 160 + 1, TRACK = SHIFTED / 80 + 1 };
    static float frequency[FRAMES], confidence[FRAMES], f0[TRACK];
    static uint8_t voiced[TRACK];
    const struct tensor_info *info = safetensors_find(world.expected, "places");
    assert_non_null(info);
    assert_int_equal(info->bytes, TRACK * (int64_t)sizeof(int32_t));
    const int32_t *places = safetensors_data(world.expected, info);
    int64_t other = 0;
    for (int64_t t = 0; t < FRAMES; t++) {
        frequency[t] = 100 + (float)t * 0.25f;
        confidence[t] = 1;
    }
    fcpe_make_track(frequency, confidence, FRAMES, fcpe_track_length(SHIFTED), f0, voiced);
    for (int64_t i = 0; i < TRACK; i++) {
        assert_true(voiced[i] == 1 && f0[i] == 100 + (float)places[i] * 0.25f);
        other += places[i] != i * FRAMES / TRACK;
    }
    assert_true(other > 0);
}

static void gaps_are_filled_between_voiced_frames(void **state)
{
    (void)state;
    enum { FRAMES = 9 };
    /* frequencies under 50 Hz and confidences up to 0.05 are unvoiced, values above 1100 Hz clamped after the gaps are filled */
    float frequency[FRAMES] = {80, 49.9f, 100, 300, 70, 140, 1400, 60, 90};
    const float confidence[FRAMES] = {0.05f, 0.9f, 0.06f, 0.01f, 0.0f, 0.5f, 0.5f, 0.04f, 0.0f};
    const float wanted[FRAMES] = {100, 100, 100, 100 + 40.0f / 3, 100 + 80.0f / 3, 140, 1100, 1100, 1100};
    const uint8_t wanted_voiced[FRAMES] = {0, 0, 1, 0, 0, 1, 1, 0, 0};
    float f0[FRAMES];
    uint8_t voiced[FRAMES];
    fcpe_make_track(frequency, confidence, FRAMES, FRAMES, f0, voiced);
    for (int i = 0; i < FRAMES; i++) {
        assert_true(fabsf(f0[i] - wanted[i]) <= 1e-4f);
        assert_int_equal(voiced[i], wanted_voiced[i]);
    }
    float silent[FRAMES] = {80, 90, 100, 110, 120, 130, 140, 150, 160};
    const float none[FRAMES] = {0};
    fcpe_make_track(silent, none, FRAMES, FRAMES, f0, voiced);
    for (int i = 0; i < FRAMES; i++)
        assert_true(f0[i] == 0 && voiced[i] == 0);
}

/* ---- files ---- */

static struct sha256 fingerprint_of(const char *path)
{
    struct fcpe *fcpe;
    assert_ok(fcpe_open(path, test_kernels(), &world.context, &fcpe));
    struct sha256 fingerprint = *fcpe_fingerprint(fcpe);
    fcpe_close(fcpe);
    return fingerprint;
}

/* Other names of the same tensors: those of newer versions of PyTorch, and of a model that was trained with a dropout. */
static void other_names_are_the_same_model(void **state)
{
    (void)state;
    static const char *const parts[] = {"0.weight",      "0.bias",      "2.weight", "2.bias",
                                        "4.conv.weight", "4.conv.bias", "6.weight", "6.bias"};
    struct sha256 plain = fingerprint_of(write_model()), other;
    struct checkpoint renamed;
    checkpoint_make("fcpe_small", &renamed);
    checkpoint_rename(&renamed, "output_proj.weight_g", "output_proj.parametrizations.weight.original0");
    checkpoint_rename(&renamed, "output_proj.weight_v", "output_proj.parametrizations.weight.original1");
    for (int layer = 0; layer < 2; layer++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char name[128], new_name[128];
            snprintf(name, sizeof name, "net.encoder_layers.%d.conformer.net.%s", layer, parts[i]);
            snprintf(new_name, sizeof new_name, "net.encoder_layers.%d.conformer.0.net.%s", layer, parts[i]);
            checkpoint_rename(&renamed, name, new_name);
        }
    checkpoint_write_torch(&renamed, test_path("renamed.pt"), world.config, "model");
    other = fingerprint_of(test_path("renamed.pt"));
    assert_memory_equal(&other, &plain, sizeof plain);
    checkpoint_find(&renamed, "norm.bias")[3] += 1e-6f;
    checkpoint_write_torch(&renamed, test_path("changed.pt"), world.config, "model");
    other = fingerprint_of(test_path("changed.pt"));
    assert_memory_not_equal(&other, &plain, sizeof plain);
    checkpoint_free(&renamed);
}

static void refused(const char *part, const char *key, json_t *value, const char *text)
{
    struct fcpe *fcpe;
    json_t *config = json_deep_copy(world.config);
    json_t *dict = json_object_get(json_object_get(config, "config_dict"), part);
    if (value)
        json_object_set_new(dict, key, value);
    else
        json_object_del(dict, key);
    checkpoint_write_torch(&world.checkpoint, test_path("refused.pt"), config, "model");
    assert_fails(fcpe_open(test_path("refused.pt"), test_kernels(), &world.context, &fcpe), STATUS_CORRUPT, text);
    assert_null(fcpe);
    json_decref(config);
}

static void what_is_not_computed_is_refused(void **state)
{
    (void)state;
    struct fcpe *fcpe;
    refused("model", "type", json_string("PCmer"), "config_dict.model.type is not CFNaiveMelPE");
    refused("model", "conv_only", json_false(), "config_dict.model.conv_only false is not supported");
    refused("model", "conv_only", NULL, "config_dict.model.conv_only false is not supported");
    refused("model", "use_harmonic_emb", json_true(), "config_dict.model.use_harmonic_emb true is not supported");
    refused("model", "n_layers", json_integer(0), "config_dict.model.n_layers is not an integer from 1 to 64");
    refused("model", "n_layers", json_integer(3),
            "tensor model.net.encoder_layers.2.conformer.net.0.weight is missing");
    refused("model", "hidden_dims", json_integer(30), "hidden_dims 30 is not a multiple of 4");
    refused("model", "hidden_dims", json_integer(4096), "expected shape [4096, 40, 3], found [32, 40, 3]");
    refused("model", "out_dims", NULL, "config_dict.model.out_dims is missing");
    refused("mel", "sr", json_integer(44100), "config_dict.mel.sr is 44100; only 16000 is supported");
    refused("mel", "hop_size", json_integer(161), "hop_size 161 with win_size 1024 is not supported");
    refused("mel", "n_fft", json_integer(2048), "win_size 1024 and n_fft 2048");
    refused("mel", "fmax", json_real(9000), "config_dict.mel.fmax is not a frequency from 0 to 8000 Hz");
    refused("mel", "num_mels", json_integer(41), "expected shape [32, 41, 3], found [32, 40, 3]");
    checkpoint_write_torch(&world.checkpoint, test_path("bare.pt"), NULL, NULL);
    assert_fails(fcpe_open(test_path("bare.pt"), test_kernels(), &world.context, &fcpe), STATUS_CORRUPT,
                 "expected FCPE's config_dict");
    assert_fails(fcpe_open(test_path("none.pt"), test_kernels(), &world.context, &fcpe), STATUS_USAGE, "none.pt");
}

static void missing_and_impossible_tensors_are_named(void **state)
{
    (void)state;
    static const char *const names[] = {"input_stack.1.bias", "net.encoder_layers.1.conformer.net.4.conv.weight",
                                        "cent_table", "output_proj.weight_g"};
    struct fcpe *fcpe;
    char text[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct checkpoint lacking;
        checkpoint_make("fcpe_small", &lacking);
        checkpoint_rename(&lacking, names[i], NULL);
        checkpoint_write_torch(&lacking, test_path("lacking.pt"), world.config, "model");
        snprintf(text, sizeof text, "tensor model.%s is missing", names[i]);
        assert_fails(fcpe_open(test_path("lacking.pt"), test_kernels(), &world.context, &fcpe), STATUS_CORRUPT, text);
        checkpoint_free(&lacking);
    }
    struct checkpoint zero;
    checkpoint_make("fcpe_small", &zero);
    memset(checkpoint_find(&zero, "output_proj.weight_v") + 5 * 32, 0, 32 * sizeof(float));
    checkpoint_write_torch(&zero, test_path("zero.pt"), world.config, "model");
    assert_fails(fcpe_open(test_path("zero.pt"), test_kernels(), &world.context, &fcpe), STATUS_CORRUPT,
                 "tensor model.output_proj.weight_v: row 5 is zero and has no direction");
    checkpoint_find(&zero, "norm.weight")[2] = NAN;
    checkpoint_write_torch(&zero, test_path("zero.pt"), world.config, "model");
    assert_fails(fcpe_open(test_path("zero.pt"), test_kernels(), &world.context, &fcpe), STATUS_CORRUPT,
                 "tensor model.norm.weight: element 2 is not finite");
    checkpoint_free(&zero);
}

/* ---- for fcpe_check.py ---- */

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "error: %s: %s\n", what, status_text());
    exit(1);
}

/* WEIGHTS CLIPS OUTPUT THREADS. CLIPS: per clip an int64 of samples, then these as float32. OUTPUT: per clip float32
 * frequency[F], confidence[F], f0[T], voiced[T]. Prints the seconds that all tracks took, and the processor's. */
static int work(char **arguments)
{
    struct thread_pool *pool;
    struct device_context context;
    struct fcpe *fcpe;
    struct fcpe_workspace *workspace;
    int64_t count;
    double spent = 0, processor = 0;
    FILE *clips = fopen(arguments[1], "rb"), *output = fopen(arguments[2], "wb");
    must(clips && output, "cannot open the clips or the output");
    must(thread_pool_create(atoi(arguments[3]), &pool) == STATUS_OK, "threads");
    must(device_context_create(test_kernels(), pool, 0, &context) == STATUS_OK, "context");
    must(fcpe_open(arguments[0], test_kernels(), &context, &fcpe) == STATUS_OK, "weights");
    must(fcpe_workspace_create(fcpe, &context, &workspace) == STATUS_OK, "workspace");
    while (fread(&count, sizeof count, 1, clips) == 1) {
        size_t frames = (size_t)fcpe_frames(fcpe, count), track = (size_t)fcpe_track_length(count);
        float *samples = malloc((size_t)(count + 1) * sizeof *samples);
        float *values = calloc(2 * (frames + track), sizeof *values), *spare = malloc(frames * sizeof *spare);
        uint8_t *voiced = malloc(track);
        must(samples && values && spare && voiced, "no memory");
        must(fread(samples, sizeof *samples, (size_t)count, clips) == (size_t)count, "the clips end early");
        double began = seconds(CLOCK_MONOTONIC), worked = seconds(CLOCK_PROCESS_CPUTIME_ID);
        must(fcpe_run(workspace, samples, count, values, values + frames) == STATUS_OK, "frames");
        memcpy(spare, values, frames * sizeof *spare);
        fcpe_make_track(spare, values + frames, (int64_t)frames, (int64_t)track, values + 2 * frames, voiced);
        spent += seconds(CLOCK_MONOTONIC) - began;
        processor += seconds(CLOCK_PROCESS_CPUTIME_ID) - worked;
        for (size_t i = 0; i < track; i++)
            values[2 * frames + track + i] = voiced[i];
        must(fwrite(values, sizeof *values, 2 * (frames + track), output) == 2 * (frames + track), "cannot write");
        free(samples);
        free(values);
        free(spare);
        free(voiced);
    }
    printf("%.6f %.6f\n", spent, processor);
    fclose(clips);
    must(fclose(output) == 0, "cannot write");
    fcpe_workspace_destroy(workspace);
    fcpe_close(fcpe);
    device_context_destroy(test_kernels(), &context);
    thread_pool_destroy(pool);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5)
        return work(argv + 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_length_gives_what_torchfcpe_gives),
                                       cmocka_unit_test(earlier_clips_change_no_bit),
                                       cmocka_unit_test(thread_counts_give_the_same_bits),
                                       cmocka_unit_test(places_are_those_of_float32),
                                       cmocka_unit_test(gaps_are_filled_between_voiced_frames),
                                       cmocka_unit_test(other_names_are_the_same_model),
                                       cmocka_unit_test(what_is_not_computed_is_refused),
                                       cmocka_unit_test(missing_and_impossible_tensors_are_named)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
