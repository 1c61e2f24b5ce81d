/* Against lm-evaluation-harness 0.4.13 (golden/lm_eval, oracles/lm_eval_golden.py): the prompts of MMLU byte by byte, and those of the
 * benchmark's own program; which ids are context and which continuation; and what is made of log-likelihoods: accuracies under four
 * normalizations, standard errors, groups. */
#include "support/files.h"
#include "support/test_support.h"

#include "eval/reports.h"
#include "eval/scoring/hypothesis.h"
#include "eval/zero_shot/mmlu.h"
#include "io/archive/archive.h"
#include "io/json.h"
#include "package/components.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 26 };

static struct archive *golden;
static char **contents; /* of its members; a .tar.gz is inflated from its beginning for each that is read alone */

static enum status keep(void *context, int64_t index, const void *data, int64_t size)
{
    (void)context;
    contents[index] = strndup(data, (size_t)size);
    assert_non_null(contents[index]);
    return STATUS_OK;
}

static int open_golden(void **state)
{
    (void)state;
    assert_ok(archive_open(TEST_GOLDEN_DIRECTORY "/lm_eval/golden.tar.gz", &golden));
    contents = calloc((size_t)archive_count(golden), sizeof *contents);
    assert_non_null(contents);
    assert_ok(archive_stream(golden, NULL, FILE_LIMIT, keep, NULL));
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    for (int64_t i = 0; i < archive_count(golden); i++)
        free(contents[i]);
    free(contents);
    archive_close(golden);
    return 0;
}

/* A member as a text, to be freed. */
static char *read_member(const char *name, int64_t *size)
{
    int64_t index = archive_find(golden, name);
    if (index < 0)
        fail_msg("%s is not in the golden archive", name);
    char *text = strdup(contents[index]);
    assert_non_null(text);
    *size = (int64_t)strlen(text);
    return text;
}

/* The lines of a member, each an array; to be released. */
static json_t *read_lines(const char *name)
{
    int64_t size;
    char *text = read_member(name, &size);
    json_t *lines = json_array();
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *value;
        assert_ok(jdoc_parse(name, line, end - line, &value));
        assert_int_equal(json_array_append_new(lines, value), 0);
    }
    free(text);
    return lines;
}

static const char *text_at(const json_t *line, size_t index)
{
    const char *text = json_string_value(json_array_get(line, index));
    assert_non_null(text);
    return text;
}

static int64_t integer_at(const json_t *line, size_t index)
{
    const json_t *value = json_array_get(line, index);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

/* ---- prompts ---- */

static void open_table(const char *split, const char *subject, struct csv *table)
{
    char name[200];
    int64_t size;
    snprintf(name, sizeof name, "mmlu/data/%s/%s_%s.csv", split, subject, split);
    char *text = read_member(name, &size);
    assert_ok(csv_parse(name, text, size, (struct csv_format){',', false}, table));
    assert_ok(mmlu_check(table));
}

static int64_t compare_prompts(const char *file, enum mmlu_form form)
{
    struct csv examples = {0}, questions = {0};
    char subject[64] = "";
    int64_t subjects = 0;
    size_t i;
    json_t *line, *lines = read_lines(file);
    json_array_foreach(lines, i, line)
    {
        const char *name = text_at(line, 0), *expected = text_at(line, 3);
        char *prompt;
        if (strcmp(subject, name) != 0) {
            csv_free(&examples);
            csv_free(&questions);
            snprintf(subject, sizeof subject, "%s", name);
            open_table("dev", name, &examples);
            open_table("test", name, &questions);
            assert_non_null(mmlu_group(name));
            subjects++;
        }
        int64_t row = integer_at(line, 1), shots = integer_at(line, 2);
        assert_ok(mmlu_prompt(name, &examples, shots, &questions, row, form, &prompt));
        if (strcmp(prompt, expected) != 0)
            fail_msg("%s, question %lld, %lld shots:\n%s\nexpected:\n%s", name, (long long)row, (long long)shots,
                     prompt, expected);
        free(prompt);
    }
    assert_true(json_array_size(lines) > 600);
    json_decref(lines);
    csv_free(&examples);
    csv_free(&questions);
    return subjects;
}

static void prompts_of_mmlu_are_the_harness_s(void **state)
{
    (void)state;
    /* the harness's are sorted by shots first */
    assert_int_equal(compare_prompts("prompts/mmlu_lm_eval.jsonl", MMLU_LM_EVAL), 57 * 6);
}

static void and_those_of_the_benchmark_s_own_program(void **state)
{
    (void)state;
    assert_int_equal(compare_prompts("prompts/mmlu_original.jsonl", MMLU_ORIGINAL), 57);
}

/* ---- ids ---- */

static struct score_protocol lm_eval(enum score_normalize normalize)
{
    struct score_protocol protocol;
    assert_true(protocol_find("lm-eval", &protocol));
    protocol.normalize = normalize;
    return protocol;
}

/* [context, continuation, ids of the context, ids of the continuation] */
static void compare_ids(const struct components *components, const json_t *pair)
{
    const char *before = text_at(pair, 0), *continuation = text_at(pair, 1);
    const struct score_protocol protocol = lm_eval(NORMALIZE_SUM);
    const struct side context = {.text = before}, hypothesis = {.text = continuation + 1};
    struct choice choice = {0};
    assert_int_equal(continuation[0], ' ');
    assert_ok(hypothesis_build(components, &protocol, *before ? &context : NULL, &hypothesis, false, &choice));
    int64_t n = 0;
    for (size_t part = 2; part < 4; part++) {
        size_t i;
        json_t *id, *ids = json_array_get(pair, part);
        json_array_foreach(ids, i, id)
        {
            if (n >= choice.count || choice.ids[n] != json_integer_value(id))
                fail_msg("\"%s\" + \"%s\": id %lld differs", before, continuation, (long long)n);
            n++;
        }
        if (part == 2 && choice.context != n)
            fail_msg("\"%s\" + \"%s\": expected %lld ids of context, found %lld", before, continuation, (long long)n,
                     (long long)choice.context);
    }
    assert_int_equal(n, choice.count - 1); /* EOS follows */
    assert_int_equal(choice.bytes, strlen(continuation) - 1);
    free(choice.ids);
}

static void context_and_continuation_have_the_harness_s_ids(void **state)
{
    (void)state;
    static const char *const files[] = {"prompts/blimp.jsonl", "prompts/storycloze.jsonl"};
    struct components *components;
    size_t i, c;
    json_t *line, *pair, *lines = read_lines("pairs.jsonl");
    assert_ok(components_load_distributed(TEST_GOLDEN_DIRECTORY "/text_llama/model.gguf", &components));
    assert_int_equal(json_array_size(lines), 200);
    json_array_foreach(lines, i, line) compare_ids(components, line);
    json_decref(lines);
    for (int f = 0; f < 2; f++) {
        lines = read_lines(files[f]);
        json_array_foreach(lines, i, line) json_array_foreach(json_array_get(line, 2), c, pair)
            compare_ids(components, pair);
        assert_true(json_array_size(lines) >= 40);
        json_decref(lines);
    }
    components_free(components);
}

/* ---- numbers ---- */

static int64_t characters(const char *text)
{
    int64_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

/* An item with these sums; its part is the task without `prefix`. */
static void add_item(struct choice_set *set, const json_t *line, size_t prefix)
{
    struct choice_item *item;
    const char *part = text_at(line, 0) + prefix;
    const json_t *sums = json_array_get(line, 3), *alone = json_array_get(line, 4), *texts = json_array_get(line, 5);
    int64_t count = (int64_t)json_array_size(sums);
    const char *group = mmlu_group(part);
    assert_ok(choice_set_add(set, part, json_pack("{s:s, s:s}", "part", part, "group", group ? group : ""),
                             integer_at(line, 2), count, &item));
    for (int64_t c = 0; c < count; c++) {
        struct choice *choice = &item->choices[c];
        const char *text = text_at(texts, (size_t)c);
        choice->scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT] =
            (struct kind_scores){.count = 1, .sum = json_number_value(json_array_get(sums, (size_t)c))};
        if (json_array_size(alone) > 0)
            choice->scores[SEGMENT_ALONE][CHOICE_TEXT] =
                (struct kind_scores){.count = 1, .sum = json_number_value(json_array_get(alone, (size_t)c))};
        choice->bytes = (int64_t)strlen(text);
        choice->characters = characters(text);
    }
}

static void expect(const json_t *object, const char *row, const char *metric, double found)
{
    char key[64];
    snprintf(key, sizeof key, "%s,none", metric);
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail_msg("%s has no %s", row, key);
    /* 1e-12: sums in another order */
    if (!(fabs(json_number_value(value) - found) <= 1e-12))
        fail_msg("%s, %s: expected %.17g, found %.17g", row, key, json_number_value(value), found);
}

/* All rows of the report that the harness has, under one normalization. Returns how many. */
static int64_t compare_rows(const struct choice_set *set, const char *task, enum report_rule rule,
                            const json_t *results, enum score_normalize normalize, const char *metric)
{
    struct benchmark_results found = {0};
    const struct score_protocol protocol = lm_eval(normalize);
    const struct report_input input = {.rule = rule, .task = task, .set = set, .expected = set->count};
    char error[64];
    int64_t compared = 0;
    snprintf(error, sizeof error, "%s_stderr", metric);
    assert_ok(report_make(&input, &protocol, &found));
    for (int64_t i = 0; i < found.count; i++) {
        const struct benchmark_row *row = &found.rows[i];
        const json_t *object = json_object_get(results, row->name);
        if (!object || (row->group && normalize != NORMALIZE_SUM))
            continue; /* the mean of subjects; its groups aggregate acc alone */
        expect(object, row->name, metric, row->accuracy.value);
        expect(object, row->name, error, row->accuracy.standard_error);
        assert_int_equal(json_integer_value(json_object_get(object, "sample_len")), row->accuracy.n);
        compared++;
    }
    benchmark_free(&found);
    return compared;
}

static void load_scores(const char *name, size_t prefix, struct choice_set *set, json_t **results)
{
    char file[64];
    int64_t size;
    size_t i;
    snprintf(file, sizeof file, "scores/%s.jsonl", name);
    json_t *line, *lines = read_lines(file);
    *set = (struct choice_set){0};
    json_array_foreach(lines, i, line) add_item(set, line, prefix);
    json_decref(lines);
    snprintf(file, sizeof file, "results/%s.json", name);
    char *text = read_member(file, &size);
    assert_ok(jdoc_parse(file, text, size, results));
    free(text);
}

static const char *const metrics[] = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info"};
static const enum score_normalize normalizations[] = {NORMALIZE_SUM, NORMALIZE_CHAR, NORMALIZE_BYTE, NORMALIZE_PMI};

static void numbers_of_mmlu_are_the_harness_s(void **state)
{
    (void)state;
    struct choice_set set;
    json_t *root;
    load_scores("mmlu", sizeof "mmlu_" - 1, &set, &root);
    /* 57 subjects, four groups, all */
    assert_int_equal(
        compare_rows(&set, "mmlu", REPORT_SUBJECTS, json_object_get(root, "results"), NORMALIZE_SUM, "acc"),
        57 + 4 + 1);
    json_decref(root);
    choice_set_free(&set);
}

static void numbers_of_blimp_are_the_harness_s(void **state)
{
    (void)state;
    struct choice_set set;
    json_t *root;
    load_scores("blimp", sizeof "blimp_" - 1, &set, &root);
    for (int m = 0; m < 4; m++)
        assert_int_equal(
            compare_rows(&set, "blimp", REPORT_PARTS, json_object_get(root, "results"), normalizations[m], metrics[m]),
            m == 0 ? 68 : 67);
    json_decref(root);
    choice_set_free(&set);
}

static void numbers_of_storycloze_are_the_harness_s(void **state)
{
    (void)state;
    struct choice_set set;
    json_t *root;
    load_scores("storycloze", 0, &set, &root);
    for (int m = 0; m < 4; m++)
        assert_int_equal(compare_rows(&set, "storycloze_2016", REPORT_MEAN, json_object_get(root, "results"),
                                      normalizations[m], metrics[m]),
                         1);
    json_decref(root);
    choice_set_free(&set);
}

/* ---- groups in the results file ---- */

static bool has(const json_t *array, const char *name)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
    {
        if (!strcmp(json_string_value(value), name))
            return true;
    }
    return false;
}

static void results_show_groups_as_the_harness_does(void **state)
{
    (void)state;
    struct choice_set set;
    json_t *theirs, *ours;
    struct benchmark_results rows = {0};
    struct components *components;
    const char *key;
    json_t *value, *member;
    size_t i;
    const struct score_protocol protocol = lm_eval(NORMALIZE_SUM);
    load_scores("mmlu", sizeof "mmlu_" - 1, &set, &theirs);
    const struct report_input input = {.rule = REPORT_SUBJECTS, .task = "mmlu", .set = &set, .expected = set.count};
    assert_ok(report_make(&input, &protocol, &rows));
    assert_ok(components_load_distributed(TEST_GOLDEN_DIRECTORY "/text_llama/model.gguf", &components));
    const struct benchmark_subject subject = {.task = "mmlu",
                                              .model = "m",
                                              .checkpoint = TEST_SOURCE_DIRECTORY "/LICENSE",
                                              .components = components,
                                              .protocol = &protocol,
                                              .rule = "subjects",
                                              .archive = "a",
                                              .archive_identity = "i"};
    assert_ok(benchmark_write(test_directory(), &subject, &rows, NULL));
    assert_ok(jdoc_read(test_path("results_mmlu.json"), &ours));
    const json_t *groups = json_object_get(theirs, "group_subtasks"), *found = json_object_get(ours, "group_subtasks");
    assert_int_equal(json_object_size(groups), json_object_size(found));
    assert_int_equal(json_object_size(json_object_get(ours, "groups")), json_object_size(groups));
    json_object_foreach((json_t *)(uintptr_t)groups, key, value)
    {
        const json_t *members = json_object_get(found, key);
        assert_int_equal(json_array_size(members), json_array_size(value));
        json_array_foreach(value, i, member) assert_true(has(members, json_string_value(member)));
        assert_true(json_equal(json_object_get(json_object_get(ours, "groups"), key),
                               json_object_get(json_object_get(ours, "results"), key)));
    }
    assert_true(json_is_object(json_object_get(json_object_get(ours, "n-samples"), "mmlu_virology")));
    json_decref(theirs);
    json_decref(ours);
    components_free(components);
    benchmark_free(&rows);
    choice_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_of_mmlu_are_the_harness_s),
        cmocka_unit_test(and_those_of_the_benchmark_s_own_program),
        cmocka_unit_test(context_and_continuation_have_the_harness_s_ids),
        cmocka_unit_test(numbers_of_mmlu_are_the_harness_s),
        cmocka_unit_test(numbers_of_blimp_are_the_harness_s),
        cmocka_unit_test(numbers_of_storycloze_are_the_harness_s),
        cmocka_unit_test(results_show_groups_as_the_harness_does),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
