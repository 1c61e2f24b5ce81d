/* Questions of MMLU whose prompts are longer than the model's context: cut on the left as lm-evaluation-harness cuts them, or with fewer
 * examples as the benchmark's own program asks them. Prompts, ids and the cut are made here anew, scores come from llama_logits. */
#include "eval/score_oracle.h"
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/tiny_world.h"

#include "eval/rescore.h"
#include "eval/task.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <string.h>

enum { CONTEXT = 240, SHOTS = 3, QUESTIONS = 4 };

static struct tiny_world world;
static struct score_settings score;
static struct evaluate_settings evaluate;
static FILE *nowhere;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, CONTEXT, &world);
    nowhere = fopen("/dev/null", "w");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    fclose(nowhere);
    tiny_world_close(&world);
    return 0;
}

static const char *const examples[SHOTS] = {"one", "a little more", "and more again"};
static const char longest[] =
    "the longest of all of them, which has so many words that no example fits, and is cut on its left "
    "where the examples stay";
static const char *const questions[QUESTIONS] = {"q", "a longer one, which takes the room of an example or two",
                                                 longest, "r"};
static const char answers[QUESTIONS + 1] = "ABDC";

static void write_archive(const char *root)
{
    char dev[2000] = "", test[4000] = "";
    for (int i = 0; i < SHOTS; i++)
        snprintf(dev + strlen(dev), sizeof dev - strlen(dev), "%s,k,l,m,n,B\n", examples[i]);
    for (int i = 0; i < QUESTIONS; i++)
        snprintf(test + strlen(test), sizeof test - strlen(test), "\"%s\",k,l,m,n,%c\n", questions[i], answers[i]);
    char folder[800];
    snprintf(folder, sizeof folder, "%s/data/dev", root);
    assert_ok(make_directories(folder));
    snprintf(folder, sizeof folder, "%s/data/test", root);
    assert_ok(make_directories(folder));
    snprintf(folder, sizeof folder, "%s/data/dev/anatomy_dev.csv", root);
    write_text(folder, dev);
    snprintf(folder, sizeof folder, "%s/data/test/anatomy_test.csv", root);
    write_text(folder, test);
}

static void write_prompt(int question, int shots, bool original, char prompt[4000])
{
    static const char lines[] = "\nA. k\nB. l\nC. m\nD. n\nAnswer:";
    snprintf(prompt, 4000, "The following are multiple choice questions (with answers) about %sanatomy.\n\n",
             original ? " " : "");
    for (int i = 0; i < shots; i++)
        snprintf(prompt + strlen(prompt), 4000 - strlen(prompt), "%s%s B\n\n", examples[i], lines);
    snprintf(prompt + strlen(prompt), 4000 - strlen(prompt), "%s%s", questions[question], lines);
}

/* BOS and the text, as it is. The caller frees. */
static int32_t *encode(const char *text, int64_t *count)
{
    const struct vocabulary *vocabulary = &world.components->vocabulary;
    int32_t *ids = NULL;
    assert_ok(text_model_encode(world.components->text, text, (int64_t)strlen(text),
                                vocabulary->dummy_prefix == DUMMY_PREFIX_SPAN, &ids, count));
    int32_t *whole = malloc((size_t)(*count + 1) * sizeof *whole);
    whole[0] = vocabulary->bos;
    memcpy(whole + 1, ids, (size_t)*count * sizeof *ids);
    free(ids);
    (*count)++;
    return whole;
}

static double log_softmax(const float *logits, int32_t id)
{
    int64_t size = world.model->config.vocabulary_size;
    double sum = 0;
    for (int64_t c = 0; c < size; c++)
        sum += exp((double)logits[c]);
    return (double)logits[id] - log(sum);
}

/* log p of the tokens from `context` on, of which the last need not be read; at most CONTEXT are read. */
static double continuation(const int32_t *ids, int64_t count, int64_t context)
{
    double sum = 0;
    assert_true(context >= 1 && count - 1 <= CONTEXT);
    float *logits = oracle_logits(world.model, ids, count - 1);
    for (int64_t i = context; i < count; i++)
        sum += log_softmax(logits + (i - 1) * world.model->config.vocabulary_size, ids[i]);
    free(logits);
    return sum;
}

/* 1 when the letter of the answer is the likeliest behind the prompt, whose left end gives way. *cut: tokens it lost. */
static double judge(const char *prompt, int question, int64_t *cut)
{
    double best = -INFINITY, right = 0;
    for (int c = 0; c < 4; c++) {
        char text[4100];
        int64_t before, count;
        snprintf(text, sizeof text, "%s %c", prompt, 'A' + c);
        free(encode(prompt, &before));
        int32_t *ids = encode(text, &count);
        int64_t kept = count < CONTEXT + 1 ? count : CONTEXT + 1;
        *cut = count - kept;
        double sum = continuation(ids + *cut, kept, before - *cut);
        right = c == answers[question] - 'A' ? sum : right;
        best = sum > best ? sum : best;
        free(ids);
    }
    return right == best;
}

static struct task make_task(const char *out, struct task_outcome *outcome)
{
    static const char *const word[] = {"protocol"};
    score = (struct score_settings){.protocol = 4, .normalize = {(const char **)(uintptr_t)word, 1}};
    assert_string_equal(protocol_name(score.protocol), "lm-eval");
    evaluate = (struct evaluate_settings){.gold = "", .split = SPLIT_TEST, .shots = SHOTS};
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

static double number(const json_t *results, const char *row, const char *key)
{
    const json_t *value = json_object_get(json_object_get(json_object_get(results, "results"), row), key);
    if (!json_is_number(value))
        fail_msg("there is no %s of %s", key, row);
    return json_number_value(value);
}

static void the_harness_cuts_on_the_left(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = test_path("mmlu"), *out = test_path("cut");
    const struct task task = make_task(out, &outcome);
    double right = 0;
    int64_t cuts = 0;
    write_archive(root);
    for (int q = 0; q < QUESTIONS; q++) {
        char prompt[4000];
        int64_t cut;
        write_prompt(q, SHOTS, false, prompt);
        right += judge(prompt, q, &cut) / QUESTIONS;
        cuts += cut > 0;
    }
    assert_true(cuts > 0 && cuts < QUESTIONS); /* of both kinds */
    assert_ok(task_mmlu(&task, root));
    json_t *results;
    assert_ok(jdoc_read(test_path("cut/results_mmlu_test.json"), &results));
    assert_true(fabs(number(results, "mmlu_test", "acc,sum") - right) < 1e-12);
    assert_true(number(results, "mmlu_test", "truncated") == (double)cuts);
    assert_true(number(results, "mmlu_test_anatomy", "truncated") == (double)cuts);
    assert_true(number(results, "mmlu_test_stem", "lost_shots") == 0);
    json_decref(results);
    /* what was read again says the same, and EOS, for which there was no room, cannot count */
    assert_ok(rescore(out, &score, false, nowhere));
    assert_ok(jdoc_read(test_path("cut/rescored_mmlu_test.json"), &results));
    assert_true(number(results, "mmlu_test", "truncated") == (double)cuts);
    json_decref(results);
    score.eos = 2;
    assert_fails(rescore(out, &score, false, nowhere), STATUS_USAGE, "was cut to the model's context and has no EOS");
}

static void the_first_program_leaves_out_examples(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = test_path("mmlu2"), *out = test_path("lost");
    const struct task task = make_task(out, &outcome);
    evaluate.mmlu_prompt = 1;
    double right = 0;
    int64_t lost = 0, kinds[SHOTS + 1] = {0};
    write_archive(root);
    for (int q = 0; q < QUESTIONS; q++)
        for (int shots = SHOTS; shots >= 0; shots--) {
            char prompt[4000], text[4100];
            int64_t count, cut;
            write_prompt(q, shots, true, prompt);
            snprintf(text, sizeof text, "%s A", prompt);
            free(encode(text, &count));
            if (count > CONTEXT) /* the letter is read too, for the EOS behind it */
                continue;
            right += judge(prompt, q, &cut) / QUESTIONS;
            lost += SHOTS - shots;
            kinds[shots]++;
            break;
        }
    assert_true(kinds[SHOTS] > 0 && lost > 1);
    assert_int_equal(kinds[0] + kinds[1] + kinds[2] + kinds[3], QUESTIONS); /* each fits without examples */
    assert_ok(task_mmlu(&task, root));
    json_t *results;
    assert_ok(jdoc_read(test_path("lost/results_mmlu_test.json"), &results));
    assert_true(fabs(number(results, "mmlu_test", "acc,sum") - right) < 1e-12);
    assert_true(number(results, "mmlu_test", "truncated") == 0);
    assert_true(number(results, "mmlu_test", "lost_shots") == (double)lost);
    json_decref(results);
}

/* Other tasks do not cut, nor does anyone cut a choice. */
static void what_may_not_be_cut_is_refused(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    struct task task = make_task(test_path("no"), &outcome);
    char line[6000] = "{\"sentence_good\": \"", many[3 * CONTEXT];
    for (int i = 0; i < (int)sizeof many - 1; i++)
        many[i] = i % 2 ? ' ' : 'x';
    many[sizeof many - 1] = 0;
    snprintf(line + strlen(line), sizeof line - strlen(line), "%s\", \"sentence_bad\": \"b\"}\n", many);
    assert_ok(make_directories(test_path("blimp/data")));
    write_text(test_path("blimp/data/one.jsonl"), line);
    assert_fails(task_blimp(&task, test_path("blimp")), STATUS_USAGE, "is longer than the model's context of 240");
    score.protocol = 0;
    assert_fails(task_blimp(&task, test_path("blimp")), STATUS_USAGE, "one/0: choice 0 has ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_harness_cuts_on_the_left),
        cmocka_unit_test(the_first_program_leaves_out_examples),
        cmocka_unit_test(what_may_not_be_cut_is_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
