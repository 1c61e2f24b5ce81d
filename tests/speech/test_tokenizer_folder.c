/* The tokenizer's folder: the same for any number of threads, refused when damaged, identified by its fingerprints. */
#include "io/atomic_file.h"
#include "package/speech_folder.h"
#include "speech/embedded/fit.h"

#include "support/speech_clips.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct speech_clip clips[SPEECH_CLIPS];
static char folder[700];
static struct speech *speech;
static const struct speech_fit_options usual = {
    .units = 40, .pitch_codes = 64, .style_codes = 100, .iterations = 4, .seed = 5};

/* Enough for 40 units and two styles. */
enum { FIRST = 0, END = SPEECH_CLIPS };

static int set_up(void **state)
{
    (void)state;
    speech_clips_load(clips);
    speech_clips_fit(clips, FIRST, END, &usual, 0, "tokenizer", folder);
    assert_ok(speech_folder_open(folder, &speech));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    speech_clips_free(clips);
    speech_free(speech);
    return 0;
}

static char *read_text(const char *path, const char *name, int64_t *size)
{
    char full[900], *text;
    void *data;
    snprintf(full, sizeof full, "%s/%s", path, name);
    assert_ok(file_read(full, 1 << 24, &data, size));
    text = malloc((size_t)*size + 1);
    assert_non_null(text);
    memcpy(text, data, (size_t)*size + 1);
    free(data);
    return text;
}

static void test_fit_threads(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json", "tokenizer.safetensors", "MANIFEST"};
    struct speech_fit_options options = usual;
    options.units = 17;
    options.iterations = 4;
    char path[3][700];
    for (int threads = 1; threads <= 3; threads++) {
        char name[20];
        snprintf(name, sizeof name, "threads-%d", threads);
        speech_clips_fit(clips, 6, 8, &options, threads, name, path[threads - 1]);
        for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
            int64_t first_size, size;
            char *first = read_text(path[0], names[f], &first_size),
                 *data = read_text(path[threads - 1], names[f], &size);
            assert_int_equal(size, first_size);
            assert_memory_equal(data, first, (size_t)size);
            free(first);
            free(data);
        }
    }
}

static struct speech *fit_and_load(const char *name, const struct speech_fit_options *options, int first, int end)
{
    char path[700];
    struct speech *other;
    speech_clips_fit(clips, first, end, options, 0, name, path);
    assert_ok(speech_folder_open(path, &other));
    return other;
}

static bool same_hash(struct sha256 a, struct sha256 b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* Each component's fingerprint follows what that component is made of. */
static void test_fingerprints(void **state)
{
    (void)state;
    struct speech_fit_options options = usual;
    options.units = 17;
    options.iterations = 3;
    options.style_codes = 1;
    struct speech *base = fit_and_load("base", &options, 6, 8);
    struct speech *again = fit_and_load("again", &options, 6, 8);
    options.pitch_codes = 20;
    struct speech *pitch = fit_and_load("pitch", &options, 6, 8);
    options.pitch_codes = usual.pitch_codes;
    options.units = 18;
    struct speech *units = fit_and_load("units", &options, 6, 8);
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        struct sha256 hash = base->encoder[stream].fingerprint;
        assert_true(same_hash(hash, again->encoder[stream].fingerprint));
        assert_true(same_hash(hash, pitch->encoder[stream].fingerprint) == (stream != STREAM_PITCH));
        assert_true(same_hash(hash, units->encoder[stream].fingerprint) == (stream == STREAM_PITCH));
    }
    struct sha256 vocoder = base->vocoder.fingerprint;
    assert_true(same_hash(vocoder, again->vocoder.fingerprint));
    assert_true(same_hash(vocoder, pitch->vocoder.fingerprint));
    assert_false(same_hash(vocoder, units->vocoder.fingerprint));
    speech_free(base);
    speech_free(again);
    speech_free(pitch);
    speech_free(units);
}

/* Other style centroids on the same units: the unit, pitch and vocoder fingerprints stay. */
static void test_style_fingerprint(void **state)
{
    (void)state;
    struct speech_fit_options options = usual;
    options.style_codes = 1;
    struct speech *other = fit_and_load("style", &options, FIRST, END);
    assert_int_equal(other->encoder[STREAM_STYLE].size, 1);
    assert_true(speech->encoder[STREAM_STYLE].size > 1);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        assert_true(same_hash(other->encoder[stream].fingerprint, speech->encoder[stream].fingerprint) ==
                    (stream != STREAM_STYLE));
    assert_true(same_hash(other->vocoder.fingerprint, speech->vocoder.fingerprint));
    speech_free(other);
}

static void copy_folder(const char *name, char *path, size_t size)
{
    char text[1000];
    snprintf(path, size, "%s/%s", test_directory(), name);
    assert_int_equal(run_command(text, sizeof text, "rm -rf '%s' && cp -r '%s' '%s'", path, folder, path), 0);
}

static void test_damage(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json", "tokenizer.safetensors", "MANIFEST"};
    char path[700], text[1000];
    struct speech *damaged;
    for (size_t f = 0; f < sizeof names / sizeof *names; f++)
        for (int kind = 0; kind < 3; kind++) {
            copy_folder("damaged", path, sizeof path);
            const char *const commands[] = {"printf x | dd of='%s/%s' bs=1 seek=200 conv=notrunc",
                                            "truncate -s 150 '%s/%s'", "rm '%s/%s'"};
            char command[900];
            snprintf(command, sizeof command, commands[kind], path, names[f]);
            assert_int_equal(run_command(text, sizeof text, "%s", command), 0);
            assert_fails(speech_folder_open(path, &damaged), STATUS_CORRUPT, names[f]);
            assert_null(damaged);
        }
    snprintf(path, sizeof path, "%s/none", test_directory());
    enum status status = speech_folder_open(path, &damaged);
    assert_true(status != STATUS_OK && strstr(status_text(), path));
}

/* Publishes a folder whose MANIFEST is right and whose contents were edited. */
static void publish(const char *path, const char *json, const void *tensors, int64_t size)
{
    struct atomic_directory *directory;
    assert_ok(atomic_directory_begin(path, true, &directory));
    assert_ok(atomic_directory_add(directory, "tokenizer.json", json, (int64_t)strlen(json)));
    assert_ok(atomic_directory_add(directory, "tokenizer.safetensors", tensors, size));
    assert_ok(atomic_directory_commit(directory));
}

static void replace_text(const char *text, const char *old, const char *new, char *out, size_t size)
{
    const char *place = strstr(text, old);
    if (!place)
        fail_msg("tokenizer.json has no %s", old);
    snprintf(out, size, "%.*s%s%s", (int)(place - text), text, new, place + strlen(old));
}

static void test_contents(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *error;
    } cases[] = {
        {"\"format\": \"spiritlm-speech-tokenizer\"", "\"format\": \"other\"", "format is \"other\""},
        {"\"version\": 1", "\"version\": 2", "expected version 1, found version 2"},
        {"\"kind\": \"embedded\"", "\"kind\": \"hubert\"", "kind is \"hubert\", expected \"embedded\""},
        {"\"kind\": \"embedded\"", "\"kind\": \"embedde\"", "kind is \"embedde\", expected \"embedded\""},
        {"\"kind\": \"embedded\"", "\"kind\": 1", "\"kind\" should be a string"},
        {"\"kind\"", "\"sort\"", "\"kind\" is missing"},
        {"\"units\": 40", "\"units\": 41", "tensor unit.centroids should be f32 [41, 20]"},
        {"\"units\": 40", "\"units\": 1", "\"units\" is 1, expected 2 to 65535"},
        {"\"pitch_codes\": 64", "\"pitch_codes\": 63", "tensor pitch.codebook should be f32 [63]"},
        {"\"silence_level\": -", "\"silence_level\": -1", "fingerprint of hubert"},
        {"\"switch_cost\": ", "\"switch_cost\": -", "expected at least 0"},
        {"\"switch_cost\": ", "\"switch_cost\": 1", "fingerprint of hubert"},
        {"\"iterations\": 32", "\"iterations\": 33", "fingerprint of vocoder"},
        {"\"name\": \"cards\"", "\"name\": \"curds\"", "fingerprint of pitch"},
        {"\"name\": \"cards\"", "\"name\": \"zero\"", "speaker \"reader\" is out of order"},
        {"\"name\": \"cards\"", "\"name\": 3", "\"name\" should be a string"},
        {"\"speakers\"", "\"people\"", "\"speakers\" should be a list"},
        {"\"style\": \"", "\"style\": \"0", "fingerprint of style"},
        {"\"rates\"", "\"speeds\"", "rate of hubert should be 25 / 1"},
        {"\"sample_rate\"", "sample_rate", "not valid JSON"},
    };
    char path[700];
    int64_t json_size, tensor_size;
    char *json = read_text(folder, "tokenizer.json", &json_size);
    char *tensors = read_text(folder, "tokenizer.safetensors", &tensor_size);
    char *edited = malloc((size_t)json_size + 100);
    struct speech *other;
    snprintf(path, sizeof path, "%s/edited", test_directory());
    publish(path, json, tensors, tensor_size);
    assert_ok(speech_folder_open(path, &other));
    speech_free(other);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        replace_text(json, cases[i].old, cases[i].new, edited, (size_t)json_size + 100);
        publish(path, edited, tensors, tensor_size);
        assert_fails(speech_folder_open(path, &other), STATUS_CORRUPT, cases[i].error);
        assert_fails(speech_folder_open(path, &other), STATUS_CORRUPT, "edited/tokenizer");
    }
    /* The last bytes of the file belong to a tensor of the tokenizer: another value, another fingerprint; NaN is
     * refused. */
    float number = 1.25f;
    memcpy(tensors + tensor_size - 4, &number, sizeof number);
    publish(path, json, tensors, tensor_size);
    assert_fails(speech_folder_open(path, &other), STATUS_CORRUPT, "fingerprint of vocoder");
    number = NAN;
    memcpy(tensors + tensor_size - 4, &number, sizeof number);
    publish(path, json, tensors, tensor_size);
    assert_fails(speech_folder_open(path, &other), STATUS_CORRUPT,
                 "vocoder.run_lengths holds a value that is not finite");
    free(json);
    free(tensors);
    free(edited);
}

static void test_fit_refusals(void **state)
{
    (void)state;
    struct speech_fit *fit;
    struct speech_fit_options options = usual;
    char path[700];
    snprintf(path, sizeof path, "%s/refused", test_directory());
    options.units = 1;
    assert_fails(speech_fit_begin(&options, &fit), STATUS_USAGE, "units is 1, expected 2 to 65535");
    options = usual;
    assert_ok(speech_fit_begin(&options, &fit));
    assert_fails(speech_fit_finish(fit, NULL, path, false), STATUS_USAGE, "nothing to fit a speech tokenizer on");
    assert_ok(speech_fit_add(fit, clips[0].samples, 1279, NULL));
    assert_fails(speech_fit_finish(fit, NULL, path, false), STATUS_USAGE, "nothing to fit a speech tokenizer on");
    speech_fit_free(fit);
    assert_ok(speech_fit_begin(&options, &fit));
    assert_ok(speech_fit_add(fit, clips[0].samples, 16000, "a"));
    assert_fails(speech_fit_finish(fit, NULL, path, false), STATUS_USAGE, "40 units needs at least 40 frames of 40 ms");
    float bad[2000] = {0};
    bad[3] = INFINITY;
    assert_fails(speech_fit_add(fit, bad, 2000, NULL), STATUS_CORRUPT, "sample 3 of 2000");
    speech_fit_free(fit);
    options.units = 10;
    assert_ok(speech_fit_begin(&options, &fit));
    assert_ok(speech_fit_add(fit, clips[0].samples, 16000, "a"));
    assert_fails(speech_fit_finish(fit, NULL, path, false), STATUS_USAGE, "64 pitch codes");
    speech_fit_free(fit);
    options.pitch_codes = 5;
    assert_ok(speech_fit_begin(&options, &fit));
    assert_ok(speech_fit_add(fit, clips[0].samples, 16000, "\xff\xfe"));
    assert_fails(speech_fit_finish(fit, NULL, path, false), STATUS_USAGE, "not UTF-8");
    speech_fit_free(fit);
    char text[200];
    assert_int_equal(run_command(text, sizeof text, "ls -d '%s'*", path), 2); /* nothing was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fit_threads),       cmocka_unit_test(test_fingerprints),
                                       cmocka_unit_test(test_style_fingerprint), cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_contents),          cmocka_unit_test(test_fit_refusals)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
