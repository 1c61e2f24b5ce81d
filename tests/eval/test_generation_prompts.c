/* Every id of every prompt of the generation tasks, for 0 to 30 examples, both kinds of model, and contexts in which examples are lost.
 * Archives and ids are those of tests/oracles/stsp_prompts_golden.py, which has strings, units, draws and losses from the benchmarks'
 * descriptions, and ids from sentencepiece. */
#include "support/files.h"
#include "support/generation_world.h"
#include "support/scripted_judges.h"
#include "support/scripted_model.h"
#include "support/test_support.h"

#include "eval/stsp_run.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *golden;
static struct generation_world world;

static void write_clip(const char *path, const json_t *pieces)
{
    int64_t values[64], lengths[64];
    size_t count = json_array_size(pieces);
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        values[i] = json_integer_value(json_array_get(json_array_get(pieces, i), 0));
        lengths[i] = json_integer_value(json_array_get(json_array_get(pieces, i), 1));
    }
    generation_clip_write(path, values, lengths, (int64_t)count);
}

/* STSP is in top/, the others in folders of their own names. */
static int write_archives(void **state)
{
    const char *name;
    const json_t *value;
    (void)state;
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/generation_tasks/prompts.json", &golden));
    json_object_foreach(json_object_get(golden, "clips"), name, value)
    {
        write_clip(test_path("archives/%s", name), value);
    }
    json_object_foreach(json_object_get(golden, "files"), name, value)
    {
        generation_file_write(test_path("archives/%s", name), json_string_value(value));
    }
    return 0;
}

static int forget_golden(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

/* ---- the model ---- */

/* What the model has to see, and has seen. */
struct expectation {
    const json_t *items; /* [["SET/ID", lost, [ids], [ids of the item]]] */
    const char *suffix;  /* what follows the item, tags and text */
    int64_t shots;       /* without an example, or when all are lost, nothing follows where `same` */
    bool same;
    bool speaks;
    bool seen[64];
    const char *where;
};

static bool equals(const json_t *ids, const int32_t *found, int64_t count)
{
    bool equal = (int64_t)json_array_size(ids) == count;
    for (int64_t i = 0; equal && i < count; i++)
        equal = json_integer_value(json_array_get(ids, (size_t)i)) == found[i];
    return equal;
}

static const json_t *part_of(const json_t *items, size_t index, size_t part)
{
    return json_array_get(json_array_get(items, index), part);
}

/* That the item itself is the last thing before the suffix. */
static void expect_item(const struct expectation *expectation, size_t index, const struct generation_request *request)
{
    int64_t suffix;
    bool alone = json_integer_value(part_of(expectation->items, index, 1)) == expectation->shots;
    int32_t *ids = scripted_ids(world.components, alone && expectation->same ? "" : expectation->suffix, &suffix);
    const json_t *item = part_of(expectation->items, index, 3);
    int64_t size = (int64_t)json_array_size(item), begin = request->count - suffix - size;
    assert_true(size > 0 && begin > 0);
    if (!equals(item, request->ids + begin, size) ||
        memcmp(request->ids + begin + size, ids, (size_t)suffix * sizeof *ids) != 0)
        fail_msg("%s: the prompt does not end with the item", expectation->where);
    free(ids);
}

/* "item 3", or [Hu3], so that each item's answer can be told from the others'. */
static struct scripted_reply recognise(void *argument, const struct generation_request *request)
{
    struct expectation *expectation = argument;
    struct scripted_reply reply = {0};
    char text[64];
    size_t index = 0, count = json_array_size(expectation->items);
    while (index < count &&
           (expectation->seen[index] || !equals(part_of(expectation->items, index, 2), request->ids, request->count)))
        index++;
    if (index == count)
        fail_msg("%s: no item has a prompt of these %lld ids", expectation->where, (long long)request->count);
    expectation->seen[index] = true;
    expect_item(expectation, index, request);
    snprintf(text, sizeof text, expectation->speaks ? "[Pi7][Hu%zu]" : "item %zu", index);
    if (world.components->vocabulary.pitch_count == 0 && expectation->speaks)
        snprintf(text, sizeof text, "[Hu%zu]", index);
    reply.ids = scripted_ids(world.components, text, &reply.count);
    return reply;
}

/* ---- cases ---- */

static const char *neutral(const char *text)
{
    (void)text;
    return "neutral";
}

static const char *happy(const float *samples, int64_t count)
{
    (void)samples;
    (void)count;
    return "happy";
}

static const json_t *find_item(const struct expectation *expectation, const char *name, size_t *index)
{
    for (*index = 0; *index < json_array_size(expectation->items); ++*index)
        if (!strcmp(name, json_string_value(part_of(expectation->items, *index, 0))))
            return json_array_get(expectation->items, *index);
    fail_msg("%s: there is no item %s", expectation->where, name);
    return NULL;
}

/* Every item has been answered once, with its own answer, and lost as many examples as it should. */
static void expect_samples(const struct expectation *expectation, const char *out, const char *name, bool stsp)
{
    json_t *samples = generation_samples_read(out, name), *sample;
    size_t row, index;
    assert_int_equal(json_array_size(samples), json_array_size(expectation->items));
    json_array_foreach(samples, row, sample)
    {
        char id[300], said[64];
        const json_t *doc = json_object_get(sample, "doc_id");
        const json_t *answer = json_array_get(json_object_get(sample, stsp ? "resps" : "filtered_resps"), 0);
        snprintf(id, sizeof id, "%s%s%s", stsp ? json_string_value(json_object_get(sample, "set")) : "",
                 stsp ? "/" : "", json_string_value(doc));
        const json_t *item = find_item(expectation, id, &index);
        assert_int_equal(json_integer_value(json_object_get(sample, "lost_shots")),
                         json_integer_value(json_array_get(item, 1)));
        snprintf(said, sizeof said, expectation->speaks ? "[Hu%zu]" : "item %zu", index);
        if (!strstr(json_string_value(answer), said))
            fail_msg("%s: %s: expected %s, found %s", expectation->where, id, said, json_string_value(answer));
    }
    json_decref(samples);
}

static void expect_drawn(const json_t *wanted, const char *out, const char *name, const char *where)
{
    json_t *results = generation_results_read(out, name);
    if (!json_equal(wanted, json_object_get(json_object_get(results, "inputs"), "shots")))
        fail_msg("%s: other examples were drawn", where);
    json_decref(results);
}

static void expect_rows(const struct task *task, enum stsp_direction direction, const json_t *row)
{
    bool wanted[STSP_DIRECTIONS] = {false};
    struct stsp_archive archive;
    int64_t *rows, count;
    const json_t *drawn = json_object_get(row, "drawn");
    wanted[direction] = true;
    assert_ok(stsp_archive_open(task, test_path("archives/top"), "dev", wanted, true, &archive));
    assert_ok(stsp_draw(&archive.examples[direction], json_integer_value(json_object_get(row, "asked")),
                        (uint64_t)json_integer_value(json_object_get(row, "seed")), &rows, &count));
    assert_int_equal(count, json_array_size(drawn));
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(rows[i], json_integer_value(json_array_get(drawn, (size_t)i)));
    free(rows);
    stsp_archive_close(&archive);
}

static void run_stsp(const struct task *task, const json_t *row, struct expectation *expectation)
{
    const char *direction = json_string_value(json_object_get(row, "direction"));
    char name[8];
    const char *const words[] = {name};
    int index = 0;
    snprintf(name, sizeof name, "%c>%c", direction[0], direction[2]);
    world.evaluate.stsp_directions = (struct config_list){(const char **)(uintptr_t)words, 1};
    world.judges = (struct judge_settings){"text", "speech"};
    expectation->same = direction[0] == direction[2];
    expectation->speaks = direction[2] == 's';
    expectation->suffix = expectation->speaks ? "[Speech]" : "[Text]";
    while (strcmp(stsp_direction_name((enum stsp_direction)index), direction) != 0)
        index++;
    expect_rows(task, (enum stsp_direction)index, row);
    assert_ok(task_stsp(task, test_path("archives")));
    expect_samples(expectation, task->out, "stsp_dev", true);
}

static void run_case(const json_t *row, const char *where)
{
    struct expectation expectation = {.items = json_object_get(row, "items"),
                                      .shots = json_integer_value(json_object_get(row, "shots")),
                                      .where = where};
    const char *kind = json_string_value(json_object_get(row, "task")), *out = test_path("out");
    char shots[24], seed[24];
    const char *shot_words[] = {shots}, *seed_words[] = {seed};
    generation_world_reset(&world);
    world.evaluate.shots = json_integer_value(json_object_get(row, "asked"));
    snprintf(shots, sizeof shots, "%lld", (long long)world.evaluate.shots);
    snprintf(seed, sizeof seed, "%lld", (long long)json_integer_value(json_object_get(row, "seed")));
    world.evaluate.shot_list = (struct config_list){shot_words, 1};
    world.evaluate.seeds = (struct config_list){seed_words, 1};
    world.model.config.maximum_positions = json_integer_value(json_object_get(row, "context"));
    struct task task = generation_world_task(&world, out);
    scripted_model_set(recognise, &expectation);
    scripted_judges_set(neutral, happy);
    if (json_object_get(row, "direction")) {
        run_stsp(&task, row, &expectation);
    } else {
        bool asr = !strcmp(kind, "asr");
        expectation.suffix = asr ? "[Text]" : "[Text]A:";
        assert_ok(asr ? task_asr(&task, test_path("archives/LibriSpeech"))
                      : task_intent(&task, test_path("archives/fluent_speech_commands_dataset")));
        expect_samples(&expectation, out, kind, false);
        expect_drawn(json_object_get(row, "drawn"), out, kind, where);
    }
    assert_int_equal(scripted_model_requests(), json_array_size(expectation.items));
}

static void run_vocabulary(const char *name)
{
    const json_t *cases = json_object_get(json_object_get(golden, "vocabularies"), name), *row;
    size_t index;
    assert_true(json_array_size(cases) > 40);
    generation_world_open(!strcmp(name, "expressive"), &world);
    json_array_foreach(cases, index, row)
    {
        char where[128];
        snprintf(where, sizeof where, "%s, %s, %lld examples, context %lld", name,
                 json_string_value(json_object_get(row, "task")),
                 (long long)json_integer_value(json_object_get(row, "asked")),
                 (long long)json_integer_value(json_object_get(row, "context")));
        run_case(row, where);
    }
    generation_world_close(&world);
}

static void prompts_of_a_base_model_are_the_oracles(void **state)
{
    (void)state;
    run_vocabulary("base");
}

static void prompts_of_an_expressive_model_are_the_oracles(void **state)
{
    (void)state;
    run_vocabulary("expressive");
}

/* One token less than the shortest prompt needs. */
static void an_item_that_does_not_fit_alone_is_named(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(json_object_get(golden, "vocabularies"), "base"), *row;
    size_t index, refused = 0;
    generation_world_open(false, &world);
    scripted_judges_set(neutral, happy);
    scripted_model_set(NULL, NULL);
    json_array_foreach(cases, index, row)
    {
        if (json_object_get(row, "direction") || json_integer_value(json_object_get(row, "asked")) > 0)
            continue;
        int64_t longest = 0;
        const char *name = NULL;
        for (size_t i = 0; i < json_array_size(json_object_get(row, "items")); i++)
            if ((int64_t)json_array_size(part_of(json_object_get(row, "items"), i, 2)) > longest) {
                longest = (int64_t)json_array_size(part_of(json_object_get(row, "items"), i, 2));
                name = json_string_value(part_of(json_object_get(row, "items"), i, 0));
            }
        generation_world_reset(&world);
        world.evaluate.shots = 0;
        world.model.config.maximum_positions = longest + json_integer_value(json_object_get(row, "limit")) - 1;
        struct task task = generation_world_task(&world, test_path("none"));
        bool asr = !strcmp(json_string_value(json_object_get(row, "task")), "asr");
        enum status status = asr ? task_asr(&task, test_path("archives/LibriSpeech"))
                                 : task_intent(&task, test_path("archives/fluent_speech_commands_dataset"));
        assert_fails(status, STATUS_USAGE, name);
        assert_non_null(strstr(status_text(), "more than the model's context"));
        refused++;
    }
    assert_int_equal(refused, 2);
    generation_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_of_a_base_model_are_the_oracles),
        cmocka_unit_test(prompts_of_an_expressive_model_are_the_oracles),
        cmocka_unit_test(an_item_that_does_not_fit_alone_is_named),
    };
    return cmocka_run_group_tests(tests, write_archives, forget_golden);
}
