/* The numbers of STSP: of predictions that others have made, and of a whole evaluation with a model and judges that say what they are told.
 * Expected values are those of tests/oracles/stsp_scores_golden.py; whatever is incomplete or cannot be understood is refused. */
#include "support/files.h"
#include "support/generation_world.h"
#include "support/scripted_judges.h"
#include "support/scripted_model.h"
#include "support/test_support.h"

#include "eval/judge_predictions.h"
#include "eval/stsp/manifest.h"
#include "eval/stsp/score.h"
#include "eval/stsp_archive.h"
#include "io/audio/audio.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *golden, *prompts;
static struct generation_world world;

static int open_golden(void **state)
{
    const char *name;
    const json_t *value;
    (void)state;
    generation_world_open(false, &world);
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/generation_tasks/stsp_scores.json", &golden));
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/generation_tasks/prompts.json", &prompts));
    json_object_foreach(json_object_get(prompts, "files"), name, value)
    {
        generation_file_write(test_path("archive/%s", name), json_string_value(value));
    }
    json_object_foreach(json_object_get(prompts, "clips"), name, value)
    {
        int64_t values[64], lengths[64];
        size_t count = json_array_size(value);
        assert_true(count <= 64);
        for (size_t i = 0; i < count; i++) {
            values[i] = json_integer_value(json_array_get(json_array_get(value, i), 0));
            lengths[i] = json_integer_value(json_array_get(json_array_get(value, i), 1));
        }
        generation_clip_write(test_path("archive/%s", name), values, lengths, (int64_t)count);
    }
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    json_decref(golden);
    json_decref(prompts);
    generation_world_close(&world);
    return 0;
}

/* null is "not a number". */
static void expect_number(const char *where, const json_t *expected, const json_t *found)
{
    if (!expected || json_is_null(expected)) {
        if (!found || !json_is_null(found))
            fail_msg("%s: expected null", where);
    } else if (!json_is_number(found) || !(fabs(json_number_value(found) - json_number_value(expected)) <= 1e-12)) {
        fail_msg("%s: expected %.17g, found %.17g", where, json_number_value(expected), json_number_value(found));
    }
}

/* ---- predictions ---- */

static const char *const names[] = {"negative", "neutral", "positive"};

static void expect_judged(const json_t *row, size_t index)
{
    json_t *results = generation_results_read(test_path("judged"), "judge");
    const json_t *found = json_object_get(json_object_get(results, "results"), "judge");
    char where[64];
    snprintf(where, sizeof where, "case %zu", index);
    expect_number(where, json_object_get(row, "acc"), json_object_get(found, "acc,none"));
    expect_number(where, json_object_get(row, "stderr"), json_object_get(found, "acc_stderr,none"));
    expect_number(where, json_object_get(row, "n"), json_object_get(found, "sample_len"));
    for (size_t r = 0; r < SENTIMENTS; r++) {
        const json_t *counts = json_object_get(json_object_get(found, "confusion"), names[r]);
        for (size_t c = 0; c < SENTIMENTS; c++)
            expect_number(where, json_array_get(json_array_get(json_object_get(row, "confusion"), r), c),
                          json_object_get(counts, names[c]));
        assert_int_equal(json_integer_value(json_object_get(counts, "failed")), 0);
    }
    json_decref(results);
}

static void complete_predictions_have_the_oracles_accuracy(void **state)
{
    (void)state;
    const json_t *row;
    size_t index;
    json_array_foreach(json_object_get(golden, "judge"), index, row)
    {
        write_text(test_path("reference.jsonl"), json_string_value(json_object_get(row, "reference")));
        write_text(test_path("predictions.jsonl"), json_string_value(json_object_get(row, "predictions")));
        assert_ok(judge_predictions(test_path("predictions.jsonl"), test_path("reference.jsonl"), test_path("judged"),
                                    world.nowhere));
        expect_judged(row, index);
    }
    assert_int_equal(index, 24);
}

/* Any line of the predictions that is left out, doubled, or has another id. */
static void incomplete_predictions_are_refused(void **state)
{
    (void)state;
    const json_t *row = json_array_get(json_object_get(golden, "judge"), 3);
    const char *whole = json_string_value(json_object_get(row, "predictions"));
    size_t size = strlen(whole);
    char *text = malloc(2 * size + 64);
    int lines = 0;
    assert_non_null(text);
    write_text(test_path("reference.jsonl"), json_string_value(json_object_get(row, "reference")));
    for (const char *at = whole; *at;) {
        size_t length = strcspn(at, "\n") + (strchr(at, '\n') != NULL);
        if (length > 3) {
            static const char *const errors[] = {"there is no prediction for the id ", "is there twice",
                                                 "the id nobody is not in "};
            for (int fault = 0; fault < 3; fault++) {
                sprintf(text, "%.*s%s\n%.*s%s", fault == 0 ? (int)(at - whole) : (int)size, whole,
                        fault == 0   ? ""
                        : fault == 1 ? ""
                                     : "\n{\"id\": \"nobody\", \"pred\": \"sad\"}",
                        fault == 1 ? (int)length : 0, at, fault == 0 ? at + length : "");
                write_text(test_path("predictions.jsonl"), text);
                assert_fails(judge_predictions(test_path("predictions.jsonl"), test_path("reference.jsonl"),
                                               test_path("unjudged"), world.nowhere),
                             STATUS_CORRUPT, errors[fault]);
                assert_non_null(strstr(status_text(), "predictions.jsonl"));
            }
            lines++;
        }
        at += length;
    }
    assert_int_equal(lines, json_integer_value(json_object_get(row, "n")));
    assert_int_equal(access(test_path("unjudged"), F_OK), -1);
    free(text);
}

/* ---- manifests ---- */

enum { PROMPTS, EXAMPLES, PREDICTIONS };

static enum status parse(int kind, const char *text)
{
    struct stsp_prompts some_prompts = {0};
    struct stsp_examples examples = {0};
    struct stsp_predictions predictions = {0};
    int64_t size = (int64_t)strlen(text);
    enum status status = kind == PROMPTS    ? stsp_prompts_parse("m.jsonl", text, size, &some_prompts)
                         : kind == EXAMPLES ? stsp_examples_parse("m.jsonl", text, size, &examples)
                                            : stsp_predictions_parse("m.jsonl", text, size, &predictions);
    stsp_prompts_free(&some_prompts);
    stsp_examples_free(&examples);
    stsp_predictions_free(&predictions);
    return status;
}

static void rows_that_mean_nothing_are_refused(void **state)
{
    (void)state;
#define PROMPT(id, rest) "{\"id\": " id ", \"asr\": \"so\", " rest "}\n"
#define GOOD PROMPT("1", "\"sentiment\": \"neutral\"")
    static const struct {
        int kind;
        const char *text, *error;
    } cases[] = {
        {PROMPTS, "", "m.jsonl: there is no row"},
        {PROMPTS, "\n \r\n\t\n", "m.jsonl: there is no row"},
        {PROMPTS, GOOD "[1]\n", "m.jsonl:2: expected an object"},
        {PROMPTS, GOOD "\n{\"id\": 2,\n", "m.jsonl:3"},
        {PROMPTS, GOOD "7\n", "m.jsonl:2: expected an object"},
        {PROMPTS, GOOD "{\"id\": 2} {}\n", "m.jsonl:2"},
        {PROMPTS, PROMPT("1.0", "\"sentiment\": \"neutral\""), "m.jsonl:1: id: expected a text or an integer"},
        {PROMPTS, PROMPT("1e3", "\"sentiment\": \"neutral\""), "m.jsonl:1: id: expected a text or an integer"},
        {PROMPTS, PROMPT("true", "\"sentiment\": \"neutral\""), "m.jsonl:1: id: expected a text or an integer"},
        {PROMPTS, PROMPT("null", "\"sentiment\": \"neutral\""), "m.jsonl:1: id: expected a text or an integer"},
        {PROMPTS, PROMPT("9223372036854775808", "\"sentiment\": \"neutral\""), "m.jsonl:1"},
        {PROMPTS, PROMPT("-9223372036854775809", "\"sentiment\": \"neutral\""), "m.jsonl:1"},
        {PROMPTS, PROMPT("NaN", "\"sentiment\": \"neutral\""), "m.jsonl:1"},
        {PROMPTS, "{\"asr\": \"so\", \"sentiment\": \"neutral\"}", "m.jsonl:1: id: expected"},
        {PROMPTS, GOOD GOOD, "m.jsonl:2: the id 1 is in line 1 too"},
        {PROMPTS, GOOD PROMPT("\"1\"", "\"sentiment\": \"neutral\""), "m.jsonl:2: the id 1 is in line 1 too"},
        {PROMPTS, PROMPT("1", "\"sentiment\": \"joy\""), "m.jsonl:1: sentiment: expected one of negative"},
        {PROMPTS, PROMPT("1", "\"sentiment\": 1"), "m.jsonl:1: \"sentiment\""},
        {PROMPTS, PROMPT("1", "\"emotion\": \"laughing\""), "m.jsonl:1: emotion: expected one of"},
        {PROMPTS, PROMPT("1", "\"emotion\": \"\""), "m.jsonl:1: emotion: expected one of"},
        {PROMPTS, PROMPT("1", "\"split\": \"dev\""), "m.jsonl:1: \"emotion\""},
        {PROMPTS, PROMPT("1", "\"sentiment\": \"positive\", \"emotion\": \"sad\""),
         "m.jsonl:1: the sentiment is positive, but the emotion stands for negative"},
        {PROMPTS, "{\"id\": 1, \"sentiment\": \"neutral\"}", "m.jsonl:1: expected wav_path or asr"},
        {PROMPTS, "{\"id\": 1, \"asr\": 5, \"sentiment\": \"neutral\"}", "m.jsonl:1: \"asr\""},
        {PROMPTS, "{\"id\": 1, \"asr\": \"\xFF\", \"sentiment\": \"neutral\"}", "m.jsonl:1"},
        {PROMPTS, "{\"id\": 1, \"id\": 2, \"asr\": \"a\", \"sentiment\": \"neutral\"}", "m.jsonl:1"},
        {PROMPTS, "{\"id\": \"a\\u0000b\", \"asr\": \"a\", \"sentiment\": \"neutral\"}", "m.jsonl:1"},
        {EXAMPLES, "{\"prompt\": \"a\", \"sentiment\": \"sad\"}", "m.jsonl:1: \"generation\""},
        {EXAMPLES, "{\"generation\": \"a\", \"sentiment\": \"sad\"}", "m.jsonl:1: \"prompt\""},
        {EXAMPLES, "{\"generation\": \"a\", \"prompt\": \"a\", \"sentiment\": \"so\"}", "m.jsonl:1: sentiment"},
        {EXAMPLES, "{\"generation\": \"a\", \"prompt\": 7, \"sentiment\": \"sad\"}", "m.jsonl:1: \"prompt\""},
        {EXAMPLES, "", "m.jsonl: there is no row"},
        {PREDICTIONS, "{\"id\": 1, \"pred\": \"sad\"}\n{\"id\": 1, \"pred\": \"sad\"}",
         "m.jsonl: the id 1 is there twice"},
        {PREDICTIONS, "{\"id\": 1, \"pred\": \"sad\"}\n{\"id\": \"1\", \"pred\": \"sad\"}",
         "m.jsonl: the id 1 is there twice"},
        {PREDICTIONS, "{\"id\": 1, \"pred\": \"joy\"}", "m.jsonl:1: pred: expected one of"},
        {PREDICTIONS, "{\"id\": 1, \"pred\": \"sad \"}", "m.jsonl:1: pred: expected one of"},
        {PREDICTIONS, "{\"id\": 1}", "m.jsonl:1: \"pred\""},
        {PREDICTIONS, "{\"pred\": \"sad\"}", "m.jsonl:1: id"},
        {PREDICTIONS, "{\"id\": 18446744073709551616, \"pred\": \"sad\"}", "m.jsonl:1"},
        {PREDICTIONS, "{\"id\": [1], \"pred\": \"sad\"}", "m.jsonl:1: id"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        assert_fails(parse(cases[c].kind, cases[c].text), STATUS_CORRUPT, cases[c].error);
        assert_null(strchr(status_text(), '\n'));
    }
    assert_ok(parse(PROMPTS, GOOD "\r\n" PROMPT("2", "\"emotion\": \"AMUSED\", \"sentiment\": \"Positive\"")));
    assert_ok(
        parse(PROMPTS, PROMPT("2", "\"emotion\": \"laughing\", \"sentiment\": \"positive\""))); /* named beside it */
}

/* As doubles all of these would be some of the others. */
static void ids_of_64_bits_stay_apart(void **state)
{
    (void)state;
    static const char *const ids[] = {"-9223372036854775808", "-9223372036854775807", "9223372036854775807",
                                      "9223372036854775806",  "9007199254740992",     "9007199254740993",
                                      "-9007199254740992",    "-9007199254740993"};
    enum { COUNT = sizeof ids / sizeof *ids };
    char text[4096];
    size_t used = 0;
    struct stsp_predictions predictions;
    for (int i = 0; i < COUNT; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "{\"id\": %s, \"pred\": \"%s\"}\n", ids[i], names[i % 3]);
    assert_ok(stsp_predictions_parse("p.jsonl", text, (int64_t)used, &predictions));
    assert_int_equal(predictions.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct stsp_prediction *found = stsp_predictions_find(&predictions, ids[i]);
        assert_non_null(found);
        assert_int_equal(found->sentiment, i % 3);
    }
    assert_null(stsp_predictions_find(&predictions, "9223372036854775808"));
    assert_null(stsp_predictions_find(&predictions, "9.2233720368547758e18"));
    stsp_predictions_free(&predictions);
}

static void every_label_has_its_sentiment(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        int sentiment;
    } labels[] = {{"happy", 2},    {"amused", 2},  {"positive", 2}, {"sad", 0},   {"angry", 0},
                  {"negative", 0}, {"default", 1}, {"neutral", 1},  {"Happy", 2}, {"NEGATIVE", 0}};
    static const char *const others[] = {"", "joy", "happy ", " sad", "neutra", "neutral1", "label_0", "fear"};
    enum sentiment sentiment;
    int judged;
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        assert_true(sentiment_find(labels[i].label, &sentiment));
        assert_int_equal(sentiment, labels[i].sentiment);
        assert_non_null(strstr(sentiment_labels(), sentiment_name(sentiment)));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(sentiment_find(others[i], &sentiment));
        assert_fails(stsp_judged("folder", others[i], &judged), STATUS_CORRUPT, "folder: ");
    }
}

/* ---- means ---- */

static void seeds_of_an_item_are_one_observation(void **state)
{
    (void)state;
    const json_t *row;
    size_t index;
    json_array_foreach(json_object_get(golden, "means"), index, row)
    {
        const json_t *right = json_object_get(row, "right");
        int64_t items = (int64_t)json_array_size(right), seeds = (int64_t)json_array_size(json_array_get(right, 0));
        double values[40 * 4], scratch[40];
        for (int64_t i = 0; i < items; i++)
            for (int64_t s = 0; s < seeds; s++)
                values[i * seeds + s] = json_number_value(json_array_get(json_array_get(right, (size_t)i), (size_t)s));
        const struct estimate mean = stsp_estimate(values, items, seeds, scratch);
        assert_int_equal(mean.n, items);
        assert_true(fabs(mean.value - json_number_value(json_object_get(row, "value"))) <= 1e-12);
        if (json_is_null(json_object_get(row, "stderr")))
            assert_true(isnan(mean.standard_error));
        else
            assert_true(fabs(mean.standard_error - json_number_value(json_object_get(row, "stderr"))) <= 1e-12);
    }
}

/* ---- a whole evaluation ---- */

/* What the model is to say to each item: the next text whenever it is asked with random numbers that are new, and the same text to the
 * same ones, as a try that was interrupted is asked again. */
enum { MOST_ITEMS = 16, MOST_TEXTS = 16 };
struct plan {
    const json_t *replies; /* {direction: {"SET/ID": [texts]}} */
    int64_t said[4][MOST_ITEMS];
    uint64_t seeds[4][MOST_ITEMS][MOST_TEXTS];
    int64_t fails_at, requests;
};

static size_t text_of(struct plan *plan, int direction, size_t item, uint64_t seed)
{
    int64_t *said = &plan->said[direction][item], index = 0;
    uint64_t *seeds = plan->seeds[direction][item];
    while (index < *said && seeds[index] != seed)
        index++;
    assert_true(index < MOST_TEXTS);
    seeds[index] = seed;
    *said += index == *said;
    return (size_t)index;
}

static const char *const directions[] = {"s2s", "s2t", "t2s", "t2t"};

/* The case of prompts.json with the prompts of a direction without examples. */
static const json_t *prompts_of(const char *direction)
{
    const json_t *row;
    size_t index;
    json_array_foreach(json_object_get(json_object_get(prompts, "vocabularies"), "base"), index, row)
    {
        const char *name = json_string_value(json_object_get(row, "direction"));
        if (name && !strcmp(name, direction) && json_integer_value(json_object_get(row, "asked")) == 0)
            return json_object_get(row, "items");
    }
    fail_msg("no prompts of %s", direction);
    return NULL;
}

static bool equals(const json_t *ids, const struct generation_request *request)
{
    bool equal = (int64_t)json_array_size(ids) == request->count;
    for (int64_t i = 0; equal && i < request->count; i++)
        equal = json_integer_value(json_array_get(ids, (size_t)i)) == request->ids[i];
    return equal;
}

static struct scripted_reply say(void *argument, const struct generation_request *request)
{
    struct plan *plan = argument;
    struct scripted_reply reply = {0};
    if (++plan->requests == plan->fails_at)
        return (struct scripted_reply){.not_finite = true};
    for (int d = 0; d < 4; d++) {
        const json_t *items = prompts_of(directions[d]);
        if ((request->output == OUTPUT_SPEECH) != (directions[d][2] == 's'))
            continue;
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *item = json_array_get(items, i);
            if (!equals(json_array_get(item, 2), request))
                continue;
            const json_t *texts = json_object_get(json_object_get(plan->replies, directions[d]),
                                                  json_string_value(json_array_get(item, 0)));
            const json_t *text = json_array_get(texts, text_of(plan, d, i, request->seed));
            assert_non_null(text);
            reply.ids = scripted_ids(world.components, json_string_value(text), &reply.count);
            return reply;
        }
    }
    fail_msg("a prompt of no item");
    return reply;
}

/* All of what was planned has been said. */
static void expect_all_said(const struct plan *plan)
{
    for (int d = 0; d < 4; d++) {
        const json_t *items = prompts_of(directions[d]);
        for (size_t i = 0; i < json_array_size(items); i++)
            assert_int_equal(plan->said[d][i], json_array_size(json_object_get(
                                                   json_object_get(plan->replies, directions[d]),
                                                   json_string_value(json_array_get(json_array_get(items, i), 0)))));
    }
}

static const char *judge_text(const char *text)
{
    static const char *const labels[] = {"negative", "Neutral", "positive", "HAPPY"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, labels[i]))
            return labels[i];
    return labels[strlen(text) % 4];
}

static const char *judge_speech(const float *samples, int64_t count)
{
    static const char *const labels[] = {"happy", "sad", "angry", "default", "amused", "neutral", NULL};
    assert_true(count > 0);
    return labels[lrint(1000.0 * (double)samples[0]) % 7];
}

static enum status run_stsp(const char *out, int64_t fails_at, struct plan *plan)
{
    plan->replies = json_object_get(json_object_get(golden, "task"), "replies");
    plan->fails_at = fails_at;
    plan->requests = 0;
    generation_world_reset(&world);
    world.evaluate.shots = 0;
    world.judges = (struct judge_settings){"judges/text", "judges/speech"};
    world.evaluate.waves = test_path("waves");
    scripted_model_set(say, plan);
    struct task task = generation_world_task(&world, out);
    static const char *zero[] = {"0"};
    world.evaluate.shot_list = (struct config_list){zero, 1};
    return task_stsp(&task, test_path("archive"));
}

static void expect_results(const char *out)
{
    const json_t *expected = json_object_get(json_object_get(golden, "task"), "rows"), *row, *value;
    json_t *results = generation_results_read(out, "stsp_dev");
    const json_t *found = json_object_get(results, "results");
    const char *name, *key;
    assert_int_equal(json_object_size(found), json_object_size(expected));
    json_object_foreach((json_t *)(uintptr_t)expected, name, row)
    {
        const json_t *own = json_object_get(found, name);
        if (!own)
            fail_msg("the results have no row %s", name);
        json_object_foreach((json_t *)(uintptr_t)row, key, value)
        {
            char where[128];
            snprintf(where, sizeof where, "%s of %s", key, name);
            if (strcmp(key, "confusion") != 0)
                expect_number(where, value, json_object_get(own, key));
            else if (!json_equal(value, json_object_get(own, key)))
                fail_msg("%s differs", where);
        }
    }
    json_decref(results);
}

static void a_whole_evaluation_has_the_oracles_numbers(void **state)
{
    (void)state;
    struct plan plan = {0};
    const char *out = test_path("whole");
    float *samples;
    int64_t count;
    scripted_judges_set(judge_text, judge_speech);
    assert_ok(run_stsp(out, 0, &plan));
    expect_all_said(&plan);
    expect_results(out);
    assert_true(world.outcome.holds);
    assert_ok(audio_read(test_path("waves/t2s/0/1/expresso_asr/9223372036854775805.wav"), -1, &samples, &count));
    assert_true(count == 640 || count == 1280);
    free(samples);
    char printed[200];
    assert_int_equal(run_command(printed, sizeof printed, "ls '%s'", test_path("waves/s2s/0/0/emov")), 0);
    assert_non_null(strstr(printed, "a_b_c_line")); /* with the line's number: "a b c" is another id */
}

/* The same results to the byte, whenever the run was interrupted. */
static void an_interrupted_evaluation_goes_on(void **state)
{
    (void)state;
    struct plan whole = {0}, torn = {0};
    const char *out = test_path("undisturbed"), *other = test_path("torn");
    scripted_judges_set(judge_text, judge_speech);
    assert_ok(run_stsp(out, 0, &whole));
    int64_t rounds = 0;
    while (run_stsp(other, 6, &torn) != STATUS_OK) {
        assert_non_null(strstr(status_text(), "not finite"));
        assert_int_equal(access(test_path("torn/results_stsp_dev.json"), F_OK), -1);
        assert_true(rounds++ < 100);
    }
    assert_true(rounds > 5);
    assert_true(same_file(test_path("undisturbed/results_stsp_dev.json"), test_path("torn/results_stsp_dev.json")));
    assert_true(same_file(test_path("undisturbed/samples_stsp_dev.jsonl"), test_path("torn/samples_stsp_dev.jsonl")));
}

static const char *judge_of_joy(const char *text)
{
    return strlen(text) % 2 ? "joy" : "sad";
}

static void a_label_that_stands_for_nothing_ends_the_evaluation(void **state)
{
    (void)state;
    struct plan plan = {0};
    scripted_judges_set(judge_of_joy, judge_speech);
    assert_fails(run_stsp(test_path("joy"), 0, &plan), STATUS_CORRUPT, "judges/text: expected a judge of negative");
    assert_non_null(strstr(status_text(), "\"joy\""));
    assert_int_equal(access(test_path("joy/results_stsp_dev.json"), F_OK), -1);
}

static struct scripted_reply say_so(void *argument, const struct generation_request *request)
{
    struct scripted_reply reply = {0};
    (void)argument;
    (void)request;
    reply.ids = scripted_ids(world.components, "so", &reply.count);
    return reply;
}

static enum status run_with_rows(const char *rows, const char *out)
{
    static const char *three[] = {"3"}, *zero[] = {"0"}, *direction[] = {"s>t"};
    generation_world_reset(&world);
    world.judges.text = "judges/text";
    world.evaluate.shots = 3;
    world.evaluate.shot_list = (struct config_list){three, 1};
    world.evaluate.seeds = (struct config_list){zero, 1};
    world.evaluate.stsp_directions = (struct config_list){direction, 1};
    world.evaluate.shot_ids = test_path("rows.txt");
    write_text(world.evaluate.shot_ids, rows);
    scripted_judges_set(judge_text, judge_speech);
    scripted_model_set(say_so, NULL);
    struct task task = generation_world_task(&world, out);
    return task_stsp(&task, test_path("archive"));
}

/* Of the golden archive the rows 1, 4, 7... are negative, 0, 3, 6... neutral, 2, 5, 8... positive. */
static void rows_of_examples_may_be_given(void **state)
{
    (void)state;
    static const struct {
        const char *rows, *error;
    } faults[] = {
        {"s2t 1\ns2t 0\n", "rows.txt: expected 1 rows of few_shot/s2t.jsonl that are positive, found 0"},
        {"s2t 1\ns2x 0\ns2t 2\n", "rows.txt:2: expected s2s, s2t, t2s or t2t and a row, found \"s2x 0\""},
        {"17\n", "rows.txt:1: expected s2s"},
        {"s2t 1\ns2t 17\n", "rows.txt:2: expected a row of few_shot/s2t.jsonl, 0 to 16, found \"s2t 17\""},
        {"s2t -1\n", "rows.txt:1: expected a row"},
        {"s2t 1x\n", "rows.txt:1: expected a row"},
        {"s2t 99999999999999999999\n", "rows.txt:1: expected a row"},
        {"s2t 1\ns2t", "rows.txt:2: expected a row"},
        {"s2t 1\ns2t 0\ns2t 1\n", "rows.txt:3: s2t 1 is there twice"},
    };
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++)
        assert_fails(run_with_rows(faults[f].rows, test_path("no_rows")), STATUS_CORRUPT, faults[f].error);
    assert_int_equal(access(test_path("no_rows/results_stsp_dev.json"), F_OK), -1);
    assert_ok(run_with_rows("t2t 1\r\n\r\ns2t 5\r\ns2t 3\ns2t 4\ns2t 2", test_path("rows")));
    json_t *results = generation_results_read(test_path("rows"), "stsp_dev"), *wanted = json_pack("[i, i, i]", 4, 3, 5);
    assert_true(json_equal(json_object_get(json_object_get(results, "examples"), "s2t/3/0"), wanted));
    json_decref(results);
    json_decref(wanted);
}

/* What the prompts of a run say, tags apart. */
static struct scripted_reply listen(void *argument, const struct generation_request *request)
{
    char *text, *said = argument;
    int64_t size;
    int32_t *ids = calloc((size_t)request->count, sizeof *ids);
    int64_t count = 0;
    assert_non_null(ids);
    for (int64_t i = 0; i < request->count; i++)
        if (vocabulary_kind(&world.components->vocabulary, request->ids[i]) == TOKEN_TEXT)
            ids[count++] = request->ids[i];
    assert_ok(text_model_decode(world.components->text, ids, count, true, &text, &size));
    snprintf(said, 1024, "%s", text);
    free(text);
    free(ids);
    return say_so(NULL, request);
}

/* Examples and items; units are spelled with capitals and must stay units. */
static void letters_are_those_of_the_template(void **state)
{
    (void)state;
    static const char *direction[] = {"t>t"}, *three[] = {"3"}, *zero[] = {"0"};
    const char *path = test_path("lower.yaml"), *root = test_path("loud");
    char said[1024] = "";
    generation_file_write(test_path("loud/manifest/expresso/expresso_asr.dev.jsonl"),
                          "{\"id\": 1, \"emotion\": \"sad\", \"asr\": \"So BE It\"}\n");
    generation_file_write(test_path("loud/manifest/few_shot/t2t.jsonl"),
                          "{\"prompt\": \"A\", \"generation\": \"B\", \"sentiment\": \"negative\"}\n"
                          "{\"prompt\": \"C\", \"generation\": \"\xC3\x89\", \"sentiment\": \"neutral\"}\n"
                          "{\"prompt\": \"E\", \"generation\": \"F\", \"sentiment\": \"positive\"}\n");
    write_text(path, "extends: " TEST_SOURCE_DIRECTORY "/configs/prompts/stsp_t2t.yaml\nprompt: {letters: lower}\n");
    for (int lower = 0; lower < 2; lower++) {
        generation_world_reset(&world);
        world.judges.text = "judges/text";
        world.evaluate.shot_list = (struct config_list){three, 1};
        world.evaluate.seeds = (struct config_list){zero, 1};
        world.evaluate.stsp_directions = (struct config_list){direction, 1};
        world.prompts.stsp_t2t = lower ? path : "";
        scripted_judges_set(judge_text, judge_speech);
        scripted_model_set(listen, said);
        struct task task = generation_world_task(&world, test_path("letters"));
        assert_ok(task_stsp(&task, root));
        assert_string_equal(said, lower ? "ab\nc\xC3\xA9\nef\nso be it" : "AB\nC\xC3\x89\nEF\nSo BE It");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_predictions_have_the_oracles_accuracy),
        cmocka_unit_test(incomplete_predictions_are_refused),
        cmocka_unit_test(rows_that_mean_nothing_are_refused),
        cmocka_unit_test(ids_of_64_bits_stay_apart),
        cmocka_unit_test(every_label_has_its_sentiment),
        cmocka_unit_test(seeds_of_an_item_are_one_observation),
        cmocka_unit_test(a_whole_evaluation_has_the_oracles_numbers),
        cmocka_unit_test(an_interrupted_evaluation_goes_on),
        cmocka_unit_test(a_label_that_stands_for_nothing_ends_the_evaluation),
        cmocka_unit_test(rows_of_examples_may_be_given),
        cmocka_unit_test(letters_are_those_of_the_template),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
