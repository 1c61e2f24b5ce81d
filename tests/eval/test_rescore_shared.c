/* What `rescore` makes of a pass is what a new run makes, to the bit, for each option that it covers and some of them together, where
 * sequences share most of what they read: stories of two endings, and questions behind examples. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "eval/rescore.h"
#include "eval/task.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 400, STORIES = 12, QUESTIONS = 5 };

static struct tiny_world world;
static struct score_settings score;
static struct evaluate_settings evaluate;
static FILE *nowhere;

static void write_words(FILE *file, struct rng *rng, int words)
{
    for (int w = 0; w < words; w++) {
        fputs(w ? " " : "", file);
        for (int64_t letters = 1 + (int64_t)rng_below(rng, 7); letters > 0; letters--)
            fputc('a' + (int)rng_below(rng, 26), file);
    }
}

static void write_stories(const char *path)
{
    struct rng rng = rng_make(3, RNG_TEST, 95, 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,RandomFifthSentenceQuiz1,"
          "RandomFifthSentenceQuiz2,AnswerRightEnding\n",
          file);
    for (int s = 0; s < STORIES; s++) {
        fprintf(file, "s%d", s);
        for (int sentence = 0; sentence < 6; sentence++) {
            fputc(',', file);
            write_words(file, &rng, sentence < 4 ? 5 : 1 + (s * (sentence - 3)) % 7); /* endings of unequal length */
        }
        fprintf(file, ",%d\n", 1 + s % 2);
    }
    assert_int_equal(fclose(file), 0);
}

static void write_questions(const char *path, uint64_t stream, int count)
{
    struct rng rng = rng_make(3, RNG_TEST, 96, stream);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int q = 0; q < count; q++) {
        write_words(file, &rng, 6);
        for (int c = 0; c < 4; c++) {
            fputc(',', file);
            write_words(file, &rng, 1);
        }
        fprintf(file, ",%c\n", "ABCD"[rng_below(&rng, 4)]);
    }
    assert_int_equal(fclose(file), 0);
}

static int open_world(void **state)
{
    (void)state;
    static const char *const subjects[] = {"anatomy", "virology", "sociology"};
    tiny_world_open(1, CONTEXT, &world);
    nowhere = fopen("/dev/null", "w");
    assert_ok(make_directories(test_path("model")));
    write_text(test_path("model/weights"), "1");
    assert_ok(make_directories(test_path("stories")));
    write_stories(test_path("stories/all.csv"));
    assert_ok(make_directories(test_path("mmlu/data/dev")));
    assert_ok(make_directories(test_path("mmlu/data/test")));
    for (uint64_t s = 0; s < 3; s++) {
        write_questions(test_path("mmlu/data/dev/%s_dev.csv", subjects[s]), 2 * s, 1);
        write_questions(test_path("mmlu/data/test/%s_test.csv", subjects[s]), 2 * s + 1, QUESTIONS);
    }
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    fclose(nowhere);
    tiny_world_close(&world);
    return 0;
}

/* ---- runs ---- */

static void run(bool stories, const char *out)
{
    struct task_outcome outcome = {0};
    evaluate = (struct evaluate_settings){.gold = "", .split = SPLIT_TEST, .shots = 1};
    struct llama *model = world.model;
    const struct task task = {.model = world.model,
                              .components = world.components,
                              .model_name = "m",
                              .checkpoint = test_path("model"),
                              .out = out,
                              .report = nowhere,
                              .outcome = &outcome,
                              .score = &score,
                              .models = &model,
                              .ranks = 1,
                              .evaluate = &evaluate};
    if (stories)
        assert_ok(task_story_text(&task, test_path("stories")));
    else
        assert_ok(task_mmlu(&task, test_path("mmlu")));
}

static void assert_same(const char *rescored, const char *fresh)
{
    static const char *const members[] = {"results", "groups", "group_subtasks", "protocol", "n-samples"};
    json_t *a, *b;
    assert_ok(jdoc_read(rescored, &a));
    assert_ok(jdoc_read(fresh, &b));
    for (size_t m = 0; m < sizeof members / sizeof *members; m++)
        if (!json_equal(json_object_get(a, members[m]), json_object_get(b, members[m])))
            fail_msg("\"%s\" of %s is not that of %s", members[m], rescored, fresh);
    json_decref(a);
    json_decref(b);
}

/* Options by their number in the settings: 0 is the protocol's own. */
struct options {
    int scope, count, mask, tag, tie, eos;
};

static void compare(bool stories, const char *const *normalize, int64_t normalizations, const struct options *options)
{
    const char *name = stories ? "storycloze_text" : "mmlu_test";
    char rescored[900], fresh[900];
    score = (struct score_settings){.normalize = {(const char **)(uintptr_t)normalize, normalizations},
                                    .scope = options->scope,
                                    .count = options->count,
                                    .mask = options->mask,
                                    .tag = options->tag,
                                    .tie = options->tie,
                                    .eos = options->eos};
    snprintf(rescored, sizeof rescored, "%s/rescored_%s.json", test_path("pass"), name);
    snprintf(fresh, sizeof fresh, "%s/results_%s.json", test_path("fresh"), name);
    assert_ok(rescore(test_path("pass"), &score, true, nowhere));
    run(stories, test_path("fresh"));
    assert_same(rescored, fresh);
}

static void remove_samples(void)
{
    (void)remove(test_path("pass/samples_mmlu_test.jsonl")); /* rescore takes all of a folder */
    (void)remove(test_path("pass/samples_storycloze_text.jsonl"));
}

static void every_option_and_many_together(void **state)
{
    (void)state;
    static const char *const all[] = {"token", "sum", "char", "byte", "pmi", "pmi-token"};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 97, 0);
    for (int stories = 0; stories < 2; stories++) {
        remove_samples();
        /* 2 of each: the protocol named, because the scope of a task is its own there */
        score = (struct score_settings){.normalize = {(const char **)(uintptr_t)all, 5}, .scope = 1};
        run(stories, test_path("pass"));
        for (int64_t n = 0; n < 6; n++)
            compare(stories, &all[n], 1, &(struct options){.scope = 1});
        static const struct options single[] = {
            {.scope = 2},           {.scope = 1, .count = 2}, {.scope = 1, .mask = 2}, {.scope = 1, .tag = 3},
            {.scope = 1, .tie = 2}, {.scope = 1, .tie = 3},   {.scope = 1, .eos = 2}};
        for (size_t i = 0; i < sizeof single / sizeof *single; i++)
            compare(stories, all, 2, &single[i]);
        for (int i = 0; i < 25; i++) {
            const struct options drawn = {.scope = 1 + (int)rng_below(&rng, 2),
                                          .count = 1 + (int)rng_below(&rng, 2),
                                          .mask = 1 + (int)rng_below(&rng, 2),
                                          .tag = 2 + (int)rng_below(&rng, 2),
                                          .tie = 1 + (int)rng_below(&rng, 3),
                                          .eos = 1 + (int)rng_below(&rng, 2)};
            compare(stories, &all[rng_below(&rng, 4)], 1 + (int64_t)rng_below(&rng, 3), &drawn);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_and_many_together)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
