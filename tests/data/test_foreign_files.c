/* Files made by other programs and then damaged: each is read as the file that it then is, or refused with its name and
 * a reason; nothing crashes, takes more than a second, or uses more memory than the file's size plus 64 MiB. */
#include "data/memory_meter.h"
#include "fuzz/fuzz.h"
#include "support/damage.h"
#include "support/files.h"
#include "support/sentencepiece_builder.h"
#include "support/test_support.h"

#include "data/manifest.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/config.h"
#include "io/safetensors.h"
#include "models/llama/llama.h"
#include "text/sentencepiece.h"

#include <math.h>
#include <signal.h>
#include <sndfile.h>
#include <spandsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY_BESIDE_FILE = 64 << 20, LONGEST_SECONDS = 1, HANG_SECONDS = 20, ROOM = 1 << 16 };

/* ---- the trial ---- */

static char hanging[DAMAGE_TEXT + 900]; /* what to say when the timer ends the program */

static void on_hang(int number)
{
    (void)number;
    ssize_t ignored = write(STDERR_FILENO, hanging, strlen(hanging));
    (void)ignored;
    _exit(1);
}

static void set_hang_timer(int seconds)
{
    const struct itimerval timer = {.it_value = {.tv_sec = seconds}};
    assert_int_equal(setitimer(ITIMER_PROF, &timer, NULL), 0);
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct subject {
    const char *file;  /* the one that is damaged, below the test's folder */
    const char *named; /* a refusal must name this: the file, or the folder that it belongs to */
    bool text;         /* also changed as JSON */
    enum status (*read)(const char *path);
};

/* Sizes and counts of binary formats at the edges of their types. */
static void put_edge(struct rng *rng, uint8_t *bytes, int64_t size)
{
    static const uint64_t edges[] = {0,          1,          0x7f,       0x7fff,    0xffff,    0x7fffffff,
                                     0x80000000, 0xffffffff, 0xfffffff8, INT64_MAX, UINT64_MAX};
    int64_t width = INT64_C(1) << rng_below(rng, 4);
    if (size < width)
        return;
    int64_t places = size - width + 1, at = (int64_t)rng_below(rng, (uint64_t)(places < 64 ? places : 64));
    if (rng_below(rng, 2))
        at = (int64_t)rng_below(rng, (uint64_t)places);
    memcpy(bytes + at, edges + rng_below(rng, sizeof edges / sizeof *edges), (size_t)width);
}

/* Keeps text readable as text more often than not. */
static uint8_t *change(struct rng *rng, const struct subject *subject, const uint8_t *bytes, int64_t *size, char *what)
{
    uint8_t *changed;
    if (subject->text && rng_below(rng, 4)) {
        changed = malloc(ROOM);
        assert_non_null(changed);
        memcpy(changed, bytes, (size_t)*size);
        for (int i = 0; i < 3; i++)
            *size = (int64_t)fuzz_mutate_json(changed, (size_t)*size, ROOM, rng);
        return changed;
    }
    changed = damage_bytes(rng, bytes, *size, size, what);
    for (uint64_t more = rng_below(rng, 3); more > 0 && *size > 0; more--) {
        uint8_t *before = changed;
        changed = damage_bytes(rng, before, *size, size, what);
        free(before);
    }
    if (!subject->text && rng_below(rng, 2) == 0)
        put_edge(rng, changed, *size);
    return changed;
}

static void try_one(const struct subject *subject, const char *path, const char *named, int64_t size, int64_t trial,
                    const char *what, int64_t *accepted)
{
    snprintf(hanging, sizeof hanging, "%s: trial %lld (last: %s) does not end\n", path, (long long)trial, what);
    enum status status = STATUS_OK;
    int64_t memory = 0;
    double seconds = INFINITY;
    /* When a virtual processor is taken away for a while, that may count as work: a slow trial is repeated. */
    for (int look = 0; look < 3 && !(seconds <= LONGEST_SECONDS); look++) {
        double begin = processor_seconds();
        memory_meter_start();
        status = subject->read(path);
        memory = memory_meter_peak();
        seconds = processor_seconds() - begin;
    }
    *accepted += status == STATUS_OK;
    if (status != STATUS_OK && status != STATUS_CORRUPT && status != STATUS_USAGE)
        fail_msg("%s, trial %lld (last: %s): status %d, \"%s\"", path, (long long)trial, what, (int)status,
                 status_text());
    if (status != STATUS_OK && (!strstr(status_text(), named) || strlen(status_text()) < strlen(named) + 5))
        fail_msg("%s, trial %lld (last: %s): %s is not named in \"%s\"", path, (long long)trial, what, named,
                 status_text());
    if (memory > size + MEMORY_BESIDE_FILE)
        fail_msg("%s, trial %lld (last: %s): %lld bytes of memory for a file of %lld", path, (long long)trial, what,
                 (long long)memory, (long long)size);
    if (!(seconds <= LONGEST_SECONDS))
        fail_msg("%s, trial %lld (last: %s): %.1f s", path, (long long)trial, what, seconds);
}

/* A failing trial leaves its file in place, and the message contains its path. */
static void try_damage(const struct subject *subject, uint64_t stream)
{
    const int64_t trials = test_is_long() ? 200000 : 5000;
    char path[700], named[700];
    void *bytes;
    int64_t whole, accepted = 0;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 70, stream);
    snprintf(path, sizeof path, "%s", test_path("%s", subject->file));
    snprintf(named, sizeof named, "%s", subject->named ? test_path("%s", subject->named) : path);
    assert_ok(file_read(path, ROOM / 2, &bytes, &whole));
    assert_ok(subject->read(path));
    signal(SIGPROF, on_hang);
    for (int64_t trial = 0; trial < trials; trial++) {
        char what[DAMAGE_TEXT] = "";
        int64_t size = whole;
        uint8_t *changed = change(&rng, subject, bytes, &size, what);
        write_plainly(path, changed, size);
        free(changed);
        set_hang_timer(HANG_SECONDS);
        try_one(subject, path, named, size, trial, what, &accepted);
        set_hang_timer(0);
    }
    write_plainly(path, bytes, whole);
    assert_ok(subject->read(path));
    free(bytes);
    print_message("%s: %lld of %lld were still valid, the others were refused\n", subject->file, (long long)accepted,
                  (long long)trials);
}

/* ---- the text model ---- */

static enum status read_model(const char *path)
{
    static const char text[] = "the banana \xff \xc3\xa9";
    struct sentencepiece *model;
    int32_t *ids;
    int64_t count, size;
    char *decoded;
    enum status status = sentencepiece_load(path, &model);
    if (status != STATUS_OK)
        return status;
    assert_ok(sentencepiece_encode(model, text, sizeof text - 1, true, &ids, &count));
    for (int64_t i = 0; i < count; i++)
        assert_in_range(ids[i], 0, sentencepiece_size(model) - 1);
    assert_ok(sentencepiece_decode(model, ids, count, true, &decoded, &size));
    free(decoded);
    free(ids);
    sentencepiece_free(model);
    return STATUS_OK;
}

static void damaged_text_models(void **state)
{
    (void)state;
    static const char *const merges[] = {"an", "ban", "banana", "th", NULL};
    struct bytes model = build_small_model(merges, 0);
    write_plainly(test_path("text.model"), model.data, (int64_t)model.size);
    bytes_free(&model);
    try_damage(&(struct subject){"text.model", NULL, false, read_model}, 0);
}

/* ---- configurations ---- */

struct values {
    int64_t steps;
    double rate;
    const char *text;
    struct config_list words;
};

static enum status read_config(const char *path)
{
    static const struct config_field fields[] = {
        {"steps", CONFIG_INT, offsetof(struct values, steps), "5", 1, 1000, NULL, "steps"},
        {"rate", CONFIG_NUMBER, offsetof(struct values, rate), "0.5", 0, 1, NULL, "a rate"},
        {"deep.text", CONFIG_STRING, offsetof(struct values, text), "", 0, 0, NULL, "a text"},
        {"words", CONFIG_PATH_LIST, offsetof(struct values, words), "a,b", 0, 0, NULL, "a list"},
    };
    struct values values;
    const struct config_section section = {"train", fields, 4, &values, true};
    struct config *config;
    enum status status = config_load(path, NULL, 0, &section, 1, &config);
    if (status != STATUS_OK)
        return status;
    assert_in_range(values.steps, 1, 1000);
    assert_true(values.rate >= 0 && values.rate <= 1);
    for (int64_t i = 0; i < values.words.count; i++)
        fuzz_touch(values.words.items[i], (int64_t)strlen(values.words.items[i]) + 1);
    fuzz_touch(values.text, (int64_t)strlen(values.text) + 1);
    config_free(config);
    return STATUS_OK;
}

static void damaged_configurations(void **state)
{
    (void)state;
    static const char base[] = "train:\n  steps: 3\n";
    static const char text[] = "extends: base.yaml\ntrain:\n  steps: 7\n  rate: 0.25 # slow\n  deep: {text: \"a b\"}\n"
                               "  words:\n  - one\n  - ${HOME}/two\n";
    setenv("HOME", "/home", 0);
    write_plainly(test_path("base.yaml"), base, sizeof base - 1);
    write_plainly(test_path("run.yaml"), text, sizeof text - 1);
    try_damage(&(struct subject){"run.yaml", NULL, true, read_config}, 1);
}

/* ---- weights ---- */

static enum status read_tensors(const char *path)
{
    struct safetensors *file;
    enum status status = safetensors_open(path, &file);
    if (status != STATUS_OK)
        return status;
    for (int64_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_info *info = safetensors_info(file, i);
        fuzz_touch(safetensors_data(file, info), info->bytes);
    }
    safetensors_close(file);
    return STATUS_OK;
}

static void damaged_weights(void **state)
{
    (void)state;
    copy_golden("io/every_type.safetensors", test_path("weights.safetensors"));
    try_damage(&(struct subject){"weights.safetensors", NULL, false, read_tensors}, 2);
}

static enum status read_folder_of(const char *path)
{
    char folder[700];
    struct safetensors_folder *tensors;
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    enum status status = safetensors_folder_open(folder, &tensors);
    if (status != STATUS_OK)
        return status;
    for (int64_t i = 0; i < safetensors_folder_count(tensors); i++) {
        const void *data;
        const struct tensor_info *info = safetensors_folder_info(tensors, i);
        assert_ptr_equal(safetensors_folder_find(tensors, info->name, &data), info);
        fuzz_touch(data, info->bytes);
    }
    safetensors_folder_close(tensors);
    return STATUS_OK;
}

static enum status read_llama_config(const char *path)
{
    char folder[700];
    struct llama_config config;
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    enum status status = llama_read_config(folder, &config);
    if (status == STATUS_OK) {
        assert_ok(llama_config_check(&config));
        assert_true(llama_parameter_count(&config) > 0);
    }
    return status;
}

static void copy_hugging_face_folder(void)
{
    static const char *const names[] = {"config.json", "model.safetensors.index.json",
                                        "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                        "model-00003-of-00003.safetensors"};
    assert_ok(make_directories(test_path("llama")));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char golden[100];
        snprintf(golden, sizeof golden, "llama/hf_f16_sharded/%s", names[i]);
        copy_golden(golden, test_path("llama/%s", names[i]));
    }
}

static void damaged_hugging_face_folders(void **state)
{
    (void)state;
    copy_hugging_face_folder();
    try_damage(&(struct subject){"llama/config.json", NULL, true, read_llama_config}, 3);
    try_damage(&(struct subject){"llama/model.safetensors.index.json", "llama", true, read_folder_of}, 4);
    try_damage(&(struct subject){"llama/model-00002-of-00003.safetensors", "llama", false, read_folder_of}, 5);
}

/* ---- manifests ---- */

static enum status read_manifest(const char *path)
{
    struct manifest manifest;
    enum status status = manifest_read(path, NULL, &manifest);
    if (status != STATUS_OK)
        return status;
    for (int64_t r = 0; r < manifest.count; r++) {
        const struct manifest_row *row = manifest.rows + r;
        for (int64_t w = 0; w < row->word_count; w++)
            assert_true(row->words[w].start >= 0 && row->words[w].end >= row->words[w].start);
        for (int s = 0; s < 3; s++)
            fuzz_touch(row->units[s], row->unit_count[s] * 2);
    }
    manifest_free(&manifest);
    return STATUS_OK;
}

static void damaged_manifests(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\": \"a/1\", \"audio\": \"a/1.wav\", \"text\": \"Hello, there!\", \"speaker\": \"rm\", \"channel\": 0, "
        "\"words\": [[\"hello\", 0.1, 0.42], [\"there\", 0.45, 0.8]], \"begin\": 0.5, \"end\": 12.5}\n"
        "{\"id\": \"u\", \"hubert\": [5, 5, 65535], \"pitch\": [1, 2], \"style\": [0], \"text\": \"caf\xc3\xa9\", "
        "\"words\": [[\"CAF\xc3\x89\", 0, 0.1]], \"source\": \"demo\"}\n{\"id\": \"t\", \"text\": \"one\"}\n";
    write_plainly(test_path("rows.jsonl"), text, sizeof text - 1);
    try_damage(&(struct subject){"rows.jsonl", NULL, true, read_manifest}, 6);
}

/* ---- sound ---- */

static enum status read_sound(const char *path)
{
    float *samples;
    int64_t count;
    enum status status = audio_read(path, -1, &samples, &count);
    if (status != STATUS_OK)
        return status;
    assert_true(count > 0);
    for (int64_t i = 0; i < count; i++)
        if (!(samples[i] >= -1 && samples[i] <= 1))
            fail_msg("%s: sample %lld is %g", path, (long long)i, (double)samples[i]);
    free(samples);
    return STATUS_OK;
}

static void write_sound(const char *path, int format, int rate, int channels)
{
    enum { FRAMES = 1500 };
    float frames[FRAMES * 2];
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    for (int i = 0; i < FRAMES * channels; i++)
        frames[i] = (float)(0.4 * sin(0.05 * i / channels));
    assert_int_equal(sf_writef_float(file, frames, FRAMES), FRAMES);
    assert_int_equal(sf_close(file), 0);
}

static void write_g722(const char *path)
{
    int16_t samples[1600];
    uint8_t coded[1600];
    g722_encode_state_t *encoder = g722_encode_init(NULL, 64000, 0);
    for (int i = 0; i < 1600; i++)
        samples[i] = (int16_t)(9000 * sin(0.1 * i));
    int size = g722_encode(encoder, coded, samples, 1600);
    g722_encode_free(encoder);
    write_plainly(path, coded, size);
}

static void damaged_sounds(void **state)
{
    (void)state;
    write_sound(test_path("plain.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1);
    write_sound(test_path("float.wav"), SF_FORMAT_WAVEX | SF_FORMAT_FLOAT, 44100, 2);
    write_sound(test_path("adpcm.wav"), SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 8000, 1);
    write_sound(test_path("sound.flac"), SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1);
    write_g722(test_path("sound.g722"));
    static const char *const names[] = {"plain.wav", "float.wav", "adpcm.wav", "sound.flac", "sound.g722"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        try_damage(&(struct subject){names[i], NULL, false, read_sound}, 7 + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_text_models), cmocka_unit_test(damaged_configurations),
        cmocka_unit_test(damaged_weights),     cmocka_unit_test(damaged_hugging_face_folders),
        cmocka_unit_test(damaged_manifests),   cmocka_unit_test(damaged_sounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
