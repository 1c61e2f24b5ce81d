/* The encoders are as simple as can be, so that an oracle in another language can have them too. */
#include "support/generation_world.h"

#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- speech ---- */

static const struct {
    int64_t hop, divisor;
    int32_t size;
    struct rational rate;
} streams[STREAM_COUNT] = {
    {640, 1, WORLD_HUBERT, {25, 1}}, {1280, 7, WORLD_PITCH, {25, 2}}, {16000, 11, WORLD_STYLE, {1, 1}}};

static enum status read_units(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                              int64_t *count)
{
    const int64_t hop = streams[self->stream].hop;
    *count = (utterance->count + (self->stream == STREAM_STYLE ? hop - 1 : 0)) / hop;
    *values = calloc((size_t)*count + 1, sizeof **values);
    assert_non_null(*values);
    for (int64_t i = 0; i < *count; i++) {
        long value = lrint(32768.0 * (double)utterance->samples[i * hop]);
        (*values)[i] = (uint16_t)(value / streams[self->stream].divisor % streams[self->stream].size);
    }
    return STATUS_OK;
}

/* 640 samples of hubert / 1000 for each unit. */
static enum status speak(const struct speech_vocoder *self, const struct spoken_unit *spoken, const int32_t *durations,
                         int64_t spoken_count, struct thread_pool *pool, float **samples, int64_t *count)
{
    (void)self;
    (void)durations;
    (void)pool;
    *count = spoken_count * 640;
    *samples = calloc((size_t)*count + 1, sizeof **samples);
    assert_non_null(*samples);
    for (int64_t i = 0; i < *count; i++)
        (*samples)[i] = (float)spoken[i / 640].hubert / 1000;
    return STATUS_OK;
}

static struct sha256 mark(int number)
{
    struct sha256 hash;
    memset(hash.bytes, number, sizeof hash.bytes);
    return hash;
}

static struct speech *make_speech(void)
{
    struct speech *speech = calloc(1, sizeof *speech);
    assert_non_null(speech);
    speech->kind = "scripted";
    for (int s = 0; s < STREAM_COUNT; s++)
        speech->encoder[s] = (struct speech_encoder){.stream = (enum unit_stream)s,
                                                     .rate = streams[s].rate,
                                                     .size = streams[s].size,
                                                     .fingerprint = mark(1 + s),
                                                     .encode = read_units};
    speech->vocoder = (struct speech_vocoder){.fingerprint = mark(9), .synthesise = speak};
    return speech;
}

/* ---- the world ---- */

void generation_world_open(bool expressive, struct generation_world *world)
{
    struct components_options options = {.text_model = TEST_GOLDEN_DIRECTORY "/text/text.model",
                                         .speech = make_speech(),
                                         .expressive = expressive,
                                         .dummy_prefix = DUMMY_PREFIX_DOCUMENT};
    *world = (struct generation_world){.nowhere = fopen("/dev/null", "w")};
    assert_non_null(world->nowhere);
    assert_ok(components_load(&options, &world->components));
    world->model.config.maximum_positions = 1 << 20;
    world->model.context = &world->context;
    for (int r = 0; r < WORLD_RANKS; r++)
        world->models[r] = &world->model;
    write_text(test_path("weights"), "of a model that is not there");
    generation_world_reset(world);
}

void generation_world_close(struct generation_world *world)
{
    components_free(world->components);
    fclose(world->nowhere);
}

void generation_world_reset(struct generation_world *world)
{
    world->score = (struct score_settings){0};
    world->evaluate = (struct evaluate_settings){
        .shots = -1, .ranks = 1, .spellings = "", .waves = "", .shots_from = "", .shot_ids = "", .gold = ""};
    world->prompts = (struct prompt_paths){"", "", "", "", "", ""};
    world->judges = (struct judge_settings){"", ""};
    world->outcome = (struct task_outcome){0};
}

struct task generation_world_task(struct generation_world *world, const char *out)
{
    return (struct task){.model = &world->model,
                         .components = world->components,
                         .model_name = "m",
                         .checkpoint = test_path("weights"),
                         .out = out,
                         .report = world->nowhere,
                         .score = &world->score,
                         .evaluate = &world->evaluate,
                         .prompts = &world->prompts,
                         .judges = &world->judges,
                         .locks = LOCKS_REQUIRED,
                         .models = world->models,
                         .ranks = world->evaluate.ranks,
                         .outcome = &world->outcome};
}

/* ---- files ---- */

static void make_folder_of(const char *path)
{
    char folder[1024];
    const char *slash = strrchr(path, '/');
    assert_true(slash && slash - path < (int64_t)sizeof folder);
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    assert_ok(make_directories(folder));
}

static unsigned char *put(unsigned char *at, uint32_t value, int bytes)
{
    for (int b = 0; b < bytes; b++)
        *at++ = (unsigned char)(value >> (8 * b));
    return at;
}

void generation_clip_write(const char *path, const int64_t *values, const int64_t *lengths, int64_t count)
{
    int64_t samples = 0;
    for (int64_t i = 0; i < count; i++)
        samples += lengths[i];
    unsigned char *bytes = malloc((size_t)samples * 2 + 44), *at = bytes;
    assert_non_null(bytes);
    const uint32_t size = (uint32_t)samples * 2;
    memcpy(at, "RIFF", 4);
    at = put(at + 4, 36 + size, 4);
    memcpy(at, "WAVEfmt ", 8);
    at = put(put(put(at + 8, 16, 4), 1, 2), 1, 2);
    at = put(put(put(put(at, 16000, 4), 32000, 4), 2, 2), 16, 2);
    memcpy(at, "data", 4);
    at = put(at + 4, size, 4);
    for (int64_t i = 0; i < count; i++)
        for (int64_t s = 0; s < lengths[i]; s++)
            at = put(at, (uint32_t)values[i], 2);
    make_folder_of(path);
    write_plainly(path, bytes, at - bytes);
    free(bytes);
}

void generation_file_write(const char *path, const char *text)
{
    make_folder_of(path);
    write_text(path, text);
}

json_t *generation_results_read(const char *out, const char *name)
{
    char path[1024];
    json_t *root;
    snprintf(path, sizeof path, "%s/results_%s.json", out, name);
    assert_ok(jdoc_read(path, &root));
    return root;
}

json_t *generation_samples_read(const char *out, const char *name)
{
    char path[1024];
    void *data;
    int64_t size;
    json_t *samples = json_array(), *row;
    snprintf(path, sizeof path, "%s/samples_%s.jsonl", out, name);
    assert_ok(file_read(path, 1 << 26, &data, &size));
    const char *end = (char *)data + size;
    for (const char *at = data, *next; at < end && (next = memchr(at, '\n', (size_t)(end - at))); at = next + 1) {
        assert_ok(jdoc_parse(path, at, next - at, &row));
        json_array_append_new(samples, row);
    }
    free(data);
    return samples;
}
