/* Evaluations that generate are killed (SIGKILL) at random moments and started again, each time with another number of ranks and of
 * answers that are generated together, until they finish: results and samples are the undisturbed evaluation's to the byte. 24 kills,
 * 300 in the long form. The process that is killed is this program, which then runs the task on an untrained model. */
#include "support/files.h"
#include "support/judge_folders.h"
#include "support/process.h"
#include "support/scripted_speech.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "core/log.h"
#include "eval/task.h"
#include "io/atomic_file.h"
#include "io/wav.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT = 512, ITEMS = 18, EXAMPLES = 9, MOST_RANKS = 3, PATH_ROOM = 800 };

static const char *program;

/* ---- the process that is killed ---- */

static struct script scripts[STREAM_COUNT], voice;
static struct speech speech;

static void give_speech(struct components *components)
{
    const struct vocabulary *v = &components->vocabulary;
    const int32_t sizes[STREAM_COUNT] = {
        [STREAM_HUBERT] = v->hubert_count, [STREAM_PITCH] = v->pitch_count, [STREAM_STYLE] = v->style_count};
    const int64_t hops[STREAM_COUNT] = {[STREAM_HUBERT] = 640, [STREAM_PITCH] = 1280, [STREAM_STYLE] = 16000};
    for (int s = 0; s < STREAM_COUNT; s++) {
        scripts[s] = (struct script){.hop = hops[s], .size = sizes[s], .mark = (uint8_t)(s + 1)};
        speech.encoder[s] = scripted_encoder((enum unit_stream)s, &scripts[s]);
    }
    voice = (struct script){.hop = 320, .mark = 9};
    speech.vocoder = scripted_vocoder(&voice, scripted_fingerprint(1));
    components->speech = &speech;
}

/* The model of another rank: equal weights in memory of its own. */
static struct llama *another(const struct llama *model, struct device_context *context)
{
    struct llama *copy;
    assert_ok(device_context_create(test_kernels(), NULL, 0, context));
    assert_ok(llama_create(&model->config, DTYPE_F32, test_kernels(), context, &copy));
    assert_ok(llama_initialize(copy, 5, 0.3, NULL));
    return copy;
}

static int child(const char *folder, const char *out, const char *name, int ranks, int batch)
{
    static const char *const shots[] = {"0", "3"}, *const seeds[] = {"0", "1"};
    struct tiny_world world;
    struct llama *models[MOST_RANKS];
    struct device_context contexts[MOST_RANKS];
    struct task_outcome outcome = {0};
    char text_judge[PATH_ROOM], speech_judge[PATH_ROOM], archive[PATH_ROOM], model[PATH_ROOM], prompts[PATH_ROOM];
    bool stsp = !strcmp(name, "stsp");
    snprintf(text_judge, sizeof text_judge, "%s/text_judge", folder);
    snprintf(speech_judge, sizeof speech_judge, "%s/speech_judge", folder);
    snprintf(archive, sizeof archive, "%s/%s", folder, name);
    snprintf(model, sizeof model, "%s/model", folder);
    snprintf(prompts, sizeof prompts, "%s/asr.yaml", folder);
    tiny_world_open(1, CONTEXT, &world);
    give_speech(world.components);
    models[0] = world.model;
    for (int r = 1; r < ranks; r++)
        models[r] = another(world.model, &contexts[r]);
#define STSP_PROMPT(direction) TEST_SOURCE_DIRECTORY "/configs/prompts/stsp_" direction ".yaml"
    const struct prompt_paths paths = {
        prompts, "", STSP_PROMPT("s2s"), STSP_PROMPT("s2t"), STSP_PROMPT("t2s"), STSP_PROMPT("t2t")};
    const struct judge_settings judges = {text_judge, speech_judge};
    const struct evaluate_settings evaluate = {.shot_list = {(const char **)(uintptr_t)shots, stsp ? 2 : 0},
                                               .seeds = {(const char **)(uintptr_t)seeds, 2},
                                               .shots = 3,
                                               .batch = batch,
                                               .shots_from = "",
                                               .shot_ids = "",
                                               .spellings = "",
                                               .waves = ""};
    const struct task task = {.model = world.model,
                              .models = models,
                              .ranks = ranks,
                              .components = world.components,
                              .model_name = "m",
                              .checkpoint = model,
                              .out = out,
                              .report = stdout,
                              .outcome = &outcome,
                              .evaluate = &evaluate,
                              .prompts = &paths,
                              .judges = &judges};
    enum status code = stsp ? task_stsp(&task, archive) : task_asr(&task, archive);
    if (code != STATUS_OK)
        fprintf(stderr, "%s\n", status_text());
    fflush(NULL);
    _exit(code); /* the kernel takes everything back */
}

/* ---- archives ---- */

static void write_clip(const char *path, int number)
{
    enum { MOST = 16000 };
    float samples[MOST];
    char folder[PATH_ROOM];
    int64_t count = 4000 + 700 * (number % 15);
    struct rng rng = rng_make(3, RNG_TEST, 1, (uint64_t)number);
    for (int64_t i = 0; i < count; i++)
        samples[i] = (float)(rng_uniform(&rng) - 0.5);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(make_directories(folder));
    assert_ok(wav_write(path, samples, count));
}

static void append(const char *path, const char *text)
{
    char folder[PATH_ROOM];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(make_directories(folder));
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_librispeech(void)
{
    for (int i = 0; i < ITEMS + EXAMPLES; i++) {
        const char *part = i < ITEMS ? "test-clean" : "dev-clean";
        char line[100];
        snprintf(line, sizeof line, "%d-7-%04d THE NUMBER %c OF THESE\n", i / 3, i, 'A' + i % 26);
        append(test_path("asr/%s/%d/7/%d-7.trans.txt", part, i / 3, i / 3), line);
        write_clip(test_path("asr/%s/%d/7/%d-7-%04d.wav", part, i / 3, i / 3, i), i);
    }
    /* An untrained model soon writes a unit, which would end an answer in text. */
    write_text(test_path("asr.yaml"), "prompt:\n"
                                      "  shot: \"[Speech]{prompt}[Text]<START Transcript>{answer}<END>\"\n"
                                      "  item: \"[Speech]{prompt}[Text]\"\n"
                                      "  begin: \"<START Transcript>\"\n"
                                      "  end: \"<END>\"\n"
                                      "  output: text\n"
                                      "  limit: 60\n"
                                      "  temperature: 1.0\n");
}

static void make_stsp(void)
{
    static const char *const emotions[] = {"happy", "sad", "default"};
    static const char *const directions[] = {"s2s", "s2t", "t2s", "t2t"};
    char line[300];
    for (int i = 0; i < ITEMS / 3; i++) {
        for (int set = 0; set < 2; set++) {
            const char *name = set ? "emov/emov" : "expresso/expresso_read";
            snprintf(line, sizeof line, "{\"id\": %d, \"emotion\": \"%s\", \"wav_path\": \"clips/%d_%d.wav\"}\n", i,
                     emotions[i % 3], set, i);
            append(test_path("stsp/manifest/%s.dev.jsonl", name), line);
            write_clip(test_path("stsp/data/clips/%d_%d.wav", set, i), 2 * i + set);
        }
        snprintf(line, sizeof line, "{\"id\": \"t%d\", \"emotion\": \"%s\", \"asr\": \"what %d brings\"}\n", i,
                 emotions[i % 3], i);
        append(test_path("stsp/manifest/expresso/expresso_asr.dev.jsonl"), line);
    }
    for (int d = 0; d < 4; d++)
        for (int i = 0; i < EXAMPLES; i++) {
            char halves[2][40];
            for (int h = 0; h < 2; h++)
                snprintf(halves[h], sizeof halves[h], directions[d][2 * h] == 's' ? "clips/%d_%d.wav" : "said %d %d", h,
                         i % (ITEMS / 3));
            snprintf(line, sizeof line, "{\"prompt\": \"%s\", \"generation\": \"%s\", \"sentiment\": \"%s\"}\n",
                     halves[0], halves[1],
                     i % 3 == 0   ? "positive"
                     : i % 3 == 1 ? "negative"
                                  : "neutral");
            append(test_path("stsp/manifest/few_shot/%s.jsonl", directions[d]), line);
        }
}

static int make_archives(void **state)
{
    char printed[2000];
    (void)state;
    make_librispeech();
    make_stsp();
    write_text(test_path("model"), "a model");
    const char *text = changed_judge_member("text", "config.json", "id2label",
                                            "{\"0\": \"neutral\", \"1\": \"happy\", \"2\": \"sad\", \"3\": \"angry\", "
                                            "\"4\": \"amused\", \"5\": \"default\", \"6\": "
                                            "\"positive\"}");
    assert_int_equal(run_command(printed, sizeof printed,
                                 "cp -r '%s' '%s/text_judge' && cp -r '" JUDGES "/speech' '%s/speech_judge'", text,
                                 test_directory(), test_directory()),
                     0);
    return 0;
}

/* ---- lives ---- */

static pid_t start(const char *out, const char *name, int ranks, int batch)
{
    char numbers[2][16];
    snprintf(numbers[0], sizeof numbers[0], "%d", ranks);
    snprintf(numbers[1], sizeof numbers[1], "%d", batch);
    const char *const argv[] = {program, "--child", test_directory(), out, name, numbers[0], numbers[1], NULL};
    return process_start(argv, NULL, test_path("output"));
}

static void expect_success(int code)
{
    char printed[4000];
    if (code == 0)
        return;
    run_command(printed, sizeof printed, "cat '%s'", test_path("output"));
    fail_msg("exit code %d: %s", code, printed);
}

static void expect_same(const char *out, const char *reference, const char *file)
{
    char a[2 * PATH_ROOM], b[2 * PATH_ROOM];
    snprintf(a, sizeof a, "%s/%s", out, file);
    snprintf(b, sizeof b, "%s/%s", reference, file);
    if (!same_file(a, b))
        fail_msg("%s and %s differ", a, b);
}

/* Starts and kills an evaluation until it finishes; the number of kills. */
static int64_t one_evaluation(struct rng *rng, const char *name, const char *out, double seconds)
{
    for (int64_t kills = 0;; kills++) {
        int ranks = 1 + (int)rng_below(rng, MOST_RANKS), batch = rng_below(rng, 2) ? 8 : 1;
        double delay = rng_uniform(rng) * seconds;
        pid_t process = start(out, name, ranks, batch);
        usleep((useconds_t)(1e6 * delay));
        kill(process, SIGKILL);
        int code = process_wait(process);
        if (code != 128 + SIGKILL) {
            expect_success(code);
            return kills;
        }
    }
}

static void killed_evaluations_come_to_the_same_end(const char *name, const char *split, int64_t least)
{
    char reference[PATH_ROOM], results[64], samples[64], journal[2 * PATH_ROOM];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, (uint64_t)least);
    snprintf(reference, sizeof reference, "%s/%s_reference", test_directory(), name);
    snprintf(results, sizeof results, "results_%s%s.json", name, split);
    snprintf(samples, sizeof samples, "samples_%s%s.jsonl", name, split);
    double began = clock_seconds();
    expect_success(process_wait(start(reference, name, 1, 4)));
    double seconds = clock_seconds() - began;
    int64_t kills = 0, evaluations = 0;
    for (; kills < least; evaluations++) {
        const char *out = test_path("%s_%lld", name, (long long)evaluations);
        kills += one_evaluation(&rng, name, out, seconds);
        expect_same(out, reference, results);
        expect_same(out, reference, samples);
        snprintf(journal, sizeof journal, "%s/journal_%s%s.log", out, name, split);
        assert_int_equal(access(journal, F_OK), -1);
    }
    printf("%s: %lld kills, %lld evaluations, %.2f s undisturbed\n", name, (long long)kills, (long long)evaluations,
           seconds);
}

static void recognition_is_resumed(void **state)
{
    (void)state;
    killed_evaluations_come_to_the_same_end("asr", "", test_is_long() ? 150 : 12);
}

static void sentiments_are_resumed(void **state)
{
    (void)state;
    killed_evaluations_come_to_the_same_end("stsp", "_dev", test_is_long() ? 150 : 12);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recognition_is_resumed),
        cmocka_unit_test(sentiments_are_resumed),
    };
    if (argc == 7 && !strcmp(argv[1], "--child"))
        return child(argv[2], argv[3], argv[4], atoi(argv[5]), atoi(argv[6]));
    program = argv[0];
    return cmocka_run_group_tests(tests, make_archives, NULL);
}
