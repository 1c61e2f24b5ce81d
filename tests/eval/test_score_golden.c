/* Log-likelihoods and decisions of salmon and storycloze, through the whole tasks, against transformers (golden/scores,
 * oracles/score_golden.py). Archives and weights are made here from fixed seeds; with TEST_SCORES=FOLDER and TEST_SCORE_ITEMS=N they are
 * left there in any number, with the model, the ids of every recording and text, and what the tasks made of them, for the script. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "eval/benchmark_run.h"
#include "eval/story_clips.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 512, FEW = 14, STEPS = 64 };

static struct tiny_world world;
static struct speech encoders;
static char folder[700];
static FILE *nowhere;

/* ---- units that a block of samples spells out ---- */

/* A block of samples is one number all over; its first and middle ones are enough to read it. */
static enum status read_blocks(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                               int64_t *count)
{
    int64_t hop = 16000 * self->rate.denominator / self->rate.numerator;
    *count = utterance->count / hop;
    *values = calloc((size_t)*count + 1, sizeof **values);
    assert_non_null(*values);
    for (int64_t i = 0; i < *count; i++)
        (*values)[i] = (uint16_t)((int64_t)floor((double)utterance->samples[i * hop] * STEPS) % self->size);
    return STATUS_OK;
}

static int64_t item_count(void)
{
    const char *items = getenv("TEST_SCORE_ITEMS");
    return items ? atoll(items) : FEW;
}

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, CONTEXT, &world);
    const struct vocabulary *v = &world.components->vocabulary;
    const int32_t sizes[STREAM_COUNT] = {
        [STREAM_HUBERT] = v->hubert_count, [STREAM_PITCH] = v->pitch_count, [STREAM_STYLE] = v->style_count};
    for (int s = 0; s < STREAM_COUNT; s++)
        encoders.encoder[s] = (struct speech_encoder){.stream = (enum unit_stream)s,
                                                      .rate = world.components->rates.rate[s],
                                                      .size = sizes[s],
                                                      .encode = read_blocks};
    world.components->speech = &encoders;
    snprintf(folder, sizeof folder, "%s", getenv("TEST_SCORES") ? getenv("TEST_SCORES") : test_path("scores"));
    nowhere = fopen("/dev/null", "w");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    fclose(nowhere);
    world.components->speech = NULL;
    tiny_world_close(&world);
    return 0;
}

/* ---- archives ---- */

static void make_path(char path[900], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void make_path(char path[900], const char *format, ...)
{
    va_list arguments;
    char parent[900];
    int length = snprintf(path, 900, "%s/", folder);
    va_start(arguments, format);
    vsnprintf(path + length, 900 - (size_t)length, format, arguments);
    va_end(arguments);
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(make_directories(parent));
}

/* `blocks` of 640 samples from a stream of its own; equal streams are equal recordings. */
static void write_recording(const char *path, uint64_t stream, int64_t blocks)
{
    struct rng rng = rng_make(11, RNG_TEST, 70, stream);
    float *samples = calloc((size_t)blocks * 640, sizeof *samples);
    assert_non_null(samples);
    for (int64_t b = 0; b < blocks; b++) {
        float value = ((float)rng_below(&rng, STEPS) + 0.5f) / STEPS;
        for (int i = 0; i < 640; i++)
            samples[b * 640 + i] = value;
    }
    assert_ok(wav_write(path, samples, blocks * 640));
    free(samples);
}

static void write_words(const char *path, uint64_t stream, int64_t words, bool sentence)
{
    struct rng rng = rng_make(11, RNG_TEST, 71, stream);
    char text[400] = "";
    for (int64_t w = 0; w < words; w++) {
        size_t length = strlen(text);
        int64_t letters = 1 + (int64_t)rng_below(&rng, 6);
        if (w > 0)
            text[length++] = ' ';
        for (int64_t i = 0; i < letters; i++)
            text[length++] = (char)('a' + rng_below(&rng, 26));
        text[length] = 0;
    }
    write_text(path, strcat(text, sentence ? "." : ""));
}

static const char *const parts[] = {"bg_alignment", "sentiment_consistency"};

/* Numbers have gaps, and 9 comes before 10 in no sort of texts; every seventh pair has equal sides. */
static int64_t pair_number(int64_t i)
{
    return 7 + i + i / 5;
}

static void write_salmon(void)
{
    char path[900];
    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < item_count() / 2; i++)
            for (int side = 0; side < 2; side++) {
                uint64_t stream = (uint64_t)(p * 10000 + i * 2 + (i % 7 == 6 ? 0 : side));
                make_path(path, "salmon/%s/sample_%lld_%d.wav", parts[p], (long long)pair_number(i), side);
                write_recording(path, stream, 8 + (int64_t)(stream % 5));
            }
}

static void write_pieces(void)
{
    static const char *const names[] = {"mutual", "correct", "incorrect"};
    char path[900];
    for (int64_t i = 0; i < item_count(); i++)
        for (int part = 0; part < 3; part++) {
            uint64_t stream = (uint64_t)(20000 + 3 * i + (i % 9 == 8 && part == 2 ? 1 : part));
            make_path(path, "pieces/story%lld_%s.wav", (long long)i, names[part]);
            write_recording(path, stream, part ? 5 + i % 4 : 25);
            make_path(path, "pieces/story%lld_%s.txt", (long long)i, names[part]);
            write_words(path, stream, part ? 3 + i % 2 : 9, true);
        }
}

static void write_whole(void)
{
    char path[900];
    for (int64_t i = 0; i < item_count(); i++)
        for (int wrong = 0; wrong < 2; wrong++) {
            uint64_t stream = (uint64_t)(40000 + 2 * i + wrong);
            static const char *const words[] = {"correct", "incorrect"};
            make_path(path, "whole/%lld_s%lld_%s.wav", (long long)(6 + 2 * i + wrong), (long long)i, words[wrong]);
            write_recording(path, stream, 20 + i % 4);
            make_path(path, "whole/%lld_s%lld_%s.txt", (long long)(6 + 2 * i + wrong), (long long)i, words[wrong]);
            write_words(path, stream, 8, true);
        }
}

/* ---- the tasks ---- */

static struct score_settings score;
static struct evaluate_settings evaluate;

static struct task make_task(const char *out, int protocol, struct task_outcome *outcome)
{
    static const char *const word[] = {"token", "sum"};
    score = (struct score_settings){.protocol = protocol, .normalize = {(const char **)(uintptr_t)word, 2}};
    evaluate = (struct evaluate_settings){.gold = ""};
    return (struct task){.model = world.model,
                         .components = world.components,
                         .model_name = "m",
                         .checkpoint = TEST_SOURCE_DIRECTORY "/LICENSE",
                         .out = out,
                         .report = nowhere,
                         .outcome = outcome,
                         .score = &score,
                         .evaluate = &evaluate};
}

/* out/ and out_salmon/ below the folder. */
static void run_tasks(void)
{
    static const char *all[] = {"s", "t", "s>t", "t>s"}, *within[] = {"s", "t"};
    struct task_outcome outcome = {0};
    char out[900], root[900];
    write_salmon();
    write_pieces();
    write_whole();
    make_path(root, "salmon");
    make_path(out, "out_salmon");
    struct task task = make_task(out, 3, &outcome); /* no BOS, no tags */
    assert_string_equal(protocol_name(3), "salmon");
    assert_ok(task_salmon(&task, root));
    make_path(root, "pieces");
    make_path(out, "out_pieces");
    task = make_task(out, 0, &outcome);
    evaluate.directions = (struct config_list){all, 4};
    assert_ok(task_story_cloze(&task, false, root));
    make_path(root, "whole");
    make_path(out, "out_whole");
    task = make_task(out, 0, &outcome);
    evaluate.directions = (struct config_list){within, 2};
    assert_ok(task_story_cloze(&task, false, root));
}

/* ---- for the script ---- */

static FILE *dump;

/* One line: [set, direction, what it is of, ids, first, context]. */
static void dump_ids(const char *set, const char *direction, const char *of, int protocol, const struct side *context,
                     const struct side *hypothesis)
{
    struct score_protocol rules;
    struct choice choice = {0};
    assert_true(protocol_find(protocol_name(protocol), &rules));
    assert_ok(hypothesis_build(world.components, &rules, context, hypothesis, false, &choice));
    fprintf(dump, "[\"%s\", \"%s\", \"%s\", [", set, direction, of);
    for (int64_t i = 0; i < choice.count; i++)
        fprintf(dump, "%s%d", i ? ", " : "", choice.ids[i]);
    fprintf(dump, "], %lld, %lld]\n", (long long)choice.first, (long long)choice.context);
    free(choice.ids);
}

static struct archive *open_set(const char *set, const char **names)
{
    struct archive *archive;
    char root[900];
    make_path(root, "%s", set);
    assert_ok(archive_open(root, &archive));
    for (int64_t i = 0; i < archive_count(archive); i++)
        names[i] = archive_name(archive, i);
    return archive;
}

enum { MOST_MEMBERS = 8000 };
static const char *names[MOST_MEMBERS];

static void dump_salmon(void)
{
    static bool wanted[MOST_MEMBERS];
    struct unit_ids *units;
    struct archive *archive = open_set("salmon", names);
    int64_t count = archive_count(archive);
    assert_true(count <= MOST_MEMBERS);
    for (int64_t i = 0; i < count; i++)
        wanted[i] = true;
    assert_ok(recordings_encode(world.components, NULL, archive, wanted, &units));
    for (int64_t i = 0; i < count; i++) {
        const struct side side = speech_side(&units[i]);
        dump_ids("salmon", "s", names[i], 3, NULL, &side);
    }
    unit_ids_free(units, count);
    archive_close(archive);
}

static char *read_member(struct archive *archive, int64_t member)
{
    void *data;
    int64_t size;
    assert_ok(archive_read(archive, member, 1 << 20, &data, &size));
    return data;
}

static void dump_story(const char *set, struct archive *archive, const struct story_list *list, int64_t s,
                       const struct story_clip *clip)
{
    const struct story *story = &list->stories[s];
    char *texts[STORY_PARTS] = {NULL}, whole[900], of[300];
    for (int part = 0; part < (list->pieces ? STORY_PARTS : STORY_CONTEXT); part++)
        texts[part] = read_member(archive, story->members[part][STORY_TEXT]);
    for (int part = 0; part < STORY_CONTEXT; part++) {
        snprintf(of, sizeof of, "%s %s", story->id, part == STORY_CORRECT ? "correct" : "incorrect");
        snprintf(whole, sizeof whole, "%s%s%s", list->pieces ? texts[STORY_CONTEXT] : "", list->pieces ? " " : "",
                 texts[part]);
        const struct side text = {.text = whole}, speech = speech_side(&clip->whole[part]);
        dump_ids(set, "s", of, 0, NULL, &speech);
        dump_ids(set, "t", of, 0, NULL, &text);
        if (!list->pieces)
            continue;
        const struct side context = {.text = texts[STORY_CONTEXT]}, ending = {.text = texts[part]},
                          spoken_context = speech_side(&clip->parts[STORY_CONTEXT]),
                          spoken_ending = speech_side(&clip->parts[part]);
        dump_ids(set, "st", of, 0, &spoken_context, &ending);
        dump_ids(set, "ts", of, 0, &context, &spoken_ending);
    }
    for (int part = 0; part < STORY_PARTS; part++)
        free(texts[part]);
}

static void dump_stories(const char *set, bool pieces)
{
    struct archive *archive = open_set(set, names);
    struct story_list list = {0};
    struct story_clip *clips = NULL;
    assert_ok(story_list_read(set, names, archive_count(archive), STORY_NEEDS_AUDIO | STORY_NEEDS_TEXT, false, &list));
    assert_ok(story_clips_make(world.components, NULL, archive, &list, list.count, NULL,
                               (struct story_wants){.whole = true, .parts = pieces}, &clips));
    for (int64_t s = 0; s < list.count; s++)
        dump_story(set, archive, &list, s, &clips[s]);
    story_clips_free(clips, list.count);
    story_list_free(&list);
    archive_close(archive);
}

static void write_model(void)
{
    char path[900];
    struct atomic_directory *directory;
    const struct vocabulary *v = &world.components->vocabulary;
    make_path(path, "model");
    assert_ok(atomic_directory_begin(path, true, &directory));
    assert_ok(llama_write_folder(world.model, directory, v->bos, v->eos));
    assert_ok(atomic_directory_commit(directory));
}

/* ---- against the script's ---- */

static double sum_of(const json_t *choice, const char *segment, int64_t *count)
{
    static const char *const kinds[] = {"text", "hubert", "pitch", "style", "tag", "eos"};
    const json_t *scores = json_object_get(choice, segment);
    double sum = 0;
    *count = 0;
    for (int k = 0; k < 6; k++) {
        const json_t *kind = json_object_get(scores, kinds[k]);
        *count += json_integer_value(json_array_get(kind, 0));
        sum += json_number_value(json_array_get(kind, 1));
    }
    return sum;
}

/* expected: [[sum of the context, tokens of it, sum of the hypothesis, tokens], ...] of an item. */
static void compare_item(const char *name, const json_t *item, const json_t *expected)
{
    static const char *const segments[] = {"context", "hypothesis"};
    const json_t *choices = json_object_get(item, "choices");
    assert_int_equal(json_array_size(choices), json_array_size(expected));
    for (size_t c = 0; c < json_array_size(choices); c++)
        for (size_t s = 0; s < 2; s++) {
            int64_t count;
            double found = sum_of(json_array_get(choices, c), segments[s], &count);
            const json_t *numbers = json_array_get(expected, c);
            double sum = json_number_value(json_array_get(numbers, 2 * s));
            if (count != json_integer_value(json_array_get(numbers, 2 * s + 1)) || !(fabs(found - sum) <= 1e-4))
                fail_msg("%s, %s, choice %zu: expected %.7f, found %.7f of %lld tokens", name, segments[s], c, sum,
                         found, (long long)count);
        }
}

static int64_t compare_samples(const char *path, const json_t *items)
{
    void *data;
    int64_t size, compared = 0;
    assert_ok(file_read(path, 1 << 26, &data, &size));
    for (char *line = strchr(data, '\n') + 1, *end; (end = strchr(line, '\n')); line = end + 1, compared++) {
        json_t *item;
        assert_ok(jdoc_parse(path, line, end - line, &item));
        const char *id = json_string_value(json_object_get(item, "doc_id"));
        const json_t *expected = json_object_get(items, id);
        if (!expected)
            fail_msg("%s: the oracle has no item %s", path, id);
        compare_item(id, item, expected);
        json_decref(item);
    }
    free(data);
    assert_int_equal(compared, json_object_size(items));
    return compared;
}

/* golden: {"out_pieces/storycloze_st": {"rows": {ROW: {"acc,token": x}}, "items": {ID: ...}}}. */
static void everything_is_as_transformers_has_it(void **state)
{
    (void)state;
    json_t *golden, *results, *task, *row, *value;
    const char *name, *row_name, *key;
    int64_t compared = 0;
    run_tasks();
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/scores/scores.json", &golden));
    json_object_foreach(golden, name, task)
    {
        char path[900];
        int slash = (int)(strchr(name, '/') - name);
        make_path(path, "%.*s/samples_%s.jsonl", slash, name, name + slash + 1);
        compared += compare_samples(path, json_object_get(task, "items"));
        make_path(path, "%.*s/results_%s.json", slash, name, name + slash + 1);
        assert_ok(jdoc_read(path, &results));
        json_object_foreach(json_object_get(task, "rows"), row_name, row) json_object_foreach(row, key, value)
        {
            const json_t *found = json_object_get(json_object_get(json_object_get(results, "results"), row_name), key);
            if (!json_is_number(found) || !(fabs(json_number_value(found) - json_number_value(value)) <= 1e-12))
                fail_msg("%s, %s, %s: expected %g, found %g", name, row_name, key, json_number_value(value),
                         json_number_value(found));
        }
        json_decref(results);
    }
    assert_int_equal(json_object_size(golden), 7); /* SALMon, four directions of pieces, two of whole stories */
    assert_int_equal(compared, FEW + 6 * FEW);
    json_decref(golden);
}

static int write_all(void)
{
    char path[900];
    run_tasks();
    make_path(path, "ids.jsonl");
    dump = fopen(path, "w");
    assert_non_null(dump);
    dump_salmon();
    dump_stories("pieces", true);
    dump_stories("whole", false);
    assert_int_equal(fclose(dump), 0);
    write_model();
    return 0;
}

static void everything_is_written(void **state)
{
    (void)state;
    assert_int_equal(write_all(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_is_as_transformers_has_it)},
                            writing[] = {cmocka_unit_test(everything_is_written)};
    return getenv("TEST_SCORES") ? cmocka_run_group_tests(writing, open_world, close_world)
                                 : cmocka_run_group_tests(tests, open_world, close_world);
}
