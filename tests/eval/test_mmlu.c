/* MMLU's prompts byte by byte, its subjects, and tables that are refused. */
#include "support/test_support.h"

#include "eval/zero_shot/mmlu.h"

#include <stdlib.h>
#include <string.h>

static struct csv parse(const char *text)
{
    struct csv table;
    assert_ok(csv_parse("t.csv", strdup(text), (int64_t)strlen(text), (struct csv_format){',', false}, &table));
    return table;
}

static void prompts_are_those_of_both_programs(void **state)
{
    (void)state;
    struct csv examples = parse("One plus one?,1,2,3,4,B\n\" Spaced,\nover lines \",w,\"x, y\",z,\"\"\"q\"\"\",D\n");
    struct csv table = parse(" Last? ,a,b,c,d,A\n");
    char *prompt;
    assert_ok(mmlu_prompt("college_biology", &examples, 2, &table, 0, MMLU_LM_EVAL, &prompt));
    assert_string_equal(prompt, "The following are multiple choice questions (with answers) about college biology.\n\n"
                                "One plus one?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
                                "Spaced,\nover lines\nA. w\nB. x, y\nC. z\nD. \"q\"\nAnswer: D\n\n"
                                "Last?\nA. a\nB. b\nC. c\nD. d\nAnswer:");
    free(prompt);
    assert_ok(mmlu_prompt("college_biology", &examples, 2, &table, 0, MMLU_ORIGINAL, &prompt));
    assert_string_equal(prompt, "The following are multiple choice questions (with answers) about  college biology.\n\n"
                                "One plus one?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
                                " Spaced,\nover lines \nA. w\nB. x, y\nC. z\nD. \"q\"\nAnswer: D\n\n"
                                " Last? \nA. a\nB. b\nC. c\nD. d\nAnswer:");
    free(prompt);
    assert_ok(mmlu_prompt("anatomy", &examples, 0, &table, 0, MMLU_LM_EVAL, &prompt));
    assert_string_equal(prompt, "The following are multiple choice questions (with answers) about anatomy.\n\n"
                                "Last?\nA. a\nB. b\nC. c\nD. d\nAnswer:");
    free(prompt);
    assert_true(mmlu_answer(&examples, 0) == 1 && mmlu_answer(&examples, 1) == 3);
    csv_free(&examples);
    csv_free(&table);
}

static void subjects_have_groups(void **state)
{
    (void)state;
    assert_string_equal(mmlu_group("anatomy"), "stem");
    assert_string_equal(mmlu_group("world_religions"), "humanities");
    assert_string_equal(mmlu_group("econometrics"), "social sciences");
    assert_string_equal(mmlu_group("virology"), "other");
    assert_null(mmlu_group("astrology"));
}

static void strange_tables_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"q,1,2,3,4\n", "q,1,2,3,4,A\nq,1,2,3,4,E\n", "q,1,2,3,4,a\n", "q,1,2,3,4,\n",
                                        "q,1,2,3,4,AB\n"};
    static const char *const messages[] = {"t.csv: expected 6 fields", "t.csv:2: expected the answer", "found \"a\"",
                                           "found \"\"", "found \"AB\""};
    for (int i = 0; i < 5; i++) {
        struct csv table = parse(texts[i]);
        assert_fails(mmlu_check(&table), STATUS_CORRUPT, messages[i]);
        csv_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_those_of_both_programs),
        cmocka_unit_test(subjects_have_groups),
        cmocka_unit_test(strange_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
