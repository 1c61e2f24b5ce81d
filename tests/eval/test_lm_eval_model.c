/* mmlu, blimp and storycloze-text over a small model of text, against lm-evaluation-harness over transformers (golden/lm_eval/model.json,
 * oracles/lm_eval_model.py): every log-likelihood, every accuracy and standard error, with prompts that are longer than the context
 * among them. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"

#include "eval/task.h"
#include "io/archive/archive.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL TEST_GOLDEN_DIRECTORY "/text_llama/model.gguf"

enum { CONTEXT = 487 /* as in the script */, FILE_LIMIT = 1 << 26 };

static struct device_context context;
static struct components *components;
static struct llama *model;
static struct score_settings score;
static struct evaluate_settings evaluate;
static json_t *golden;
static FILE *nowhere;

/* Into the test's folder. */
static enum status unpack(void *archive, int64_t index, const void *data, int64_t size)
{
    const char *path = test_path("%s", archive_name(archive, index));
    char parent[900];
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    enum status result = make_directories(parent);
    return result == STATUS_OK ? atomic_write(path, data, size) : result;
}

static int open_all(void **state)
{
    (void)state;
    struct llama_config config;
    struct archive *archive;
    assert_ok(archive_open(TEST_GOLDEN_DIRECTORY "/lm_eval/golden.tar.gz", &archive));
    assert_ok(archive_stream(archive, NULL, FILE_LIMIT, unpack, archive));
    archive_close(archive);
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/lm_eval/model.json", &golden));
    assert_ok(components_load_distributed(MODEL, &components));
    assert_ok(llama_read_config(MODEL, &config));
    config.maximum_positions = CONTEXT;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    assert_ok(llama_create(&config, DTYPE_F32, test_kernels(), &context, &model));
    assert_ok(llama_read_weights(model, MODEL, NULL, NULL));
    nowhere = fopen("/dev/null", "w");
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fclose(nowhere);
    llama_destroy(model);
    device_context_destroy(test_kernels(), &context);
    components_free(components);
    json_decref(golden);
    return 0;
}

static struct task make_task(struct task_outcome *outcome)
{
    static const char *const word[] = {"protocol"};
    score = (struct score_settings){.protocol = 4, .normalize = {(const char **)(uintptr_t)word, 1}};
    assert_string_equal(protocol_name(4), "lm-eval");
    evaluate = (struct evaluate_settings){.gold = "", .split = SPLIT_TEST, .shots = -1};
    return (struct task){.model = model,
                         .components = components,
                         .model_name = "m",
                         .checkpoint = MODEL,
                         .out = test_path("out"),
                         .report = nowhere,
                         .outcome = outcome,
                         .score = &score,
                         .models = &model,
                         .ranks = 1,
                         .evaluate = &evaluate};
}

/* The sum over the hypothesis of text; EOS, which the harness does not have, lies apart. */
static double sum_of(const json_t *item, size_t choice)
{
    const json_t *scores = json_object_get(json_array_get(json_object_get(item, "choices"), choice), "hypothesis");
    return json_number_value(json_array_get(json_object_get(scores, "text"), 1));
}

/* Every item of the samples; how many requests were cut, a choice being one. */
static int64_t compare_samples(const char *path, const json_t *items)
{
    void *data;
    int64_t size, cut = 0;
    size_t compared = 0;
    assert_ok(file_read(path, FILE_LIMIT, &data, &size));
    for (char *line = strchr(data, '\n') + 1, *end; (end = strchr(line, '\n')); line = end + 1, compared++) {
        json_t *item;
        assert_ok(jdoc_parse(path, line, end - line, &item));
        const char *id = json_string_value(json_object_get(item, "doc_id"));
        const json_t *expected = json_object_get(items, id);
        if (!expected)
            fail_msg("%s: the harness has no item %s", path, id);
        for (size_t c = 0; c < json_array_size(expected); c++)
            /* f32 products of up to 488 tokens against float64 */
            if (!(fabs(sum_of(item, c) - json_number_value(json_array_get(expected, c))) <= 1e-4))
                fail_msg("%s, choice %zu: expected %.7f, found %.7f", id, c,
                         json_number_value(json_array_get(expected, c)), sum_of(item, c));
        if (json_object_get(item, "cut_tokens"))
            cut += (int64_t)json_array_size(expected);
        json_decref(item);
    }
    free(data);
    assert_int_equal(compared, json_object_size(items));
    return cut;
}

/* `ours` stands for `theirs` at the beginning of the rows' names. */
static void compare_rows(const char *path, const json_t *rows, const char *ours, const char *theirs)
{
    json_t *results, *row, *value;
    const char *name, *metric;
    assert_ok(jdoc_read(path, &results));
    json_object_foreach((json_t *)(uintptr_t)rows, name, row) json_object_foreach(row, metric, value)
    {
        char ours_name[128], key[32];
        assert_true(!strncmp(name, theirs, strlen(theirs)));
        snprintf(ours_name, sizeof ours_name, "%s%s", ours, name + strlen(theirs));
        snprintf(key, sizeof key, "%s,sum", metric);
        const json_t *found = json_object_get(json_object_get(json_object_get(results, "results"), ours_name), key);
        if (!json_is_number(found) || !(fabs(json_number_value(found) - json_number_value(value)) <= 1e-12))
            fail_msg("%s, %s: expected %.17g, found %.17g", ours_name, key, json_number_value(value),
                     json_number_value(found));
    }
    json_decref(results);
}

static void compare(const char *name, const char *theirs)
{
    const json_t *expected = json_object_get(golden, theirs);
    assert_non_null(expected);
    int64_t cut = compare_samples(test_path("out/samples_%s.jsonl", name), json_object_get(expected, "items"));
    assert_int_equal(cut, json_integer_value(json_object_get(expected, "cut")));
    compare_rows(test_path("out/results_%s.json", name), json_object_get(expected, "results"), name, theirs);
}

static void mmlu_is_what_the_harness_finds(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const struct task task = make_task(&outcome);
    assert_ok(task_mmlu(&task, test_path("mmlu")));
    compare("mmlu_test", "mmlu");
    int64_t cut = json_integer_value(json_object_get(json_object_get(golden, "mmlu"), "cut"));
    assert_true(cut > 100 && cut < 500); /* of 596 */
}

static void blimp_is_what_the_harness_finds(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const struct task task = make_task(&outcome);
    assert_ok(task_blimp(&task, test_path("blimp")));
    compare("blimp", "blimp");
}

static void written_stories_are_what_the_harness_finds(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const struct task task = make_task(&outcome);
    assert_ok(task_story_text(&task, test_path("storycloze")));
    compare("storycloze_text", "storycloze_2016");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mmlu_is_what_the_harness_finds),
        cmocka_unit_test(blimp_is_what_the_harness_finds),
        cmocka_unit_test(written_stories_are_what_the_harness_finds),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
