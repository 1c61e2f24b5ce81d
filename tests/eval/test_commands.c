/* The commands of `evaluate` that need no model. */
#include "support/files.h"
#include "support/test_support.h"

#include "eval/commands.h"
#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct score_settings score;
static struct evaluate_settings evaluate;

/* Runs a command; what it prints is in `printed`. */
static enum status run(const char *const *arguments, int64_t count, const char *out, char printed[8192])
{
    enum status code = STATUS_INTERNAL;
    memset(printed, 0, 8192);
    FILE *stream = fmemopen(printed, 8191, "w");
    assert_non_null(stream);
    const struct command_input input = {.score = &score, .evaluate = &evaluate, .out = out, .report = stream};
    assert_true(command_run(arguments, count, &input, &code));
    fclose(stream);
    return code;
}

static void tasks_are_no_commands(void **state)
{
    (void)state;
    const struct command_input input = {0};
    enum status code;
    assert_false(command_run((const char *[]){"learning"}, 1, &input, &code));
    assert_false(command_run(NULL, 0, &input, &code));
}

static void wrong_numbers_of_arguments_are_refused(void **state)
{
    (void)state;
    char printed[8192];
    assert_fails(run((const char *[]){"wer", "a"}, 2, "out", printed), STATUS_USAGE,
                 "expected wer REFERENCE HYPOTHESIS");
    assert_fails(run((const char *[]){"rescore"}, 1, "out", printed), STATUS_USAGE, "expected rescore OUT");
    assert_fails(run((const char *[]){"report"}, 1, "out", printed), STATUS_USAGE, "expected report OUT");
    assert_fails(run((const char *[]){"submission", "other", "out"}, 3, "out", printed), STATUS_USAGE,
                 "expected sLM21");
    assert_fails(run((const char *[]){"where", "a", "b"}, 3, "out", printed), STATUS_USAGE, "expected where TASK");
}

static void archives_have_a_source(void **state)
{
    (void)state;
    char printed[8192];
    assert_ok(run((const char *[]){"where", "salmon"}, 2, "out", printed));
    assert_non_null(strstr(printed, "CC BY-NC 4.0"));
    assert_null(strstr(printed, "swuggy"));
    assert_ok(run((const char *[]){"where", "all"}, 2, "out", printed));
    static const char *const tasks[] = {"swuggy",     "sblimp",           "wuggy-text", "blimp-text",
                                        "storycloze", "topic-storycloze", "salmon"};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        assert_non_null(strstr(printed, tasks[i]));
    assert_fails(run((const char *[]){"where", "learning"}, 2, "out", printed), STATUS_USAGE, "found \"learning\"");
}

static double number(const json_t *results, const char *key)
{
    return json_number_value(json_object_get(json_object_get(json_object_get(results, "results"), "wer"), key));
}

static void error_rates_are_written(void **state)
{
    (void)state;
    char printed[8192];
    const char *reference = test_path("reference.txt"), *hypothesis = test_path("hypothesis.jsonl");
    const char *out = test_path("wer");
    evaluate = (struct evaluate_settings){.spellings = "", .gold = ""};
    write_text(reference, "u1 ONE TWO THREE\nu2 FOUR\n");
    write_text(hypothesis, "{\"id\": \"u2\", \"text\": \"FOUR FIVE\"}\n{\"id\": \"u1\", \"text\": \"ONE TOO\"}\n");
    assert_ok(run((const char *[]){"wer", reference, hypothesis}, 3, out, printed));
    assert_non_null(strstr(printed, "2 of 2 references"));
    json_t *results = json_load_file(test_path("wer/results_wer.json"), 0, NULL);
    assert_non_null(results);
    /* one substitution, one deletion, one insertion over four words; "TWO THREE" against "TOO" is 7 characters, " FIVE" 5, of 17 */
    assert_true(number(results, "wer,none") == 0.75);
    assert_true(fabs(number(results, "cer,none") - 12.0 / 17) < 1e-15);
    assert_true(fabs(number(results, "wer,mean") - (2.0 / 3 + 1) / 2) < 1e-15);
    json_decref(results);
    write_text(hypothesis, "{\"id\": \"u1\", \"text\": \"ONE\"}\n");
    assert_fails(run((const char *[]){"wer", reference, hypothesis}, 3, test_path("none"), printed), STATUS_CORRUPT,
                 "u2");
    assert_null(fopen(test_path("none/results_wer.json"), "r"));
    evaluate.incomplete = INCOMPLETE_SKIP;
    assert_ok(run((const char *[]){"wer", reference, hypothesis}, 3, out, printed));
    assert_non_null(strstr(printed, "1 of 2 references; 1 missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_no_commands),
        cmocka_unit_test(wrong_numbers_of_arguments_are_refused),
        cmocka_unit_test(archives_have_a_source),
        cmocka_unit_test(error_rates_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
