/* Several tasks in one command: which they are, what is refused before any work, and that a task that fails takes nothing
 * from the others. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "eval/documents.h"
#include "eval/plan.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGEST = 400, ROWS = 6, MOST = 8 };

static struct tiny_world world;
static struct dataset *datasets[2]; /* text, speech */
static struct learning_data data;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(ROWS, LONGEST, &world);
    if (dataset_open(world.corpus.text, &datasets[0]) != STATUS_OK ||
        dataset_open(world.corpus.speech, &datasets[1]) != STATUS_OK)
        return -1;
    data = (struct learning_data){.components = world.components,
                                  .interleaver = documents_interleaver(world.components),
                                  .train = datasets,
                                  .train_count = 2,
                                  .held_out = datasets,
                                  .held_out_count = 2,
                                  .seed = 9};
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    dataset_close(datasets[0]);
    dataset_close(datasets[1]);
    tiny_world_close(&world);
    return 0;
}

/* The plan of a command line that ends with NULL. */
static enum status make(const char *const *words, const char *out, struct task_plan *plan)
{
    int64_t count = 0;
    while (words[count])
        count++;
    return plan_make(words, count, out, plan);
}

/* "learning|pairs_a=a.jsonl|generation" */
static void expect_plan(const char *const *words, const char *expected)
{
    struct task_plan plan;
    char found[8000];
    FILE *stream = fmemopen(found, sizeof found, "w");
    assert_non_null(stream);
    assert_ok(make(words, "out", &plan));
    for (int64_t i = 0; i < plan.count; i++)
        fprintf(stream, "%s%s%s%s", i ? "|" : "", plan.tasks[i].name, plan.tasks[i].file[0] ? "=" : "",
                plan.tasks[i].file);
    fclose(stream);
    assert_string_equal(found, expected);
    plan_free(&plan);
}

static void files_follow_pairs(void **state)
{
    (void)state;
    expect_plan((const char *[]){"learning", NULL}, "learning");
    expect_plan((const char *[]){"generation", "learning", NULL}, "generation|learning");
    expect_plan((const char *[]){"pairs", "x/a.jsonl", NULL}, "pairs_a=x/a.jsonl");
    expect_plan((const char *[]){"pairs", "a.jsonl", "b", "learning", "pairs", "c.json", NULL},
                "pairs_a=a.jsonl|pairs_b=b|learning|pairs_c.json=c.json");
    expect_plan((const char *[]){"learning", "generation", "pairs", NULL},
                "learning|generation|pairs_pairs_shuffled=out/pairs_shuffled.jsonl");
    expect_plan((const char *[]){"learning", "pairs", "generation", NULL},
                "learning|pairs_pairs_shuffled=out/pairs_shuffled.jsonl|generation");
    expect_plan((const char *[]){"pairs", "./learning", NULL}, "pairs_learning=./learning");
    expect_plan((const char *[]){"pairs", "nothing_like_a_task", NULL},
                "pairs_nothing_like_a_task=nothing_like_a_task");
    expect_plan((const char *[]){"swuggy", "x/a.zip", "topic-storycloze", "tSC", "learning", NULL},
                "swuggy=x/a.zip|topic_storycloze=tSC|learning");
}

static void wrong_lists_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[MOST];
        const char *text;
    } cases[] = {
        {{NULL}, "expected a task (pairs, learning, generation, crossing, texts, swuggy, "},
        {{""}, "expected a task"},
        {{"sing"}, "found \"sing\""},
        {{"a.jsonl"}, "found \"a.jsonl\""},
        {{"lerning"}, "did you mean learning?"},
        {{"LEARNING"}, "did you mean learning?"},
        {{"gen"}, "did you mean generation?"},
        {{"generate"}, "did you mean generation?"},
        {{"Pair", "a.jsonl"}, "did you mean pairs?"},
        {{"learning", "extra"}, "found \"extra\""},
        {{"swuggy"}, "swuggy needs its archive"},
        {{"swuggy", "learning"}, "swuggy needs its archive"},
        {{"salmon", "a.zip", "b.zip"}, "found \"b.zip\""},
        {{"salmon", "a.zip", "salmon", "a.zip"}, "salmon a.zip is named twice"},
        {{"salmon", "a.zip", "salmon", "b.zip"}, "a.zip and b.zip would both be written to results_salmon.json"},
        {{"salmom", "a.zip"}, "did you mean salmon?"},
        {{"pairs"}, "pairs needs a JSON Lines file"},
        {{"pairs", "learning"}, "pairs needs a JSON Lines file"},
        {{"pairs", "a.jsonl", "lerning"}, "did you mean learning?"},
        {{"pairs", "a.jsonl", "Generation"}, "did you mean generation?"},
        {{"pairs", ""}, "cannot make a name"},
        {{"learning", "learning"}, "learning is named twice"},
        {{"generation", "learning", "generation"}, "generation is named twice"},
        {{"pairs", "a.jsonl", "a.jsonl"}, "pairs a.jsonl is named twice"},
        {{"pairs", "a.jsonl", "learning", "pairs", "a.jsonl"}, "pairs a.jsonl is named twice"},
        {{"pairs", "x/a.jsonl", "y/a.jsonl"}, "x/a.jsonl and y/a.jsonl would both be written to results_pairs_a.json"},
        {{"pairs", "a", "a.jsonl"}, "both be written to results_pairs_a.json"},
        {{"learning", "pairs", "pairs"}, "named twice"},
        {{"learning", "pairs", "generation", "pairs", "pairs_shuffled.jsonl"}, "both be written"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct task_plan plan;
        assert_fails(make(cases[i].words, "out", &plan), STATUS_USAGE, cases[i].text);
        plan_free(&plan);
    }
}

static void expect_unwritable(const char *out, enum status code, const char *text)
{
    struct task_plan plan;
    assert_ok(make((const char *[]){"learning", "pairs", NULL}, out, &plan));
    assert_fails(plan_check_writable(&plan), code, text);
    assert_non_null(strstr(status_text(), "--out names another folder"));
    plan_free(&plan);
}

static void results_that_cannot_be_written_are_refused(void **state)
{
    (void)state;
    write_text(test_path("file"), "");
    expect_unwritable(test_path("file"), STATUS_USAGE, "expected a folder, found a file");
    expect_unwritable(test_path("file/below"), STATUS_USAGE, "expected a folder, found a file");
    static const char *const names[] = {"results_learning.json", "pairs_shuffled.jsonl",
                                        "results_pairs_pairs_shuffled.json", "samples_pairs_pairs_shuffled.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *blocked = test_path("blocked_%zu", i);
        assert_ok(make_directories(test_path("blocked_%zu/%s", i, names[i])));
        expect_unwritable(blocked, STATUS_USAGE, names[i]);
    }
}

/* A name that fits the file of pairs, but not those of its results while they are written. */
static void names_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct task_plan plan;
    char name[300];
    memset(name, 'x', sizeof name);
    for (int length = 1; length < 280; length += length < 200 ? 40 : 4) {
        char path[4096], file[4096];
        snprintf(file, sizeof file, "%.*s.jsonl", length, name);
        const char *const words[] = {"pairs", file, NULL};
        enum status made = make(words, test_path("long"), &plan);
        enum status checked = made == STATUS_OK ? plan_check_writable(&plan) : made;
        snprintf(path, sizeof path, "%s/samples_pairs_%.*s.jsonl", test_path("long"), length, name);
        bool fits = checked == STATUS_OK && atomic_write(path, "", 0) == STATUS_OK;
        if (checked == STATUS_OK && !fits)
            fail_msg("a name of %d characters passed the check, but: %s", length, status_text());
        assert_true(length > 150 || fits);
        assert_true(length < 250 || !fits);
        plan_free(&plan);
    }
}

/* Root may write anywhere, so another user tries; 0 when all was as expected. */
static int as_another_user(const char *locked, const char *shared)
{
    struct task_plan plan;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 77;
    const char *const words[] = {"generation", NULL};
    if (make(words, locked, &plan) != STATUS_OK || plan_check_writable(&plan) != STATUS_IO ||
        !strstr(status_text(), "Permission denied"))
        return 1;
    plan_free(&plan);
    if (make(words, shared, &plan) != STATUS_OK || plan_check_writable(&plan) != STATUS_IO ||
        !strstr(status_text(), "another user's"))
        return 2;
    plan_free(&plan);
    return 0;
}

static void folders_of_others_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can become somebody else */
    const char *locked = test_path("locked"), *shared = test_path("shared");
    assert_ok(make_directories(locked));
    assert_ok(make_directories(shared));
    write_text(test_path("shared/results_generation.json"), "theirs");
    assert_int_equal(chmod(test_directory(), 0755), 0);
    assert_int_equal(chmod(locked, 0755), 0);
    assert_int_equal(chmod(shared, 01777), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(as_another_user(locked, shared));
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

static int64_t entries(const char *folder)
{
    char output[1000];
    assert_int_equal(run_command(output, sizeof output, "ls -A '%s' | wc -l", folder), 0);
    return strtol(output, NULL, 10);
}

/* The check leaves what is there, and no folder that was made for nothing. */
static void looking_changes_nothing(void **state)
{
    (void)state;
    struct task_plan plan;
    assert_ok(make_directories(test_path("kept")));
    write_text(test_path("kept/results_learning.json"), "old");
    assert_ok(make((const char *[]){"learning", "generation", NULL}, test_path("kept"), &plan));
    assert_ok(plan_check_writable(&plan));
    plan_free(&plan);
    assert_int_equal(entries(test_path("kept")), 1);
    char output[10];
    run_command(output, sizeof output, "cat '%s'", test_path("kept/results_learning.json"));
    assert_string_equal(output, "old");
    assert_ok(make((const char *[]){"learning", NULL}, test_path("kept/new/folders/"), &plan));
    assert_ok(plan_check_writable(&plan));
    assert_int_equal(access(test_path("kept/new/folders"), F_OK), 0);
    plan_free(&plan);
    assert_int_equal(entries(test_path("kept")), 1);
}

static bool exists(const char *out, const char *name)
{
    return access(test_path("%s/%s", out, name), F_OK) == 0;
}

/* Runs a plan as evaluate does, and gives what it would print. */
static enum status run(const char *const *words, const char *out, bool require, enum status data_status,
                       struct task_plan *plan, char report[8000])
{
    json_t *inputs = json_object();
    FILE *stream = fmemopen(report, 8000, "w");
    assert_non_null(stream);
    const struct task task = {.model = world.model,
                              .components = world.components,
                              .model_name = "tiny",
                              .checkpoint = "tiny",
                              .out = test_path("%s", out),
                              .report = stream,
                              .require = require};
    assert_ok(make(words, test_path("%s", out), plan));
    assert_ok(plan_check_writable(plan));
    plan_check_files(plan);
    if (data_status != STATUS_OK)
        plan_fail_data(plan, status_set(data_status, "no such dataset"));
    plan_run(plan, &task, &data, inputs);
    assert_false(plan_pending(plan));
    enum status result = plan_finish(plan, stream);
    fclose(stream);
    json_decref(inputs);
    return result;
}

static void a_task_that_fails_takes_nothing_from_the_others(void **state)
{
    (void)state;
    struct task_plan plan;
    char report[8000];
    write_text(test_path("broken.jsonl"), "{\"id\": \"1\"}\n");
    const char *const words[] = {
        "pairs", test_path("missing.jsonl"), test_path("broken.jsonl"), "learning", "pairs", "generation", NULL};
    assert_int_equal(run(words, "most", true, STATUS_OK, &plan, report), STATUS_USAGE); /* of the first that failed */
    assert_non_null(strstr(status_text(), "2 of 5 tasks failed"));
    static const enum status codes[] = {STATUS_USAGE, STATUS_CORRUPT};
    for (int i = 0; i < 5; i++)
        if (i < 2)
            assert_int_equal(plan.tasks[i].code, codes[i]);
        else /* an untrained model passes hardly any check */
            assert_true(plan.tasks[i].code == STATUS_UNMET || plan.tasks[i].code == STATUS_OK);
    assert_int_equal(plan.tasks[2].code, STATUS_UNMET);
    assert_true(exists("most", "results_learning.json") && exists("most", "results_generation.json"));
    assert_true(exists("most", "results_pairs_pairs_shuffled.json"));
    assert_false(exists("most", "results_pairs_broken.json") || exists("most", "results_pairs_missing.json"));
    assert_non_null(strstr(report, "pairs_missing                failed (2)"));
    assert_non_null(strstr(report, "pairs_broken                 failed (65)"));
    assert_non_null(strstr(report, "learning                     does not hold"));
    plan_free(&plan);
}

/* The same numbers as from commands of their own, and 0 where no check is required. */
static void together_is_as_alone(void **state)
{
    (void)state;
    struct task_plan plan;
    char report[8000], output[4000];
    assert_ok(
        run((const char *[]){"learning", "generation", "pairs", NULL}, "together", false, STATUS_OK, &plan, report));
    plan_free(&plan);
    assert_non_null(strstr(report, "generation  "));
    assert_ok(run((const char *[]){"learning", NULL}, "alone", false, STATUS_OK, &plan, report));
    assert_null(strstr(report, "results: ")); /* one task has no table of tasks */
    plan_free(&plan);
    assert_ok(run((const char *[]){"generation", NULL}, "alone", false, STATUS_OK, &plan, report));
    plan_free(&plan);
    const char *const pairs[] = {"pairs", test_path("alone/pairs_shuffled.jsonl"), NULL};
    assert_ok(run(pairs, "alone", false, STATUS_OK, &plan, report));
    plan_free(&plan);
    assert_int_equal(
        run_command(output, sizeof output,
                    "cd '%s' && for f in together/*; do sed s,/together/,/alone/, $f | cmp - alone/${f#*/} "
                    "|| exit 1; done; ls together | wc -l",
                    test_directory()),
        0);
    assert_int_equal(strtol(output, NULL, 10), 5);
}

/* Only the checks fail: 1. With --require off: 0. */
static void unmet_checks_are_one(void **state)
{
    (void)state;
    struct task_plan plan;
    char report[8000];
    assert_int_equal(run((const char *[]){"learning", "pairs", NULL}, "unmet", true, STATUS_OK, &plan, report),
                     STATUS_UNMET);
    assert_non_null(strstr(status_text(), "the check of 2 does not hold"));
    plan_free(&plan);
}

/* An older file of pairs is not taken for the one that learning was to write. */
static void pairs_of_a_learning_that_failed_are_not_measured(void **state)
{
    (void)state;
    struct task_plan plan;
    char report[8000];
    assert_ok(make_directories(test_path("stale")));
    const char *pair = "{\"id\": \"1\", \"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n";
    write_text(test_path("stale/pairs_shuffled.jsonl"), pair);
    write_text(test_path("other.jsonl"), pair);
    const char *const words[] = {"learning", "pairs", test_path("stale/../stale/pairs_shuffled.jsonl"),
                                 test_path("other.jsonl"), NULL};
    assert_int_equal(run(words, "stale", false, STATUS_CORRUPT, &plan, report), STATUS_CORRUPT);
    assert_int_equal(plan.tasks[0].code, STATUS_CORRUPT);
    assert_string_equal(plan.tasks[0].text, "no such dataset");
    assert_int_equal(plan.tasks[1].code, STATUS_USAGE);
    assert_non_null(strstr(plan.tasks[1].text, "learning failed"));
    assert_ok(plan.tasks[2].code);
    assert_true(exists("stale", "results_pairs_other.json"));
    plan_free(&plan);
    /* Named before learning, it is just a file. */
    const char *const before[] = {"pairs", test_path("stale/pairs_shuffled.jsonl"), "learning", NULL};
    assert_int_equal(run(before, "stale", false, STATUS_CORRUPT, &plan, report), STATUS_CORRUPT);
    assert_ok(plan.tasks[0].code);
    plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_follow_pairs),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(results_that_cannot_be_written_are_refused),
        cmocka_unit_test(names_that_are_too_long_are_refused),
        cmocka_unit_test(folders_of_others_are_refused),
        cmocka_unit_test(looking_changes_nothing),
        cmocka_unit_test(a_task_that_fails_takes_nothing_from_the_others),
        cmocka_unit_test(together_is_as_alone),
        cmocka_unit_test(unmet_checks_are_one),
        cmocka_unit_test(pairs_of_a_learning_that_failed_are_not_measured),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
